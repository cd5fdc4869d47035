"""Keys that stand still: their later records follow the first one into the dead letters, until they are redriven."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from cqrs.messaging.commit_note import MOST_HALTED, key_digest
from cqrs.messaging.dead_letter_headers import REDRIVE_COUNT, REDRIVE_RELEASE
from cqrs.messaging.dead_letters import HaltingException
from cqrs.messaging.delivery import Delivery, DeliveryHandler, Middleware, Outcome
from cqrs.messaging.message import Message, TopicPartition

logger = logging.getLogger(__name__)

EVERY_KEY = bytes(8)
"""Stands for all keys of a partition: past `MOST_HALTED` of them the whole partition is halted."""


class KeyHaltedException(HaltingException):
    """Report a record that follows an earlier one of its key into the dead letters."""

    halts = "follower"


class HaltedKeys:
    """Know which keys of the assigned partitions are halted, as digests.

    They travel in the commit metadata, so that the next owner of the partition knows them too.
    """

    def __init__(self) -> None:
        self._digests: dict[TopicPartition, set[bytes]] = {}

    def assign(self, partition: TopicPartition, digests: Iterable[bytes]) -> None:
        """Take over what the last owner of `partition` had noted."""
        self._digests.pop(partition, None)
        if halted := set(digests):
            self._digests[partition] = halted

    def revoke(self, partition: TopicPartition) -> None:
        """Forget the keys of `partition`."""
        self._digests.pop(partition, None)

    def of(self, partition: TopicPartition) -> frozenset[bytes]:
        """Return the digests of the halted keys of `partition`."""
        return frozenset(self._digests.get(partition, ()))

    def holds(self, message: Message) -> bool:
        """Say whether the key of `message` is halted."""
        if not self._digests:
            return False
        digests = self._digests.get(TopicPartition(message.topic, message.partition))
        return digests is not None and (EVERY_KEY in digests or key_digest(message.key) in digests)

    def halt(self, message: Message) -> None:
        """Halt the key of `message`; the whole partition when too many of its keys are halted already."""
        digests = self._digests.setdefault(TopicPartition(message.topic, message.partition), set())
        full = len(digests | {EVERY_KEY}) >= MOST_HALTED
        digests.add(EVERY_KEY if full else key_digest(message.key))
        what = "every key of its partition" if full else f"its key {message.key!r}"
        logger.error(
            "%s exhausted its retries and halts %s: later records go to the dead letters too, until they are redriven",
            message.place,
            what,
        )

    def release(self, message: Message) -> None:
        """Let the key of `message` go on; the whole partition with its last halted key."""
        partition = TopicPartition(message.topic, message.partition)
        digests = self._digests.get(partition, set())
        digests.discard(key_digest(message.key))
        if not digests - {EVERY_KEY}:
            self.revoke(partition)
        logger.info("%s was redriven, and its key %r goes on", message.place, message.key)


def halt(keys: HaltedKeys) -> Middleware:
    """Put records of halted keys aside, and halt and release keys as records end."""

    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def halting(delivery: Delivery) -> Outcome:
            message = delivery.message
            redriven = keys.holds(message) and _has(message, REDRIVE_COUNT)
            if not redriven and delivery.refusal is None and keys.holds(message):
                delivery = replace(delivery, refusal=KeyHaltedException(f"its key {message.key!r} is halted"))
            outcome = await handler(delivery)
            if isinstance(outcome.error, HaltingException) and outcome.error.halts == "first":
                keys.halt(message)
            elif redriven and outcome.name in ("handled", "skipped") and _has(message, REDRIVE_RELEASE):
                keys.release(message)
            return outcome

        return halting

    return wrap


def _has(message: Message, name: str) -> bool:
    return any(key == name and value for key, value in message.headers)
