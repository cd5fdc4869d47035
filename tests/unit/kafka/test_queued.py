import asyncio

import pytest

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.kafka.queued import MessageQueue, Outcome, QueuedMessage, Watch
from cqrs.messaging.message import OutgoingMessage, Receipt


class Queue(MessageQueue):
    """Keep what it has until it may go on, and then say that it is stored."""

    def __init__(self, watch: Watch) -> None:
        super().__init__("orders", watch)
        self.may_go_on = asyncio.Event()
        self.runs = 0

    async def _work(self) -> None:
        self.runs += 1
        await self.may_go_on.wait()
        while self._waiting:
            self._waiting.popleft().end(Receipt("orders", 0, self.runs))


def queued(seconds: float = 5.0) -> QueuedMessage:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Outcome] = loop.create_future()
    return QueuedMessage(OutgoingMessage("orders", b"k", b"v"), [], outcome, loop.time() + seconds, 0)


async def ended(message: QueuedMessage) -> Outcome:
    return await asyncio.wait_for(message.outcome, 5)


@pytest.mark.asyncio
async def test_a_queue_works_while_it_has_something_and_again_when_it_gets_more() -> None:
    watch = Watch()
    queue = Queue(watch)
    queue.may_go_on.set()
    for run in (1, 2):
        messages = [queued(), queued()]
        for each in messages:
            queue.put(each)
        assert [await ended(each) for each in messages] == [Receipt("orders", 0, run)] * 2
        assert await watch.until_idle(5)


@pytest.mark.asyncio
async def test_each_message_ends_when_its_own_time_is_up_and_one_timer_sees_to_all() -> None:
    watch = Watch()
    first, second = Queue(watch), Queue(watch)
    messages = [queued(0.01), queued(0.02), queued(0.03), queued(60)]
    for queue, message in zip((first, second, first, second), messages, strict=True):
        queue.put(message)
    timer = watch._timer
    assert timer is not None
    assert timer.when() == messages[0].deadline
    for message in messages[:3]:
        error = await ended(message)
        assert isinstance(error, DependencyUnavailableException)
        assert "sending to orders: no answer in time" in str(error)
    assert not messages[3].ended
    assert watch._timer is not None
    assert watch._timer.when() == messages[3].deadline
    second.may_go_on.set()
    await ended(messages[3])
    watch.stop()
    assert watch._timer is None


@pytest.mark.asyncio
async def test_who_gives_up_ends_everything_also_what_had_not_begun() -> None:
    watch = Watch()
    begun, not_begun = Queue(watch), Queue(watch)
    messages = [queued(), queued()]
    begun.put(messages[0])
    await asyncio.sleep(0)
    not_begun.put(messages[1])
    assert not await watch.until_idle(0)
    await watch.give_up(TimeoutError("stopped"))
    assert [type(await ended(each)) for each in messages] == [DependencyUnavailableException] * 2
    assert await watch.until_idle(0)
    assert (begun.runs, not_begun.runs) == (1, 0)
    for queue in (begun, not_begun):
        queue.may_go_on.set()
        queue.put(again := queued())
        assert isinstance(await ended(again), Receipt)


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_tells_its_callers() -> None:
    watch = Watch()
    queue = Queue(watch)
    queue.put(message := queued())
    await asyncio.sleep(0)
    [task] = watch._working.values()
    task.cancel()
    error = await ended(message)
    assert isinstance(error, DependencyUnavailableException)
    assert "stopped" in str(error)


@pytest.mark.asyncio
async def test_every_caller_has_an_error_of_its_own_with_the_cause() -> None:
    queue = Queue(Watch())
    cause = ValueError("why")
    refusal = UnpublishableEventException("refused")
    refusal.__cause__ = cause
    for error in (refusal, TimeoutError()):
        messages = [queued(), queued()]
        for each in messages:
            queue.put(each)
        queue.fail(error)
        one, other = [await ended(each) for each in messages]
        assert isinstance(one, Exception)
        assert one is not other
        assert one.__cause__ is (cause if error is refusal else error)
    await queue._watch.give_up(TimeoutError())
    queue._watch.stop()


@pytest.mark.asyncio
async def test_a_message_ends_once() -> None:
    message = queued()
    message.end(Receipt("orders", 0, 1))
    message.end(TimeoutError())
    assert await ended(message) == Receipt("orders", 0, 1)
