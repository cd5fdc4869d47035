"""Let aiokafka wait between two questions for metadata, and say why it cannot connect.

While a partition has no leader, aiokafka's producer asks for metadata, and asks again with the answer, without a pause:
a broker on the same machine that refuses connections is asked some thousand times a second. Here a question is only
asked again after a back-off when the last answer did not help.

aiokafka also gives a batch up when its partition has had no leader for the time of one request. Whoever sends has a
deadline of its own, and it alone counts here: a broker that restarts may take longer.
"""

import asyncio
import math
from collections.abc import Callable
from types import MethodType

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.producer.message_accumulator import MessageAccumulator

from cqrs.kafka.connecting import connect
from cqrs.kafka.rebinding import rebound
from cqrs.kafka.refusals import BrokerRefusedException
from cqrs.kafka.repetition import quieten_aiokafka


class PatientClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped
    """Be aiokafka's client, which asks again after `retry_backoff_ms` at the earliest when an answer did not help."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._not_before = 0.0
        self._refusals: dict[tuple[str, int], str] = {}
        self._get_conn = MethodType(rebound(AIOKafkaClient._get_conn, create_conn=self._connect), self)  # noqa: SLF001
        quieten_aiokafka()

    @property
    def refusal(self) -> str:
        """Return why brokers could not be connected to at the last attempt, or nothing."""
        return "; ".join(self._refusals.values())

    async def bootstrap(self) -> None:
        """Find the cluster by the addresses that were given.

        Raises:
            BrokerRefusedException: none of them leads to it; says why, and what to try.
        """
        try:
            await rebound(AIOKafkaClient.bootstrap, create_conn=self._connect)(self)
        except KafkaConnectionError as error:
            places = ", ".join(f"{host}:{port}" for host, port, _ in self.hosts)
            closed = (
                f"{places} let go of the connection at the first question; does it ask for SASL at this port? "
                f"KAFKA_SECURITY_PROTOCOL is {self._security_protocol}"
            )
            raise BrokerRefusedException(self.refusal or closed) from error

    async def _connect(self, host: str, port: int, **options: object) -> AIOKafkaConnection:
        try:
            connection = await connect(host, port, **options)
        except BrokerRefusedException as error:
            self._refusals[host, port] = str(error)
            raise
        self._refusals.pop((host, port), None)
        return connection

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: set[str]) -> bool:
        if cluster_metadata is not self.cluster:
            return bool(await super()._metadata_update(cluster_metadata, topics))
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._not_before - loop.time())
        updated = bool(await super()._metadata_update(cluster_metadata, topics))
        if not updated or self._lacks_leaders(topics):
            self._not_before = loop.time() + self._retry_backoff
        return updated

    def _lacks_leaders(self, topics: set[str]) -> bool:
        known, led = self.cluster.partitions_for_topic, self.cluster.available_partitions_for_topic
        return any(not known(topic) or known(topic) != led(topic) for topic in topics)


class PatientAccumulator(MessageAccumulator):  # type: ignore[misc]
    """Be aiokafka's queue of batches, which keeps them for as long as somebody waits for them."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._batch_ttl = math.inf


class PatientProducer(AIOKafkaProducer):  # type: ignore[misc]
    """Be aiokafka's producer, over a client and a queue that are patient."""

    def __init__(self, **options: object) -> None:
        build: Callable[..., None] = rebound(
            AIOKafkaProducer.__init__, AIOKafkaClient=PatientClient, MessageAccumulator=PatientAccumulator
        )
        build(self, **options)


class PatientAdminClient(AIOKafkaAdminClient):  # type: ignore[misc]
    """Be aiokafka's admin client, over a client that is patient."""

    def __init__(self, **options: object) -> None:
        build: Callable[..., None] = rebound(AIOKafkaAdminClient.__init__, AIOKafkaClient=PatientClient)
        build(self, **options)
