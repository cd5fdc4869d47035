"""Whatever fails, and however often: every send ends truly, and each key stays in order. Checked by properties."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import Receipt
from tests.unit.kafka.pretended_cluster import (
    AWAY,
    DENIED,
    FENCED,
    INVALID_RECORD,
    LOST,
    NOT_LEADER,
    OK,
    OUT_OF_ORDER,
    Cluster,
    Fault,
    connect,
)
from tests.unit.kafka.test_partition_queue import send

Wave = tuple[list[tuple[int, bool]], int, list[int], bool]
waves = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9).map(lambda n: n == 0)), max_size=6),
        st.integers(0, 12),
        st.lists(st.integers(0, 30), max_size=2),
        st.integers(0, 5).map(lambda n: n == 0),
    ),
    max_size=6,
)
some_faults = st.lists(
    st.sampled_from([OK, OK, OK, OK, LOST, AWAY, NOT_LEADER, OUT_OF_ORDER, FENCED, DENIED, INVALID_RECORD]), max_size=8
)


@given(waves, some_faults)
@settings(deadline=None, max_examples=300)
def test_whatever_fails_each_send_ends_truly_and_each_key_stays_in_order(
    steps: list[Wave], faults: list[Fault]
) -> None:
    asyncio.run(check(steps, faults))


async def check(steps: list[Wave], faults: list[Fault]) -> None:
    cluster = Cluster(partitions=2, faults=faults)
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:1", send_timeout_seconds=5.0)
    connect(producer, cluster)
    sent: dict[bytes, tuple[int, asyncio.Task[Receipt]]] = {}
    for messages, turns, cancelled, is_due in steps:
        for key, is_refused in messages:
            value = b"%s %d" % (b"refused" if is_refused else b"good", len(sent))
            [sent_one] = send(producer, value, key=b"key %d" % key)
            sent[value] = (key, sent_one)
        for _ in range(turns):
            await asyncio.sleep(0)
        for number in cancelled:
            if number < len(sent):
                list(sent.values())[number][1].cancel()
        if is_due:
            end_oldest(producer)
    async with asyncio.timeout(5):
        await asyncio.gather(*(task for _, task in sent.values()), return_exceptions=True)
        await producer.stop()
    judge(cluster, sent)


def end_oldest(producer: KafkaProducer) -> None:
    """Let the time of the oldest message of each partition be up."""
    for topic in producer._queues.values():
        for queue in topic._queues.values():
            here = [*(queue._batch.messages if queue._batch else ()), *queue._waiting]
            if here:
                queue.expire(here[0].deadline)


def judge(cluster: Cluster, sent: dict[bytes, tuple[int, asyncio.Task[Receipt]]]) -> None:
    order = {value: number for number, value in enumerate(sent)}
    for log in cluster.logs.values():
        for key in range(4):
            numbers = [order[stored.value or b""] for stored in log if stored.key == b"key %d" % key]
            first_seen = list(dict.fromkeys(numbers))
            assert first_seen == sorted(first_seen), "a key's messages are out of order"
    everything = [stored.value for log in cluster.logs.values() for stored in log]
    for value, (_, task) in sent.items():
        if task.cancelled():
            continue
        error = task.exception()
        if value.startswith(b"refused"):
            assert value not in everything
        if error is None:
            receipt = task.result()
            assert cluster.log(receipt.partition)[receipt.offset].value == value
            assert everything.count(value) == 1
        else:
            assert isinstance(error, DependencyUnavailableException | UnpublishableEventException)
