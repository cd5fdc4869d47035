"""A cluster of one broker in memory, behind aiokafka's own producer, that fails as it is told.

It numbers and refuses as Apache Kafka does for idempotent producers: a repeated batch is stored once, and one whose
number is not the next is out of order.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from cqrs.kafka import batches
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.producing import Producers

TOPIC = "orders"
OK, INVALID_RECORD, NOT_LEADER, OUT_OF_ORDER, FENCED, DENIED, TOO_LARGE, UNKNOWN_PRODUCER = 0, 87, 6, 45, 47, 29, 10, 59
LOST, AWAY = "stored, but the answer is lost", "the request does not arrive"
Fault = int | str
_NEVER_OF_STORED = (OUT_OF_ORDER, UNKNOWN_PRODUCER, INVALID_RECORD, TOO_LARGE)


@dataclass
class Stored:
    """One record in a partition's log."""

    key: bytes | None
    value: bytes | None
    producer_id: int


@dataclass
class Cluster:
    """Hold what was stored, and the faults of the next requests, one for each batch in them.

    Attributes:
        partitions: How many the topic has.
        faults: What becomes of the next batches: an error code, `LOST` or `AWAY`; OK when there is none.
        hold: Requests that come while it is cleared wait for it; another one does not let them go.
        arrived: Set when a request has come.
        may_open: While it is cleared, clients wait for their connection.
        opened: Set when a client has connected; a test clears it.
        requests: The number of records of each batch that came, repeated ones too.
        leader: The broker that leads the partitions, or -1.
        leaderless: Partitions that have none all the same.
        is_away: Whether nobody can connect.
        clients: How many have connected.
    """

    partitions: int = 2
    faults: list[Fault] = field(default_factory=list)
    logs: dict[int, list[Stored]] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    leader: int = 1
    leaderless: set[int] = field(default_factory=set)
    is_away: bool = False
    clients: int = 0

    def __post_init__(self) -> None:
        self.hold = asyncio.Event()
        self.hold.set()
        self.arrived = asyncio.Event()
        self.opened = asyncio.Event()
        self.may_open = asyncio.Event()
        self.may_open.set()
        self._seen: dict[tuple[int, int], dict[tuple[int, int], int]] = {}

    def log(self, partition: int) -> list[Stored]:
        return self.logs.setdefault(partition, [])

    def values(self, partition: int = 0) -> list[bytes | None]:
        return [stored.value for stored in self.log(partition)]

    def take(self, partition: int, data: bytes) -> tuple[Fault, int]:
        """Do with a batch what the next fault says, and return the answer's code and the base offset."""
        header = batches.read_header(data)
        records = list(batches.read_records(TopicPartition(TOPIC, partition), data))
        self.requests.append(len(records))
        fault = self.faults.pop(0) if self.faults else OK
        is_stored = (header.base_sequence, len(records)) in self._stored(header, partition)
        if fault not in (OK, LOST) and not (is_stored and fault in _NEVER_OF_STORED):
            return fault, -1
        if any((record.value or b"").startswith(b"refused") for record in records):
            return INVALID_RECORD, -1
        code, offset = self._append(partition, header, [(record.key, record.value) for record in records])
        return (LOST if fault == LOST and code == OK else code), offset

    def _append(
        self, partition: int, header: batches.BatchHeader, records: list[tuple[bytes | None, bytes | None]]
    ) -> tuple[int, int]:
        log = self.log(partition)
        stored = self._stored(header, partition)
        numbers = header.base_sequence, len(records)
        if numbers in stored:
            return OK, stored[numbers]
        last = max(stored, default=(0, 0))
        if header.base_sequence != sum(last):
            return OUT_OF_ORDER, -1
        offset = stored[numbers] = len(log)
        log += [Stored(key, value, header.producer_id) for key, value in records]
        return OK, offset

    def _stored(self, header: batches.BatchHeader, partition: int) -> dict[tuple[int, int], int]:
        """Return the offsets of what this client stored, by first number and count."""
        return self._seen.setdefault((header.producer_id, partition), {})


class PretendedClient:
    """Be what aiokafka's producer asks of its client."""

    def __init__(self, cluster: Cluster) -> None:
        self._broker = cluster
        self._client_id = "pretended"
        self.cluster = self
        self._listeners: set[Callable[[object], None]] = set()

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self._broker.partitions)) if topic == TOPIC and self._broker.partitions else None

    def available_partitions_for_topic(self, topic: str) -> set[int] | None:
        known = self.partitions_for_topic(topic)
        return {each for each in known if self._leader(each) >= 0} if known else None

    def leader_for_partition(self, partition: TopicPartition) -> int:
        return self._leader(partition.partition)

    def _leader(self, partition: int) -> int:
        return -1 if partition in self._broker.leaderless else self._broker.leader

    def add_listener(self, listener: Callable[[object], None]) -> None:
        self._listeners.add(listener)

    def learn(self) -> None:
        """Tell the listeners that there is news."""
        for listener in self._listeners:
            listener(self)

    def get_random_node(self) -> int:
        return 1

    async def bootstrap(self) -> None:
        await self._broker.may_open.wait()
        if self._broker.is_away:
            raise KafkaConnectionError("nobody there")
        self._broker.clients += 1
        self._broker.opened.set()

    async def close(self) -> None:
        pass

    async def fetch_all_metadata(self) -> "PretendedClient":
        return self

    def force_metadata_update(self) -> asyncio.Future[bool]:
        updated: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, _end, updated)
        return updated

    async def _maybe_wait_metadata(self) -> None:
        pass

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        found = self.partitions_for_topic(topic)
        if not found:
            raise UnknownTopicOrPartitionError
        return found

    async def send(self, node_id: int, request: object, *, group: object = None) -> object:
        if not isinstance(request, ProduceRequest):
            return SimpleNamespace(error_code=0, producer_id=self._broker.clients, producer_epoch=0)
        hold = self._broker.hold
        self._broker.arrived.set()
        await hold.wait()
        await asyncio.sleep(0)
        answers: list[tuple[int, Fault, int, int, int]] = []
        for _, parts in request._topics:
            for partition, data in parts:
                fault, offset = self._broker.take(partition, bytes(data))
                answers.append((partition, fault, offset, -1, 0))
        if any(fault in (LOST, AWAY) for _, fault, *_ in answers):
            raise KafkaConnectionError("the connection broke")
        return SimpleNamespace(API_VERSION=7, topics=[(TOPIC, answers)])


def _end(updated: asyncio.Future[bool]) -> None:
    if not updated.done():
        updated.set_result(True)


def connect(producer: KafkaProducer, cluster: Cluster, *, request_timeout_ms: int = 10_000) -> None:
    """Let `producer` make clients of `cluster`."""

    def make() -> AIOKafkaProducer:
        made = AIOKafkaProducer(
            acks="all", enable_idempotence=True, retry_backoff_ms=0, request_timeout_ms=request_timeout_ms
        )
        client = PretendedClient(cluster)
        made.client = made._metadata = made._sender.client = made._message_accumulator._cluster = client
        return made

    producer._producers = Producers(make)


def client_of(producer: KafkaProducer) -> PretendedClient:
    """Return the client that `producer` uses at present."""
    made = producer._producers.usual.producer
    assert made is not None
    found: PretendedClient = made.client
    return found
