"""What delivery counts and times; names follow OpenTelemetry's messaging conventions where it has one."""

import time
from collections.abc import Callable, Mapping

from cqrs.command.metrics import MetricsRegistry, recorder_of
from cqrs.messaging.dead_letters import cause_of
from cqrs.messaging.delivery import Delivery, DeliveryHandler, Middleware, Outcome, TryAgainException
from cqrs.messaging.failures import root_of

CONSUMED = "messaging_client_consumed_messages_total"
PROCESS_DURATION = "messaging_process_duration_seconds"
DEAD_LETTERS = "messaging_dead_letters_total"
RETRIES = "messaging_retries_total"
HELD = "messaging_held_deliveries_total"
IGNORED_HEADERS = "messaging_ignored_headers_total"
INVALIDATIONS = "cqrs_cache_invalidation_events_total"
LOOP_BLOCKED = "cqrs_event_loop_blocked_seconds"

METRICS: Mapping[str, tuple[tuple[str, ...], str]] = {
    CONSUMED: (("topic", "outcome"), "Records settled, by outcome: handled, skipped, dead_lettered or retried_later."),
    PROCESS_DURATION: (("topic", "outcome"), "Seconds from taking a record in hand to its durable outcome."),
    DEAD_LETTERS: (("topic", "error"), "Records put aside, by the class of the cause."),
    RETRIES: (("topic", "error"), "Failed attempts that are followed by another, by the class of the cause."),
    HELD: (("topic", "error"), "Tries that settled nothing and spent no attempt: something was away, or not yet due."),
    IGNORED_HEADERS: (("header",), "Envelope headers whose value could not be read."),
    INVALIDATIONS: (
        ("topic", "outcome"),
        "Events read to keep the cache fresh, by outcome: evicted, ignored, undecodable or failed.",
    ),
    LOOP_BLOCKED: (("type",), "Seconds that a handler kept the event loop from turning, by the type of its command."),
}
"""Every metric of delivery: its label names in order, and its description."""


def measure(metrics: MetricsRegistry, clock: Callable[[], float] = time.perf_counter) -> Middleware:
    """Count and time every delivery."""
    settled: dict[tuple[str, str], Callable[[float], None]] = {}

    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def measured(delivery: Delivery) -> Outcome:
            begun = clock()
            try:
                outcome = await handler(delivery)
            except Exception as error:
                _count_failure(metrics, delivery, error)
                raise
            told = (delivery.message.topic, outcome.name)
            record = settled.get(told)
            if record is None:
                record = settled[told] = _recorder(metrics, *told)
            record(clock() - begun)
            if delivery.envelope.ignored or outcome.error is not None:
                _count(metrics, delivery, outcome)
            return outcome

        return measured

    return wrap


def blocked(metrics: MetricsRegistry) -> Callable[[str, float], None]:
    """Return what counts how long the event loop stood still, for a `LoopGuard`."""

    def record(command_type: str, seconds: float) -> None:
        metrics.observe(LOOP_BLOCKED, seconds, {"type": command_type})

    return record


def _recorder(metrics: MetricsRegistry, topic: str, outcome: str) -> Callable[[float], None]:
    return recorder_of(metrics, CONSUMED, PROCESS_DURATION, {"topic": topic, "outcome": outcome})


def _count_failure(metrics: MetricsRegistry, delivery: Delivery, error: Exception) -> None:
    spent = isinstance(error, TryAgainException) and error.spent
    labels = {"topic": delivery.message.topic, "error": type(root_of(error)).__name__}
    metrics.increment(RETRIES if spent else HELD, labels)


def _count(metrics: MetricsRegistry, delivery: Delivery, outcome: Outcome) -> None:
    for header in delivery.envelope.ignored:
        metrics.increment(IGNORED_HEADERS, {"header": header})
    if outcome.name == "dead_lettered" and outcome.error is not None:
        cause = type(cause_of(outcome.error)).__name__
        metrics.increment(DEAD_LETTERS, {"topic": delivery.message.topic, "error": cause})
