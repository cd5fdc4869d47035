"""What is open while a message is on its bus: its correlation id, and its span."""

from contextlib import AbstractContextManager
from types import TracebackType

from cqrs.decorators import HandlerOptions
from cqrs.metadata import correlate_with, metadata_of
from cqrs.tracing import attributes
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import AttributeValue, Span, Tracer
from cqrs.types import Command, Query, message_name


def correlate(message: Command[object] | Query[object]) -> AbstractContextManager[None]:
    """Open the scope of the message's correlation id, and write the id on the message when it has none.

    It is the message's own, else that of the running task, else the message's own id: it is the root then.
    """
    correlation_id = correlate_with(message, CorrelationContext.get_correlation_id())
    return CorrelationContext.scope(correlation_id=correlation_id)


class TracedEntry:
    """Open, for each message of one type, its correlation id and its span; the ids of the context follow the span.

    Args:
        tracer: Opens spans.
        kind: "command" or "query": the first word of the span's name.
        message_type: The class of the messages.
        id_attribute: The span attribute that holds the message's id.
        options: Tags and description of the handler.
    """

    def __init__(
        self, tracer: Tracer, kind: str, message_type: type, id_attribute: str, options: HandlerOptions
    ) -> None:
        name = message_name(message_type)
        self._tracer = tracer
        self._span_name = f"{kind} {name}"
        self._id_attribute = id_attribute
        self._attributes = {attributes.MESSAGE_TYPE: name, **described(options)}

    def __call__(self, message: Command[object] | Query[object]) -> AbstractContextManager[Span]:
        """Open both and give the span; they close in the reverse order."""
        known = {**self._attributes, self._id_attribute: metadata_of(message).identity}
        return _Entered(correlate(message), self._tracer.span(self._span_name, attributes=known))


class HandlerSpan:
    """Open the span of one attempt of a handler; the span id of the context follows it.

    Args:
        tracer: Opens spans.
        handler: The handler.
        options: Its tags and description.
    """

    def __init__(self, tracer: Tracer, handler: object, options: HandlerOptions) -> None:
        self._tracer = tracer
        self._span_name = f"handle {type(handler).__name__}"
        self._attributes = {attributes.HANDLER_NAME: type(handler).__qualname__, **described(options)}

    def __call__(self, around: AbstractContextManager[object]) -> AbstractContextManager[Span]:
        """Open `around`, and the span within it."""
        return _Around(around, self._tracer.span(self._span_name, attributes=self._attributes))


class _Entered:
    """Open a correlation id, a span within it, and let the ids of the context follow the span; close them backwards.

    The scope of the correlation id restores all ids when it closes, so that they need no scope of their own.
    """

    __slots__ = ("_scope", "_span")

    def __init__(self, scope: AbstractContextManager[None], span: AbstractContextManager[Span]) -> None:
        self._scope = scope
        self._span = span

    def __enter__(self) -> Span:
        self._scope.__enter__()
        try:
            span = self._span.__enter__()
        except BaseException as error:
            self._scope.__exit__(type(error), error, error.__traceback__)
            raise
        CorrelationContext.follow(span.trace_id, span.span_id)
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._span.__exit__(kind, error, trace)
        finally:
            self._scope.__exit__(kind, error, trace)


class _Around:
    """Open something, a span within it, and let the ids of the context follow the span; close them backwards."""

    __slots__ = ("_ids", "_outer", "_span")

    def __init__(self, outer: AbstractContextManager[object], span: AbstractContextManager[Span]) -> None:
        self._outer = outer
        self._span = span
        self._ids: AbstractContextManager[None] | None = None

    def __enter__(self) -> Span:
        self._outer.__enter__()
        try:
            span = self._span.__enter__()
        except BaseException as error:
            self._outer.__exit__(type(error), error, error.__traceback__)
            raise
        self._ids = CorrelationContext.scope(trace_id=span.trace_id, span_id=span.span_id)
        self._ids.__enter__()
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._ids is not None:
                self._ids.__exit__(kind, error, trace)
            self._span.__exit__(kind, error, trace)
        finally:
            self._outer.__exit__(kind, error, trace)


def described(options: HandlerOptions) -> dict[str, AttributeValue]:
    """Return the span attributes that say what a decorator tells of its handler."""
    told: dict[str, AttributeValue] = {}
    if options.description:
        told[attributes.HANDLER_DESCRIPTION] = options.description
    if options.tags:
        told[attributes.HANDLER_TAGS] = options.tags
    return told
