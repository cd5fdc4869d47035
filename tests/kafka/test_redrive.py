"""Dead letters go back on a real Apache Kafka: in order, once, while the service runs, and never by two at a time."""

import asyncio
import io
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from rich.console import Console

from cqrs.cli.program import ServiceProgram
from cqrs.cli.redrive import RedriveOrder, redrive_letters
from cqrs.kafka.clients import new_consumer, new_group_admin
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.redrive_session import RedriveBusyException, RedriveSession
from cqrs.testing.outside_client import OutsideClient
from service.settings import EVENTS, OrderSettings
from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.unit.messaging.redrive_letters import letter_headers

SECONDS = 60.0
PARTITIONS = 3


class BusyException(Exception):
    retryable = True


class Shop:
    """Hold the topics and settings of one test."""

    def __init__(self, bootstrap: str, commands: str, folder: Path) -> None:
        self.bootstrap, self.commands, self.folder = bootstrap, commands, folder

    def changed(self, **more: object) -> dict[str, object]:
        return {
            "kafka_bootstrap_servers": self.bootstrap,
            "kafka_group_id": self.commands,
            "kafka_session_timeout_ms": 6_000,
            "command_topics": (self.commands,),
            "topics": {EVENTS: PARTITIONS, self.commands: PARTITIONS},
            **more,
        }

    def settings(self, given: Mapping[str, Any]) -> OrderSettings:
        return OrderSettings(**self.changed(state_path=self.folder, management_port=0, **given))  # type: ignore[arg-type]

    def redrives(self, **asked: object) -> tuple[int, str]:
        def never(*_: object) -> Any:
            raise AssertionError("a redrive starts no service")

        printed = io.StringIO()
        program = ServiceProgram("service", "", (), self.settings, never, never)
        order = RedriveOrder(**({"confirmed": True} | asked))  # type: ignore[arg-type]
        return redrive_letters(program, Console(file=printed, width=200, color_system=None), order), printed.getvalue()

    def send(self, names: list[str], key: str) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for name in names:
            headers: list[tuple[str, str | bytes | None]] = [("ce_type", "t.Do"), ("ce_id", name)]
            producer.produce(self.commands, f'{{"what": "{name}"}}', key=key, headers=headers)
        assert producer.flush(SECONDS) == 0

    def records(self, topic: str) -> list[Message]:
        with OutsideClient(self.bootstrap, None) as client:
            return [each.message for each in client.read([topic])]

    async def until(self, topic: str, count: int) -> list[Message]:
        async with asyncio.timeout(SECONDS):
            while len(found := await asyncio.to_thread(self.records, topic)) < count:
                pass
        return found


@pytest.fixture
def shop(kafka_bootstrap: str, create_topics: Callable[..., list[str]], tmp_path: Path) -> Shop:
    (commands,) = create_topics("redriven.commands", partitions=PARTITIONS)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    wanted = {f"{commands}-dlt", EVENTS} - admin.list_topics(timeout=SECONDS).topics.keys()
    for created in admin.create_topics([NewTopic(name, num_partitions=PARTITIONS) for name in wanted]).values():
        created.result(SECONDS)
    return Shop(kafka_bootstrap, commands, tmp_path)


@pytest.mark.asyncio
async def test_mended_commands_are_redriven_in_order_and_halted_keys_go_on(shop: Shop) -> None:
    keys = [f"k{number}" for number in range(6)]
    names = {key: [f"{key}-{number}" for number in range(20)] for key in keys}
    service = scripted.scripted(
        shop.folder, **shop.changed(retry_max_attempts=2, retry_exhausted="halt_key", breaker_keys=0)
    )
    async with deployed(service):
        stage = scripted.stage
        for key in keys:
            stage.fails(names[key][0], BusyException("not yet"))
            shop.send(names[key], key)
        letters = await shop.until(f"{shop.commands}-dlt", 120)
        stage.scripts.clear()  # the reason is mended

        code, said = await asyncio.to_thread(shop.redrives)
        assert code == 0, said
        assert f"120 to {shop.commands}" in said
        assert "6 halted keys" in said
        await stage.until(lambda: len(stage.done) == 120)
        for key in keys:
            await asyncio.to_thread(shop.send, [f"{key}-new"], key)
        await stage.until(lambda: len(stage.done) == 126)

        code, said = await asyncio.to_thread(shop.redrives)
        assert (code, said.strip()) == (0, "There is nothing to redrive.")
        stored = await asyncio.to_thread(shop.records, shop.commands)

    for key in keys:
        assert [each for each in stage.done if each.startswith(f"{key}-")] == [*names[key], f"{key}-new"]
    again = [each for each in stored if "cqrs-redrive-count" in dict(each.headers)]
    assert (len(letters), len(again), len(stored)) == (120, 120, 246)
    assert {dict(each.headers)["cqrs-redrive-count"] for each in again} == {b"1"}
    first = {dict(each.headers)["ce_id"]: each for each in stored if each not in again}
    for each in again:
        sent = first[dict(each.headers)["ce_id"]]
        assert (each.key, each.value, each.partition) == (sent.key, sent.value, sent.partition)


