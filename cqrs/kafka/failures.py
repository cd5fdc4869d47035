"""Tell a broker that is away from everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from cqrs.exceptions import DependencyUnavailableException


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
    except (KafkaError, OSError) as error:
        reason = str(error) or "no answer in time"
        raise DependencyUnavailableException("kafka", f"{deed}: {reason}") from error
