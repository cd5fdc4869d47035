"""Find out which partitions a topic has, without creating it by asking."""

from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from cqrs.kafka.failures import unpublishable


@dataclass(frozen=True, slots=True)
class Place:
    """Hold the partitions of a topic as one client knows them.

    Attributes:
        producer: The client.
        partitions: The numbers of all partitions, in order.
        available: Those that have a leader; all, when none has.
    """

    producer: AIOKafkaProducer
    partitions: tuple[int, ...]
    available: tuple[int, ...]


async def known_partitions(producer: AIOKafkaProducer, topic: str) -> set[int]:
    """Return the numbers of the partitions of `topic`.

    Refuse what is not there: aiokafka would wait for it, and asking by name may create the topic.

    Raises:
        UnpublishableEventException: there is no such topic.
        KafkaError: the brokers do not say.
    """
    known: set[int] | None = producer.client.cluster.partitions_for_topic(topic)
    if known:
        return known
    everything = await producer.client.fetch_all_metadata()
    if not everything.partitions_for_topic(topic):
        raise unpublishable(topic, "there is no such topic, or it may not be seen; create it, or allow it")
    asked: set[int] = await producer.partitions_for(topic)
    return asked


def read_place(producer: AIOKafkaProducer, topic: str) -> Place | None:
    """Return what `producer` knows of `topic` just now, or None when it knows no partition of it."""
    cluster = producer.client.cluster
    partitions = tuple(sorted(cluster.partitions_for_topic(topic) or ()))
    if not partitions:
        return None
    available = tuple(sorted(cluster.available_partitions_for_topic(topic) or ()))
    return Place(producer, partitions, available or partitions)
