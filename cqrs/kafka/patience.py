"""Let aiokafka wait between two questions for metadata.

While a partition has no leader, aiokafka's producer asks for metadata, and asks again with the answer, without a pause:
a broker on the same machine that refuses connections is asked some thousand times a second. Here a question is only
asked again after a back-off when the last answer did not help.

aiokafka also gives a batch up when its partition has had no leader for the time of one request. Whoever sends has a
deadline of its own, and it alone counts here: a broker that restarts may take longer.
"""

import asyncio
import math
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.producer.message_accumulator import MessageAccumulator

from cqrs.kafka.rebinding import rebound
from cqrs.kafka.repetition import quieten_aiokafka


class PatientClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped
    """Be aiokafka's client, which asks again after `retry_backoff_ms` at the earliest when an answer did not help."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._not_before = 0.0
        quieten_aiokafka()

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
