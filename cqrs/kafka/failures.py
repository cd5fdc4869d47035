"""Tell a broker that is away from everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException

FAILURES = (KafkaError, OSError)
"""What aiokafka and the sockets raise when something is the matter with a broker or the way to it."""


@contextmanager
def kafka_failures(deed: str) -> Iterator[None]:
    """Turn what aiokafka and the sockets raise inside the block into the error that callers wait out.

    Args:
        deed: What was being done, for the message: "sending to orders.events".

    Raises:
        DependencyUnavailableException: the block raised a KafkaError, an OSError or ran into its deadline.
    """
    try:
        yield
    except FAILURES as error:
        raise unavailable(deed, error) from error


def unavailable(deed: str, error: Exception) -> DependencyUnavailableException:
    """Return the error that callers wait out, with `error` as its cause.

    Args:
        deed: What was being done, for the message.
        error: One of `FAILURES`; one that says nothing is a deadline that passed.
    """
    failure = DependencyUnavailableException("kafka", f"{deed}: {str(error) or 'no answer in time'}")
    failure.__cause__ = error
    return failure


def unpublishable(topic: str, reason: str) -> UnpublishableEventException:
    """Return the error of a message for `topic` that no broker would ever take, or not as it is."""
    return UnpublishableEventException(f"The message for {topic} cannot be published: {reason}.")
