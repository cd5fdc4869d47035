"""Records that cannot be handled, put aside with their cause.

The headers are Spring Kafka's, byte for byte, so that its tools read them.
Source: `DeadLetterPublishingRecoverer` and `KafkaHeaders` of spring-kafka 3.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping

from cqrs.exceptions import CqrsException, DependencyUnavailableException, UnpublishableEventException, message_of
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.dead_letter_headers import (
    EXCEPTION_CAUSE_FQCN,
    EXCEPTION_FQCN,
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    HALTED_KEY,
    OMITTED_VALUE,
    ORIGINAL_CONSUMER_GROUP,
    ORIGINAL_OFFSET,
    ORIGINAL_PARTITION,
    ORIGINAL_TIMESTAMP,
    ORIGINAL_TIMESTAMP_TYPE,
    ORIGINAL_TOPIC,
    PREFIX,
)
from cqrs.messaging.delivery import Delivery, DeliveryHandler, Middleware, Outcome, TryAgainException
from cqrs.messaging.message import Headers, Message, OutgoingMessage, Receipt
from cqrs.messaging.placing import send_beside
from cqrs.messaging.ports import Producer

logger = logging.getLogger(__name__)

_TIMESTAMP_TYPES = {0: b"CreateTime", 1: b"LogAppendTime"}
_STACKTRACE_BYTES = 8 * 1024
_MESSAGE_BYTES = 2 * 1024
_SHORT_MESSAGE_BYTES = 200
_LONGEST_KEY_BYTES = 64 * 1024


class HaltingException(CqrsException):
    """Be the cause of a dead letter whose key is halted.

    Attributes:
        halts: `first` when it halts the key, `follower` when the key was halted before; None when it is not halted.
    """

    halts: str | None = None


class DeadLetters:
    """Send refused records to the dead letter topic of the topic they came from.

    Args:
        producer: Where they go; its acknowledgement is awaited before the record counts as settled.
        group_id: The consumer group that refused them.
        topic_of: Returns the dead letter topic of a topic.
    """

    def __init__(self, producer: Producer, group_id: str, topic_of: Callable[[str], str]) -> None:
        self._producer = producer
        self._group_id = group_id
        self.topic_of = topic_of

    async def put(self, message: Message, error: BaseException) -> Receipt:
        """Store `message` with its cause, key and value untouched, in the partition of the same number if there is one.

        A record beside which the cause does not fit is stored with a shorter cause. One that the dead letter topic
        cannot hold at all is stored as a reference: without its value and its own headers, with the place where it
        still lies, for as long as its topic keeps it.

        Raises:
            DependencyUnavailableException: the broker did not acknowledge it.
            UnpublishableEventException: the broker refuses even the reference: there is no such topic, for example.
        """
        *larger, smallest = self._letters(message, error)
        for letter in larger:
            try:
                return await send_beside(self._producer, letter)
            except UnpublishableEventException as refusal:
                logger.warning("a dead letter of %s is refused, a smaller one is tried: %s", message.place, refusal)
        receipt = await send_beside(self._producer, smallest)
        logger.error("the dead letter topic cannot hold %s: it holds a reference, read the record there", message.place)
        return receipt

    def _letters(self, message: Message, error: BaseException) -> Iterator[OutgoingMessage]:
        """Yield what may be stored, the most telling first."""
        described = describe(error)
        origin = origin_of(message, self._group_id) | _halted(error)
        shorter = {name: described[name] for name in described if name != EXCEPTION_STACKTRACE}
        shorter[EXCEPTION_MESSAGE] = shorter[EXCEPTION_MESSAGE][:_SHORT_MESSAGE_BYTES]
        for added in (origin | described, origin | shorter):
            yield self._letter(message, message.key, message.value, replaced(message.headers, added))
        size = len(message.value or b"")
        reference = origin | shorter | {OMITTED_VALUE: str(size).encode()}
        key = message.key if len(message.key or b"") <= _LONGEST_KEY_BYTES else None
        yield self._letter(message, key, None, tuple(reference.items()))

    def _letter(self, message: Message, key: bytes | None, value: bytes | None, headers: Headers) -> OutgoingMessage:
        return OutgoingMessage(self.topic_of(message.topic), key, value, headers, message.partition)


def dead_letter(letters: DeadLetters, backoff: Backoff) -> Middleware:
    """Settle a delivery that can never succeed by putting it aside; let pass what is to be tried again.

    While its dead letter cannot be stored the delivery waits, and only the storing is tried again.
    """

    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def guarded(delivery: Delivery) -> Outcome:
            try:
                return await handler(delivery)
            except TryAgainException:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be lost
                return await _put_aside(letters, backoff, delivery, error)

        return guarded

    return wrap


async def _put_aside(letters: DeadLetters, backoff: Backoff, delivery: Delivery, error: Exception) -> Outcome:
    topic = letters.topic_of(delivery.message.topic)
    if delivery.refusal is None:
        logger.warning(
            "refused %s: %s",
            delivery.message.place,
            message_of(error),
            extra={"message_id": delivery.envelope.id, "message_type": delivery.envelope.type},
        )
    try:
        receipt = await letters.put(delivery.message, error)
    except (DependencyUnavailableException, UnpublishableEventException) as away:
        after = backoff.delay(delivery.waits)
        raise TryAgainException(after, away, waits_for=f"dead letter topic {topic}", refusal=error) from away
    return Outcome("dead_lettered", topic, error, receipt.offset if receipt.offset >= 0 else None)


def origin_of(message: Message, group_id: str) -> dict[str, bytes]:
    """Return the headers that say where and in which group `message` failed first: what is there already stays."""
    fresh = {
        ORIGINAL_TOPIC: message.topic.encode(),
        ORIGINAL_PARTITION: message.partition.to_bytes(4, "big", signed=True),
        ORIGINAL_OFFSET: message.offset.to_bytes(8, "big", signed=True),
        ORIGINAL_TIMESTAMP: message.timestamp_ms.to_bytes(8, "big", signed=True),
        ORIGINAL_TIMESTAMP_TYPE: _TIMESTAMP_TYPES.get(message.timestamp_type, b"NoTimestampType"),
        ORIGINAL_CONSUMER_GROUP: group_id.encode(),
    }
    earlier = {name: value for name, value in message.headers if name in fresh and value is not None}
    return earlier if earlier.keys() == fresh.keys() else fresh


def describe(error: BaseException) -> dict[str, bytes]:
    """Return the headers that say why: class, class of the cause, message, stack trace (at most 8 KiB)."""
    described = {EXCEPTION_FQCN: _fqcn(error)}
    cause = cause_of(error)
    if cause is not error:
        described[EXCEPTION_CAUSE_FQCN] = _fqcn(cause)
    described[EXCEPTION_MESSAGE] = _bytes(message_of(error), _MESSAGE_BYTES)
    stack = "".join(traceback.format_exception(error))
    described[EXCEPTION_STACKTRACE] = _bytes(stack, _STACKTRACE_BYTES)
    return described


def cause_of(error: BaseException) -> BaseException:
    """Return what `error` was raised from, or itself when it was raised from nothing."""
    return error.__cause__ or error


def replaced(headers: Headers, added: Mapping[str, bytes]) -> Headers:
    """Return `headers` with `added` in place of these and of every earlier word on a failure."""
    kept = (each for each in headers if not each[0].startswith(PREFIX) and each[0] not in added.keys() | {HALTED_KEY})
    return tuple(kept) + tuple(added.items())


def _halted(error: BaseException) -> dict[str, bytes]:
    halts = error.halts if isinstance(error, HaltingException) else None
    return {} if halts is None else {HALTED_KEY: halts.encode()}


def _fqcn(error: BaseException) -> bytes:
    return f"{type(error).__module__}.{type(error).__qualname__}".encode()


def _bytes(text: str, limit: int) -> bytes:
    return text.encode(errors="replace")[:limit].decode(errors="ignore").encode()
