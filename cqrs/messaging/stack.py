"""What every delivery passes on its way to the dispatcher, in one list."""

from cqrs.command.metrics import MetricsRegistry
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.dead_letters import DeadLetters, dead_letter
from cqrs.messaging.delivery import Middleware
from cqrs.messaging.halting import HaltedKeys, halt
from cqrs.messaging.metrics import measure
from cqrs.messaging.retry import Retries, retry
from cqrs.messaging.tracing import trace
from cqrs.tracing.tracer import Tracer


def middleware(
    tracer: Tracer,
    metrics: MetricsRegistry,
    group_id: str,
    halted: HaltedKeys,
    letters: DeadLetters,
    backoff: Backoff,
    retries: Retries,
) -> tuple[Middleware, ...]:
    """Return what wraps every delivery, the first one outermost."""
    return (
        trace(tracer, group_id),
        measure(metrics),
        halt(halted),
        dead_letter(letters, backoff),
        retry(retries),
    )
