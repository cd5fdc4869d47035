"""Send dead letters back, one partition after the other, and keep what is settled."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException, message_of
from cqrs.messaging.commit_note import read_note
from cqrs.messaging.letter_facts import LetterFacts, Origin, read_facts
from cqrs.messaging.message import Headers, Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.ports import Producer
from cqrs.messaging.redrive import Decision, InOrder, Lane, Plan, RedriveRules, plan_late, redriven
from cqrs.messaging.redrive_ledger import Ledger, Settled
from cqrs.messaging.redrive_session import Positions, RedriveSession
from cqrs.messaging.tracing import send_traced
from cqrs.tracing.tracer import Tracer

CHUNK_LETTERS = 500
"""How many letters are sent between two commits at most: a crash repeats no more."""

CHUNK_BYTES = 8 * 1024 * 1024
"""The size of their values at most, but for a single larger one."""

_LOOK_SECONDS = 0.2


class Records(Protocol):
    """Read any stretch of some partitions."""

    async def spans(self) -> Mapping[TopicPartition, range]:
        """Return which offsets each partition holds: from its first record to behind its last one."""
        ...

    def read(self, partition: TopicPartition, start: int, stop: int) -> AsyncIterator[Sequence[Message]]:
        """Yield the records of `partition` from `start` to below `stop`, in batches, in order."""
        ...

    async def record(self, partition: TopicPartition, offset: int) -> Message | None:
        """Return the record at `offset`, or None when it does not lie there any more."""
        ...


@dataclass(slots=True)
class Outstanding:
    """Hold the letters of a group that are not settled.

    Attributes:
        letters: What they say of themselves, by partition, in the order in which they lie there.
        ledgers: For each partition, what is outstanding of it.
        ends: Where reading each partition ended.
        foreign: How many lie there that other groups put aside; they are nothing to this one.
    """

    letters: list[LetterFacts] = field(default_factory=list)
    ledgers: dict[TopicPartition, Ledger] = field(default_factory=dict)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    foreign: int = 0


@dataclass(slots=True)
class Report:
    """Hold what became of the chosen letters.

    Attributes:
        redriven: How many were sent and acknowledged, for each topic.
        discarded: How many were settled without being sent.
        drawn_in: How many went with a chosen one of their halted key.
        kept: Those that stay, with the reason.
        released: How many halted keys go on, as far as is known.
        late: How many came while their key was released, and may have run behind newer ones.
        unheard: Keys whose release the service has not come to in time.
        trouble: What ended it early, or None.
    """

    redriven: dict[str, int] = field(default_factory=dict)
    discarded: int = 0
    drawn_in: int = 0
    kept: list[Decision] = field(default_factory=list)
    released: int = 0
    late: int = 0
    unheard: int = 0
    trouble: str | None = None

    @property
    def parked(self) -> int:
        """Return how many were sent back too often."""
        return sum(each.fate == "park" for each in self.kept)


@dataclass(frozen=True, slots=True)
class RedriverParts:
    """Name what a redrive uses.

    Attributes:
        letters: Reads the dead letters.
        originals: Reads the records that letters only refer to.
        producer: Where they go.
        positions: Knows how far the service has come.
        session: Keeps others out, and what is settled.
        tracer: Opens a span around each send.
        group_id: The group of the service.
        rules: What bounds it.
    """

    letters: Records
    originals: Records
    producer: Producer
    positions: Positions
    session: RedriveSession
    tracer: Tracer
    group_id: str
    rules: RedriveRules


async def find_outstanding(
    records: Records,
    group_id: str,
    committed: Mapping[TopicPartition, Position | None],
    begin: Mapping[TopicPartition, int] | None = None,
) -> Outstanding:
    """Read what the dead letter partitions hold that is not settled.

    Args:
        records: Reads them.
        group_id: Whose letters are meant.
        committed: What is settled of each.
        begin: Where to begin in each; None begins at what is settled.

    Raises:
        DependencyUnavailableException: the broker is away.
    """
    found = Outstanding()
    for partition, span in (await records.spans()).items():
        settled = Settled(committed.get(partition), span.stop)
        start = max(span.start, settled.position, (begin or {}).get(partition, 0))
        offsets: list[int] = []
        async for messages in records.read(partition, start, span.stop):
            for letter in (read_facts(each) for each in messages if not settled.holds(each.offset)):
                if letter.group in ("", group_id):
                    found.letters.append(letter)
                    offsets.append(letter.offset)
                else:
                    found.foreign += 1
        found.ledgers[partition], found.ends[partition] = Ledger(offsets, span.stop), span.stop
    return found


class Redriver:
    """Redrive or discard what was chosen of the outstanding letters.

    Args:
        parts: What it uses.
        on_progress: Is told how many more letters are dealt with.
    """

    def __init__(self, parts: RedriverParts, on_progress: Callable[[int], None] = lambda _: None) -> None:
        self._parts = parts
        self._on_progress = on_progress
        self._ledgers: dict[TopicPartition, Ledger] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._seen: dict[TopicPartition, int] = {}
        self._stopped: set[Lane] = set()
        self._halted: frozenset[Lane] = frozenset()
        self._sent: set[Origin] = set()
        self._releases: dict[Lane, Receipt] = {}
        self._released: set[Lane] = set()
        self.report = Report()
        """What became of the letters so far."""

    async def look(self, shown: Mapping[TopicPartition, int] | None = None) -> Outstanding:
        """Return what is outstanding now.

        Args:
            shown: Where each partition ended when somebody was asked: what lies behind is left out, because nobody
                meant it. None leaves nothing out.

        Raises:
            DependencyUnavailableException: the broker is away.
        """
        found = await find_outstanding(self._parts.letters, self._parts.group_id, self._parts.session.committed)
        self._ledgers, self._ends = dict(found.ledgers), dict(found.ends)
        self._seen = {each: min(end, end if shown is None else shown.get(each, 0)) for each, end in found.ends.items()}
        found.letters = [each for each in found.letters if each.offset < self._seen[each.place]]
        return found

    async def redrive(self, plan: Plan, wait_seconds: float) -> None:
        """Send what is planned; then look for what came while halted keys were released, until nothing came.

        Args:
            plan: What becomes of each letter, of what `look` found.
            wait_seconds: How long to wait for the service to come to the release of a key.

        Raises:
            RedriveBusyException: another redrive is at work.
            DependencyUnavailableException: the broker is away.
        """
        await self._carry_out(plan)
        while self._releases:
            await self._until_handled(wait_seconds)
            lanes, self._releases = frozenset(self._releases), {}
            late = await self._late(lanes)
            self.report.late += len(late.sent)
            await self._carry_out(late)

    async def discard(self, plan: Plan) -> None:
        """Settle what is planned without sending it, whatever its fate would be.

        Raises:
            RedriveBusyException: another redrive is at work.
            DependencyUnavailableException: the broker is away.
        """
        for partition, decisions in _by_partition(plan.decisions).items():
            async with self._parts.session.turn():
                ledger = self._ledgers[partition].without(each.letter.offset for each in decisions)
                if not ledger.fits:
                    self._keep(decisions, _NO_ROOM)
                    continue
                await self._settle(partition, ledger)
                self.report.discarded += len(decisions)
            self._on_progress(len(decisions))

    async def _carry_out(self, plan: Plan) -> None:
        self._halted |= plan.halted
        for each in plan.decisions:
            if each.fate != "send":
                self.report.kept.append(each)
                self._on_progress(1)
        for partition, decisions in _by_partition(plan.sent).items():
            await self._partition(partition, decisions)

    async def _partition(self, partition: TopicPartition, decisions: Sequence[Decision]) -> None:
        known = {each.letter.offset: each for each in decisions}
        lanes: dict[Lane, list[int]] = {}
        for each in decisions:
            lanes.setdefault(each.lane, []).append(each.letter.offset)
        order = InOrder(lanes.values())
        chunk: list[tuple[Decision, Message]] = []
        async for messages in self._parts.letters.read(partition, min(known), max(known) + 1):
            for message in messages:
                for leaving in order.arrive(message):
                    chunk.append((known[leaving.offset], leaving))
                    if _is_full(chunk):
                        await self._chunk(partition, chunk)
                        chunk = []
        gone = [known[offset] for offset in order.missing]
        self._keep(gone, "it was deleted meanwhile")
        await self._chunk(partition, [*chunk, *((known[each.offset], each) for each in order.rest())])

    async def _chunk(self, partition: TopicPartition, chunk: Sequence[tuple[Decision, Message]]) -> None:
        """Send some letters, and commit that those are settled which were acknowledged."""
        if not chunk:
            return
        async with self._parts.session.turn():
            if not self._ledgers[partition].without(each.letter.offset for each, _ in chunk).fits:
                self._keep([each for each, _ in chunk], _NO_ROOM)
                return
            acknowledged, failure = await self._send([await self._prepared(*each) for each in chunk])
            if acknowledged:
                await self._settle(partition, self._ledgers[partition].without(acknowledged))
        if failure is not None:
            raise failure

    async def _prepared(self, decision: Decision, letter: Message) -> tuple[Decision, OutgoingMessage | None]:
        """Return what is sent for a letter; None for one that has to stay, and is told."""
        seen = self._seen[decision.letter.place]
        if not decision.letter.is_reference:
            return decision, redriven(decision, letter, seen=seen)
        origin = decision.letter.origin
        original = None if origin is None else await self._original(origin)
        if original is None or letter.key not in (None, original.key):
            self._keep([decision], f"its value is not in the letter, and its record does not lie at {origin} any more")
            self._stopped.add(decision.lane)
            return decision, None
        return decision, redriven(decision, letter, original, seen=seen)

    async def _original(self, origin: Origin) -> Message | None:
        partition = TopicPartition(origin.topic, origin.partition)
        known = origin.partition in range(self._parts.rules.partitions.get(origin.topic, 0))
        return await self._parts.originals.record(partition, origin.offset) if known else None

    async def _send(
        self, prepared: Sequence[tuple[Decision, OutgoingMessage | None]]
    ) -> tuple[list[int], DependencyUnavailableException | None]:
        """Send, the letters of a halted key one by one; return the offsets of those acknowledged, and what failed."""
        lines: dict[object, list[tuple[Decision, OutgoingMessage]]] = {}
        for decision, message in prepared:
            if message is not None:
                name = decision.lane if decision.lane in self._halted else decision.letter.offset
                lines.setdefault(name, []).append((decision, message))
        answers = await asyncio.gather(*(self._line(line) for line in lines.values()))
        failures = [failure for _, failure in answers if failure is not None]
        return [offset for offsets, _ in answers for offset in offsets], failures[0] if failures else None

    async def _line(
        self, line: Sequence[tuple[Decision, OutgoingMessage]]
    ) -> tuple[list[int], DependencyUnavailableException | None]:
        acknowledged: list[int] = []
        for decision, message in line:
            if decision.lane in self._stopped and decision.lane in self._halted:
                self._keep([decision], "its key is halted, and one before it could not be sent")
                continue
            try:
                receipt = await send_traced(self._parts.producer, self._parts.tracer, message, _baggage(message))
            except UnpublishableEventException as refusal:
                self._stopped.add(decision.lane)
                self._keep([decision], message_of(refusal))
            except DependencyUnavailableException as away:
                return acknowledged, away
            else:
                acknowledged.append(decision.letter.offset)
                self._count(decision, receipt)
        return acknowledged, None

    def _count(self, decision: Decision, receipt: Receipt) -> None:
        report = self.report
        report.redriven[decision.topic] = report.redriven.get(decision.topic, 0) + 1
        report.drawn_in += decision.is_drawn_in
        if decision.lane in self._halted and decision.letter.origin is not None:
            self._sent.add(decision.letter.origin)
        if decision.releases:
            self._releases[decision.lane] = receipt
            self._released.add(decision.lane)
            report.released = len(self._released)
        self._on_progress(1)

    def _keep(self, decisions: Iterable[Decision], reason: str) -> None:
        for each in decisions:
            self.report.kept.append(Decision(each.letter, "leave", each.topic, each.partition, reason))
            self._on_progress(1)

    async def _settle(self, partition: TopicPartition, ledger: Ledger) -> None:
        await self._parts.session.commit(partition, ledger.position)
        self._ledgers[partition] = ledger

    async def _until_handled(self, wait_seconds: float) -> None:
        """Wait until the service has come to every release, or the time is over."""
        waiting = list(self._releases.values())
        deadline = time.monotonic() + wait_seconds
        while waiting:
            partitions = {TopicPartition(each.topic, each.partition) for each in waiting}
            committed = await self._parts.positions.positions(self._parts.group_id, partitions)
            waiting = [each for each in waiting if not _is_done(each, committed)]
            if not waiting or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self.report.unheard += len(waiting)

    async def _late(self, lanes: frozenset[Lane]) -> Plan:
        """Plan what came for released keys since the last look; a key that is halted again stays as it is."""
        parts = self._parts
        found = await find_outstanding(parts.letters, parts.group_id, parts.session.committed, self._seen)
        for partition, ledger in found.ledgers.items():
            known, end = self._ledgers.get(partition, Ledger()), self._ends.get(partition, 0)
            new = (offset for offset in ledger.outstanding if offset >= end)
            self._ledgers[partition] = known.add(new, found.ends[partition])
        self._ends, self._seen = dict(found.ends), dict(found.ends)
        late = plan_late(found.letters, lanes, self._sent, parts.rules)
        self._released -= late.again
        self.report.released = len(self._released)
        self.report.kept += late.kept
        self._on_progress(len(late.kept))
        return late.plan


_NO_ROOM = "the note of what is settled has no room for it: redrive or discard those that lie before it first"


def _by_partition(decisions: Iterable[Decision]) -> dict[TopicPartition, list[Decision]]:
    found: dict[TopicPartition, list[Decision]] = {}
    for each in decisions:
        found.setdefault(each.letter.place, []).append(each)
    return found


def _is_full(chunk: Collection[tuple[Decision, Message]]) -> bool:
    size = sum(len(message.value or b"") for _, message in chunk)
    return len(chunk) >= CHUNK_LETTERS or size >= CHUNK_BYTES


def _is_done(release: Receipt, committed: Mapping[TopicPartition, Position | None]) -> bool:
    at = committed[TopicPartition(release.topic, release.partition)]
    if at is None:
        return False
    return release.offset < at.offset or any(
        release.offset in each for each in read_note(at.offset, at.metadata).finished
    )


def _baggage(message: OutgoingMessage) -> Headers:
    return tuple(each for each in message.headers if each[0].lower() == "baggage")
