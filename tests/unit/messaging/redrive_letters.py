"""Dead letters as they lie in their topic, for tests of what sends them back."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.letter_facts import LetterFacts, read_facts
from cqrs.messaging.message import Headers, Message, OutgoingMessage, Position, TopicPartition
from cqrs.testing.memory import MemoryBroker


def letter_headers(
    offset: int, *, topic: str = "cmd", partition: int = 0, group: str = "shop", halted: bytes = b"", count: int = 0
) -> Headers:
    """Return the headers of a letter whose record lay at `offset`."""
    found: list[tuple[str, bytes | None]] = [
        ("ce_id", f"id-{offset}".encode()),
        ("ce_type", b"t.Do"),
        (names.ORIGINAL_TOPIC, topic.encode()),
        (names.ORIGINAL_PARTITION, partition.to_bytes(4, "big")),
        (names.ORIGINAL_OFFSET, offset.to_bytes(8, "big")),
        (names.ORIGINAL_CONSUMER_GROUP, group.encode()),
        (names.EXCEPTION_FQCN, b"shop.BusyException"),
        (names.EXCEPTION_CAUSE_FQCN, b"builtins.TimeoutError"),
    ]
    found += [(names.HALTED_KEY, halted)] if halted else []
    found += [(names.REDRIVE_COUNT, b"%d" % count)] if count else []
    return tuple(found)


def letter(at: int, offset: int | None = None, key: bytes | None = b"k", **said: object) -> Message:
    """Return the letter at `at` in `cmd-dlt[0]` of the record at `offset`."""
    headers = letter_headers(at if offset is None else offset, **said)  # type: ignore[arg-type]
    return Message("cmd-dlt", 0, at, key, b"v%d" % at, headers, timestamp_ms=at * 1_000)


def facts(at: int, offset: int | None = None, key: bytes | None = b"k", **said: object) -> LetterFacts:
    """Return what that letter says of itself."""
    return read_facts(letter(at, offset, key, **said))


class MemoryRecords:
    """Read any stretch of a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, topics: Collection[str]) -> None:
        self._broker = broker
        self._partitions = [TopicPartition(topic, at) for topic in topics for at in range(broker.topics[topic])]
        self.deleted: set[tuple[TopicPartition, int]] = set()

    async def spans(self) -> Mapping[TopicPartition, range]:
        return {each: range(len(self._log(each))) for each in self._partitions}

    async def read(self, partition: TopicPartition, start: int, stop: int) -> AsyncIterator[Sequence[Message]]:
        for message in self._log(partition)[start:stop]:
            if (partition, message.offset) not in self.deleted:
                yield [message]

    async def record(self, partition: TopicPartition, offset: int) -> Message | None:
        found = [each for each in self._log(partition) if each.offset == offset]
        return found[0] if found and (partition, offset) not in self.deleted else None

    def _log(self, partition: TopicPartition) -> list[Message]:
        return [each for each in self._broker.messages(partition.topic) if each.partition == partition.partition]


class MemoryPositions:
    """Know what is committed in `MemoryBroker`s, one for each group."""

    def __init__(self, **brokers: MemoryBroker) -> None:
        self.committed = {group.replace("_", "."): broker.committed for group, broker in brokers.items()}

    async def positions(
        self, group_id: str, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, Position | None]:
        return {each: self.committed[group_id].get(each) for each in partitions}


async def put(broker: MemoryBroker, *letters: Message) -> None:
    """Store letters as the service does."""
    for each in letters:
        await broker.append(OutgoingMessage(each.topic, each.key, each.value, each.headers, each.partition))
