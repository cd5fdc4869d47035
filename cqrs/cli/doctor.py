"""Say which settings weaken a promise, and whether what the service needs is there; if not, what to type."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import invocation
from cqrs.cli.text import printable
from cqrs.config.listing import masked
from cqrs.config.settings import ServiceSettings
from cqrs.config.weaknesses import weaknesses
from cqrs.exceptions import CqrsException, message_of


@dataclass(frozen=True, slots=True)
class Finding:
    """Say how one thing that the service needs is.

    Attributes:
        part: What it is.
        problem: What is wrong with it; None when it is well.
        to_type: What mends it, or empty.
        note: What else is to be known of it.
    """

    part: str
    problem: str | None = None
    to_type: str = ""
    note: str = ""


def examine(program: ServiceProgram[S], console: Console) -> bool:
    """Print weaknesses and findings, and return whether everything that the service needs is there.

    Raises:
        ConfigurationException: the settings contradict each other; names every problem.
    """
    settings = program.settings({})
    weak = list(weaknesses(settings))
    console.print(Text("settings that weaken a promise", style="bold"))
    for sentence in weak or ["none"]:
        console.print(Text(f"  {sentence}", style="yellow" if weak else "green"), soft_wrap=True)
    found = [check(program, settings) for check in (_broker, _registry, _database)]
    console.print(Text("what the service needs", style="bold"))
    for each in found:
        _show(console, each)
    return not any(each.problem for each in found)


def _show(console: Console, finding: Finding) -> None:
    well = finding.problem is None
    words = finding.note if well else finding.problem or ""
    line = Text.assemble((f"  {finding.part:<10}", "bold"), (printable(masked(words)), "green" if well else "red"))
    console.print(line, soft_wrap=True)
    if finding.to_type:
        console.print(Text(f"            {finding.to_type}", style="dim"), soft_wrap=True)


def _explained(part: str, look: Callable[[], Finding], to_type: str = "") -> Finding:
    try:
        return look()
    except CqrsException as error:
        return Finding(part, message_of(error).replace("\n", " "), to_type)


def _broker(program: ServiceProgram[S], settings: ServiceSettings) -> Finding:
    if settings.kafka_bootstrap_servers is None:
        return Finding("broker", note="embedded: it comes and goes with the service")
    from cqrs.cli.topics import look_at_topics

    command = f"{invocation(program.module)} topics"

    def look() -> Finding:
        found = look_at_topics(program, settings)
        bad = [f"{each.topic.name}: {'; '.join(each.shortcomings)}" for each in found if each.shortcomings]
        single = [each.topic.name for each in found if each.there is not None and each.there.replication == 1]
        note = f"{len(found)} topics as they should be"
        if single:
            note += f"; a single copy of {', '.join(single)}: a broker whose disk is lost takes its records with it"
        return Finding("broker", ", ".join(bad) or None, f"{command} create" if bad else "", note)

    return _explained("broker", look, f"{command} check")


def _registry(program: ServiceProgram[S], settings: ServiceSettings) -> Finding:
    if settings.schema_registry_url is None:
        return Finding("registry", note=f"a folder, {settings.state_path / 'schema-registry'}")
    from cqrs.cli.schemas import look_at_schemas

    command = f"{invocation(program.module)} schemas"

    def look() -> Finding:
        found = look_at_schemas(program, settings)
        bad = [f"{each.subject}: {each.problem}" for each in found if each.problem]
        open_to_all = [each.subject for each in found if each.compatibility == "NONE"]
        note = f"{len(found)} schemas registered"
        if open_to_all:
            note += f"; compatibility is NONE for {len(open_to_all)} of them: nothing keeps an incompatible one out"
        return Finding("registry", ", ".join(bad) or None, f"{command} register" if bad else "", note)

    return _explained("registry", look, f"{command} check")


def _database(program: ServiceProgram[S], settings: ServiceSettings) -> Finding:
    if program.migrations is None:
        return Finding("database", note="the service has none")
    from cqrs.cli.migrate import look, migrations_of

    migrations = migrations_of(program)
    if settings.database_url is None:
        return Finding("database", note=f"a file, {settings.state_path / 'service.db'}, which the service migrates")

    def status() -> Finding:
        found = asyncio.run(look(settings, migrations))
        return Finding("database", found.problem, note=f"{found.place} is at version {found.found}")

    return _explained("database", status, f"{invocation(program.module)} migrate status")
