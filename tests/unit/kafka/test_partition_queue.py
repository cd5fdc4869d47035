import asyncio
import gc
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Receipt
from tests.unit.kafka.pretended_cluster import (
    AWAY,
    DENIED,
    FENCED,
    INVALID_RECORD,
    LOST,
    NOT_LEADER,
    OUT_OF_ORDER,
    TOO_LARGE,
    TOPIC,
    UNKNOWN_PRODUCER,
    Cluster,
    Fault,
    connect,
)

Sends = list[asyncio.Task[Receipt]]


@pytest_asyncio.fixture
async def cluster() -> Cluster:
    return Cluster(partitions=1)


@pytest_asyncio.fixture
async def producer(cluster: Cluster) -> AsyncIterator[KafkaProducer]:
    made = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=5.0)
    connect(made, cluster)
    yield made
    await made.stop()


@pytest.fixture(autouse=True)
def complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail on what asyncio complains of: exceptions that nobody retrieved, tasks that were lost."""
    yield
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


def send(producer: KafkaProducer, *values: bytes, key: bytes = b"k") -> Sends:
    return [asyncio.create_task(producer.send(OutgoingMessage(TOPIC, key, value))) for value in values]


async def outcomes(sends: Sends) -> list[object]:
    """Return each offset, or the class of what was raised."""
    async with asyncio.timeout(5):
        done = await asyncio.gather(*sends, return_exceptions=True)
    return [each.offset if isinstance(each, Receipt) else type(each) for each in done]


@pytest.mark.asyncio
async def test_a_lone_message_leaves_at_once(producer: KafkaProducer, cluster: Cluster) -> None:
    [first] = send(producer, b"1")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    assert (await first).offset == 0


@pytest.mark.asyncio
async def test_messages_gather_while_a_batch_is_on_its_way(producer: KafkaProducer, cluster: Cluster) -> None:
    cluster.hold.clear()
    sends = send(producer, b"0")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    for number in range(1, 50):
        sends += send(producer, b"%d" % number)
        await asyncio.sleep(0)
    cluster.hold.set()
    assert await outcomes(sends) == list(range(50))
    assert cluster.requests == [1, 49]


@pytest.mark.asyncio
async def test_what_does_not_fit_into_a_batch_waits_for_the_next(producer: KafkaProducer, cluster: Cluster) -> None:
    sends = send(producer, *(b"%05d" % number * 1_000 for number in range(10)))
    assert await outcomes(sends) == list(range(10))
    assert len(cluster.requests) == 4


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [INVALID_RECORD, TOO_LARGE])
async def test_a_refused_batch_is_sent_message_by_message_and_nothing_overtakes_it(
    producer: KafkaProducer, cluster: Cluster, code: int
) -> None:
    cluster.faults = [code]
    cluster.hold.clear()
    sends = send(producer, b"1", b"2", b"3")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    sends += send(producer, b"4", b"5")
    await asyncio.sleep(0)
    cluster.hold.set()
    assert await outcomes(sends) == [0, 1, 2, 3, 4]
    assert cluster.requests == [3, 1, 1, 1, 2]
    assert cluster.values() == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [OUT_OF_ORDER, UNKNOWN_PRODUCER])
async def test_a_batch_whose_number_is_not_expected_is_sent_anew_by_a_client_that_counts_anew(
    producer: KafkaProducer, cluster: Cluster, code: int
) -> None:
    cluster.faults = [code]
    cluster.hold.clear()
    sends = send(producer, b"1", b"2", b"3")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    sends += send(producer, b"4")
    await asyncio.sleep(0)
    cluster.hold.set()
    assert await outcomes(sends) == [0, 1, 2, 3]
    assert cluster.clients == 2


@pytest.mark.asyncio
async def test_numbers_that_are_never_expected_end_in_an_error(producer: KafkaProducer, cluster: Cluster) -> None:
    cluster.faults = [OUT_OF_ORDER, OUT_OF_ORDER]
    assert await outcomes(send(producer, b"1", b"2")) == [DependencyUnavailableException] * 2
    assert await outcomes(send(producer, b"3")) == [0]


@pytest.mark.asyncio
@pytest.mark.parametrize("faults", [[INVALID_RECORD, OUT_OF_ORDER], [OUT_OF_ORDER, INVALID_RECORD]])
async def test_one_trouble_after_another_is_overcome(
    producer: KafkaProducer, cluster: Cluster, faults: list[Fault]
) -> None:
    cluster.faults = list(faults)
    assert await outcomes(send(producer, b"1", b"2", b"3")) == [0, 1, 2]
    assert cluster.values() == [b"1", b"2", b"3"]


@pytest.mark.asyncio
async def test_a_refused_message_costs_only_itself(producer: KafkaProducer, cluster: Cluster) -> None:
    sends = send(producer, b"1", b"refused", b"3", b"4")
    sends += send(producer, b"5")
    assert await outcomes(sends) == [0, UnpublishableEventException, 1, 2, 3]
    assert cluster.values() == [b"1", b"3", b"4", b"5"]


@pytest.mark.asyncio
async def test_each_caller_of_a_failed_batch_has_an_error_of_its_own(producer: KafkaProducer, cluster: Cluster) -> None:
    cluster.faults = [FENCED]
    done = await asyncio.gather(*send(producer, b"1", b"2"), return_exceptions=True)
    assert [type(each) for each in done] == [DependencyUnavailableException] * 2
    assert done[0] is not done[1]
    assert (await producer.send(OutgoingMessage(TOPIC, b"k", b"3"))).offset == 0


@pytest.mark.asyncio
async def test_what_follows_a_failed_batch_goes_by_a_new_client(producer: KafkaProducer, cluster: Cluster) -> None:
    cluster.faults = [DENIED]
    cluster.hold.clear()
    failed = send(producer, b"1")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    followers = send(producer, b"2", b"3")
    cluster.hold.set()
    assert await outcomes(failed + followers) == [DependencyUnavailableException, 0, 1]
    assert cluster.clients == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("faults", [[LOST], [AWAY, LOST, AWAY], [NOT_LEADER, NOT_LEADER]])
async def test_a_batch_that_is_repeated_is_stored_once_and_before_what_follows(
    producer: KafkaProducer, cluster: Cluster, faults: list[Fault]
) -> None:
    cluster.faults = list(faults)
    cluster.hold.clear()
    sends = send(producer, b"1", b"2")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    sends += send(producer, b"3")
    await asyncio.sleep(0)
    cluster.hold.set()
    assert await outcomes(sends) == [0, 1, 2]
    assert cluster.values() == [b"1", b"2", b"3"]
    assert cluster.clients == 1


@pytest.mark.asyncio
async def test_a_cancelled_caller_leaves_the_others_of_its_batch_as_they_are(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.hold.clear()
    sends = send(producer, b"1", b"2", b"3")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    sends[1].cancel()
    cluster.hold.set()
    assert await outcomes(sends) == [0, asyncio.CancelledError, 2]


@pytest.mark.asyncio
async def test_a_message_whose_caller_is_cancelled_before_it_leaves_is_not_sent(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.hold.clear()
    sends = send(producer, b"1")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    sends += send(producer, b"2", b"3", b"4")
    await asyncio.sleep(0)
    sends[1].cancel()
    sends[3].cancel()
    cluster.hold.set()
    assert await outcomes(sends) == [0, asyncio.CancelledError, 1, asyncio.CancelledError]
    assert cluster.values() == [b"1", b"3"]


@pytest.mark.asyncio
async def test_a_batch_for_which_nobody_waits_any_more_is_not_sent_again(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.faults = [AWAY]
    cluster.hold.clear()
    sends = send(producer, b"1", b"2")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    for each in sends:
        each.cancel()
    followers = send(producer, b"3")
    await asyncio.sleep(0)
    cluster.hold.set()
    assert await outcomes(followers) == [0]
    assert cluster.values() == [b"3"]


@pytest.mark.asyncio
async def test_a_partition_without_a_leader_is_waited_for_although_aiokafka_gives_up(cluster: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=5.0)
    connect(producer, cluster, request_timeout_ms=20)
    cluster.leader = -1
    await producer.start()
    sends = send(producer, b"1", b"2")
    for _ in range(2):
        cluster.opened.clear()
        await asyncio.wait_for(cluster.opened.wait(), 5)
    sends += send(producer, b"3")
    cluster.leader = 1
    assert await outcomes(sends) == [0, 1, 2]
    await producer.stop()


@pytest.mark.asyncio
async def test_what_is_due_ends_in_time_and_is_not_sent_later(cluster: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=0.05)
    connect(producer, cluster)
    cluster.leader = -1
    assert await outcomes(send(producer, b"1", b"2")) == [DependencyUnavailableException] * 2
    cluster.leader = 1
    assert await outcomes(send(producer, b"3")) == [0]
    assert cluster.values() == [b"3"]
    await producer.stop()


@pytest.mark.asyncio
async def test_what_follows_a_batch_that_is_never_answered_goes_by_another_client(cluster: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=0.05)
    connect(producer, cluster)
    cluster.hold.clear()
    assert await outcomes(send(producer, b"1")) == [DependencyUnavailableException]
    cluster.hold = asyncio.Event()
    cluster.hold.set()
    assert await outcomes(send(producer, b"2")) == [0]
    assert cluster.clients == 2
    await producer.stop()


@pytest.mark.asyncio
async def test_a_batch_that_lost_a_message_to_its_deadline_is_not_sent_again(cluster: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=5.0)
    connect(producer, cluster)
    cluster.faults = [AWAY]
    cluster.hold.clear()
    sends = send(producer, b"1", b"2")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    queue = producer._queues[TOPIC]._queues[0]
    assert queue._batch is not None
    first, second = queue._batch.messages
    assert queue.expire(first.deadline) == second.deadline
    cluster.hold.set()
    assert await outcomes(sends + send(producer, b"3")) == [DependencyUnavailableException] * 2 + [0]
    assert cluster.values() == [b"3"]
    await producer.stop()


@pytest.mark.asyncio
async def test_an_answer_that_comes_after_one_deadline_is_in_time_for_the_others(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.hold.clear()
    sends = send(producer, b"1", b"2")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    queue = producer._queues[TOPIC]._queues[0]
    assert queue._batch is not None
    queue.expire(queue._batch.messages[0].deadline)
    cluster.hold.set()
    assert await outcomes(sends + send(producer, b"3")) == [DependencyUnavailableException, 1, 2]
    assert cluster.clients == 1


@pytest.mark.asyncio
async def test_messages_wait_for_no_broker_that_cannot_be_reached(producer: KafkaProducer, cluster: Cluster) -> None:
    cluster.is_away = True
    assert await outcomes(send(producer, b"1", b"2")) == [DependencyUnavailableException] * 2
    cluster.is_away = False
    assert await outcomes(send(producer, b"3")) == [0]


@pytest.mark.asyncio
async def test_a_topic_that_vanishes_while_messages_wait_makes_them_unpublishable(
    producer: KafkaProducer, cluster: Cluster
) -> None:
    cluster.faults = [FENCED]
    cluster.hold.clear()
    sends = send(producer, b"1")
    await asyncio.wait_for(cluster.arrived.wait(), 5)
    sends += send(producer, b"2")
    await asyncio.sleep(0)
    cluster.partitions = 0
    cluster.hold.set()
    assert await outcomes(sends) == [DependencyUnavailableException, UnpublishableEventException]


@pytest.mark.asyncio
async def test_a_failure_that_nobody_foresaw_is_told_to_every_caller(
    producer: KafkaProducer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.start()
    monkeypatch.setattr("cqrs.kafka.partition_queue.GatheredBatch", None)
    done = await asyncio.gather(*send(producer, b"1", b"2"), return_exceptions=True)
    assert [type(each) for each in done] == [TypeError] * 2
    monkeypatch.undo()
    assert await outcomes(send(producer, b"3")) == [0]
