"""Spans that cost little while the work runs: what the SDK makes of them is made when it is asked for.

A span of the SDK takes 20 to 35 us of the thread that does the work, most of it for checks and locks that guard against
what others may do with it. Nearly every span of ours is begun, given attributes of ours and ended. Such a span is kept
as it is, and what an exporter reads of it is made in the exporter's thread. As soon as anybody does more with it (an
event, a status, an attribute of a user's) it becomes the span that the SDK would have made, with the same ids, parent
and start, and is that from then on.

This way is taken only where nobody can see a difference: every span processor is one of ours, the sampler is one of the
SDK's that look at the parent alone, and no limit on attributes is set. Otherwise each span is the SDK's from its start.
"""

import os
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import SpanContext, TraceFlags

from cqrs.telemetry.light_span import KINDS, LightSpan, Outer, Place, random_id
from cqrs.telemetry.span_pipeline import SpanSource
from cqrs.telemetry.trace_headers import SPAN_KEY, RemoteSpan
from cqrs.tracing.tracer import Attributes, AttributeValue, SpanKind

LIMITS: Final = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
)
"""The variables that change what becomes of a plain span; with any of them the SDK makes every span."""

_ALWAYS, _NEVER = "AlwaysOnSampler", "AlwaysOffSampler"
_PARENT_DECIDES = (
    "remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    "localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"
)
_FLAGS = tuple(TraceFlags(bits) for bits in range(4))


class LightSpans:
    """Begin light spans in place of the SDK's.

    Args:
        source: Makes the spans that others ask more of.
    """

    def __init__(self, source: SpanSource) -> None:
        self._source = source
        self._pipeline, self._ids = source.pipeline, source.ids
        self._sampler = source.tracer.sampler
        self._rule = _rule_of(self._sampler)

    @property
    def fit(self) -> bool:
        """Say whether nobody can tell a light span from the SDK's own."""
        return self._rule is not None and self._pipeline.batches is not None

    def begin(
        self, name: str, kind: SpanKind, base: Context, attributes: Attributes
    ) -> "LightSpan | trace.NonRecordingSpan":
        """Begin a span whose parent is the span of `base`; one that is not sampled records nothing.

        Args:
            name: Its name.
            kind: Its role.
            base: The context in which it begins.
            attributes: Its attributes, or what returns them; asked only when they are recorded.
        """
        outer = base.get(SPAN_KEY)
        if type(outer) is LightSpan:  # it is sampled, and so is what is done within it
            return LightSpan(self._source, name, kind, base, outer, outer.place, outer.trace_hex, attributes)
        if type(outer) is RemoteSpan:
            digits, trace_id, flags = outer.trace()
            return self._below(name, kind, base, outer, (trace_id, flags, None), digits, attributes)
        parent = trace.get_current_span(base).get_span_context()
        if not parent.is_valid:
            return self._root(name, kind, base, attributes)
        place = (parent.trace_id, parent.trace_flags, parent.trace_state)
        return self._below(name, kind, base, parent, place, f"{parent.trace_id:032x}", attributes)

    def _below(
        self,
        name: str,
        kind: SpanKind,
        base: Context,
        parent: Outer,
        of_parent: Place,
        digits: str,
        attributes: Attributes,
    ) -> "LightSpan | trace.NonRecordingSpan":
        trace_id, flags, state = of_parent
        decides = self._rule == _PARENT_DECIDES
        sampled = bool(flags & TraceFlags.SAMPLED) if decides else self._rule == _ALWAYS
        place = (trace_id, _FLAGS[sampled | (flags & TraceFlags.RANDOM_TRACE_ID)], state)
        if not sampled:
            return _not_recorded(place)
        return LightSpan(self._source, name, kind, base, parent, place, digits, attributes)

    def _root(
        self, name: str, kind: SpanKind, base: Context, attributes: Attributes
    ) -> "LightSpan | trace.NonRecordingSpan":
        trace_id = self._ids.generate_trace_id()
        random = TraceFlags.RANDOM_TRACE_ID if self._ids.is_trace_id_random() else 0
        result = self._sampler.should_sample(base, trace_id, name, KINDS[kind], None, ())
        sampled = result.decision is Decision.RECORD_AND_SAMPLE
        place = (trace_id, _FLAGS[sampled | random], result.trace_state)
        if not sampled:
            return _not_recorded(place)
        return LightSpan(self._source, name, kind, base, None, place, f"{trace_id:032x}", attributes)


def _not_recorded(place: Place) -> trace.NonRecordingSpan:
    trace_id, flags, state = place
    return trace.NonRecordingSpan(SpanContext(trace_id, random_id(), False, flags, state))


def _rule_of(sampler: Sampler) -> str | None:
    """Return how a sampler of the SDK's decides by the parent alone; None when it may look at more, or is a user's."""
    if not _is_the_sdks(sampler):
        return None
    told = sampler.get_description()
    if told in {_ALWAYS, _NEVER}:
        return told
    return _PARENT_DECIDES if told.startswith("ParentBased{") and told.endswith(_PARENT_DECIDES) else None


def _is_the_sdks(sampler: Sampler) -> bool:
    """Say whether it, and the one that it asks about roots, are classes of the SDK."""
    asked = (sampler, getattr(sampler, "_root", sampler))
    return all(type(each).__module__ == Sampler.__module__ for each in asked)


def limits_are_set() -> bool:
    """Say whether the environment limits or counts what spans hold, so that the SDK must make every one."""
    return any(os.environ.get(name) for name in LIMITS)


def given(attributes: Attributes) -> Mapping[str, AttributeValue]:
    """Return attributes, asking for them when they are to be asked for."""
    if attributes is None:
        return {}
    return attributes() if callable(attributes) else attributes
