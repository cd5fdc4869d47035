"""Send dead letters back to the topics that they came from, or settle them without sending."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from cqrs.cli.addresses import find_cluster
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.redrive_views import letters, plan_view, report_view
from cqrs.cli.terminal import REFUSED, invocation
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException, CqrsException, message_of
from cqrs.kafka.clients import new_consumer, new_group_admin, new_producer, new_record_reader
from cqrs.kafka.group_admin import GroupAdmin
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.record_reader import RecordReader
from cqrs.messaging.letter_facts import LetterFacts, Selection
from cqrs.messaging.message import Position, TopicPartition
from cqrs.messaging.redrive import LIMIT, Decision, Plan, RedriveRules, plan_redrive
from cqrs.messaging.redrive_ledger import redrive_group
from cqrs.messaging.redrive_session import RedriveBusyException, RedriveSession
from cqrs.messaging.redriver import Redriver, RedriverParts, Report, find_outstanding
from cqrs.messaging.topics import ServiceTopics
from cqrs.telemetry.tracing import configure_tracing
from cqrs.tracing.tracer import Tracer

TELEMETRY_SECONDS = 2.0
_FORGOTTEN_SECONDS = 7 * 24 * 3600.0
"""How long brokers keep the commits of a group without members, unless told otherwise."""

_EMBEDDED_SESSION_MS = 1_010
"""Enough for a broker of this machine, which lets the next member in when the session of the last one is over."""


@dataclass(frozen=True, slots=True)
class RedriveOrder:
    """Hold what was asked for.

    Attributes:
        selection: Which letters.
        limit: How often a letter is sent back before it is parked.
        discard: Whether they are settled without being sent.
        dry_run: Whether only to show what would be done.
        confirmed: Whether nobody is asked.
        wait_seconds: How long to wait for the service to come to the release of a halted key.
    """

    selection: Selection = field(default_factory=Selection)
    limit: int = LIMIT
    discard: bool = False
    dry_run: bool = False
    confirmed: bool = False
    wait_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class _Group:
    """Name a group of the service, and the dead letter topics of its command topics."""

    group_id: str
    letter_topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Hold the way to the brokers, and the partition counts of their topics."""

    producer: KafkaProducer
    admin: GroupAdmin
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Preview:
    """Hold what would be done for one group, and where its letters ended when that was found out."""

    plan: Plan
    ends: dict[TopicPartition, int]
    foreign: int


def redrive_letters(program: ServiceProgram[S], console: Console, order: RedriveOrder) -> int:
    """Redrive or discard what was chosen, and return the exit code: 0, or 1 when something was left.

    Raises:
        ConfigurationException: what was asked for cannot be, or nobody can be asked; says what to try.
        DependencyUnavailableException: the broker is away.
        RedriveBusyException: another redrive is at work.
    """
    settings = program.settings({})
    bootstrap_servers, _ = find_cluster(settings, f"{invocation(program.module)} run")
    if settings.kafka_bootstrap_servers is None:
        settings = settings.model_copy(update={"kafka_session_timeout_ms": _EMBEDDED_SESSION_MS})
    tracing = configure_tracing(f"{settings.service_name}-client", "0")
    try:
        return _Redriving(settings, bootstrap_servers, tracing.tracer, console, order).run()
    finally:
        tracing.shutdown(TELEMETRY_SECONDS)


def rules_of(settings: ServiceSettings, partitions: dict[str, int], limit: int) -> RedriveRules:
    """Return what bounds a redrive of this service's letters.

    Args:
        settings: Names its topics.
        partitions: The topics that there are, with their partition counts.
        limit: How often a letter is sent back before it is parked.
    """
    topics = _topics(settings)
    return RedriveRules(topics.source_of, topics.dead_letter_topic, partitions, limit)


