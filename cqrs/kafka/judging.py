"""Judge a message before it is queued: whether it can be written, how large it is, which batch can hold it."""

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from cqrs.kafka.batches import SingleRecordBatch
from cqrs.kafka.failures import unpublishable
from cqrs.kafka.queued import QueuedMessage
from cqrs.messaging.dead_letter_headers import ORIGINAL_TOPIC
from cqrs.messaging.message import OutgoingMessage

_WORTH_COMPRESSING = 64 * 1024
_LARGEST_REQUEST = 64 * 1024 * 1024
"""A broker closes the connection on a request over its socket.request.max.bytes, 100 MiB unless told otherwise."""
_UNWRITABLE = (TypeError, ValueError, AttributeError)
_estimate = DefaultRecordBatchBuilder.estimate_size_in_bytes


class Judge:
    """Refuse what is too large or cannot be written, and say which batch can hold the rest.

    Args:
        max_message_bytes: The largest message, as it is before compression. It does not count for dead letters.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._usual_bytes = min(_WORTH_COMPRESSING, max_message_bytes)

    def judge(self, queued: QueuedMessage) -> None:
        """Note in `queued` what it needs.

        Raises:
            UnpublishableEventException: no batch of ours can hold it.
        """
        message = queued.message
        try:
            size: int = _estimate(message.key, message.value, queued.headers)
        except UnicodeEncodeError:
            size = _give_own_batch(queued)
        except _UNWRITABLE as error:
            raise unpublishable(message.topic, f"it cannot be written: {error}") from error
        if size > self._usual_bytes:
            self._judge_large(queued, size)

    def _judge_large(self, queued: QueuedMessage, size: int) -> None:
        if _is_dead_letter(queued.message):
            queued.alone = queued.is_large = True
            queued.single = None
        elif size > self._max_message_bytes:
            limit = f"the maximum, max_message_bytes ({self._max_message_bytes})"
            raise unpublishable(queued.message.topic, f"{size} bytes are larger than {limit}")


def large_batch(message: OutgoingMessage) -> SingleRecordBatch:
    """Return a batch of this message alone, compressed; may take a while.

    Raises:
        UnpublishableEventException: it cannot be written, or is larger than any broker takes.
    """
    batch = _single_batch(message, compress=True)
    if batch.size() > _LARGEST_REQUEST:
        raise unpublishable(message.topic, f"{batch.size()} bytes are more than any broker takes")
    return batch


def _give_own_batch(queued: QueuedMessage) -> int:
    """Give it a batch that can hold a header's name that is not UTF-8, and return its size."""
    queued.alone, queued.single = True, _single_batch(queued.message)
    return queued.single.size()


def _single_batch(message: OutgoingMessage, *, compress: bool = False) -> SingleRecordBatch:
    try:
        return SingleRecordBatch(message, compress=compress)
    except UnicodeEncodeError as error:
        raise unpublishable(message.topic, f"a header's name cannot be written: {error}") from error
    except _UNWRITABLE as error:
        raise unpublishable(message.topic, f"it cannot be written: {error}") from error


def _is_dead_letter(message: OutgoingMessage) -> bool:
    return any(name == ORIGINAL_TOPIC for name, _ in message.headers)
