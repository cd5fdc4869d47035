"""What delivery needs from the outside: each port is implemented by one adapter room and by `cqrs.testing`."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from cqrs.messaging.message import Message, OutgoingMessage, Position, Receipt, TopicPartition

T = TypeVar("T")


class Producer(Protocol):
    """Send messages and wait for the broker's word."""

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Send `message` and return once the broker has acknowledged it (acks=all).

        Raises:
            DependencyUnavailableException: no acknowledgement came; the message may or may not be stored.
            UnpublishableEventException: the broker refuses this message for what it is (too large, no such topic).
        """
        ...


class RebalanceListener(Protocol):
    """Be told which partitions a consumer gains and loses."""

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        """Take note of new partitions; called before their first record is polled.

        Args:
            committed: What the group had committed for each of them, or None where it had not committed yet.
        """

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Finish or drop work in hand and commit; the partitions go to others when this returns."""


class LogEnd(NamedTuple):
    """Say how far a partition's log goes, as its last fetch told it.

    Attributes:
        end: The offset behind the last record that may be read.
        position: The offset that is read next.
    """

    end: int
    position: int


class Consumer(Protocol):
    """Read records of the subscribed topics as one member of a consumer group."""

    async def start(self, listener: RebalanceListener) -> None:
        """Join the group and return once the broker answers.

        Raises:
            DependencyUnavailableException: the broker cannot be reached.
        """

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        """Return the next records, in order within each partition; nothing when none came in time.

        Args:
            timeout_seconds: How long to wait for the first record.
            partitions: Where records are wanted from; those of other partitions stay where they are, for a later poll.
                None wants all; an empty collection only watches over the membership.
            max_records: The most that are returned; None leaves it to the adapter.

        Raises:
            DependencyUnavailableException: the broker is away; polling again, after a while, is right.
        """
        ...

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        """Commit, for each partition, the next record to read and what to note beside it.

        Returns the partitions that are not this member's any more, and so were left out: somebody else may have begun
        with what is in hand of them here.

        Raises:
            DependencyUnavailableException: the commit did not succeed; repeating it is safe.
        """
        ...

    def log_ends(self) -> Mapping[TopicPartition, LogEnd]:
        """Return where the assigned partitions end, those left out of which nothing was fetched yet; asks nobody.

        May be called from another thread.
        """
        ...

    async def stop(self) -> None:
        """Leave the group without committing anything; harmless when called again."""


class Payload(Protocol):
    """Be a value that has been parsed but not yet made into an object.

    Attributes:
        type_name: The type that the value itself declares, or None.
    """

    @property
    def type_name(self) -> str | None:
        """Return the type that the value itself declares, or None."""
        ...

    def build(self, target: type[T]) -> T:
        """Make an object of class `target`.

        Raises:
            UndecodableMessageException: the value does not fit the class or its schema; names every misfit.
        """
        ...

    def plain(self) -> object:
        """Return the value as its writer wrote it, in plain dicts and lists, whether or not we have a class for it.

        Raises:
            UndecodableMessageException: the bytes are not what their schema says.
        """
        ...


class Decoder(Protocol):
    """Parse the values of one content type."""

    async def parse(self, message: Message, declared_type: str | None) -> Payload:
        """Parse the value of `message`.

        Args:
            message: The record; its value is not None.
            declared_type: The type that its headers declare, or None.

        Raises:
            UndecodableMessageException: the bytes are not what they claim to be.
            DependencyUnavailableException: the writer's schema cannot be asked for just now.
        """
        ...


class EncodedEvent(NamedTuple):
    """Hold an event as bytes, with what its envelope must say of it.

    Attributes:
        value: The encoded event.
        type_name: Its declared name, for `ce_type`.
        content_type: Its media type, for `content-type`.
        data_schema: The subject of its schema, for `ce_dataschema`, or None.
    """

    value: bytes
    type_name: str
    content_type: str
    data_schema: str | None = None


class EventEncoder(Protocol):
    """Write the events of one message format."""

    async def encode(self, event: object, topic: str) -> EncodedEvent:
        """Encode `event` for `topic`.

        Raises:
            UnpublishableEventException: it has no schema or does not fit it; names every misfit.
            DependencyUnavailableException: its schema cannot be registered just now.
        """
        ...

    def problems(self, event_type: type, topic: str) -> Sequence[str]:
        """Say what would keep every event of this class from being written, a sentence each; checked at start."""
        ...
