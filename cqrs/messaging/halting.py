"""Keys that stand still: their later records follow the first one into the dead letters, until they are redriven."""

import logging
from collections.abc import Iterable

from cqrs.messaging.commit_note import MOST_HALTED, key_digest
from cqrs.messaging.dead_letter_headers import ORIGINAL_OFFSET, REDRIVE_COUNT, REDRIVE_RELEASE
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
        self._digests: dict[tuple[str, int], set[bytes]] = {}
        self._stopped_at: dict[tuple[str, int], dict[bytes, int]] = {}

    def assign(self, partition: TopicPartition, digests: Iterable[bytes]) -> None:
        """Take over what the last owner of `partition` had noted."""
        self._digests[partition.topic, partition.partition] = set(digests)

    def revoke(self, partition: TopicPartition) -> None:
        """Forget the keys of `partition`."""
        self._digests.pop((partition.topic, partition.partition), None)
        self._stopped_at.pop((partition.topic, partition.partition), None)

    def of(self, partition: TopicPartition) -> frozenset[bytes]:
        """Return the digests of the halted keys of `partition`."""
        return frozenset(self._digests.get((partition.topic, partition.partition), ()))

    def beside(self, message: Message) -> set[bytes]:
        """Return the digests of the halted keys of the partition of `message`, in its present assignment.

        What is halted or released there by work of an earlier assignment has no say in a later one.
        """
        return self._digests.setdefault((message.topic, message.partition), set())

    def holds(self, message: Message) -> bool:
        """Say whether the key of `message` is halted."""
        return _holds(self.beside(message), message)

    def may_run(self, message: Message) -> bool:
        """Say whether a redriven record of a halted key has its turn: none before it has failed again."""
        first = first_offset(message)
        return first <= self._stopped(message).get(key_digest(message.key), first)

    def went_on(self, message: Message) -> None:
        """Let those run that lay behind a redriven record which had failed again before."""
        if self._stopped(message).get(key_digest(message.key)) == first_offset(message):
            del self._stopped(message)[key_digest(message.key)]

    def _stopped(self, message: Message) -> dict[bytes, int]:
        return self._stopped_at.setdefault((message.topic, message.partition), {})

    def halt(self, message: Message, digests: set[bytes] | None = None) -> None:
        """Halt the key of `message`; the whole partition when too many of its keys are halted already.

        Args:
            message: The record that was given up.
            digests: Of the assignment in which that was; None for the present one.
        """
        digests = self.beside(message) if digests is None else digests
        self._stopped(message)[key_digest(message.key)] = first_offset(message)
        full = len(digests | {EVERY_KEY}) >= MOST_HALTED
        digests.add(EVERY_KEY if full else key_digest(message.key))
        what = "every key of its partition" if full else f"its key {message.key!r}"
        logger.error(
            "%s exhausted its retries and halts %s: later records go to the dead letters too, until they are redriven",
            message.place,
            what,
        )

    def release(self, message: Message, digests: set[bytes] | None = None) -> None:
        """Let the key of `message` go on; the whole partition with its last halted key."""
        digests = self.beside(message) if digests is None else digests
        digests.discard(key_digest(message.key))
        if not digests - {EVERY_KEY}:
            digests.clear()
        logger.info("%s was redriven, and its key %r goes on", message.place, message.key)


def halt(keys: HaltedKeys) -> Middleware:
    """Put records of halted keys aside, and halt and release keys as records end."""

    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def halting(delivery: Delivery) -> Outcome:
            message = delivery.message
            digests = keys.beside(message)
            redriven = False
            if digests and _holds(digests, message):
                redriven = _has(message, REDRIVE_COUNT) and keys.may_run(message)
                if not redriven and delivery.refusal is None:
                    delivery = delivery._replace(refusal=KeyHaltedException(f"its key {message.key!r} is halted"))
            outcome = await handler(delivery)
            if isinstance(outcome.error, HaltingException) and outcome.error.halts == "first":
                keys.halt(message, digests)
            elif redriven and outcome.name in ("handled", "skipped"):
                keys.went_on(message)
                if _has(message, REDRIVE_RELEASE):
                    keys.release(message, digests)
            return outcome

        return halting

    return wrap


def _holds(digests: set[bytes], message: Message) -> bool:
    return bool(digests) and (EVERY_KEY in digests or key_digest(message.key) in digests)


def _has(message: Message, name: str) -> bool:
    return any(key == name and value for key, value in message.headers)


def first_offset(message: Message) -> int:
    """Return where the record lay when it failed first; where it lies, for one that did not."""
    found = next((value for name, value in message.headers if name == ORIGINAL_OFFSET), None)
    return int.from_bytes(found, "big", signed=True) if found is not None and len(found) == 8 else message.offset
