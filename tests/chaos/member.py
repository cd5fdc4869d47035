"""A light member of a group: our consumer, lanes and producer, and a handler that copies each record under its name."""

import asyncio
import signal
from dataclasses import dataclass

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber

COMMIT_SECONDS = 0.5
COMMIT_RECORDS = 200
IN_FLIGHT = 50


@dataclass(frozen=True, slots=True)
class Membership:
    """Say what a member reads and writes.

    Attributes:
        kafka: The brokers.
        group: Its group.
        source: The topic it reads.
        target: The topic it copies to.
        session_seconds: Silence after which the group takes it for dead.
        work_seconds: How long its handler takes with each record.
    """

    kafka: str
    group: str
    source: str
    target: str
    session_seconds: float
    work_seconds: float


def run_member(name: str, membership: Membership) -> None:
    """Consume until SIGTERM, then leave in order."""
    asyncio.run(_run(name.encode(), membership))


async def _run(name: bytes, membership: Membership) -> None:
    producer = KafkaProducer(bootstrap_servers=membership.kafka)
    consumer = KafkaConsumer(
        (membership.source,),
        membership.group,
        bootstrap_servers=membership.kafka,
        session_timeout_seconds=membership.session_seconds,
    )

    async def copy(delivery: Delivery) -> Outcome:
        message = delivery.message
        await asyncio.sleep(membership.work_seconds)
        await producer.send(OutgoingMessage(membership.target, message.key, b"%s %s" % (message.value, name)))
        return HANDLED

    subscriber = Subscriber(
        consumer,
        copy,
        backoff=Backoff(0.05, 1.0),
        limits=Limits(max_in_flight=IN_FLIGHT, buffer=500, max_poll_records=200),
        commit_seconds=COMMIT_SECONDS,
        commit_records=COMMIT_RECORDS,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, subscriber.stop)
    await producer.start()
    try:
        await subscriber.run()
    finally:
        await producer.stop()
