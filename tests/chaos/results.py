"""What a scenario found, and how it is shown."""

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Result:
    """Hold what came of one scenario, or of one of its seeds.

    Attributes:
        scenario: Its name.
        run: Which of its runs this is, such as `seed 7, SQLite`.
        measured: What was measured, by name, in the order in which it is shown. Numbers of several runs are added up;
            of those whose name begins with `most`, the largest counts.
        problems: What must not be, with its evidence; empty when all is well.
        again: The arguments that run it again alone.
        seconds: How long it took.
    """

    scenario: str
    run: str
    measured: Mapping[str, object]
    problems: Sequence[str]
    again: str
    seconds: float

    @property
    def verdict(self) -> str:
        """Return one word."""
        return "FAILED" if self.problems else "passed"

    def line(self) -> str:
        """Return what was measured, in one line."""
        return told(self.measured)

    def evidence(self) -> str:
        """Return the problems, and how to see them again."""
        shown = [f"    {each}" for each in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            shown.append(f"    ... {len(self.problems)} in all")
        return "\n".join([f"{self.scenario}, {self.run}: FAILED", *shown, f'    again: make chaos ARGS="{self.again}"'])


class Notes:
    """Keep results in a file, so that a long run may be made in several parts.

    Args:
        file: Where, a line for each; None keeps nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()

    def find(self, scenario: str, again: str) -> Result | None:
        """Return the result of a run, if it was made before and nothing was wrong."""
        if self._file is None or not self._file.exists():
            return None
        for line in self._file.read_text("utf-8").splitlines():
            found = Result(**json.loads(line))
            if (found.scenario, found.again) == (scenario, again) and not found.problems:
                return found
        return None

    def add(self, result: Result) -> None:
        """Keep a result."""
        if self._file is not None:
            with self._lock, self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(result), default=str) + "\n")


class Progress:
    """Tell on stderr what goes on, with the seconds since the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        """Write one line."""
        sys.stderr.write(f"[{time.monotonic() - self._begun:6.0f} s] {text}\n")
        sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Line:
    """Be what came of all runs of one scenario.

    Attributes:
        scenario: Its name.
        verdict: `passed`, or how many runs failed.
        measured: In words.
        seconds: How long all of it took, one run after the other.
        date: Of the run.
    """

    scenario: str
    verdict: str
    measured: str
    seconds: float
    date: str


def summary(results: Sequence[Result]) -> Sequence[Line]:
    """Return one line for each scenario."""
    date = datetime.now(UTC).date().isoformat()
    return [_line(name, [each for each in results if each.scenario == name], date) for name in _names(results)]


def table(lines: Sequence[Line]) -> str:
    """Return the lines for a terminal."""
    cells = [("scenario", "verdict", "time", "measured")]
    cells += [(each.scenario, each.verdict, f"{each.seconds:.0f} s", each.measured) for each in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3])) for line in cells
    )


def told(measured: Mapping[str, object]) -> str:
    """Return what was measured as one sentence's middle."""
    return ", ".join(
        f"{name} {number:,}" if isinstance(number, int) else f"{name} {number}" for name, number in measured.items()
    )


def _names(results: Sequence[Result]) -> Sequence[str]:
    return list(dict.fromkeys(each.scenario for each in results))


def _line(name: str, results: Sequence[Result], date: str) -> Line:
    failed = sum(bool(each.problems) for each in results)
    verdict = "passed" if not failed else "FAILED" if len(results) == 1 else f"FAILED {failed} of {len(results)}"
    measured: dict[str, object] = {"runs": len(results)} if len(results) > 1 else {}
    for each in results:
        for what, number in each.measured.items():
            measured[what] = _together(what, measured.get(what), number)
    return Line(name, verdict, told(measured), sum(each.seconds for each in results), date)


def _together(what: str, one: object, other: object) -> object:
    if isinstance(one, int) and isinstance(other, int):
        return max(one, other) if what.startswith("most") else one + other
    return other
