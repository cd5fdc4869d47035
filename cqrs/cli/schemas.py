"""Look at the schemas that a service needs in the registry, and register those that are missing."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry
from cqrs.avro.encoder import SubjectNaming
from cqrs.avro.opening import open_registry
from cqrs.avro.schemas import AvroSchemas
from cqrs.cli.handlers import COMMAND, handlers_of
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import invocation
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.routes import event_types_of
from cqrs.scanning import scan
from cqrs.types import declared_name


@dataclass(frozen=True, slots=True)
class WantedSchema:
    """Name one schema and the subject it belongs under.

    Attributes:
        subject: The subject.
        name: The full name of the record.
        topic: The topic that carries it.
        text: The schema, as its `.avsc` has it.
    """

    subject: str
    name: str
    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """Say how one schema stands in the registry.

    Attributes:
        subject: The subject.
        name: The full name of the record.
        id: Its id there; None when it is not there.
        version: Its version under the subject; None when it is not there.
        compatibility: What a new version of the subject has to be.
        problem: Why it is not there, or None.
        made: What was done about it.
    """

    subject: str
    name: str
    id: int | None
    version: int | None
    compatibility: str
    problem: str | None
    made: str = ""


def check_schemas(program: ServiceProgram[S], console: Console, *, as_json: bool) -> bool:
    """Show how every schema stands in the registry, and return whether all are there.

    Raises:
        ConfigurationException: no registry is named, or the schemas do not fit its subjects.
        DependencyUnavailableException: it does not answer, or lets nobody in.
    """
    found = look_at_schemas(program, program.settings({}))
    _show(console, found, as_json=as_json)
    bad = any(each.problem for each in found)
    if bad and not as_json:
        console.print(Text(f"to register what is missing: {invocation(program.module)} schemas register", style="dim"))
    return not bad


def look_at_schemas(program: ServiceProgram[S], settings: ServiceSettings) -> list[SchemaFinding]:
    """Return how every schema stands in the registry; nothing is stored.

    Raises:
        ConfigurationException: no registry is named, or the schemas do not fit its subjects.
        DependencyUnavailableException: it does not answer, or lets nobody in.
    """
    return _with_registry(program, settings, register=False)


def register_schemas(program: ServiceProgram[S], console: Console, *, as_json: bool) -> bool:
    """Register every schema that is missing, say what was done, and return whether all are there now.

    Raises:
        ConfigurationException: no registry is named, or the schemas do not fit its subjects.
        DependencyUnavailableException: it does not answer, or lets nobody in.
    """
    found = _with_registry(program, program.settings({}), register=True)
    _show(console, found, as_json=as_json)
    return not any(each.problem for each in found)


def wanted_schemas(program: ServiceProgram[S], settings: ServiceSettings) -> list[WantedSchema]:
    """Return every schema that the service reads or writes, and its subject.

    Raises:
        ConfigurationException: a schema is missing, or two are to share a subject.
    """
    schemas, naming = AvroSchemas.load(settings.schemas_path), SubjectNaming(settings.schema_registry_subject_naming)
    wanted: dict[str, WantedSchema] = {}
    problems: list[str] = []
    for topic, name in sorted({*_commands(program, settings), *_events(program)}):
        schema, subject = schemas.get(name), naming.subject(topic, name)
        if schema is None:
            problems.append(f"{name} (on {topic}) has no schema: {settings.schemas_path} has no {name}.avsc")
            continue
        other = wanted.setdefault(subject, WantedSchema(subject, name, topic, schema.text))
        if other.name != name:
            problems.append(
                f"subject {subject} is to hold {other.name} and {name}: SCHEMA_REGISTRY_SUBJECT_NAMING={naming.value} "
                "gives a topic one schema; TopicRecordName gives each record its own"
            )
    if problems:
        raise ConfigurationException(problems)
    return list(wanted.values())


def _commands(program: ServiceProgram[S], settings: ServiceSettings) -> Iterator[tuple[str, str]]:
    names = [each.name for each in handlers_of(program.packages) if each.kind == COMMAND]
    for topic in settings.all_command_topics:
        only = settings.topic_types.get(topic)
        yield from ((topic, name) for name in names if only in (None, name))


def _events(program: ServiceProgram[S]) -> Iterator[tuple[str, str]]:
    topics = {each.destination for each in handlers_of(program.packages) if each.destination}
    events: Iterable[type] = event_types_of(scan(program.events, lambda _: True))
    yield from ((topic, name) for topic in topics for each in events if (name := declared_name(each)) is not None)


def _with_registry(program: ServiceProgram[S], settings: ServiceSettings, *, register: bool) -> list[SchemaFinding]:
    url = settings.schema_registry_url
    if url is None:
        raise ConfigurationException(
            [
                "SCHEMA_REGISTRY_URL is not set: the service registers its schemas in its own file registry by itself; "
                "name a registry to look at its schemas"
            ]
        )
    wanted = wanted_schemas(program, settings)

    async def work() -> list[SchemaFinding]:
        registry = open_registry(settings, url)
        try:
            return [await _settle(registry, each, register=register) for each in wanted]
        finally:
            await registry.close()

    return asyncio.run(work())


async def _settle(registry: ConfluentSchemaRegistry, wanted: WantedSchema, *, register: bool) -> SchemaFinding:
    level = await registry.compatibility(wanted.subject)
    found = await registry.find(wanted.subject, wanted.text)
    problem: str | None = None
    made = ""
    if found is None and register:
        try:
            await registry.register(wanted.subject, wanted.text)
            made = "registered"
        except ConfigurationException as error:
            problem = "; ".join(error.problems)
        found = await registry.find(wanted.subject, wanted.text)
    elif found is None:
        problem = await registry.refusal(wanted.subject, wanted.text) or "is not registered yet, and may be"
    schema_id, version = found or (None, None)
    return SchemaFinding(wanted.subject, wanted.name, schema_id, version, level, problem, made)


def _show(console: Console, found: Sequence[SchemaFinding], *, as_json: bool) -> None:
    if as_json:
        console.print(json.dumps([asdict(each) for each in found], indent=2), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for heading in ("subject", "id", "version", "compatibility", "verdict"):
        table.add_column(heading, overflow="fold")
    for each in found:
        verdict = Text(each.problem, style="red") if each.problem else Text(each.made or "well", style="green")
        table.add_row(each.subject, _number(each.id), _number(each.version), each.compatibility, verdict)
    console.print(table)


def _number(found: int | None) -> str:
    return "-" if found is None else str(found)
