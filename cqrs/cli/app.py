"""The command line that every service gets."""

import time
from typing import Annotated

import typer

from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import explained_failures, output


def command_line(program: ServiceProgram[S]) -> typer.Typer:
    """Return the command line of a service.

    What a command needs is imported when the command runs, so that help and small commands answer at once.
    """
    began = time.monotonic()
    app = typer.Typer(help=program.about, add_completion=False, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_list_commands)

    @app.command()
    def demo(
        log_level: Annotated[
            str, typer.Option(help="The least severe level of the service's own log lines.")
        ] = "ERROR",
    ) -> None:
        """Run the service on an embedded broker and show what becomes of each command."""
        with explained_failures():
            from cqrs.cli.demo import run_demo

            raise typer.Exit(run_demo(program, output(), log_level, began))

    return app


def _list_commands(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
