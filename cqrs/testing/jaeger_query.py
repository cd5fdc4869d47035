"""Ask a Jaeger for traces, as its own page does.

Source: the HTTP JSON API of Jaeger's query service, https://www.jaegertracing.io/docs/2.13/architecture/apis/.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from cqrs.exceptions import CqrsException
from cqrs.telemetry.span_memory import FinishedSpan

Trace = tuple[FinishedSpan, ...]
Json = Mapping[str, Any]  # what an answer holds; `_span` says of what types

_SECONDS = 10.0
_BETWEEN_SECONDS = 0.2
_NS_PER_US = 1000
_LATEST = 20

SERVICE_NAME = "service.name"
"""The attribute of each span that names the service that it comes from."""


class TraceNotFoundException(CqrsException):
    """Report that a trace was not there in time, or not as it was wanted."""


class JaegerQuery:
    """Ask one Jaeger for traces.

    Args:
        url: The address of its page and API, `http://localhost:16686`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def link(self, trace_id: str) -> str:
        """Return the address of a trace's page."""
        return f"{self.url}/trace/{trace_id}"

    def trace(self, trace_id: str) -> Trace:
        """Return the spans of one trace, or none while Jaeger does not know it."""
        return next(iter(self._traces(f"/api/traces/{trace_id}")), ())

    def find(self, service: str, tags: Mapping[str, str]) -> list[Trace]:
        """Return the latest traces in which a span of `service` has all of these tags, whole."""
        query = urlencode({"service": service, "tags": json.dumps(dict(tags)), "limit": _LATEST, "lookback": "1h"})
        return list(self._traces(f"/api/traces?{query}"))

    def find_one(
        self, service: str, tags: Mapping[str, str], wanted: Callable[[Trace], bool], *, seconds: float = 30.0
    ) -> Trace:
        """Wait until the one trace with these tags is as `wanted`, for spans arrive in batches; return it.

        Raises:
            TraceNotFoundException: it was not in time; says what was there.
        """
        deadline = time.monotonic() + seconds
        found = self.find(service, tags)
        while len(found) != 1 or not wanted(found[0]):
            if time.monotonic() > deadline:
                there = [sorted(span.name for span in trace) for trace in found]
                where = f"{self.url} has these traces of {service} with {dict(tags)} after {seconds:g} s"
                raise TraceNotFoundException(f"{where}: {there}")
            time.sleep(_BETWEEN_SECONDS)
            found = self.find(service, tags)
        return found[0]

    def _traces(self, path: str) -> Iterator[Trace]:
        try:
            with urlopen(self.url + path, timeout=_SECONDS) as answer:  # noqa: S310 - the given Jaeger
                traces = json.load(answer)["data"]
        except HTTPError as refused:
            with refused:
                if refused.code != 404:
                    raise
            return
        for trace in traces:
            yield tuple(_span(span, trace["processes"]) for span in trace["spans"])


def _span(found: Json, processes: Json) -> FinishedSpan:
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    began = found["startTime"] * _NS_PER_US
    service = processes[found["processID"]]["serviceName"]
    return FinishedSpan(
        name=found["operationName"],
        kind=tags.get("span.kind", "internal"),
        trace_id=found["traceID"],
        span_id=found["spanID"],
        parent_span_id=next((each["spanID"] for each in found["references"] if each["refType"] == "CHILD_OF"), None),
        start_ns=began,
        end_ns=began + found["duration"] * _NS_PER_US,
        attributes={**tags, SERVICE_NAME: service},
        status=str(tags.get("otel.status_code", "unset")).lower(),
        status_description=tags.get("otel.status_description"),
    )
