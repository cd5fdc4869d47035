"""Choose the partition of each message of one topic."""

import asyncio
import random
from collections.abc import Callable

from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import UnknownTopicOrPartitionError

from cqrs.exceptions import NoSuchPartitionException, UnpublishableEventException
from cqrs.kafka.failures import unpublishable
from cqrs.kafka.partition_queue import PartitionQueue
from cqrs.kafka.partitioning import partition_index
from cqrs.kafka.places import Place, known_partitions, read_place
from cqrs.kafka.producing import Producers
from cqrs.kafka.queued import MessageQueue, QueuedMessage, Watch


class TopicQueue(MessageQueue):
    """Hand each message on to the queue of its partition; keep it only while the partitions are not known.

    Equal keys go to one partition. Messages without a key gather in a batch of one partition, the next ones in
    another's.

    Args:
        topic: The topic.
        watch: See `MessageQueue`.
        producers: What to ask and to send with.
        forget: Called when there is no such topic.
    """

    def __init__(self, topic: str, watch: Watch, producers: Producers, forget: Callable[[str], None]) -> None:
        super().__init__(topic, watch)
        self._producers = producers
        self._forget = forget
        self._place: Place | None = None
        self._queues: dict[int, PartitionQueue] = {}
        self._keyless: int | None = None

    def put(self, queued: QueuedMessage) -> None:
        """Take a message behind all others of its partition."""
        place = self._place
        if place is None or self._waiting or place.producer is not self._producers.usual.producer:
            super().put(queued)
        else:
            self._hand_on(queued, place)

    async def _work(self) -> None:
        while self._waiting:
            deadline = self._waiting[-1].deadline
            try:
                place = await self._find_place(deadline)
            except TimeoutError:
                self._end_due(max(deadline, asyncio.get_running_loop().time()))
            except UnpublishableEventException:
                self._forget(self._topic)
                raise
            else:
                while self._waiting:
                    self._hand_on(self._waiting.popleft(), place)

    async def _find_place(self, deadline: float) -> Place:
        async with self._producers.usual.using(deadline) as producer:
            async with asyncio.timeout_at(deadline):
                await known_partitions(producer, self._topic)
            producer.client.cluster.add_listener(self._take_note)
            self._place = place = read_place(producer, self._topic)
            if place is None:
                raise UnknownTopicOrPartitionError
            return place

    def _take_note(self, cluster: ClusterMetadata) -> None:
        """Follow the topic's partitions as the client learns of changes."""
        place = self._place
        if place is not None and place.producer.client.cluster is cluster:
            self._place = read_place(place.producer, self._topic)

    def _hand_on(self, queued: QueuedMessage, place: Place) -> None:
        number, key = queued.message.partition, queued.message.key
        if number is None:
            count = len(place.partitions)
            number = self._any(place) if key is None else place.partitions[partition_index(key, count)]
        elif number not in place.partitions:
            count = len(place.partitions)
            reason = unpublishable(self._topic, f"the topic has {count} partitions, none numbered {number}")
            queued.end(NoSuchPartitionException(str(reason), count))
            return
        (self._queues.get(number) or self._queue(number)).put(queued)

    def _any(self, place: Place) -> int:
        """Choose for a message without a key: where others gather, else anywhere."""
        if self._keyless not in place.available or not self._queue(self._keyless).gathers:
            self._keyless = random.choice(place.available)  # noqa: S311 - no secret
        return self._keyless

    def _queue(self, number: int) -> PartitionQueue:
        queue = self._queues.get(number)
        if queue is None:
            queue = self._queues[number] = PartitionQueue(self._topic, number, self._watch, self._producers)
        return queue
