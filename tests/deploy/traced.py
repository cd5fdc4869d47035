"""The README's command against a running service, and the trace that it must leave."""

import re
import shlex
from collections.abc import Sequence

from cqrs.telemetry.span_memory import FinishedSpan, SpanNode, span_tree
from cqrs.testing.jaeger_query import SERVICE_NAME, JaegerQuery
from tests.deploy.dockerfile import ROOT

IN_THE_SERVICE = "docker compose exec service "
CLIENT, SERVICE = "orders-client", "orders"

EXPECTED: object = {
    f"{CLIENT}: send orders.commands": {
        f"{SERVICE}: process orders.commands": {
            f"{SERVICE}: command orders.CreateOrder": {
                f"{SERVICE}: handle CreateOrderHandler": {},
                f"{SERVICE}: send orders.events": {f"{CLIENT}: process orders.events": {}},
            }
        }
    }
}
"""One trace of a command, from its sender to the reader of its event, each span under the one that caused it."""

SPANS = 6


def readme_command() -> list[str]:
    """Return what the README types into the service's container to send a command."""
    text = (ROOT / "README.md").read_text("utf-8").replace("\\\n", "")
    (line,) = re.findall(rf"^{IN_THE_SERVICE}(.+)$", text, flags=re.MULTILINE)
    return shlex.split(line)


def told(printed: str, fact: str) -> str:
    """Return what the output of `send` says about `fact`."""
    found = re.search(rf"^{fact} +(\S+)$", printed, flags=re.MULTILINE)
    assert found is not None, f"there is no line {fact!r} in:\n{printed}"
    return found[1]


def trace_of(jaeger: JaegerQuery, correlation_id: str) -> tuple[FinishedSpan, ...]:
    """Read a command's trace back by its correlation id, whole."""
    tags = {"correlation_id": correlation_id}
    return jaeger.find_one(SERVICE, tags, lambda trace: len(trace) >= SPANS)


def shape(spans: Sequence[FinishedSpan]) -> object:
    """Return a trace as its spans' services and names, each over those that it caused."""
    return {_named(node): shape_below(node) for node in span_tree(spans)}


def shape_below(node: SpanNode) -> object:
    """Return what a span caused."""
    return {_named(child): shape_below(child) for child in node.children}


def _named(node: SpanNode) -> str:
    return f"{node.span.attributes[SERVICE_NAME]}: {node.span.name}"
