"""Read and write W3C trace context and baggage in record headers.

Sources: W3C Trace Context (https://www.w3.org/TR/trace-context/) and W3C Baggage (https://www.w3.org/TR/baggage/).
What a sender wrote can be anything; nothing here raises for it, and nothing is read from a header that is not valid.
Properties of baggage members (`key=value;property`) are not kept: OpenTelemetry's API for Python has no place for them.
"""

import logging
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import ClassVar, Final, TypeVar
from urllib.parse import quote, unquote

from opentelemetry import baggage, trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from cqrs.tracing.tracer import Headers

T = TypeVar("T")

IgnoredHeader = Callable[[str, str], None]
"""Be told of a header that was not used: its lower-case name, and `null`, `not_utf8`, `malformed` or `repeated`."""

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"
FIELDS: Final = frozenset({TRACEPARENT, TRACESTATE, BAGGAGE})

# A version after 00 may carry more fields behind a dash; 00 may not, and ff is forbidden.
_TRACEPARENT_FORMAT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{1,400})?")
_PLAIN_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_TRACE_FLAGS = {b"%02x" % bits: TraceFlags(bits) for bits in range(256)}
_EMPTY = Context()
# Under which keys the API keeps the span and the baggage of a context: it makes them up, so it is asked once.
(SPAN_KEY,) = trace.set_span_in_context(trace.INVALID_SPAN, _EMPTY)
(_BAGGAGE_KEY,) = baggage.set_baggage("name", "value", _EMPTY)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_STATE_KEY = r"[a-z0-9][_0-9a-z\-*/]{0,240}(?:@[a-z][_0-9a-z\-*/]{0,13})?"
_STATE_MEMBER = re.compile(rf"({_STATE_KEY})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")
_STATE_MEMBERS_LIMIT = 32
_STATE_LENGTH_LIMIT = 8_192
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - "token" is the grammar's word for a name
_BAGGAGE_NAME = re.compile(_TOKEN)
_BAGGAGE_MEMBER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*([!#-+\--:<-\[\]-~]*)[ \t]*(?:;[\t\x20-\x7e]*)?")
_BAGGAGE_MEMBERS_LIMIT = 180
_BAGGAGE_LENGTH_LIMIT = 8_192

_log = logging.getLogger(__name__)


def read_context(headers: Headers, ignored: IgnoredHeader) -> Context:
    """Return the trace context and baggage that `headers` carry, as a context of its own.

    Of each header the first valid one counts. Without a valid `traceparent` the context has no span, so that what is
    started in it is the root of a new trace.

    Args:
        headers: Record headers; names in any case.
        ignored: Told of every header that was not used.
    """
    if len(headers) == 1 and headers[0][0] == TRACEPARENT and (remote := _plain_parent(headers[0][1])) is not None:
        return Context({SPAN_KEY: remote})
    found = [(field, value) for name, value in headers if (field := name.lower()) in FIELDS]
    if not found:
        return _EMPTY
    by_field: dict[str, list[bytes | None]] = {}
    for field, value in found:
        by_field.setdefault(field, []).append(value)
    return _with_baggage(_with_parent(_EMPTY, by_field, ignored), by_field, ignored)


def write_context() -> Headers:
    """Return the current span's context and the current baggage as headers, each at most once."""
    context = get_current()
    current = context.get(SPAN_KEY)
    if type(current) in NamingSpan.kinds and _BAGGAGE_KEY not in context:
        named: bytes | None = current.traceparent  # type: ignore[attr-defined]  # it is one of these
        if named is not None:
            return ((TRACEPARENT, named),)
    return tuple((name, text.encode("ascii")) for name, text in _current_fields())


class NamingSpan(trace.Span):
    """Be a span that can say by which header it is named.

    Attributes:
        kinds: Every class of such spans: to look a class up here takes a fifth of asking `isinstance` of a span.
    """

    kinds: ClassVar[set[type]] = set()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        NamingSpan.kinds.add(cls)

    @property
    @abstractmethod
    def traceparent(self) -> bytes | None:
        """Return the W3C header that names it, or None when one does not say all: it has a trace state."""


class RemoteSpan(NonRecordingSpan, NamingSpan):
    """Be the span of a sender, with the header that named it, so that it can be passed on as it is.

    Its context is made when it is asked for, which nobody does where nothing is traced: it takes 1.5 us.
    """

    def __init__(self, found: re.Match[bytes]) -> None:
        self._found = found

    @property
    def traceparent(self) -> bytes:
        """Return the header as it came."""
        return self._found[0]

    def trace(self) -> tuple[str, int, TraceFlags]:
        """Return its trace's id, as 32 hexadecimal digits and as a number, and its flags."""
        found = self._found
        digits = found[1]
        return digits.decode(), int(digits, 16), _TRACE_FLAGS[found[3]]

    @cached_property
    def _context(self) -> SpanContext:  # type: ignore[override]  # it takes the place of what its base keeps
        found = self._found
        return SpanContext(int(found[1], 16), int(found[2], 16), True, _TRACE_FLAGS[found[3]])


def _plain_parent(value: bytes | None) -> RemoteSpan | None:
    """Read a header as nearly every sender writes it: version 00, nothing around it; None for any other."""
    found = _PLAIN_TRACEPARENT.fullmatch(value) if value is not None else None
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return None
    return RemoteSpan(found)


def _current_fields() -> Iterator[tuple[str, str]]:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        yield TRACEPARENT, f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
        if span.trace_state:
            yield TRACESTATE, span.trace_state.to_header()
    if members := _baggage_members():
        yield BAGGAGE, members


def _baggage_members() -> str:
    members: list[str] = []
    length = -1
    for name, value in baggage.get_all().items():
        if not _BAGGAGE_NAME.fullmatch(name):
            continue
        member = f"{name}={quote(str(value), safe=':/@', errors='replace')}"
        length += len(member) + 1
        if length > _BAGGAGE_LENGTH_LIMIT or len(members) == _BAGGAGE_MEMBERS_LIMIT:
            break
        members.append(member)
    return ",".join(members)


def _with_parent(context: Context, found: dict[str, list[bytes | None]], ignored: IgnoredHeader) -> Context:
    parent = _first_valid(TRACEPARENT, found, _parse_traceparent, ignored)
    if parent is None:
        return context
    state = _first_valid(TRACESTATE, found, _parse_tracestate, ignored)
    remote = SpanContext(parent[0], parent[1], is_remote=True, trace_flags=parent[2], trace_state=state)
    return trace.set_span_in_context(NonRecordingSpan(remote), context)


def _with_baggage(context: Context, found: dict[str, list[bytes | None]], ignored: IgnoredHeader) -> Context:
    for name, value in _first_valid(BAGGAGE, found, _parse_baggage, ignored) or ():
        context = baggage.set_baggage(name, value, context)
    return context


def _first_valid(
    name: str, found: dict[str, list[bytes | None]], parse: Callable[[str], T | None], ignored: IgnoredHeader
) -> T | None:
    chosen: T | None = None
    for value in found.get(name, ()):
        if chosen is not None:
            _report(name, "repeated", value, ignored)
            continue
        text = _text(value)
        chosen = parse(text) if text is not None else None
        if chosen is None:
            _report(name, _reason(value, text), value, ignored)
    return chosen


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode("utf-8").strip(" \t")
    except UnicodeDecodeError:
        return None


def _reason(value: bytes | None, text: str | None) -> str:
    if value is None:
        return "null"
    return "not_utf8" if text is None else "malformed"


def _report(name: str, reason: str, value: bytes | None, ignored: IgnoredHeader) -> None:
    ignored(name, reason)
    _log.debug("Ignored a record's %s header (%s): %r", name, reason, value[:120] if value else value)


def _parse_traceparent(text: str) -> tuple[int, int, TraceFlags] | None:
    match = _TRACEPARENT_FORMAT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if (version == "00" and more) or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return int(trace_id, 16), int(span_id, 16), TraceFlags(int(flags, 16))


def _parse_tracestate(text: str) -> TraceState | None:
    members = _members(text, _STATE_MEMBER, _STATE_LENGTH_LIMIT)
    if not members or len(members) > _STATE_MEMBERS_LIMIT or len({key for key, _ in members}) < len(members):
        return None
    return TraceState(members)


def _parse_baggage(text: str) -> Sequence[tuple[str, str]] | None:
    members = _members(text, _BAGGAGE_MEMBER, _BAGGAGE_LENGTH_LIMIT)
    if not members or len(members) > _BAGGAGE_MEMBERS_LIMIT:
        return None
    return [(name, unquote(value, errors="replace")) for name, value in members]


def _members(text: str, grammar: re.Pattern[str], limit: int) -> list[tuple[str, str]] | None:
    """Split a comma-separated list whose every member fits `grammar`; None when one does not, or it is too long."""
    if len(text) > limit:
        return None
    matches = [grammar.fullmatch(member.strip(" \t")) for member in text.split(",") if member.strip(" \t")]
    fitting = [(match[1], match[2]) for match in matches if match]
    return fitting if len(fitting) == len(matches) else None
