# ruff: noqa: SLF001 - aiokafka has no public way to end a client whose brokers are away
"""Close aiokafka's clients for good, also when their brokers are away.

`stop()` of either client waits for answers and, with the brokers away, for ever; cut short it leaves tasks and sockets
behind. These functions end what aiokafka started, through the same attributes that its own `stop()` uses.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from aiokafka.producer.message_accumulator import MessageAccumulator

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 2.0
_COORDINATOR_TASKS = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_leaving_task")


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """Fail what `producer` has not delivered, end its tasks and close its connections; harmless after its stop."""
    sender = producer._sender
    if sender.sender_task is not None:
        # It would fail everything once more, and raises when there is no transaction.
        sender.sender_task.remove_done_callback(sender._fail_all)
    _fail_undelivered(producer._message_accumulator)
    await _end([sender.sender_task])
    await ends_within(producer.client.close(), _PATIENCE_SECONDS)
    await ends_within(producer.stop(), _PATIENCE_SECONDS)


async def abandon_consumer(consumer: AIOKafkaConsumer) -> None:
    """End the tasks of `consumer` and close its connections, without a commit or a word to the group."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks = [getattr(coordinator, name, None) for name in _COORDINATOR_TASKS]
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    await _end(tasks)
    await ends_within(consumer._client.close(), _PATIENCE_SECONDS)
    consumer._coordinator = None  # its stop() would speak to the group again
    consumer._fetcher = None
    await ends_within(consumer.stop(), _PATIENCE_SECONDS)


def _fail_undelivered(accumulator: MessageAccumulator) -> None:
    accumulator.fail_all(KafkaTimeoutError("the producer was closed before an acknowledgement came"))
    for waiting in accumulator._batches.values():
        for batch in waiting:
            # Nobody has to wait for a place in this batch; asked, the error does not count as overlooked.
            batch._drain_waiter.exception()


async def ends_within(closing: Coroutine[object, object, None], seconds: float) -> bool:
    """Run `closing` in a task of its own, and say whether it ended well in time.

    aiokafka lets the cancellation of its own tasks out of `stop()`; it must not pass for one of the caller.
    """
    task = asyncio.create_task(closing)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        in_time = task.done()
        await _end([task])
    return in_time and not task.cancelled() and task.exception() is None


async def _end(tasks: Iterable[asyncio.Task[None] | None]) -> None:
    alive = [task for task in tasks if task is not None and not task.done()]
    for task in alive:
        task.cancel()
    if alive:
        await asyncio.wait(alive, timeout=_PATIENCE_SECONDS)
    for task in alive:
        if task.done() and not task.cancelled() and task.exception():
            _log.debug("A Kafka client's task ended with %r", task.exception())
