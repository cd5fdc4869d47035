"""What an outside client makes of the errors of its libraries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from cqrs.exceptions import CqrsException, DependencyUnavailableException

_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._INVALID_ARG,  # noqa: SLF001 - librdkafka's own codes are public, and written with an underscore
    }
)


_log = logging.getLogger(__name__)


class LibraryLog:
    """Take the log lines of librdkafka as details: what goes wrong for good is raised, and it repeats itself."""

    def log(self, level: int, text: str, *values: object) -> None:
        """Log a line of librdkafka at DEBUG, whatever level it gives it."""
        _log.debug(f"librdkafka (%s): {text}", logging.getLevelName(level), *values)


class UnsendableException(CqrsException):
    """Report what cannot be sent: it does not fit its schema, or broker or registry refuse it for what it is."""


@contextmanager
def broker_failures(deed: str) -> Iterator[None]:
    """Turn confluent-kafka's errors into ours; `deed` says what was tried.

    Raises:
        UnsendableException: the broker refuses this message.
        DependencyUnavailableException: anything else.
    """
    try:
        yield
    except KafkaException as raised:
        error = raised.args[0]
        refused = isinstance(error, KafkaError) and error.code() in _REFUSALS
        reason = f"{deed} failed: {error.str() if isinstance(error, KafkaError) else error}"
        raise (UnsendableException(reason) if refused else DependencyUnavailableException("kafka", reason)) from raised
