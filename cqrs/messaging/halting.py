"""Keys that stand still: their later records follow the first one into the dead letters, until they are redriven."""

import logging
from collections.abc import Iterable, Mapping

from cqrs.messaging.commit_note import MOST_HALTED, MOST_STOPPED, key_digest
from cqrs.messaging.dead_letter_headers import REDRIVE_COUNT, REDRIVE_RELEASE, REDRIVE_SEEN
from cqrs.messaging.dead_letters import HaltingException
from cqrs.messaging.delivery import Delivery, DeliveryHandler, Middleware, Outcome
from cqrs.messaging.message import Message, TopicPartition

logger = logging.getLogger(__name__)

EVERY_KEY = bytes(8)
"""Stands for all keys of a partition: past `MOST_HALTED` of them the whole partition is halted."""

_LONGEST_OFFSET = 18


class KeyHaltedException(HaltingException):
    """Report a record that follows an earlier one of its key into the dead letters."""

    halts = "follower"


class AssignedKeys:
    """Hold the halted keys of one partition during one assignment.

    Work keeps hold of the object that it was read under: what is halted or released by work of an earlier assignment
    has no say in a later one.

    Attributes:
        halted: Their digests.
        stopped: Where the last dead letters lie of redriven records that failed again, or came back unrun, by the
            digests of their keys. Past `MOST_STOPPED` of them the last such letter stands for every key.
    """

    __slots__ = ("halted", "stopped")

    def __init__(self, halted: Iterable[bytes] = (), stopped: Mapping[bytes, int] | None = None) -> None:
        self.halted = set(halted)
        self.stopped = dict(stopped or {}) if self.halted else {}

    def holds(self, message: Message) -> bool:
        """Say whether the key of `message` is halted."""
        return bool(self.halted) and (EVERY_KEY in self.halted or key_digest(message.key) in self.halted)

    def may_run(self, message: Message) -> bool:
        """Say whether a redriven record of a halted key has its turn.

        It has none behind one that failed again, until a redrive has seen the dead letters of that one and of those
        that came back behind it: such a redrive sends these first, unless somebody discarded them.
        """
        stopped = (self.stopped.get(each) for each in (key_digest(message.key), EVERY_KEY))
        return all(each is None or _seen(message) > each for each in stopped)

    def went_on(self, message: Message) -> None:
        """Let those run that lay behind a redriven record which had failed again before."""
        self.stopped.pop(key_digest(message.key), None)

    def follow(self, message: Message, letter: int | None) -> None:
        """Take note where the dead letter of a record lies that was put aside because its key is halted."""
        if letter is None:
            return
        digest = key_digest(message.key)
        for each in (digest, EVERY_KEY):
            if letter < self.stopped.get(each, 0):
                # The dead letter topic was made anew, or grew: no redrive will see it as long as it was before.
                self.stopped[each] = letter
        if _has(message, REDRIVE_COUNT):
            # A redrive that was sent before this one came back does not know of it either.
            self._stop(digest, letter)

    def halt(self, message: Message, letter: int | None = None) -> None:
        """Halt the key of `message`; the whole partition when too many of its keys are halted already.

        Args:
            message: The record that was given up.
            letter: Where its dead letter lies; None when nobody knows.
        """
        if _has(message, REDRIVE_COUNT):
            # Where nobody knows where it lies, that is not below what its redrive had seen.
            self._stop(key_digest(message.key), max(_seen(message), 0) if letter is None else letter)
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
        self.stopped.pop(key_digest(message.key), None)
        if not self.halted - {EVERY_KEY}:
            self.halted.clear()
            self.stopped.clear()
        logger.info("%s was redriven, and its key %r goes on", message.place, message.key)

    def _stop(self, digest: bytes, letter: int) -> None:
        if digest not in self.stopped and len(self.stopped.keys() | {EVERY_KEY}) >= MOST_STOPPED:
            digest, letter = EVERY_KEY, max(letter, self.stopped.get(EVERY_KEY, 0))
        self.stopped[digest] = letter


class HaltedKeys:
    """Know which keys of the assigned partitions are halted, as digests.

    They travel in the commit metadata, so that the next owner of the partition knows them too.
    """

    def __init__(self) -> None:
        self._assigned: dict[tuple[str, int], AssignedKeys] = {}

    def assign(
        self, partition: TopicPartition, halted: Iterable[bytes], stopped: Mapping[bytes, int] | None = None
    ) -> None:
        """Take over what the last owner of `partition` had noted."""
        self._assigned[partition.topic, partition.partition] = AssignedKeys(halted, stopped)

    def revoke(self, partition: TopicPartition) -> None:
        """Forget the keys of `partition`."""
        self._assigned.pop((partition.topic, partition.partition), None)

    def of(self, partition: TopicPartition) -> frozenset[bytes]:
        """Return the digests of the halted keys of `partition`."""
        assigned = self._assigned.get((partition.topic, partition.partition))
        return frozenset() if assigned is None else frozenset(assigned.halted)

    def stopped(self, partition: TopicPartition) -> dict[bytes, int]:
        """Return where the letters of redriven records of `partition` lie that failed again, by digest."""
        assigned = self._assigned.get((partition.topic, partition.partition))
        return {} if assigned is None else dict(assigned.stopped)

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
            if redriven or outcome.error is not None:
                _settle(beside, message, outcome, redriven=redriven)
            return outcome

        return halting

    return wrap


def _settle(beside: AssignedKeys, message: Message, outcome: Outcome, *, redriven: bool) -> None:
    """Halt, release, or let go on, as a record ended."""
    halts = outcome.error.halts if isinstance(outcome.error, HaltingException) else None
    if halts == "first":
        beside.halt(message, outcome.offset)
    elif halts == "follower":
        beside.follow(message, outcome.offset)
    elif redriven:
        beside.went_on(message)
        if _has(message, REDRIVE_RELEASE):
            beside.release(message)


def _has(message: Message, name: str) -> bool:
    return any(key == name and value for key, value in message.headers)


def _seen(message: Message) -> int:
    """Return up to where the redrive of a record had looked; -1 when it does not say."""
    text = next((value for name, value in message.headers if name == REDRIVE_SEEN), None) or b""
    return int(text) if text.isdigit() and len(text) <= _LONGEST_OFFSET else -1
