"""Fetch with aiokafka without its stumbling over a record.

aiokafka unpacks fetched bytes inside `getmany()`. When one record cannot be unpacked (a header's name that is not
UTF-8, a damaged batch) that call raises, for ever, and what it had taken from other partitions meanwhile is lost to
the caller. Here the batch in question is read again by `cqrs.kafka.batches`; what even that cannot read comes out as
one record that holds the batch's bytes. What comes out are messages: aiokafka's own record, a frozen dataclass of
eleven fields, takes 2 us to make, and nothing of it is needed. Only the places where aiokafka builds these objects see
other classes than its own; nothing is changed for other users of aiokafka in the process.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from functools import partial
from types import MethodType
from typing import TypeAlias, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.consumer.fetcher import UNKNOWN_OFFSET, Fetcher, FetchError, OffsetResetStrategy, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record._protocols import DefaultRecordProtocol
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition

from cqrs.kafka import batches
from cqrs.kafka.coordination import CarefulCoordinator
from cqrs.kafka.failures import reason_of
from cqrs.kafka.patience import PatientClient
from cqrs.kafka.rebinding import rebound
from cqrs.messaging.message import Message

_log = logging.getLogger(__name__)

UNREADABLE_HEADER = "cqrs-unreadable-batch"
"""The header of a record that stands for a batch which cannot be read; its value is the batch, as fetched."""

_CONTROL_MASK = 0x20
_DAMAGED_FETCHES = 3

Records: TypeAlias = Generator[Message, None, None]


class _WatchedClient(PatientClient):
    """Be a client that remembers what partitions are refused, and asks for them again only after a back-off.

    aiokafka asks for a partition that was answered with an error again at once: thousands of times a second.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.trouble = ""

    async def send(self, node_id: int, request: object, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> object:
        answer = await super().send(node_id, request, group=group)
        if isinstance(request, FetchRequest | OffsetRequest):
            refused = [(topic, at[0], at[1]) for topic, places in answer.topics for at in places if at[1]]
            self.trouble = "; ".join(
                f"{topic}[{number}]: {reason_of(_error(topic, code))}" for topic, number, code in refused
            )
            if refused:
                await asyncio.sleep(self._retry_backoff)
        return answer


def _error(topic: str, code: int) -> KafkaError:
    kind = for_code(code)
    return kind(topic) if kind is TopicAuthorizationFailedError else kind()


class TolerantConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """Be aiokafka's consumer, over a fetcher that no record can stop and a careful coordinator."""

    _client: _WatchedClient
    _fetcher: "_TolerantFetcher | None"
    _coordinator: CarefulCoordinator

    def __init__(self, *topics: str, **options: object) -> None:
        build: Callable[..., None] = rebound(AIOKafkaConsumer.__init__, AIOKafkaClient=_WatchedClient)
        build(self, *topics, **options)

    async def start(self, on_join: Callable[[], None] | None = None, known_as: str = "") -> None:
        """Connect, join the group and wait for the first assignment.

        Args:
            on_join: Is called when the group's coordinator is found, and the group may take its time.
            known_as: The `member_id` of a client that is replaced by this one.
        """
        coordinator = partial(CarefulCoordinator, on_join=on_join, known_as=known_as)
        await rebound(AIOKafkaConsumer.start, Fetcher=_TolerantFetcher, GroupCoordinator=coordinator)(self)

    async def begin(
        self, partitions: Collection[TopicPartition], is_gone: Callable[[TopicPartition, int], bool]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | None]:
        """Read what the group committed for newly assigned partitions, and have fetching begin there, or at the start.

        Args:
            partitions: Just assigned.
            is_gone: Says that reading cannot go on at an offset; what was committed there counts for nothing.

        Raises:
            KafkaError: the broker refuses to say.
        """
        committed = {
            partition: None if at is None or is_gone(partition, at.offset) else at
            for partition, at in (await self._coordinator.read_committed(partitions)).items()
        }
        assignment = self._subscription.subscription.assignment
        for partition, at in committed.items():
            state = assignment.state_value(partition)
            if at is None:
                state.await_reset(OffsetResetStrategy.EARLIEST)
            else:
                state.seek(at.offset)
            state.update_committed(at or OffsetAndMetadata(UNKNOWN_OFFSET, ""))  # lets the fetcher look again
        if self._fetcher is not None:
            self._fetcher.rested_at = time.monotonic()  # the rebalance may have taken longer than any fetch may
        return committed

    async def take(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> Mapping[TopicPartition, Sequence[Message]]:
        """Return the next messages of these partitions, of all when none is named: `getmany`, by what it gives here."""
        fetched = await self.getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
        return cast("Mapping[TopicPartition, Sequence[Message]]", fetched)

    async def ask_broker(self) -> None:
        """Have a broker say something; the caller sets the deadline.

        Raises:
            KafkaError: what it says is no.
        """
        await self._coordinator.ask()

    def check(self) -> None:
        """Raise what ended one of aiokafka's tasks, or what it wants its user to know."""
        self._require_running(self._coordinator._coordination_task)  # noqa: SLF001 - else check_errors() cancels us
        self._coordinator.check_errors()
        self._require_running(*self._coordinator.tasks, self._client._sync_task)  # noqa: SLF001
        if self._fetcher is not None:
            self._require_running(self._fetcher.error_future)

    @staticmethod
    def _require_running(*tasks: asyncio.Task[None] | None) -> None:
        for task in tasks:
            if task is not None and task.done():
                error = None if task.cancelled() else task.exception()
                raise KafkaError(f"a task of the client has ended: {reason_of(error) if error else 'it was cancelled'}")

    @property
    def refused_positions(self) -> Mapping[TopicPartition, int]:
        """Return the positions that a broker has refused and that `getmany` has not raised yet."""
        found: dict[TopicPartition, int] = {}
        for fetched in self._fetcher._records.values() if self._fetcher else ():  # noqa: SLF001
            if isinstance(fetched, FetchError) and isinstance(fetched._error, OffsetOutOfRangeError):  # noqa: SLF001
                found |= fetched._error.args[0]  # noqa: SLF001
        return found

    @property
    def log_ends(self) -> Mapping[TopicPartition, tuple[int, int]]:
        """Return the end and the position of each partition that was fetched from; from any thread."""
        subscription = self._subscription.subscription
        assignment: Assignment | None = None if subscription is None else subscription.assignment
        found: dict[TopicPartition, tuple[int, int]] = {}
        if assignment is None:
            return found
        for place in assignment.tps:
            state = assignment.state_value(place)
            end = None if state is None else state.highwater if state.lso in (None, UNKNOWN_OFFSET) else state.lso
            if end is not None and state.has_valid_position:
                found[place] = end, state.position
        return found

    @property
    def silence_seconds(self) -> float:
        """Return how long no fetch has been answered that was owed; 0 while all that may be fetched is here."""
        if self._fetcher is None:
            return 0.0
        return time.monotonic() - max(self._fetcher.answered_at, self._fetcher.rested_at)

    @property
    def quiet_seconds(self) -> float:
        """Return how long no broker of the group has answered anything."""
        answered_at = 0.0 if self._fetcher is None else self._fetcher.answered_at
        return time.monotonic() - max(answered_at, self._coordinator.heard_at)

    @property
    def member_id(self) -> str:
        """Return by what name the group may know this member; nothing before it joined and once it has left."""
        coordinator = self._coordinator
        return (coordinator.left_behind or coordinator.member_id) if coordinator else ""

    @property
    def trouble(self) -> str:
        """Return what a broker last answered instead of records, or why none can be connected to, or nothing."""
        return self._client.trouble or self._client.refusal

    @property
    def is_broken(self) -> bool:
        """Say whether the fetching itself has ended, which aiokafka does not tell."""
        return self._fetcher is not None and bool(self._fetcher.error_future.done())


class _TolerantFetcher(Fetcher):  # type: ignore[misc]
    """Build the records of a fetch from the classes below."""

    def __init__(self, *args: object, **options: object) -> None:
        self.answered_at = time.monotonic()
        self.rested_at = 0.0  # when there was last nothing to ask for, so nobody owed an answer
        self._damaged: dict[tuple[TopicPartition, int], int] = {}
        process = rebound(
            Fetcher._proc_fetch_request,  # noqa: SLF001
            MemoryRecords=self._fetched,
            PartitionRecords=partial(_TolerantRecords, self._damaged),
        )
        self._proc_fetch_request = MethodType(process, self)
        super().__init__(*args, **options)

    def _get_actions_per_node(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assignment: Assignment
    ) -> tuple[object, ...]:
        if all(partition in self._records for partition in assignment.tps):
            self.rested_at = time.monotonic()
        actions: tuple[object, ...] = super()._get_actions_per_node(assignment)
        return actions

    def _fetched(self, data: bytes) -> "_RecordSet":
        self.answered_at = time.monotonic()
        return _RecordSet(data)


class _RecordSet:
    """Be aiokafka's `MemoryRecords` that remembers its bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._records = MemoryRecords(data)
        self.has_next = self._records.has_next
        self.next_batch = self._records.next_batch

    def size_in_bytes(self) -> int:
        """Return 0: otherwise aiokafka steps over the offset at which it got less than one whole batch."""
        return 0


class _TolerantRecords(PartitionRecords):  # type: ignore[misc]
    """Unpack the batches of one fetch of one partition, each in any case, into messages."""

    def __init__(self, damaged: dict[tuple[TopicPartition, int], int], *args: object) -> None:
        self._damaged = damaged
        super().__init__(*args)

    def _consumer_record(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, tp: TopicPartition, record: DefaultRecordProtocol
    ) -> Message:
        return Message(
            tp.topic,
            tp.partition,
            record.offset,
            record.key,
            record.value,
            tuple(record.headers),
            record.timestamp,
            record.timestamp_type,
        )

    def _unpack_records(self) -> Records:  # pyright: ignore[reportIncompatibleMethodOverride]
        while True:
            try:
                yield from cast("Records", super()._unpack_records())
            except Exception as error:  # noqa: BLE001 - whatever unpacking raises, the bytes are read again
                yield from self._unpack_again(error)
            else:
                return

    def _unpack_again(self, error: Exception) -> Records:
        """Read the batch at the position, and leave what follows it to aiokafka again."""
        batch, rest = self._batch_at_position()
        self._records = _RecordSet(rest)
        if not batch:
            return
        if not batches.is_intact(batch):
            yield from self._damaged_batch(batch, rest, error)
            return
        header = batches.read_header(batch)
        if header.attributes & _CONTROL_MASK:
            self._aborted_producers.discard(header.producer_id)
            self.next_fetch_offset = header.next_offset
        else:
            yield from self._intact_batch(batch, header, error)

    def _intact_batch(self, batch: bytes, header: batches.BatchHeader, error: Exception) -> Records:
        try:
            for record in batches.read_records(self._tp, batch):
                if record.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = record.offset + 1
                    yield to_message(record)
        except batches.MalformedBatchException as malformed:
            yield self._unreadable(batch, header.next_offset, f"{malformed} (aiokafka: {error!r})")
        self.next_fetch_offset = header.next_offset

    def _damaged_batch(self, batch: bytes, rest: bytes, error: Exception) -> Records:
        """Have it fetched again; when it stays as it is, give it out as one record and go on behind it."""
        place = (self._tp, self.next_fetch_offset)
        self._damaged[place] = self._damaged.get(place, 0) + 1
        if self._damaged[place] < _DAMAGED_FETCHES:
            self._records = _RecordSet(b"")
            return
        del self._damaged[place]
        next_offset = max(self.next_fetch_offset + 1, batches.first_offset(rest))
        yield self._unreadable(batch, next_offset, f"its checksum is wrong (aiokafka: {error!r})")

    def _batch_at_position(self) -> tuple[bytes, bytes]:
        """Return the first batch that holds something unread, and what follows it; nothing when there is none."""
        data = self._records.data
        end = 0
        for batch in batches.split(data):
            end += len(batch)
            if not batches.is_intact(batch) or batches.read_header(batch).next_offset > self.next_fetch_offset:
                return batch, data[end:]
        return b"", b""

    def _unreadable(self, batch: bytes, next_offset: int, reason: str) -> Message:
        """Stand in for the batch; the position moves first, because aiokafka reads it between two records."""
        offset, self.next_fetch_offset = self.next_fetch_offset, next_offset
        _log.error("Batch at %s[%d]@%d cannot be read: %s", self._tp.topic, self._tp.partition, offset, reason)
        headers = ((UNREADABLE_HEADER, reason.encode("utf-8", "replace")),)
        stamp = int(time.time() * 1000)
        return Message(self._tp.topic, self._tp.partition, offset, None, batch, headers, stamp)


def to_message(record: ConsumerRecord[bytes, bytes]) -> Message:
    """Turn a record that was read from a batch of ours into a `Message`."""
    return Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
        timestamp_type=record.timestamp_type,
    )
