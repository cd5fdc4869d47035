"""Draw a trace as a tree with durations."""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from cqrs.cli.text import one_line
from cqrs.telemetry.span_memory import SpanNode
from cqrs.tracing.attributes import CORRELATION_ID, MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_KAFKA_OFFSET


def trace_view(trace_id: str, nodes: Sequence[SpanNode]) -> RenderableType:
    """Draw the spans of one trace under each other, each with its duration and when it began after the first one."""
    correlation_ids = dict.fromkeys(
        str(span_id) for node in nodes for span_id in _values(node, CORRELATION_ID) if span_id
    )
    title = Text.assemble(("trace ", "dim"), trace_id, style="bold")
    for correlation_id in correlation_ids:
        title.append(f"\ncorrelation id {one_line(correlation_id)}")
    tree = Tree(title, guide_style="dim")
    began = min((node.span.start_ns for node in nodes), default=0)
    for node in nodes:
        _grow(tree, node, began)
    return tree


def _grow(tree: Tree, root: SpanNode, began: int) -> None:
    pending = [(tree, root)]
    while pending:
        above, node = pending.pop()
        branch = above.add(_label(node, began))
        pending.extend((branch, child) for child in reversed(node.children))


def _label(node: SpanNode, began: int) -> Text:
    span = node.span
    label = Text(one_line(span.name), style="red" if span.status == "error" else "")
    label.append(f"  {span.duration_ms:.1f} ms", style="cyan")
    label.append(f"  +{(span.start_ns - began) / 1e6:.1f}", style="dim")
    if place := _place(span.attributes):
        label.append(f"  {place}", style="dim")
    if span.status == "error" and span.status_description:
        label.append(f"  {one_line(span.status_description[:60])}", style="red")
    return label


def _place(attributes: Mapping[str, object]) -> str:
    partition, offset = (attributes.get(name) for name in (MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_KAFKA_OFFSET))
    return "" if partition is None or offset is None else f"[{partition}]@{offset}"


def _values(root: SpanNode, name: str) -> list[object]:
    found: list[object] = []
    pending = [root]
    while pending:
        node = pending.pop()
        found.append(node.span.attributes.get(name))
        pending.extend(reversed(node.children))
    return found
