"""Tell a broker that is away from everything else."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetMetadataTooLargeError,
    TopicAuthorizationFailedError,
)

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException

_NEEDED = {
    GroupAuthorizationFailedError: "READ on group",
    TopicAuthorizationFailedError: "READ, to send WRITE, on topic",
    ClusterAuthorizationFailedError: "this on the cluster",
}

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
    failure = DependencyUnavailableException("kafka", f"{deed}: {reason_of(error)}")
    failure.__cause__ = error
    return failure


def reason_of(error: BaseException) -> str:
    """Return what `error` means to an operator: what is not allowed, that no answer came, or its own words."""
    for denied, needed in _NEEDED.items():
        if isinstance(error, denied):
            return f"not allowed ({denied.message}); have the brokers allow {needed} {_names(error.args)}".rstrip()
    if isinstance(error, OffsetMetadataTooLargeError):
        return "the brokers refuse so much commit metadata; raise their offset.metadata.max.bytes (4096 if not set)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or repr(error)


def unpublishable(topic: str, reason: str) -> UnpublishableEventException:
    """Return the error of a message for `topic` that no broker would ever take, or not as it is."""
    return UnpublishableEventException(f"The message for {topic} cannot be published: {reason}.")


def _names(subjects: Iterable[object]) -> str:
    """Name what an authorization error is about: aiokafka gives it a name, or a set of names."""
    found = chain.from_iterable(
        each if isinstance(each, Collection) and not isinstance(each, str) else [each] for each in subjects
    )
    return ", ".join(sorted(map(str, found)))
