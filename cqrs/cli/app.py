"""The command line that every service gets."""

import time
from typing import Annotated

import typer

from cqrs.cli.letter_commands import add_dead_letters
from cqrs.cli.operator_commands import add_doctor, add_health, add_migrate, add_schemas
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import REFUSED, explained_failures, output

# What a command needs is imported when it runs, so that help and small commands answer at once.


def command_line(program: ServiceProgram[S]) -> typer.Typer:
    """Return the command line of a service: what developers type, and what operators do."""
    app = typer.Typer(help=program.about, add_completion=False, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_list_commands)
    for add in (
        _add_demo,
        _add_run,
        _add_send,
        add_dead_letters,
        _add_topics,
        add_schemas,
        add_migrate,
        add_health,
        add_doctor,
        _add_settings,
        _add_handlers,
    ):
        add(app, program)
    return app


def _list_commands(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add_demo(app: typer.Typer, program: ServiceProgram[S]) -> None:
    began = time.monotonic()

    @app.command()
    def demo(
        log_level: Annotated[
            str, typer.Option(help="The least severe level of the service's own log lines that is shown.")
        ] = "CRITICAL",
    ) -> None:
        """Run the service on an embedded broker and show what becomes of each command."""
        with explained_failures():
            from cqrs.cli.steps import Steps

            steps = Steps(output(), began)
            with steps.step("loading the libraries"):
                from cqrs.cli.demo import run_demo

            raise typer.Exit(run_demo(program, steps, log_level))


def _add_run(app: typer.Typer, program: ServiceProgram[S]) -> None:
    @app.command()
    def run() -> None:
        """Keep the service running, on an embedded broker unless KAFKA_BOOTSTRAP_SERVERS is set."""
        with explained_failures():
            from cqrs.cli.run import run_service

            run_service(program, output())


def _add_send(app: typer.Typer, program: ServiceProgram[S]) -> None:
    @app.command()
    def send(
        type_name: Annotated[str, typer.Argument(metavar="TYPE", help="The command's type; `handlers` lists them.")],
        data: Annotated[str, typer.Argument(metavar="JSON", help="The command's fields; - reads standard input.")],
        avro: Annotated[bool, typer.Option("--avro", help="Send it as Avro, with the schema of its .avsc.")] = False,
        topic: Annotated[str | None, typer.Option(help="Where to, when not to the service's own topic.")] = None,
        key: Annotated[str | None, typer.Option(help="The record's key, when not the field that is it.")] = None,
        header: Annotated[list[str] | None, typer.Option(help="A further header, name=value; may repeat.")] = None,
        correlation_id: Annotated[str | None, typer.Option(help="The correlation id, when not a new one.")] = None,
        wait: Annotated[bool, typer.Option(help="Wait for what becomes of it.")] = True,
        timeout: Annotated[float, typer.Option(help="The longest wait, in seconds.", min=0.1)] = 10.0,
    ) -> None:
        """Send a command and show what becomes of it: exit code 0 handled, 1 refused, 2 not sent."""
        with explained_failures():
            from cqrs.cli.send import Order, send_command

            seconds = timeout if wait else None
            order = Order(type_name, data, avro, topic, key, tuple(header or ()), correlation_id, seconds)
            raise typer.Exit(send_command(program, output(), order))


def _add_topics(app: typer.Typer, program: ServiceProgram[S]) -> None:
    topics = typer.Typer(help="Look at the topics that the service needs, and make them.", no_args_is_help=True)
    app.add_typer(topics, name="topics")

    @topics.command()
    def check(json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False) -> None:
        """Show every topic beside how it should be: exit code 0 all well, 1 something is not, 2 not asked."""
        with explained_failures():
            from cqrs.cli.topics import check_topics

            raise typer.Exit(0 if check_topics(program, output(), as_json=json) else REFUSED)

    @topics.command()
    def create(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
        add_partitions: Annotated[
            bool, typer.Option("--add-partitions", help="Grow topics that have too few; keys move.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    ) -> None:
        """Make the topics that are missing; harmless when they are there, and when several do it at once."""
        with explained_failures():
            from cqrs.cli.topics import create_topics

            done = create_topics(program, output(), dry_run=dry_run, add_partitions=add_partitions, as_json=json)
            raise typer.Exit(0 if done else REFUSED)


def _add_settings(app: typer.Typer, program: ServiceProgram[S]) -> None:
    @app.command()
    def settings() -> None:
        """List every setting: environment name, value, what it does, default."""
        with explained_failures():
            from cqrs.cli.listing_views import settings_list
            from cqrs.config.listing import describe_settings

            output().print(settings_list(describe_settings(program.settings({}))))


def _add_handlers(app: typer.Typer, program: ServiceProgram[S]) -> None:
    @app.command()
    def handlers() -> None:
        """List the commands and queries that the service handles."""
        with explained_failures():
            from cqrs.cli.handlers import handlers_of
            from cqrs.cli.listing_views import handlers_list

            output().print(handlers_list(handlers_of(program.packages)))
