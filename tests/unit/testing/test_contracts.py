"""A contract suite finds what is wrong: each planted fault makes one of its tests fail."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import ClassVar

import pytest

from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.serialization.json import JsonDecoder, JsonEncoder, JsonPayload
from cqrs.testing.contracts.cache import CacheAdapterContract
from cqrs.testing.contracts.consumer import ConsumerContract
from cqrs.testing.contracts.contract import Contract
from cqrs.testing.contracts.message_format import MessageFormat, MessageFormatContract
from cqrs.testing.contracts.producer import ProducerContract
from cqrs.testing.contracts.schema_registry import SchemaRegistryContract
from cqrs.testing.contracts.topic_reader import TopicReaderContract
from cqrs.testing.contracts.unit_of_work import UnitOfWorkContract
from cqrs.testing.memory import MemoryConsumer, MemoryProducer, MemoryTopicReader
from tests.contract.transports import MemoryTransport


async def must_fail(promise: Awaitable[None], saying: str | None = None) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=saying):
        await promise


class Reordering(MemoryProducer):
    """Let every second message overtake the one before it."""

    def __init__(self, transport: MemoryTransport) -> None:
        super().__init__(transport.broker)
        self._count = 0

    async def send(self, message: OutgoingMessage) -> Receipt:
        self._count += 1
        if self._count % 2:
            await asyncio.sleep(0.001)
        return await super().send(message)


class Eager(MemoryProducer):
    """Give a receipt before the broker's word."""

    def __init__(self, transport: MemoryTransport) -> None:
        super().__init__(transport.broker)

    async def send(self, message: OutgoingMessage) -> Receipt:
        try:
            return await super().send(message)
        except Exception:
            return Receipt(message.topic, message.partition or 0, 0)


@pytest.mark.asyncio
async def test_a_producer_that_reorders_is_found() -> None:
    transport = MemoryTransport()
    transport.producer = lambda: Reordering(transport)  # type: ignore[method-assign]

    await must_fail(ProducerContract().test_overlapping_sends_are_stored_in_the_order_of_the_calls(transport))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "promise",
    [
        "test_without_an_acknowledgement_the_broker_is_away_until_it_is_back",
        "test_a_topic_that_does_not_exist_is_refused",
        "test_a_refused_message_takes_no_other_with_it",
    ],
)
async def test_a_producer_that_waits_for_no_acknowledgement_is_found(promise: str) -> None:
    transport = MemoryTransport()
    transport.producer = lambda: Eager(transport)  # type: ignore[method-assign]

    await must_fail(getattr(ProducerContract(), promise)(transport))


class Committing(MemoryConsumer):
    """Commit by itself what it hands out."""

    async def poll(
        self, timeout_seconds: float, partitions: object = None, max_records: int | None = None
    ) -> Sequence[Message]:
        messages = await super().poll(timeout_seconds, partitions, max_records)  # type: ignore[arg-type]
        await self.commit({TopicPartition(each.topic, each.partition): Position(each.offset + 1) for each in messages})
        return messages


class Greedy(MemoryConsumer):
    """Hand out whatever there is."""

    async def poll(
        self, timeout_seconds: float, partitions: object = None, max_records: int | None = None
    ) -> Sequence[Message]:
        return await super().poll(timeout_seconds)


class Forgetful(MemoryConsumer):
    """Forget what is noted beside an offset."""

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        return await super().commit({each: Position(at.offset) for each, at in positions.items()})


