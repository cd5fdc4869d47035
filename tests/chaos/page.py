"""The page in the documents that keeps the results of the last runs, a row for each scenario."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.results import Line

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
PROCESSORS = Path("/proc/cpuinfo")
BEGIN = "<!-- results: written by `make chaos ARGS=--write` -->"
END = "<!-- end of results -->"
_HEAD = ("| scenario | verdict | measured | time | date | machine |", "|---|---|---|---|---|---|")


def keep(lines: Sequence[Line], page: Path = PAGE) -> None:
    """Write these rows into the page; those of other scenarios stay."""
    page.write_text(with_rows(page.read_text("utf-8"), lines, machine()), "utf-8")


def with_rows(text: str, lines: Sequence[Line], where: str) -> str:
    """Return the page with these rows in place of those of the same scenarios, or behind the others.

    Raises:
        ValueError: the page has no place for results.
    """
    before, found, rest = text.partition(BEGIN)
    old, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"the page has no lines {BEGIN} and {END} between which the results stand")
    rows = {row.split("`")[1]: row for row in old.splitlines() if row.startswith("| `")}
    rows |= {each.scenario: _row(each, where) for each in lines}
    return "\n".join((f"{before}{BEGIN}", *_HEAD, *rows.values(), f"{END}{after}"))


def machine() -> str:
    """Return the processor, or its kind where the system does not list it, the number of cores and the interpreter."""
    try:
        listing = PROCESSORS.read_text("utf-8")
    except OSError:
        listing = ""
    models = [line for line in listing.splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _row(line: Line, where: str) -> str:
    cells = (f"`{line.scenario}`", line.verdict, line.measured, f"{line.seconds:.0f} s", line.date, where)
    return f"| {' | '.join(cells)} |"
