"""The commands of those who run a service: its database, its schemas, its health."""

from typing import Annotated, Literal

import typer

from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import REFUSED, explained_failures, output

# What a command needs is imported when it runs, so that help and small commands answer at once.


def add_migrate(app: typer.Typer, program: ServiceProgram[S]) -> None:
    """Add `migrate up`, `migrate status` and `migrate sql`."""
    migrate = typer.Typer(help="Look at the database's version, and bring it to this release's.", no_args_is_help=True)
    app.add_typer(migrate, name="migrate")

    @migrate.command()
    def up(
        wait: Annotated[float, typer.Option(help="Seconds to wait for the database and for others at it.")] = 60.0,
    ) -> None:
        """Run what is pending, all or nothing; harmless when nothing is, and when several do it at once."""
        with explained_failures():
            from cqrs.cli.migrate import migrate_up

            migrate_up(program, output(), wait_seconds=wait)

    @migrate.command()
    def status(json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False) -> None:
        """Show where the database stands: exit code 0 as this release needs it, 1 otherwise, 2 not asked."""
        with explained_failures():
            from cqrs.cli.migrate import migrate_status

            raise typer.Exit(0 if migrate_status(program, output(), as_json=json) else REFUSED)

    @migrate.command()
    def sql(
        dialect: Annotated[
            Literal["postgresql", "sqlite"] | None, typer.Option(help="For which database, when not DATABASE_URL's.")
        ] = None,
        after: Annotated[str | None, typer.Option(help="The version to begin behind, when not an empty one.")] = None,
    ) -> None:
        """Print the steps as SQL, for somebody to read or to run; no database is asked."""
        with explained_failures():
            from cqrs.cli.migrate import migrate_sql

            migrate_sql(program, output(), dialect=dialect, after=after)


def add_schemas(app: typer.Typer, program: ServiceProgram[S]) -> None:
    """Add `schemas register` and `schemas check`."""
    schemas = typer.Typer(help="Look at the schemas in the registry, and register them.", no_args_is_help=True)
    app.add_typer(schemas, name="schemas")

    @schemas.command()
    def check(json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False) -> None:
        """Show how every schema stands in the registry: exit code 0 all there, 1 not all, 2 not asked."""
        with explained_failures():
            from cqrs.cli.schemas import check_schemas

            raise typer.Exit(0 if check_schemas(program, output(), as_json=json) else REFUSED)

    @schemas.command()
    def register(json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False) -> None:
        """Register what is missing; harmless when it is there, and when several do it at once."""
        with explained_failures():
            from cqrs.cli.schemas import register_schemas

            raise typer.Exit(0 if register_schemas(program, output(), as_json=json) else REFUSED)


def add_health(app: typer.Typer, program: ServiceProgram[S]) -> None:
    """Add `health`."""

    @app.command()
    def health(
        probe: Annotated[Literal["liveness", "readiness"], typer.Argument(help="What is asked.")] = "readiness",
    ) -> None:
        """Ask the running service how it is: exit code 0 well, 1 something is missing, 2 nobody answers."""
        with explained_failures():
            from cqrs.cli.health import tell

            settings = program.settings({})
            raise typer.Exit(tell(probe, settings.management_host, settings.management_port))


def add_doctor(app: typer.Typer, program: ServiceProgram[S]) -> None:
    """Add `doctor`."""

    @app.command()
    def doctor() -> None:
        """Say what weakens a promise and what the service lacks: exit code 0 all there, 1 not all, 2 wrong settings."""
        with explained_failures():
            from cqrs.cli.doctor import examine

            raise typer.Exit(0 if examine(program, output()) else REFUSED)