class Silent(MemoryConsumer):
    """Say nothing of what it left out."""

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        await super().commit(positions)
        return ()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (Committing, "test_what_is_not_committed_is_read_again"),
        (Greedy, "test_records_of_a_partition_come_in_order_and_once"),
        (Greedy, "test_records_of_other_partitions_stay_for_a_later_poll"),
        (Greedy, "test_a_poll_that_wants_nothing_only_watches_the_membership"),
        (Silent, "test_a_commit_leaves_out_a_partition_that_is_not_its_own_and_says_so"),
        (Forgetful, "test_the_next_member_goes_on_at_what_was_committed_and_is_told_the_note"),
    ],
)
async def test_a_consumer_that_breaks_a_promise_is_found(
    kind: type[MemoryConsumer], promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cqrs.testing.contracts.transport.SECONDS", 0.5)
    transport = MemoryTransport()
    transport.consumer = lambda topic, group_id="readers": kind(  # type: ignore[method-assign]
        transport.broker, [topic], f"{group_id} of {topic}"
    )

    with pytest.raises((AssertionError, TimeoutError)):
        await getattr(ConsumerContract(), promise)(transport)


@pytest.mark.asyncio
async def test_a_reader_that_begins_at_the_beginning_is_found() -> None:
    class FromTheBeginning(MemoryTopicReader):
        async def start(self) -> None:
            self._positions = dict.fromkeys(self._broker.ends(self._topic), 0)

    transport = MemoryTransport()
    transport.topic_reader = lambda topic: FromTheBeginning(transport.broker, topic)  # type: ignore[method-assign]

    contract = TopicReaderContract()
    await must_fail(contract.test_it_reads_from_the_end_on_and_says_that_it_missed_what_was_before(transport))


class WithoutTransactions:
    """Be a store that writes at once and undoes nothing."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    @property
    def unit_of_work(self) -> "WithoutTransactions":
        return self

    def begin(self) -> AbstractAsyncContextManager[None]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[None]:
        yield

    async def prepare(self) -> None:
        return None

    async def write(self, number: int) -> None:
        self.numbers.append(number)

    async def written(self) -> Sequence[int]:
        return sorted(self.numbers)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "promise",
    [
        "test_before_the_end_of_the_block_nobody_else_sees_anything",
        "test_cancellation_rolls_back_and_leaves_the_store_usable",
        "test_a_nested_one_that_fails_undoes_only_itself",
        "test_a_write_that_the_store_refuses_undoes_its_own_unit_alone",
        "test_what_is_prepared_commits_also_when_an_error_of_the_store_was_caught",
        "test_an_error_that_a_nested_one_undid_is_in_nobodys_way",
        "test_preparing_commits_nothing",
        "test_an_outer_one_that_fails_undoes_the_nested_ones",
        "test_units_of_many_tasks_never_meet",
    ],
)
async def test_a_unit_of_work_that_is_none_is_found(promise: str) -> None:
    await must_fail(getattr(UnitOfWorkContract(), promise)(WithoutTransactions()))


@pytest.mark.asyncio
async def test_a_cache_that_keeps_too_long_and_hands_out_its_own_objects_is_found() -> None:
    class Endless(MemoryCacheAdapter):
        async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
            self._entries[key] = (value, float("inf"))

        async def get(self, key: str) -> object:
            return self._entries.get(key, (None, 0.0))[0]

    await must_fail(CacheAdapterContract().test_a_value_is_gone_when_its_time_is_over(Endless()))
    await must_fail(CacheAdapterContract().test_changing_what_was_put_or_got_changes_nothing_kept(Endless()))


@pytest.mark.asyncio
async def test_a_registry_that_takes_everything_is_found() -> None:
    class Lenient(FileSchemaRegistry):
        async def register(self, subject: str, schema: str) -> int:
            return await super().register(f"{subject}-{len(await self.subjects())}", schema)

    contract = SchemaRegistryContract()
    await must_fail(contract.test_an_incompatible_schema_is_refused_with_the_reason(Lenient()), "DID NOT RAISE")
    await must_fail(contract.test_an_equal_schema_keeps_its_id_and_version(Lenient()))


@pytest.mark.asyncio
async def test_a_decoder_that_takes_what_it_gets_is_found() -> None:
    class Careless(JsonDecoder):
        async def parse(self, message: Message, declared_type: str | None) -> JsonPayload:
            value = (message.value or b"").rstrip(b"\x00")
            return await super().parse(message._replace(value=value), declared_type)

    class Raising(JsonDecoder):
        async def parse(self, message: Message, declared_type: str | None) -> JsonPayload:
            try:
                return await super().parse(message, declared_type)
            except UndecodableMessageException as error:
                raise ValueError from error

    contract = MessageFormatContract()
    careless = MessageFormat(JsonEncoder(), Careless())
    await must_fail(contract.test_what_is_cut_off_or_goes_on_is_no_event(careless), "DID NOT RAISE")
    with pytest.raises(ValueError, match=r"^$"):
        await contract.test_bytes_that_are_changed_are_refused_or_read_and_nothing_else(
            MessageFormat(JsonEncoder(), Raising())
        )


def test_a_difference_that_names_no_test_is_refused() -> None:
    with pytest.raises(TypeError, match="test_nothing; the suite has no such test"):

        class Wrong(Contract):
            differences: ClassVar = {"test_nothing": "no reason"}


def test_a_difference_may_name_a_single_case(tmp_path: Path) -> None:
    suite = tmp_path / "test_mine.py"
    suite.write_text(
        dedent("""
        import pytest
        from cqrs.testing.contracts.contract import Contract

        class Numbers(Contract):
            @pytest.mark.parametrize("number", [1, 2])
            def test_it_is_one(self, number):
                assert number == 1

        class TestMine(Numbers):
            differences = {"test_it_is_one[2]": "two is not one"}
        """)
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(suite)]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own suite

    assert "1 passed, 1 xfailed" in ended.stdout


@pytest.mark.asyncio
async def test_a_promise_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Contract):
        async def test_it_ends(self) -> None:
            await asyncio.Event().wait()

        async def test_it_ends_by_itself(self) -> None:
            raise TimeoutError("its own")

    monkeypatch.setattr("cqrs.testing.contracts.contract.TEST_SECONDS", 0.01)

    await must_fail(Hanging().test_it_ends(), "test_it_ends did not end within 0.01 s")
    with pytest.raises(TimeoutError, match="its own"):
        await Hanging().test_it_ends_by_itself()
