"""Show commands and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cqrs.cli.demo_commands import DemoCommand, outcome_text
from cqrs.cli.places import Place
from cqrs.cli.refusal import refusal_of
from cqrs.cli.text import one_line, printable, short_json, simple_name
from cqrs.testing.outside_client import Outcome, Received, Sent


@dataclass(frozen=True, slots=True)
class Played:
    """Hold one command of a demo with what became of it.

    Attributes:
        number: Its place among the commands, from 1.
        command: The command.
        sent: What was sent.
        outcome: What an outside client saw of it.
    """

    number: int
    command: DemoCommand
    sent: Sent
    outcome: Outcome


def outcome_table(played: Sequence[Played]) -> RenderableType:
    """Show every command in a row: what it is, how it travelled, how it ended."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right", style="dim")
    for title in ("command", "case", "sent as", "key", "outcome"):
        table.add_column(title, overflow="fold")
    for each in played:
        style = "green" if each.outcome.events else "red"
        command, short = each.command, outcome_text(each.outcome).removesuffix("Exception")
        row = (simple_name(command.type_name), command.case, command.form, command.key)
        table.add_row(str(each.number), *(Text(part) for part in row), Text(short, style=style))
    return table


def event_list(events: Sequence[Received]) -> RenderableType:
    """Show decoded events: where each lies, its type, and what it says."""
    return Group(*(event_view(event) for event in events))


def event_view(event: Received) -> RenderableType:
    """Show one decoded event."""
    title = Text.assemble((one_line(event.type_name or "event without a type"), "bold green"))
    title.append(f"  {event.message.place}", style="dim")
    said = event.problem if event.problem is not None else short_json(event.value)
    return Group(title, Padding(Text(printable(said)), (0, 0, 0, 2), expand=False))


def refusal_list(played: Sequence[Played], look: str) -> RenderableType:
    """Show every refused command: where it went, why, and what to type to look at it.

    Args:
        played: The commands; those that were not refused are left out.
        look: What to type to look at dead letters, without `--at` and the place; may have several lines.
    """
    return Group(*(refused_view(each, look) for each in played if each.outcome.dead_letter is not None))


def refused_view(played: Played, look: str) -> RenderableType:
    """Show one refused command; nothing for one that was not refused."""
    command, letter = played.command, played.outcome.dead_letter
    if letter is None:
        return Group()
    refusal = refusal_of(letter)
    title = Text.assemble((f"{played.number:>2}  {simple_name(command.type_name)}", "bold"), f"  {command.case}")
    why = Text(simple_name(refusal.reason), style="red").append(f": {refusal.message}", style="default")
    facts = (("went to", Text(letter.place)), ("because", why))
    # Indented by hand: a Padding fills lines up with spaces, and a backslash before a space joins no lines in a shell.
    typed = Text(indent(f"{look} --at {Place.of(letter)}", " " * 6), style="cyan", overflow="fold")
    return Group(title, *(_fact(name, text) for name, text in facts), Text("    to look at it:", style="dim"), typed)


def _fact(name: str, text: Text) -> RenderableType:
    row = Table.grid(padding=0)
    row.add_column(style="dim", width=9, no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(name, text)
    return Padding(row, (0, 0, 0, 4), expand=False)
