"""What an outside client makes of the errors of its libraries."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from cqrs.exceptions import ConfigurationException, CqrsException, DependencyUnavailableException

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

# librdkafka's own codes are public, and written with an underscore.
_CONSEQUENCES = frozenset({KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001
_AWAY = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._MSG_TIMED_OUT})  # noqa: SLF001

_log = logging.getLogger(__name__)


class LibraryLog:
    """Take the log lines of librdkafka as details: what goes wrong for good is raised, and it repeats itself."""

    def log(self, level: int, text: str, *values: object) -> None:
        """Log a line of librdkafka at DEBUG, whatever level it gives it."""
        _log.debug(f"librdkafka (%s): {text}", logging.getLevelName(level), *values)


class UnsendableException(CqrsException):
    """Report what cannot be sent: it does not fit its schema, or broker or registry refuse it for what it is."""


class Trouble:
    """Remember why no broker could be connected to: librdkafka tells it beside the call that waits for one."""

    def __init__(self) -> None:
        self._last = ""

    def hear(self, error: KafkaError) -> None:
        """Be what librdkafka calls with each error of a connection: its `error_cb`."""
        if error.code() not in _CONSEQUENCES:
            self._last = error.str()

    def words(self, client: Producer | Consumer) -> str:
        """Return what was told last, once `client` has told all it knows."""
        client.poll(0)
        return f" ({self._last})" if self._last else ""


def missing_topics(missing: Iterable[str], known: Iterable[str]) -> ConfigurationException:
    """Return what is raised when the broker has no such topics; it names those that it has."""
    others = ", ".join(sorted(known)) or "none"
    return ConfigurationException([f"The broker has no topic {topic}; it has {others}." for topic in missing])


@contextmanager
def broker_failures(deed: str, why: Callable[[], str] = str) -> Iterator[None]:
    """Turn confluent-kafka's errors into ours.

    Args:
        deed: What was tried, for the message.
        why: Says what else is known when no broker answers.

    Raises:
        UnsendableException: the broker refuses this message.
        DependencyUnavailableException: anything else.
    """
    try:
        yield
    except KafkaException as raised:
        error = raised.args[0]
        known = isinstance(error, KafkaError)
        reason = f"{deed} failed: {error.str() if known else error}"
        if known and error.code() in _REFUSALS:
            raise UnsendableException(reason) from raised
        away = why() if known and error.code() in _AWAY else ""
        raise DependencyUnavailableException("kafka", f"{reason}{away}") from raised
