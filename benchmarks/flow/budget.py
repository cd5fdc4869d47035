"""What each stage of the flow may take of a message, and the page that shows it beside what was measured last."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environment import ROOT
from benchmarks.flow.stages import EVENT_LOOP, NETWORK
from benchmarks.page import machine, markdown_table, python

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance" / "flame.svg"

BARE_LOOP = 25.0
"""Microseconds of CPU that the bare loop takes of a message on the machine that the budget is written for."""

BUDGET: Mapping[str, tuple[float, str]] = {
    "poll": (5.0, "records out of the fetched bytes, and what of each partition is wanted"),
    "lane": (6.5, "its lane, its offset, a worker that takes it in hand and lets it go"),
    "policy": (3.5, "what wraps every delivery: halted keys, dead letters, retries, gates"),
    "metrics": (1.5, "two counters and two durations, noted"),
    "trace": (4.0, "the sender's context, handed on; with every message traced, four spans"),
    "decode": (10.0, "the envelope, the JSON, the command, its schema"),
    "bus": (7.0, "correlation, validation, authorization, time limit"),
    "handler": (1.5, "the benchmark's own"),
    "encode": (7.0, "the event in Avro, its id, its headers"),
    "publish": (12.0, "its partition, its batch, its acknowledgement"),
    "commit": (0.5, "where the group has come to"),
    NETWORK: (1.0, "connections, shared by all"),
    EVENT_LOOP: (3.0, "turns of asyncio"),
}
"""By stage, microseconds of CPU by message, and for what: together two and a half times the bare loop."""

_HEAD = ("stage", "budget, us", "last measured, us", "for")
_MARKED = re.compile(r"(?<=<!-- stages -->\n).*?(?=<!-- end of stages -->)", re.DOTALL)


def total() -> float:
    """Return what a message may take in all, in microseconds of CPU."""
    return sum(budget for budget, _ in BUDGET.values())


def table(measured: Mapping[str, float]) -> str:
    """Return the table of the page."""
    lines = [
        (stage, f"{budget:.1f}", f"{measured.get(stage, 0.0):.1f}", what) for stage, (budget, what) in BUDGET.items()
    ]
    whole = ("**all**", f"**{total():.1f}**", f"**{sum(measured.values()):.1f}**", "")
    return markdown_table(_HEAD, [*lines, whole])


def stages_of(page: str) -> dict[str, float]:
    """Return the stages that a page's table names, with their budgets."""
    found = _MARKED.search(page)
    rows = re.findall(r"^\| ([a-z ]+) \| ([0-9.]+) \|", found.group() if found else "", re.MULTILINE)
    return {stage: float(budget) for stage, budget in rows}


def keep(measured: Mapping[str, float], bare: float, page: Path = PAGE) -> None:
    """Write the table into the page, with the day, the machine, and what the bare loop took there."""
    told = (
        f"Measured on {datetime.now(UTC).date().isoformat()}: {machine()}, {python()}, embedded broker, "
        f"where the bare loop took {bare:.1f} us."
    )
    text = page.read_text("utf-8")
    page.write_text(_MARKED.sub(lambda _: f"\n{table(measured)}\n\n{told}\n\n", text), "utf-8")
