"""Messages that have been accepted and whose callers wait, and the one timer that ends those whose time is up."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from aiokafka.errors import KafkaTimeoutError

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka.batches import SingleRecordBatch
from cqrs.kafka.failures import FAILURES, unavailable
from cqrs.messaging.message import OutgoingMessage, Receipt

Outcome: TypeAlias = Receipt | Exception


@dataclass(slots=True, eq=False)
class QueuedMessage:
    """Hold a message until its caller is told how it ended.

    An error is told as a result, not as the future's exception: a caller who was cancelled never asks for it, and
    asyncio would complain of an exception that nobody retrieved.

    Attributes:
        message: What is sent.
        headers: Its headers, in the list that aiokafka's builder asks for.
        outcome: What its caller waits for.
        deadline: When it is given up, in the loop's time.
        timestamp_ms: When it was accepted, in milliseconds since the epoch.
        alone: Whether it must share its batch with no other.
        is_large: Whether it goes by the client for large messages, compressed.
        single: Its own batch, when aiokafka's builder cannot write it.
        renumbered: Whether it is sent anew because the broker did not expect its batch's number.
    """

    message: OutgoingMessage
    headers: list[tuple[str, bytes | None]]
    outcome: asyncio.Future[Outcome]
    deadline: float
    timestamp_ms: int
    alone: bool = False
    is_large: bool = False
    single: SingleRecordBatch | None = None
    renumbered: bool = False

    @property
    def ended(self) -> bool:
        """Say whether its caller has been told, or has gone."""
        return self.outcome.done()

    def end(self, outcome: Outcome) -> None:
        """Tell its caller; harmless when it has ended."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Watch:
    """Know which queues are at work, and end what is due, with one timer for all of them.

    Every message has the same time from its acceptance on, so that those accepted later are due later.
    """

    def __init__(self) -> None:
        self._working: dict[MessageQueue, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, queue: "MessageQueue") -> None:
        """Let `queue` work in a task of its own."""
        self._working[queue] = asyncio.create_task(queue.run())

    def ended(self, queue: "MessageQueue") -> None:
        """Take note that the task of `queue` ends."""
        self._working.pop(queue, None)

    def remind(self, deadline: float) -> None:
        """Make sure that what is due at the loop's time `deadline` is ended then."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._ring)

    async def until_idle(self, seconds: float) -> bool:
        """Wait until no queue works any more, at most so long; say whether that is so."""
        end = asyncio.get_running_loop().time() + seconds
        while self._working and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._working.values(), timeout=left)
        return not self._working

    async def give_up(self, error: Exception) -> None:
        """End every message with `error`, and the work of every queue."""
        working = dict(self._working)
        for queue, task in working.items():
            queue.fail(error)
            task.cancel()
        if working:
            await asyncio.wait(working.values())
        for queue, task in working.items():
            if self._working.get(queue) is task:
                # It was cancelled before its first step, so that nothing of it ever ran.
                queue.stopped()

    def stop(self) -> None:
        """Stop the timer; the next message starts it anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        due = [next_due for queue in list(self._working) if (next_due := queue.expire(now)) is not None]
        if due:
            self.remind(min(due))


class MessageQueue(ABC):
    """Keep accepted messages in order until they have gone on, with a task that runs while there are any.

    Args:
        topic: Where the messages go.
        watch: What starts the task and ends the messages whose time is up.
    """

    def __init__(self, topic: str, watch: Watch) -> None:
        self._topic = topic
        self._watch = watch
        self._waiting: deque[QueuedMessage] = deque()
        self._works = False

    def put(self, queued: QueuedMessage) -> None:
        """Take a message behind all others; it goes on, or its caller is told why not."""
        self._waiting.append(queued)
        if not self._works:
            self._works = True
            self._watch.start(self)
        self._watch.remind(queued.deadline)

    async def run(self) -> None:
        """Work until nothing waits; whatever goes wrong, no caller is left waiting."""
        try:
            await self._work()
        except Exception as error:  # noqa: BLE001 - the callers are told, each of them
            self.fail(error)
        finally:
            self.stopped()

    def stopped(self) -> None:
        """Take note that the task has ended; after a cancellation something may wait here still."""
        self.fail(KafkaTimeoutError("the producer was stopped before an acknowledgement came"))
        self._works = False
        self._watch.ended(self)

    def expire(self, now: float) -> float | None:
        """End the messages that are due at the loop's time `now`, and return when the next one is."""
        self._end_due(now)
        return self._waiting[0].deadline if self._waiting else None

    def fail(self, error: Exception) -> None:
        """Tell the caller of every message here of `error`."""
        self._tell(self._waiting, error)
        self._waiting.clear()

    @abstractmethod
    async def _work(self) -> None:
        """Send on what waits, until nothing does."""

    def _end_due(self, now: float) -> bool:
        """End what is due, and say whether anything was."""
        found = False
        while self._waiting and self._waiting[0].deadline <= now:
            self._tell([self._waiting.popleft()], TimeoutError())
            found = True
        return found

    def _tell(self, queued: Iterable[QueuedMessage], error: Exception) -> None:
        """Give each caller an exception of its own: what is raised collects the frames it passes."""
        for each in queued:
            if isinstance(error, UnpublishableEventException):
                refusal = UnpublishableEventException(str(error))
                refusal.__cause__ = error.__cause__
                each.end(refusal)
            elif isinstance(error, FAILURES):
                each.end(unavailable(f"sending to {self._topic}", error))
            else:
                each.end(error)
