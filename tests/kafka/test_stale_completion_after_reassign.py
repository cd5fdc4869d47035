"""Work that ends after its partition went and came back neither commits nor counts for the new assignment."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging import workers
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage
from cqrs.messaging.subscriber import Subscriber
from cqrs.testing.outside_groups import committed_offsets

SECONDS = 60.0


@pytest.mark.asyncio
async def test_the_late_word_of_an_old_assignment_is_dropped(
    create_topics: Callable[..., list[str]],
    consumers: Callable[..., KafkaConsumer],
    producers: Callable[..., KafkaProducer],
    kafka_bootstrap: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "ABANDON_SECONDS", 0.1)
    (topic,) = create_topics("stale")
    await producers().send(OutgoingMessage(topic, b"k", b"v"))
    runs: list[asyncio.Event] = []
    began, late = asyncio.Event(), asyncio.Event()

    async def stubborn(delivery: Delivery) -> Outcome:
        """Go on although it is cancelled, as a thread does."""
        opened = asyncio.Event()
        runs.append(opened)
        began.set()
        waiting = asyncio.create_task(opened.wait())
        while not waiting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(waiting)
        late.set()
        return HANDLED

    consumer = consumers(topic)
    subscriber = Subscriber(consumer, stubborn, backoff=Backoff(0.05, 1.0), commit_seconds=0.05, drain_seconds=0.1)
    running = asyncio.create_task(subscriber.run())
    await asyncio.wait_for(began.wait(), SECONDS)
    began.clear()
    # Another member joins and leaves: the partition goes away from the first one, or comes back to it anew.
    other = consumers(topic)
    await other.start(Nobody())
    await other.stop()
    await asyncio.wait_for(began.wait(), SECONDS)
    assert len(runs) == 2, "the new assignment runs the record again"
    runs[0].set()
    await asyncio.wait_for(late.wait(), SECONDS)
    late.clear()
    assert await committed(kafka_bootstrap, topic) == {}, "the old run has no say any more"
    runs[1].set()
    await asyncio.wait_for(late.wait(), SECONDS)
    subscriber.stop()
    await asyncio.wait_for(running, SECONDS)
    assert await committed(kafka_bootstrap, topic) == {0: 1}


class Nobody:
    async def on_assigned(self, committed: object) -> None: ...
    async def on_revoked(self, partitions: object) -> None: ...


async def committed(bootstrap: str, topic: str) -> dict[int, int]:
    return await asyncio.to_thread(committed_offsets, bootstrap, f"readers of {topic}", topic)
