import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.partitioner import DefaultPartitioner

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Receipt
from tests.unit.kafka.pretended_cluster import FENCED, TOPIC, Cluster, client_of, connect

KEYS = [b"key %d" % number for number in range(40)]


@pytest_asyncio.fixture
async def cluster() -> Cluster:
    return Cluster(partitions=4)


@pytest_asyncio.fixture
async def producer(cluster: Cluster) -> AsyncIterator[KafkaProducer]:
    made = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=5.0)
    connect(made, cluster)
    yield made
    await made.stop()


def usual_partitions(count: int) -> list[int]:
    choose = DefaultPartitioner()
    return [choose(key, list(range(count)), list(range(count))) for key in KEYS]


async def send(producer: KafkaProducer, *keys: bytes | None) -> list[Receipt]:
    async with asyncio.timeout(5):
        return await asyncio.gather(*(producer.send(OutgoingMessage(TOPIC, key, b"v")) for key in keys))


@pytest.mark.asyncio
async def test_keys_go_where_aiokafka_would_send_them(producer: KafkaProducer) -> None:
    assert [receipt.partition for receipt in await send(producer, *KEYS)] == usual_partitions(4)


@pytest.mark.asyncio
async def test_keys_follow_the_number_of_partitions(producer: KafkaProducer, cluster: Cluster) -> None:
    await send(producer, *KEYS)
    cluster.partitions = 7
    client_of(producer).learn()
    assert [receipt.partition for receipt in await send(producer, *KEYS)] == usual_partitions(7)


@pytest.mark.asyncio
async def test_a_new_client_is_asked_for_the_partitions(producer: KafkaProducer, cluster: Cluster) -> None:
    await send(producer, *KEYS)
    cluster.partitions = 7
    cluster.faults = [FENCED] * 4
    with pytest.raises(DependencyUnavailableException):
        await send(producer, *KEYS)
    cluster.faults = []
    assert [receipt.partition for receipt in await send(producer, *KEYS)] == usual_partitions(7)


@pytest.mark.asyncio
async def test_calls_before_the_partitions_are_known_are_stored_in_their_order(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.may_open.clear()
    first = asyncio.create_task(send(producer, *[b"k"] * 20))
    await asyncio.sleep(0)
    cluster.may_open.set()
    later = await send(producer, *[b"k"] * 20)
    assert [receipt.offset for receipt in await first + later] == list(range(40))


@pytest.mark.asyncio
async def test_messages_without_a_key_gather_in_one_batch(producer: KafkaProducer, cluster: Cluster) -> None:
    await producer.start()
    await send(producer, None)
    assert len({receipt.partition for receipt in await send(producer, *[None] * 50)}) == 1
    assert cluster.requests == [1, 50]


@pytest.mark.asyncio
async def test_messages_without_a_key_do_not_all_wait_for_one_partition(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    await producer.start()
    partitions = [receipt.partition for receipt in await send(producer, *[None] * 2_000)]
    assert len(set(partitions[:100])) == 1
    assert set(partitions) == {0, 1, 2, 3}


@pytest.mark.asyncio
async def test_messages_without_a_key_reach_every_partition_that_has_a_leader(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.leaderless = {1}
    await producer.start()
    assert {(await send(producer, None))[0].partition for _ in range(100)} == {0, 2, 3}
    cluster.leaderless = {0, 1, 2}
    client_of(producer).learn()
    assert {(await send(producer, None))[0].partition for _ in range(20)} == {3}


@pytest.mark.asyncio
@pytest.mark.parametrize("partition", [-1, 4, "1"])
async def test_a_partition_that_is_not_there_is_refused(producer: KafkaProducer, partition: int) -> None:
    with pytest.raises(UnpublishableEventException, match=f"4 partitions, none numbered {partition}"):
        await producer.send(OutgoingMessage(TOPIC, b"k", b"v", partition=partition))
    assert (await producer.send(OutgoingMessage(TOPIC, b"k", b"v", partition=3))).partition == 3


@pytest.mark.asyncio
async def test_nothing_is_kept_of_topics_that_are_not_there(producer: KafkaProducer) -> None:
    for _ in range(2):
        done = await asyncio.gather(
            *(producer.send(OutgoingMessage("nowhere", b"k", b"v")) for _ in range(3)), return_exceptions=True
        )
        assert [type(each) for each in done] == [UnpublishableEventException] * 3
        assert done[0] is not done[1]
    assert not producer._queues


@pytest.mark.asyncio
async def test_a_topic_that_vanishes_is_refused_and_found_when_it_is_back(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    await send(producer, b"k")
    cluster.partitions = 0
    client_of(producer).learn()
    with pytest.raises(UnpublishableEventException, match="no such topic"):
        await send(producer, b"k")
    cluster.partitions = 4
    await send(producer, b"k")


@pytest.mark.asyncio
async def test_a_topic_without_partitions_is_told_and_not_asked_for_without_end(
    producer: KafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.start()
    monkeypatch.setattr("cqrs.kafka.topic_queue.read_place", lambda *_: None)
    with pytest.raises(DependencyUnavailableException, match="UnknownTopicOrPartition"):
        await send(producer, b"k")


@pytest.mark.asyncio
async def test_what_is_due_before_the_client_has_connected_ends_in_time(cluster: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=0.05)
    connect(producer, cluster)
    cluster.may_open.clear()
    with pytest.raises(DependencyUnavailableException, match="no answer in time"):
        await send(producer, b"k")
    cluster.may_open.set()
    await send(producer, b"k")
    await producer.stop()
