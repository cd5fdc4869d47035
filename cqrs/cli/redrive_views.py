"""Show what a redrive would do, and what it did."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cqrs.cli.text import one_line, readable, simple_name
from cqrs.messaging.redrive import Decision, Plan
from cqrs.messaging.redriver import Report

_ROWS = 1_000
_NAMED = 5
_NOWHERE = Text("nowhere: it counts as settled", style="yellow")


def plan_view(plan: Plan, *, discarding: bool = False) -> RenderableType:
    """Show what becomes of each letter, where it goes, and why it stays."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for heading in ("letter", "what", "key", "goes to"):
        table.add_column(heading, overflow="fold")
    for each in plan.decisions[:_ROWS]:
        table.add_row(
            str(each.letter), _what(each), readable(each.letter.key), _NOWHERE if discarding else _whereto(each)
        )
    more = len(plan.decisions) - _ROWS
    return Group(table, *([Text(f"... and {more} more", style="dim")] if more > 0 else []), *_drawn_in(plan))


def letters(count: int) -> str:
    """Return a number of letters as people write it."""
    return "1 letter" if count == 1 else f"{count} letters"


def report_view(reports: Sequence[Report]) -> RenderableType:
    """Show what became of the letters: how many went where, and which stay, why."""
    return Group(*(line for report in reports for line in _report(report)))


def _what(decision: Decision) -> str:
    letter = decision.letter
    kind = one_line(letter.type or "no type")
    return f"{kind} {one_line(letter.id)}, {simple_name(one_line(letter.cause or letter.exception)) or 'no cause'}"


def _whereto(decision: Decision) -> Text:
    if decision.fate == "park":
        return Text.assemble(("parked", "yellow"), f": {decision.reason}")
    if decision.fate == "leave":
        return Text.assemble(("stays", "red"), f": {one_line(decision.reason)}")
    partition = "by its key" if decision.partition is None else str(decision.partition)
    notes = [f"time {decision.letter.count + 1}"]
    notes += ["with its halted key"] if decision.is_drawn_in else []
    notes += ["releases its key"] if decision.releases else []
    return Text.assemble((f"{one_line(decision.topic)}[{partition}]", "green"), (f" ({', '.join(notes)})", "dim"))


def _drawn_in(plan: Plan) -> Iterator[RenderableType]:
    count = sum(each.is_drawn_in for each in plan.decisions)
    if count:
        yield Text(f"{letters(count)} not chosen: of a halted key all go together, when one of them is chosen.")


def _report(report: Report) -> Iterator[RenderableType]:
    for topic, count in sorted(report.redriven.items()):
        yield _line("redriven", "green", f"{count} to {topic}{_together(report)}")
    if report.discarded:
        yield _line("discarded", "yellow", f"{report.discarded}: settled without being sent")
    if report.released:
        yield _line("released", "green", f"{_keys(report.released)}: the last letter of each lets it go on")
    if report.late:
        text = f"{report.late} of these came while their key was released: they may have run after newer records"
        yield _line("late", "yellow", text)
    if report.unheard:
        text = f"the service has not come to the release of {_keys(report.unheard)} yet: redrive once more when it has"
        yield _line("not seen", "yellow", text)
    if report.parked:
        yield _line("parked", "yellow", f"{report.parked}: sent back too often; mend the reason and raise --limit")
    yield from _kept([each for each in report.kept if each.fate != "park"])
    if report.trouble is not None:
        yield _line("ended", "red", f"{report.trouble}")


def _together(report: Report) -> str:
    return f" ({report.drawn_in} with their halted keys)" if report.drawn_in else ""


def _kept(kept: Sequence[Decision]) -> Iterator[RenderableType]:
    reasons: dict[str, list[Decision]] = {}
    for each in kept:
        reasons.setdefault(each.reason, []).append(each)
    for reason, decisions in reasons.items():
        yield _line("left", "red", f"{len(decisions)}: {reason}")
        named = ", ".join(str(each.letter) for each in decisions[:_NAMED])
        more = f" and {len(decisions) - _NAMED} more" if len(decisions) > _NAMED else ""
        yield Padding(Text(f"{named}{more}", style="dim"), (0, 0, 0, 11), expand=False)


def _keys(count: int) -> str:
    return "1 halted key" if count == 1 else f"{count} halted keys"


def _line(name: str, style: str, text: str) -> Text:
    return Text.assemble((f"{name:<11}", style), one_line(text))
