"""A whole service on an embedded broker, started for one test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from cqrs.runtime import Service, ServiceParts
from cqrs.telemetry.span_memory import SpanMemory
from cqrs.testing.embedded_broker import EmbeddedBroker
from service.bootstrap import order_service
from service.settings import COMMANDS, EVENTS, PARTITIONS
from tests.scenario.deployment import DEAD_LETTERS, Deployed, deployed, settings_in


@pytest.fixture
def spans() -> SpanMemory:
    return SpanMemory()


@pytest.fixture
def broker(embedded_broker: EmbeddedBroker) -> EmbeddedBroker:
    """Give a broker with the topics of the order service, for services that come and go on it."""
    for topic in (COMMANDS, DEAD_LETTERS, EVENTS):
        embedded_broker.create_topic(topic, PARTITIONS)
    return embedded_broker


@pytest_asyncio.fixture
async def orders(tmp_path: Path, spans: SpanMemory) -> AsyncIterator[Deployed]:
    """Deploy the order service."""
    async with deployed(order_service(settings_in(tmp_path), spans)) as found:
        yield found


@pytest.fixture
def service_of(tmp_path: Path) -> Callable[..., Service]:
    """Return a maker of services whose handlers and events are those of a module."""

    def make(module: ModuleType, **changed: object) -> Service:
        parts = ServiceParts(packages=(module,), events=(module,))
        return Service(settings_in(tmp_path, **changed), parts)

    return make
