"""Send the messages of one partition in order, in batches."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    RecordListTooLargeError,
    UnknownError,
    UnknownProducerId,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
)

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka.failures import FAILURES, unpublishable
from cqrs.kafka.gathering import GatheredBatch
from cqrs.kafka.judging import large_batch
from cqrs.kafka.places import known_partitions
from cqrs.kafka.producing import Producers
from cqrs.kafka.queued import MessageQueue, QueuedMessage, Watch

_REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTopicError,
    InvalidTimestampError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
    # What aiokafka makes of the codes it does not know, INVALID_RECORD (87) among them: final, as for Java's producer.
    UnknownError,
)
_UNEXPECTED = (OutOfOrderSequenceNumber, UnknownProducerId)
"""The broker has lost count of this client: nothing of the batch is in the log, and another client counts anew."""
_ENOUGH = 100
"""So many messages without a key wait for one partition, about a batch, before the next ones go to another."""


class PartitionQueue(MessageQueue):
    """Send what waits for one partition, one batch at a time: the next one leaves when the last one is settled.

    So nothing overtakes a batch that fails, and messages gather while one is on its way. A broker refuses whole
    batches; their messages go to the front again, in order, each to be judged alone. The client on which a batch failed
    is not used again: it counts a refused batch as sent, and would number the next ones wrongly.

    Args:
        topic: The partition's topic.
        number: The partition's number.
        watch: See `MessageQueue`.
        producers: What to send with.
    """

    def __init__(self, topic: str, number: int, watch: Watch, producers: Producers) -> None:
        super().__init__(topic, watch)
        self._number = number
        self._producers = producers
        self._batch: GatheredBatch | None = None

    @property
    def gathers(self) -> bool:
        """Say whether messages wait here that leave together, and not so many that others should go elsewhere."""
        return 0 < len(self._waiting) < _ENOUGH

    def expire(self, now: float) -> float | None:
        """End the messages that are due, those on their way too; a batch that has lost one is not sent again."""
        overdue = self._end_due(now)
        batch = self._batch
        if batch is not None and batch.messages:
            due = [queued for queued in batch.messages if queued.deadline <= now]
            if len(due) < len(batch.messages):
                if due:
                    self._tell(due, TimeoutError())
                    batch.take_back()
                return batch.messages[len(due)].deadline
            self._tell(due, TimeoutError())
            batch.abandon()
        elif batch is not None and overdue:
            # aiokafka did not take it for a whole send's time: another client may.
            batch.abandon()
        return self._waiting[0].deadline if self._waiting else None

    def fail(self, error: Exception) -> None:
        """Tell the caller of every message here, those on their way too."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._tell(batch.messages, error)
            batch.abandon()
        super().fail(error)

    async def _work(self) -> None:
        while self._waiting:
            head = self._waiting[0]
            if head.ended:
                self._waiting.popleft()
            elif head.is_large and head.single is None:
                await self._compress(head)
            else:
                await self._send_batch(large=head.is_large)

    async def _compress(self, head: QueuedMessage) -> None:
        """Make the batch of a large message in a thread: it must not hold up the consumer's heartbeats."""
        try:
            async with asyncio.timeout_at(head.deadline):
                head.single = await asyncio.to_thread(large_batch, head.message)
        except TimeoutError:
            self._end_due(head.deadline)
        except UnpublishableEventException as refusal:
            self._tell([head], refusal)

    async def _send_batch(self, *, large: bool) -> None:
        deadline = self._waiting[-1].deadline
        try:
            async with self._producers.using(deadline, large=large) as producer:
                batch = await self._hand_over(producer, deadline, large=large)
                if (error := await batch.settled) is not None:
                    raise error
        except FAILURES as error:
            self._take_failure(error, deadline)
        self._batch = None

    async def _hand_over(self, producer: AIOKafkaProducer, deadline: float, *, large: bool) -> GatheredBatch:
        known = producer.client.cluster.partitions_for_topic(self._topic)
        if not known:
            async with asyncio.timeout_at(deadline):
                known = await known_partitions(producer, self._topic)
        if self._number not in known:
            raise UnknownTopicOrPartitionError
        batch = GatheredBatch(self._waiting, producer.create_batch(), large=large)
        answer = await producer.send_batch(batch, self._topic, partition=self._number)
        answer.add_done_callback(batch.acknowledged)
        self._batch = batch
        return batch

    def _take_failure(self, error: Exception, deadline: float) -> None:
        batch = self._batch
        if batch is not None:
            batch.take_back()
            self._judge(batch, error)
        elif isinstance(error, TimeoutError):
            self._end_due(max(deadline, asyncio.get_running_loop().time()))
        else:
            self.fail(error)

    def _judge(self, batch: GatheredBatch, error: Exception) -> None:
        """Tell the callers of a batch that failed, or send their messages again when that stores none twice."""
        left = [queued for queued in batch.messages if not queued.ended]
        if not batch.attempts:
            self._put_back(left)
        elif isinstance(error, _UNEXPECTED) and not any(queued.renumbered for queued in left):
            for queued in left:
                queued.renumbered = True
            self._put_back(left)
        elif isinstance(error, _REFUSALS) and not any(queued.alone for queued in left):
            for queued in left:
                queued.alone = True
            self._put_back(left)
        else:
            self._tell(left, self._refusal(error) if isinstance(error, _REFUSALS) else error)

    def _refusal(self, error: Exception) -> Exception:
        refusal = unpublishable(self._topic, f"the broker refuses it: {error}")
        refusal.__cause__ = error
        return refusal

    def _put_back(self, queued: list[QueuedMessage]) -> None:
        self._waiting.extendleft(reversed(queued))
