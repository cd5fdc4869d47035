"""Every delivery is counted once, with its outcome; what is held is counted as held."""

from collections import Counter
from collections.abc import Mapping

import pytest

from cqrs.exceptions import CommandProcessingException, DependencyUnavailableException
from cqrs.messaging.delivery import HANDLED, Delivery, DeliveryHandler, Outcome
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message
from cqrs.messaging.metrics import METRICS, measure


class Metrics:
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.times: dict[tuple[str, ...], float] = {}

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        assert tuple(labels) == METRICS[name][0]
        self.counts[name, *labels.values()] += 1

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        assert tuple(labels) == METRICS[name][0]
        self.times[name, *labels.values()] = seconds


async def deliver(metrics: Metrics, handler: DeliveryHandler) -> None:
    message = Message("c", 0, 0, None, b"", (("ce_type", b"\xff"),))
    ticks = iter([1.0, 1.5])
    await measure(metrics, clock=lambda: next(ticks))(handler)(Delivery(message, read_envelope(message)))


@pytest.mark.asyncio
async def test_a_handled_delivery_is_counted_and_timed() -> None:
    async def handler(_: Delivery) -> Outcome:
        return HANDLED

    metrics = Metrics()
    await deliver(metrics, handler)

    assert metrics.counts == {
        ("messaging_client_consumed_messages_total", "c", "handled"): 1,
        ("messaging_ignored_headers_total", "ce_type"): 1,
    }
    assert metrics.times == {("messaging_process_duration_seconds", "c", "handled"): 0.5}


@pytest.mark.asyncio
async def test_a_dead_letter_is_counted_by_its_cause() -> None:
    async def handler(_: Delivery) -> Outcome:
        return Outcome("dead_lettered", "c-dlt", CommandProcessingException("no", cause=KeyError("k")))

    metrics = Metrics()
    await deliver(metrics, handler)

    assert metrics.counts["messaging_client_consumed_messages_total", "c", "dead_lettered"] == 1
    assert metrics.counts["messaging_dead_letters_total", "c", "KeyError"] == 1


@pytest.mark.asyncio
async def test_a_held_delivery_is_no_outcome() -> None:
    async def handler(_: Delivery) -> Outcome:
        raise DependencyUnavailableException("database", "away")

    metrics = Metrics()
    with pytest.raises(DependencyUnavailableException):
        await deliver(metrics, handler)

    assert metrics.counts == {("messaging_held_deliveries_total", "c", "DependencyUnavailableException"): 1}