@pytest.mark.asyncio
async def test_two_that_begin_at_once_send_nothing_twice(shop: Shop) -> None:
    producer = Producer({"bootstrap.servers": shop.bootstrap})
    for number in range(3_000):
        headers: list[tuple[str, str | bytes | None]] = list(
            letter_headers(number, topic=shop.commands, partition=number % PARTITIONS, group=shop.commands)
        )
        producer.produce(
            f"{shop.commands}-dlt", b"%d" % number, key="k", partition=number % PARTITIONS, headers=headers
        )
    assert producer.flush(SECONDS) == 0

    answers = await asyncio.gather(*[asyncio.to_thread(shop.redrives) for _ in range(2)], return_exceptions=True)
    nothing = (0, "There is nothing to redrive.\n")  # one that came when the other one had ended
    idle = [each for each in answers if isinstance(each, RedriveBusyException) or each == nothing]
    done = [each for each in answers if each == (0, f"redriven   3000 to {shop.commands}\n")]
    stored = await asyncio.to_thread(shop.records, shop.commands)

    assert (len(idle), len(done)) == (1, 1), answers
    assert sorted(int(each.value or b"") for each in stored) == list(range(3_000))
    for partition in range(PARTITIONS):
        values = [int(each.value or b"") for each in stored if each.partition == partition]
        assert values == sorted(values)


@pytest.mark.asyncio
async def test_one_that_joins_all_the_same_gives_way_to_the_one_at_work(shop: Shop) -> None:
    settings, group = shop.settings({}), f"{shop.commands}.redrive"
    partitions = [TopicPartition(f"{shop.commands}-dlt", number) for number in range(PARTITIONS)]
    async with new_group_admin(settings, shop.bootstrap) as admin, AsyncExitStack() as stack:

        def session() -> RedriveSession:
            consumer = new_consumer(settings, shop.bootstrap, [f"{shop.commands}-dlt"], group)
            stack.push_async_callback(consumer.stop)
            return RedriveSession(consumer, admin, group, partitions, SECONDS, 6.0)

        at_work, later = session(), session()
        await at_work.open()
        with pytest.raises(RedriveBusyException):
            await later.open()
        await later.close()
        async with at_work.turn():
            await at_work.commit(partitions[1], Position(3, "note"))
        assert (await admin.positions(group, partitions))[partitions[1]] == Position(3, "note")


class _Other:
    """Be another redrive, as the group sees it."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.lost = 0

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.joined.set()

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.lost += 1


@pytest.mark.asyncio
async def test_a_second_redrive_says_that_one_is_at_work_and_does_not_disturb_it(shop: Shop) -> None:
    other = _Other()
    topics = [f"{shop.commands}-dlt"]
    consumer = new_consumer(shop.settings({}), shop.bootstrap, topics, f"{shop.commands}.redrive")
    await consumer.start(other)
    async with asyncio.timeout(SECONDS):
        await other.joined.wait()

    with pytest.raises(RedriveBusyException, match=r"another redrive is at work: .* in group"):
        await asyncio.to_thread(shop.redrives)

    assert other.lost == 0
    await consumer.stop()
    assert await asyncio.to_thread(shop.redrives) == (0, "There is nothing to redrive.\n")
