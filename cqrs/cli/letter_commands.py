"""The commands around dead letters: list, redrive, discard."""

from pathlib import Path
from typing import Annotated

import typer

from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import explained_failures, output
from cqrs.exceptions import ConfigurationException

_File = Annotated[Path | None, typer.Option(help="A file of dead letters, in place of the broker.")]
_One = Annotated[str | None, typer.Option("--at", help="The one to show whole, as topic:partition:offset.")]
_Settled = Annotated[bool, typer.Option("--all", help="Also those that were redriven or discarded.")]
_At = Annotated[list[str] | None, typer.Option("--at", help="This one, as topic:partition:offset; may repeat.")]
_Topic = Annotated[list[str] | None, typer.Option(help="Those of this topic, or of its dead letter topic; may repeat.")]
_Partition = Annotated[list[int] | None, typer.Option(help="Those in this partition; may repeat.")]
_Offset = Annotated[list[int] | None, typer.Option(help="Those at this offset; may repeat.")]
_Key = Annotated[list[str] | None, typer.Option(help="Those of this key, text or 0x...; may repeat.")]
_Id = Annotated[list[str] | None, typer.Option("--id", help="The one with this message id; may repeat.")]
_Type = Annotated[list[str] | None, typer.Option("--type", help="Those of this type; may repeat.")]
_Error = Annotated[list[str] | None, typer.Option(help="Those refused with this class of error; may repeat.")]
_Older = Annotated[str | None, typer.Option(help="Those put aside longer ago: 90s, 30m, 2h, 7d, or a moment.")]
_Newer = Annotated[str | None, typer.Option(help="Those put aside since: 90s, 30m, 2h, 7d, or a moment.")]
_Limit = Annotated[int, typer.Option(help="A letter that was sent back so often is parked.", min=0)]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Ask nobody.")]
_LIMIT = 3


def add_dead_letters(app: typer.Typer, program: ServiceProgram[S]) -> None:
    """Add `dead-letters` to a service's command line."""
    letters = typer.Typer(help="List the refused commands, show one, send them back.")
    app.add_typer(letters, name="dead-letters")
    _add_list(letters, program)
    _add_redrive(letters, program)
    _add_discard(letters, program)


def _add_list(letters: typer.Typer, program: ServiceProgram[S]) -> None:
    @letters.callback(invoke_without_command=True)
    def dead_letters(context: typer.Context, file: _File = None, at: _One = None) -> None:
        """List the refused commands, or show one: key, value, headers, cause, stack trace."""
        if context.invoked_subcommand is None:
            _show(program, file, at, settled=False, limit=_LIMIT)
        elif file is not None or at is not None:
            raise typer.BadParameter(f"write --file and --at behind {context.invoked_subcommand}")

    @letters.command("list")
    def list_letters(file: _File = None, at: _One = None, settled: _Settled = False, limit: _Limit = _LIMIT) -> None:
        """List the refused commands, with those that are parked or halt their key; or show one."""
        _show(program, file, at, settled=settled, limit=limit)


def _show(program: ServiceProgram[S], file: Path | None, at: str | None, *, settled: bool, limit: int) -> None:
    with explained_failures():
        from cqrs.cli.dead_letters import show_dead_letters

        show_dead_letters(program, output(), file, at, settled=settled, limit=limit)


def _add_redrive(letters: typer.Typer, program: ServiceProgram[S]) -> None:
    @letters.command()
    def redrive(
        at: _At = None,
        topic: _Topic = None,
        partition: _Partition = None,
        offset: _Offset = None,
        key: _Key = None,
        message_id: _Id = None,
        type_name: _Type = None,
        error: _Error = None,
        older: _Older = None,
        newer: _Newer = None,
        limit: _Limit = _LIMIT,
        dry_run: _DryRun = False,
        yes: _Yes = False,
        wait: Annotated[float, typer.Option(help="Seconds to wait for a halted key to be released.", min=0)] = 30.0,
        file: _File = None,
    ) -> None:
        """Send letters back to the topic they came from: exit code 0 all that were chosen, 1 some were left."""
        with explained_failures():
            from cqrs.cli.choosing import Choice, selection_of
            from cqrs.cli.redrive import RedriveOrder, redrive_letters

            _refuse(file, "redriven")
            choice = Choice(at, topic, partition, offset, key, message_id, type_name, error, older, newer)
            selection = selection_of(choice)
            order = RedriveOrder(selection, limit, dry_run=dry_run, confirmed=yes, wait_seconds=wait)
            raise typer.Exit(redrive_letters(program, output(), order))


def _add_discard(letters: typer.Typer, program: ServiceProgram[S]) -> None:
    @letters.command()
    def discard(
        at: _At = None,
        topic: _Topic = None,
        partition: _Partition = None,
        offset: _Offset = None,
        key: _Key = None,
        message_id: _Id = None,
        type_name: _Type = None,
        error: _Error = None,
        older: _Older = None,
        newer: _Newer = None,
        dry_run: _DryRun = False,
        yes: _Yes = False,
        file: _File = None,
    ) -> None:
        """Settle letters without sending them; they stay in their topic as long as it keeps them."""
        with explained_failures():
            from cqrs.cli.choosing import Choice, selection_of
            from cqrs.cli.redrive import RedriveOrder, redrive_letters

            _refuse(file, "discarded")
            choice = Choice(at, topic, partition, offset, key, message_id, type_name, error, older, newer)
            selection = selection_of(choice)
            if selection.chooses_all:
                raise ConfigurationException(
                    ["Say which letters to discard: --at, --id, --key, ...; --older 0s is all."]
                )
            order = RedriveOrder(selection, discard=True, dry_run=dry_run, confirmed=yes)
            raise typer.Exit(redrive_letters(program, output(), order))


def _refuse(file: Path | None, deed: str) -> None:
    if file is not None:
        raise ConfigurationException(
            [
                f"Letters of a file cannot be {deed}: {file} is what `demo` kept of a broker that has ended, with the "
                "topics they would go to. Start the service with `run`, send the commands, and redrive from there."
            ]
        )
