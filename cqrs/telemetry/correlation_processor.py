"""Put the correlation id on every span, the users' own ones included."""

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from cqrs.telemetry.text import encodable
from cqrs.tracing.attributes import CORRELATION_ID
from cqrs.tracing.correlation import CorrelationContext


class CorrelationSpanProcessor(SpanProcessor):
    """Set the attribute `correlation_id` on each span that starts while a correlation id is known."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copy the current correlation id onto `span`."""
        correlation_id = CorrelationContext.get_correlation_id()
        if correlation_id is not None:
            span.set_attribute(CORRELATION_ID, encodable(correlation_id))
