import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import Metric

from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.decorators import command_handler, query_handler
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message, OutgoingMessage, Receipt
from cqrs.messaging.tracing import TracedProducer, trace
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.telemetry.logs import configure_logging
from cqrs.telemetry.metrics import PrometheusMetrics
from cqrs.telemetry.span_memory import FinishedSpan, SpanMemory
from cqrs.telemetry.tracer import OpenTelemetryTracer
from cqrs.tracing import attributes
from cqrs.types import Command, Query

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
VALUES = {"KAFKA", "OPERATION_SEND", "OPERATION_PROCESS"}


def rows(section: str) -> Iterator[list[str]]:
    """Return the cells of each row of the tables in one section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield cells


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def span_rows() -> dict[str, tuple[str, set[str], set[str]]]:
    """Return, by the first word of its name, a span's kind, its attributes, and those it may lack."""
    found = {}
    for cells in rows("Spans"):
        if len(cells) == 4:
            optional = set(re.findall(r"\(`([^`]+)`\)", cells[3]))
            found[quoted(cells[0])[0].split()[0]] = (cells[1], set(quoted(cells[3])), optional)
    return found


def exposed() -> dict[str, tuple[str, set[str]]]:
    """Return the type and labels of every metric that the registry exposes, by name."""
    metrics = PrometheusMetrics("orders", "1")
    return {_exposed_name(family): (family.type, _labels(metrics, family)) for family in metrics.registry.collect()}


def _exposed_name(family: Metric) -> str:
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


def _labels(metrics: PrometheusMetrics, family: Metric) -> set[str]:
    if family.samples:
        return {label for sample in family.samples for label in sample.labels}
    collector = metrics.registry._names_to_collectors.get(family.name, family)
    return set(getattr(collector, "_labelnames", ()))


def test_the_table_of_metrics_is_what_the_registry_exposes() -> None:
    documented = {quoted(name)[0]: (kind, set(quoted(labels))) for name, kind, labels, _ in rows("Metrics")}
    assert documented == {name: found for name, found in exposed().items() if not name.startswith("process_")}


def test_what_is_known_of_the_process_is_named() -> None:
    named = set(re.findall(r"`(process_\w+)`", PAGE))
    assert {name for name in exposed() if name.startswith("process_")} <= named


def test_every_attribute_in_the_tables_is_a_constant_and_the_reverse() -> None:
    documented = {name for _, names, _ in span_rows().values() for name in names}
    documented |= {quoted(cells[0])[0] for cells in rows("Spans") if len(cells) == 2}
    constants = {value for name, value in vars(attributes).items() if name.isupper() and name not in VALUES}
    assert documented == constants


def test_the_table_of_log_fields_is_what_a_line_has() -> None:
    stream = io.StringIO()
    configured = configure_logging("INFO", "json", stream=stream)
    try:
        raise ValueError
    except ValueError:
        logging.getLogger("orders").exception("failed", stack_info=True)
    finally:
        configured.restore()
    assert list(json.loads(stream.getvalue())) == [quoted(cells[0])[0] for cells in rows("Logs")]


@pytest.fixture
def memory() -> SpanMemory:
    return SpanMemory()


@pytest.fixture
def tracer(memory: SpanMemory) -> OpenTelemetryTracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(memory)
    return OpenTelemetryTracer(provider.get_tracer("test"))


def only_span(memory: SpanMemory) -> FinishedSpan:
    ((span,),) = (memory.trace(trace_id) for trace_id in memory.trace_ids())
    return span


def check(span: FinishedSpan) -> None:
    kind, names, optional = span_rows()[span.name.split()[0]]
    assert span.kind == kind
    assert names - optional <= set(span.attributes) <= names


class Broker:
    async def send(self, message: OutgoingMessage) -> Receipt:
        return Receipt(message.topic, 0, 7)


@pytest.mark.asyncio
@pytest.mark.parametrize(("key", "value"), [(b"k", b"v"), (None, None)])
async def test_the_row_of_send_is_what_the_producer_says(
    memory: SpanMemory, tracer: OpenTelemetryTracer, key: bytes | None, value: bytes | None
) -> None:
    await TracedProducer(Broker(), tracer).send(OutgoingMessage("orders.events", key, value, (("ce_id", b"1"),)))
    check(only_span(memory))


@pytest.mark.asyncio
@pytest.mark.parametrize(("key", "value"), [(b"k", b"v"), (None, None)])
async def test_the_row_of_process_is_what_the_consumer_says(
    memory: SpanMemory, tracer: OpenTelemetryTracer, key: bytes | None, value: bytes | None
) -> None:
    async def handle(_delivery: Delivery) -> Outcome:
        return HANDLED

    message = Message("orders.commands", 0, 7, key, value)
    await trace(tracer, "orders")(handle)(Delivery(message, read_envelope(message)))
    check(only_span(memory))


@dataclass(frozen=True)
class Open(Command[str]):
    order_id: str


@command_handler
class PlainHandler(CommandHandler[Open, str]):
    async def do_handle(self, command: Open) -> str:
        return command.order_id


@command_handler(description="Opens an order.", tags=("orders",))
class DescribedHandler(CommandHandler[Open, str]):
    async def do_handle(self, command: Open) -> str:
        return command.order_id


@pytest.mark.asyncio
@pytest.mark.parametrize("handler", [PlainHandler(), DescribedHandler()])
async def test_the_rows_of_command_and_handle_are_what_the_bus_says(
    memory: SpanMemory, tracer: OpenTelemetryTracer, handler: CommandHandler[Open, str]
) -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(handler)
    await DefaultCommandBus(registry=registry, tracer=tracer).send(Open("o-1"))
    handle, command = memory.trace(memory.trace_ids()[0])
    assert (handle.name, command.name) == (f"handle {type(handler).__name__}", "command Open")
    assert handle.parent_span_id == command.span_id
    check(handle)
    check(command)


@dataclass(frozen=True)
class Get(Query[str]):
    order_id: str


@query_handler
class FreshHandler(QueryHandler[Get, str]):
    async def do_handle(self, query: Get) -> str:
        return query.order_id


@query_handler(cacheable=True, description="Finds an order.", tags=("orders",))
class CachedHandler(QueryHandler[Get, str]):
    async def do_handle(self, query: Get) -> str:
        return query.order_id


@pytest.mark.asyncio
@pytest.mark.parametrize(("handler", "hit"), [(FreshHandler(), None), (CachedHandler(), False)])
async def test_the_rows_of_query_and_handle_are_what_the_bus_says(
    memory: SpanMemory, tracer: OpenTelemetryTracer, handler: QueryHandler[Get, str], hit: bool | None
) -> None:
    registry = HandlerRegistry()
    registry.register_query_handler(handler)
    await DefaultQueryBus(registry=registry, cache_adapter=MemoryCacheAdapter(), tracer=tracer).query(Get("o-1"))
    handle, query = memory.trace(memory.trace_ids()[0])
    assert (handle.name, query.name) == (f"handle {type(handler).__name__}", "query Get")
    assert handle.parent_span_id == query.span_id
    assert query.attributes.get("cqrs.cache.hit") == hit
    check(handle)
    check(query)