class _Redriving:
    def __init__(
        self, settings: ServiceSettings, bootstrap_servers: str, tracer: Tracer, console: Console, order: RedriveOrder
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._tracer = tracer
        self._console = console
        self._order = order
        self._groups = _groups(settings, order.selection)

    def run(self) -> int:
        order = self._order
        previews: dict[str, _Preview] = {}
        if order.dry_run or not order.confirmed:
            previews = asyncio.run(self._preview())
            if not self._show(previews) or order.dry_run:
                return REFUSED if any(_is_left(each) for each in previews.values()) and not order.discard else 0
            plans = [each.plan for each in previews.values()]
            self._confirm(sum(len(each.decisions if order.discard else each.sent) for each in plans))
        reports = asyncio.run(self._act(previews))
        return self._tell(reports)

    async def _preview(self) -> dict[str, _Preview]:
        found: dict[str, _Preview] = {}
        async with self._connected() as cluster:
            for group in self._groups:
                partitions = _partitions(group.letter_topics, cluster.counts)
                committed = await cluster.admin.positions(redrive_group(group.group_id), partitions)
                async with self._reader(partitions) as reader:
                    outstanding = await find_outstanding(reader, group.group_id, committed)
                self._warn(group, committed, outstanding.letters)
                plan = self._plan(outstanding.letters, cluster.counts)
                found[group.group_id] = _Preview(plan, outstanding.ends, outstanding.foreign)
        return found

    async def _act(self, previews: dict[str, _Preview]) -> list[Report]:
        reports: list[Report] = []
        async with self._connected() as cluster:
            for group in self._groups:
                partitions = _partitions(group.letter_topics, cluster.counts)
                ends = previews[group.group_id].ends if previews else None
                try:
                    reports += [await self._group(group, partitions, cluster, ends)] if partitions else []
                except CqrsException as error:
                    if not reports:
                        raise
                    reports.append(Report(trouble=message_of(error)))  # what the groups before it did is told, too
        return reports

    async def _group(
        self,
        group: _Group,
        partitions: Sequence[TopicPartition],
        cluster: _Cluster,
        ends: dict[TopicPartition, int] | None,
    ) -> Report:
        sources = _partitions(self._settings.groups[group.group_id], cluster.counts)
        async with (
            self._session(group, partitions, cluster.admin) as session,
            self._reader(partitions) as letters,
            self._reader(sources) as originals,
        ):
            rules = rules_of(self._settings, cluster.counts, self._order.limit)
            parts = RedriverParts(
                letters, originals, cluster.producer, cluster.admin, session, self._tracer, group.group_id, rules
            )
            with self._progress() as (total, advance):
                redriver = Redriver(parts, advance)
                found = (await redriver.look(ends)).letters
                if ends is None:
                    self._warn(group, session.committed, found)
                plan = self._plan(found, cluster.counts)
                total(len(plan.decisions))
                await self._carried_out(redriver, plan)
            return redriver.report

    async def _carried_out(self, redriver: Redriver, plan: Plan) -> None:
        try:
            if self._order.discard:
                await redriver.discard(plan)
            else:
                await redriver.redrive(plan, self._order.wait_seconds)
        except CqrsException as error:  # what was done until then is told, with what ended it
            redriver.report.trouble = message_of(error)

    def _plan(self, letters: Sequence[LetterFacts], counts: dict[str, int]) -> Plan:
        if self._order.discard:
            return Plan([Decision(each, "leave") for each in letters if self._order.selection.chooses(each)])
        return plan_redrive(letters, self._order.selection, rules_of(self._settings, counts, self._order.limit))

    def _warn(
        self, group: _Group, committed: Mapping[TopicPartition, Position | None], letters: Sequence[LetterFacts]
    ) -> None:
        """Say that what was redriven may be forgotten: brokers keep the commits of a group at rest for a while only."""
        begin_ms = (time.time() - _FORGOTTEN_SECONDS) * 1000
        if any(committed.values()) or not any(each.timestamp_ms < begin_ms for each in letters):
            return
        text = (
            f"Group {redrive_group(group.group_id)} has noted nothing, and there are letters older than 7 days. If "
            "some were redriven before, the brokers have forgotten it (offsets.retention.minutes): choose with --newer."
        )
        self._console.print(Text(text, style="yellow"), soft_wrap=True)

    def _show(self, previews: dict[str, _Preview]) -> bool:
        """Show what would be done, and say whether there is anything to do."""
        for name, each in previews.items():
            if each.plan.decisions:
                self._console.print(plan_view(each.plan, discarding=self._order.discard))
            if each.foreign:
                text = f"{letters(each.foreign)} put aside by other groups than {name}: not touched."
                self._console.print(Text(text, style="dim"), soft_wrap=True)
        if not any(each.plan.decisions for each in previews.values()):
            self._console.print(self._nothing)
        return any(each.plan.decisions if self._order.discard else each.plan.sent for each in previews.values())

    @property
    def _nothing(self) -> str:
        return f"There is nothing to {self._verb}."

    @property
    def _verb(self) -> str:
        return "discard" if self._order.discard else "redrive"

    def _confirm(self, count: int) -> None:
        if not sys.stdin.isatty():
            raise ConfigurationException(["Nobody can be asked here whether this is meant; say --yes."])
        typer.confirm(f"{self._verb.capitalize()} {letters(count)}?", abort=True)

    def _tell(self, reports: Sequence[Report]) -> int:
        if not any(each.redriven or each.kept or each.discarded or each.trouble for each in reports):
            self._console.print(self._nothing)
        self._console.print(report_view(reports), soft_wrap=True)
        return REFUSED if any(each.kept or each.trouble for each in reports) else 0

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Cluster]:
        async with AsyncExitStack() as stack:
            producer = new_producer(self._settings, self._bootstrap_servers)
            stack.push_async_callback(producer.stop)
            admin = await stack.enter_async_context(new_group_admin(self._settings, self._bootstrap_servers))
            yield _Cluster(producer, admin, dict(await producer.topics()))

    @asynccontextmanager
    async def _session(
        self, group: _Group, partitions: Sequence[TopicPartition], admin: GroupAdmin
    ) -> AsyncIterator[RedriveSession]:
        name = redrive_group(group.group_id)
        if members := await admin.members(name):  # joining would disturb it
            raise RedriveBusyException(
                f"another redrive is at work: {', '.join(members)} in group {name}. Wait for its end, or stop it"
            )
        topics = sorted({each.topic for each in partitions})
        consumer = new_consumer(self._settings, self._bootstrap_servers, topics, name)
        seconds = self._settings.kafka_session_timeout_ms / 1000
        session = RedriveSession(consumer, admin, name, partitions, 2 * seconds + 5, seconds)
        try:
            await session.open()
            yield session
        finally:
            await session.close()

    def _reader(self, partitions: Sequence[TopicPartition]) -> RecordReader:
        return new_record_reader(self._settings, self._bootstrap_servers, partitions)

    @contextmanager
    def _progress(self) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
        """Show how far it is, on a terminal; yield what sets the whole and what counts."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as bar:
            task = bar.add_task(self._verb, total=None)
            yield (lambda count: bar.update(task, total=count)), (lambda count: bar.advance(task, count))


def _groups(settings: ServiceSettings, selection: Selection) -> list[_Group]:
    """Return the groups whose letters may be meant.

    Raises:
        ConfigurationException: a topic is named that is none of the service's.
    """
    topics = _topics(settings)
    wanted = selection.topics | {place.topic for place, _ in selection.places}
    known: set[str] = set()
    found: list[_Group] = []
    for group_id, sources in settings.groups.items():
        letters = {
            source: {source, topics.dead_letter_topic(source), *topics.retry_topics(source)} for source in sources
        }
        known |= {name for names in letters.values() for name in names}
        meant = [topics.dead_letter_topic(source) for source in sources if not wanted or wanted & letters[source]]
        found += [_Group(group_id, tuple(topics.dead_letter_topic(source) for source in sources))] if meant else []
    if unknown := sorted(wanted - known):
        raise ConfigurationException(
            [
                f"The service has no dead letters of {each}; it has those of {', '.join(sorted(known))}."
                for each in unknown
            ]
        )
    return found


def _topics(settings: ServiceSettings) -> ServiceTopics:
    return ServiceTopics(
        settings.all_command_topics, settings.topics, settings.dead_letter_suffix, settings.retry_topics
    )


def _partitions(topics: Sequence[str], counts: dict[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in topics for number in range(counts.get(topic, 0))]


def _is_left(preview: _Preview) -> bool:
    return any(each.fate != "send" for each in preview.plan.decisions)
