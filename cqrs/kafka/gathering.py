# ruff: noqa: SLF001 - what aiokafka's sender asks of a batch has underscores
"""A batch that aiokafka's sender fills when it takes it, and that can be taken back from it."""

import asyncio
from collections import deque

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from cqrs.kafka.failures import unpublishable
from cqrs.kafka.queued import QueuedMessage
from cqrs.messaging.message import Receipt


class GatheredBatch:
    """Be a batch of messages that wait in a queue, taken in order at the moment when they can leave.

    It is handed to aiokafka empty. So a message that waits alone leaves at once, those that wait while the sender is
    busy leave together, and one that has been given up meanwhile does not leave at all. aiokafka asks for the number
    of records first, once it has a connection's turn for the batch: that is the moment.

    A batch whose number of records is 0 is dropped by aiokafka without a request. This is how it is taken back, also
    between two attempts.

    Args:
        waiting: The queue; what the batch takes leaves it.
        builder: An empty builder, for all that it can write.
        large: Whether it takes a large message, or only others.
    """

    def __init__(self, waiting: deque[QueuedMessage], builder: BatchBuilder, *, large: bool = False) -> None:
        self._waiting = waiting
        self._builder: BatchBuilder = builder
        self._large = large
        self._taken_back = False
        self.messages: list[QueuedMessage] = []
        """What it took, in order."""
        self.is_filled = False
        """Whether it has taken its messages; it takes no others then."""
        self.attempts = 0
        """How often it was put into a request."""
        self.settled: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        """Done when there is nothing more to wait for; its result is what went wrong with what was taken."""

    def acknowledged(self, answer: asyncio.Future[RecordMetadata | None]) -> None:
        """Take aiokafka's word, also when nobody waits for it any more."""
        error = TimeoutError() if answer.cancelled() else answer.exception()
        if self.settled.done():
            return
        if error is None:
            error = self._take_result(answer.result())
        # Only now: who was told and sends the next message at once puts it into the next batch.
        self.settled.set_result(error)

    def take_back(self) -> None:
        """Let it not be sent, or not once more."""
        self._taken_back = True

    def abandon(self) -> None:
        """Take it back, and wait no longer for an answer to what was sent of it."""
        self.take_back()
        if not self.settled.done():
            self.settled.set_result(TimeoutError())

    def record_count(self) -> int:
        """Return how many records it has, and take them in when it is asked first; 0 when it must not be sent."""
        if self._taken_back:
            return 0
        if not self.is_filled:
            self._fill()
        return 0 if all(queued.ended for queued in self.messages) else len(self.messages)

    def closed(self) -> bool:
        """Say that it need not wait for more."""
        return True

    def _take_result(self, stored: RecordMetadata | None) -> Exception | None:
        """Tell each caller where its message is; aiokafka says nothing of a batch that it dropped."""
        if stored is None:
            return TimeoutError() if self.messages else None
        topic, partition, offset = stored.topic, stored.partition, stored.offset
        # -1 is the answer to a repeated batch when the broker no longer knows where it is.
        step = 1 if offset >= 0 else 0
        for queued in self.messages:
            if not queued.outcome.done():
                queued.outcome.set_result(Receipt(topic, partition, offset))
            offset += step
        return None

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder._set_producer_state(producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        self.attempts += 1
        built: bytearray = self._builder._build()
        return built

    def _fill(self) -> None:
        self.is_filled = True
        waiting, messages = self._waiting, self.messages
        while waiting:
            queued = waiting[0]
            if not queued.outcome.done():
                if queued.is_large != self._large or (queued.is_large and queued.single is None):
                    return  # for the other client, or not compressed yet
                if (queued.alone and messages) or not self._write(queued):
                    return
                if not queued.outcome.done():
                    messages.append(queued)
            waiting.popleft()
            if queued.alone and messages:
                return

    def _write(self, queued: QueuedMessage) -> bool:
        """Write it, and say whether there was room; one that cannot be written is told so."""
        if queued.single is not None:
            self._builder = queued.single
            return True
        message = queued.message
        try:
            written = self._builder.append(
                timestamp=queued.timestamp_ms, key=message.key, value=message.value, headers=queued.headers
            )
        except Exception as error:  # noqa: BLE001 - aiokafka's sender, which asks, would end for every message
            queued.end(unpublishable(message.topic, f"it cannot be written: {error}"))
            return True
        return written is not None
