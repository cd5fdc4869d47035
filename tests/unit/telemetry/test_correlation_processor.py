from opentelemetry.sdk.trace import TracerProvider

from cqrs.telemetry.correlation_processor import CorrelationSpanProcessor
from cqrs.telemetry.span_memory import SpanMemory
from cqrs.tracing.correlation import CorrelationContext


def attributes_of_a_span(correlation_id: str | None) -> dict[str, object]:
    memory = SpanMemory()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(CorrelationSpanProcessor())
    provider.add_span_processor(memory)
    with CorrelationContext.scope(correlation_id=correlation_id):
        provider.get_tracer("theirs").start_span("own").end()
    ((span,),) = (memory.trace(trace_id) for trace_id in memory.trace_ids())
    return dict(span.attributes)


def test_every_span_carries_the_correlation_id() -> None:
    assert attributes_of_a_span("c-1") == {"correlation_id": "c-1"}


def test_without_one_there_is_no_attribute() -> None:
    assert attributes_of_a_span(None) == {}


def test_one_that_utf8_cannot_hold_is_carried_all_the_same() -> None:
    assert attributes_of_a_span("c-\ud800") == {"correlation_id": "c-?"}
