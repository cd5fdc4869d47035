"""Draw stacks as a flame picture: wide is dear, and what stands on a bar was called by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from benchmarks.flow.sampling import Stack
from benchmarks.flow.stages import EVENT_LOOP, STAGES, stage_of

WIDTH = 1_200
ROW = 17
_LETTER = 6.5
_NARROWEST = 1.0
_COLOURS = (
    "#8dd3c7",
    "#ffffb3",
    "#bebada",
    "#fb8072",
    "#80b1d3",
    "#fdb462",
    "#b3de69",
    "#fccde5",
    "#d9d9d9",
    "#bc80bd",
)


@dataclass(slots=True)
class Bar:
    """Be one function below its callers.

    Attributes:
        name: The function.
        stage: Its stage.
        samples: How often it was seen there.
        callees: What it called, by name.
    """

    name: str
    stage: str
    samples: int = 0
    callees: dict[str, "Bar"] = field(default_factory=dict)


def tree(stacks: Mapping[Stack, int]) -> Bar:
    """Return the bar below all others."""
    root = Bar("all", EVENT_LOOP)
    for stack, samples in stacks.items():
        bar = root
        bar.samples += samples
        for depth, name in enumerate(stack, start=1):
            bar = bar.callees.setdefault(name, Bar(name, stage_of(stack[:depth])))
            bar.samples += samples
    return trunk(root)


def trunk(root: Bar) -> Bar:
    """Return the first bar from below on which more than one stands: what is under it is the same for all."""
    while len(root.callees) == 1:
        (root,) = root.callees.values()
    return root


def picture(stacks: Mapping[Stack, int], title: str, us_of_sample: float) -> str:
    """Return the picture as SVG; each bar says its function and its microseconds by message when it is pointed at.

    Args:
        stacks: How often each stack was seen.
        title: What stands above.
        us_of_sample: Microseconds by message that one sample stands for.
    """
    root = tree(stacks)
    bars = list(_placed(root, 0.0, 0, WIDTH / max(root.samples, 1)))
    height = (max((depth for _, _, _, depth in bars), default=0) + 3) * ROW
    shown = "\n".join(
        _drawn(bar, left, width, height - (depth + 1) * ROW, us_of_sample) for bar, left, width, depth in bars
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n<text x="4" y="13">{escape(title)}</text>'
    )
    return f"{head}\n{shown}\n</svg>\n"


def _placed(bar: Bar, left: float, depth: int, scale: float) -> Iterator[tuple[Bar, float, float, int]]:
    width = bar.samples * scale
    if width < _NARROWEST:
        return
    yield bar, left, width, depth
    for callee in sorted(bar.callees.values(), key=lambda each: each.name):
        yield from _placed(callee, left, depth + 1, scale)
        left += callee.samples * scale


def _drawn(bar: Bar, left: float, width: float, top: float, us_of_sample: float) -> str:
    path, _, function = bar.name.rpartition(":")
    letters = int(width / _LETTER)
    text = escape(function[:letters]) if letters > 2 else ""
    label = f'<text x="{left + 2:.1f}" y="{top + 12:.0f}">{text}</text>' if text else ""
    hint = escape(f"{function} ({path}), {bar.stage}: {bar.samples * us_of_sample:.1f} us by message")
    return (
        f'<g><title>{hint}</title><rect x="{left:.1f}" y="{top:.0f}" width="{max(width - 0.3, 0.3):.1f}" '
        f'height="{ROW - 1}" fill="{_colour(bar.stage)}"/>{label}</g>'
    )


def _colour(stage: str) -> str:
    stages = list(STAGES)
    return _COLOURS[stages.index(stage) % len(_COLOURS)] if stage in stages else "#eeeeee"
