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


class AssignedKeys:
    """Hold the halted keys of one partition during one assignment.

    Work keeps hold of the object that it was read under: what is halted or released by work of an earlier assignment
    has no say in a later one.

    Attributes:
        halted: Their digests.
    """

    __slots__ = ("_stopped_at", "halted")

    def __init__(self, halted: Iterable[bytes] = ()) -> None:
        self.halted = set(halted)
        self._stopped_at: dict[bytes, int] = {}

    def holds(self, message: Message) -> bool:
        """Say whether the key of `message` is halted."""
        return bool(self.halted) and (EVERY_KEY in self.halted or key_digest(message.key) in self.halted)

    def may_run(self, message: Message) -> bool:
        """Say whether a redriven record of a halted key has its turn: none before it has failed again."""
        first = first_offset(message)
        return first <= self._stopped_at.get(key_digest(message.key), first)

    def went_on(self, message: Message) -> None:
        """Let those run that lay behind a redriven record which had failed again before."""
        if self._stopped_at.get(key_digest(message.key)) == first_offset(message):
            del self._stopped_at[key_digest(message.key)]

    def halt(self, message: Message) -> None:
        """Halt the key of `message`, which was given up; the whole partition when too many keys are halted already."""
        self._stopped_at[key_digest(message.key)] = first_offset(message)
        full = len(self.halted | {EVERY_KEY}) >= MOST_HALTED
        self.halted.add(EVERY_KEY if full else key_digest(message.key))
        what = "every key of its partition" if full else f"its key {message.key!r}"
        logger.error(
            "%s exhausted its retries and halts %s: later records go to the dead letters too, until they are redriven",
            message.place,
            what,
        )

    def release(self, message: Message) -> None:
        """Let the key of `message` go on; the whole partition with its last halted key."""
        self.halted.discard(key_digest(message.key))
        if not self.halted - {EVERY_KEY}:
            self.halted.clear()
        logger.info("%s was redriven, and its key %r goes on", message.place, message.key)


class HaltedKeys:
    """Know which keys of the assigned partitions are halted, as digests.

    They travel in the commit metadata, so that the next owner of the partition knows them too.
    """

    def __init__(self) -> None:
        self._assigned: dict[tuple[str, int], AssignedKeys] = {}

    def assign(self, partition: TopicPartition, halted: Iterable[bytes]) -> None:
        """Take over what the last owner of `partition` had noted."""
        self._assigned[partition.topic, partition.partition] = AssignedKeys(halted)

    def revoke(self, partition: TopicPartition) -> None:
        """Forget the keys of `partition`."""
        self._assigned.pop((partition.topic, partition.partition), None)

    def of(self, partition: TopicPartition) -> frozenset[bytes]:
        """Return the digests of the halted keys of `partition`."""
        assigned = self._assigned.get((partition.topic, partition.partition))
        return frozenset() if assigned is None else frozenset(assigned.halted)

    def beside(self, message: Message) -> AssignedKeys:
        """Return the halted keys of the partition of `message`, in its present assignment."""
        place = message.topic, message.partition
        assigned = self._assigned.get(place)
        if assigned is None:
            assigned = self._assigned[place] = AssignedKeys()
        return assigned


def halt(keys: HaltedKeys) -> Middleware:
    """Put records of halted keys aside, and halt and release keys as records end."""

    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def halting(delivery: Delivery) -> Outcome:
            message = delivery.message
            beside = keys.beside(message)
            redriven = False
            if beside.halted and beside.holds(message):
                redriven = _has(message, REDRIVE_COUNT) and beside.may_run(message)
                if not redriven and delivery.refusal is None:
                    delivery = delivery._replace(refusal=KeyHaltedException(f"its key {message.key!r} is halted"))
            outcome = await handler(delivery)
            if isinstance(outcome.error, HaltingException) and outcome.error.halts == "first":
                beside.halt(message)
            elif redriven and outcome.name in ("handled", "skipped"):
                beside.went_on(message)
                if _has(message, REDRIVE_RELEASE):
                    beside.release(message)
            return outcome

        return halting

    return wrap


def _has(message: Message, name: str) -> bool:
    return any(key == name and value for key, value in message.headers)


def first_offset(message: Message) -> int:
    """Return where the record lay when it failed first; where it lies, for one that did not."""
    found = next((value for name, value in message.headers if name == ORIGINAL_OFFSET), None)
    return int.from_bytes(found, "big", signed=True) if found is not None and len(found) == 8 else message.offset
