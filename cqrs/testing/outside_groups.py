"""How far a consumer group has come, as the broker knows it; asked from outside, without joining."""

from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin._metadata import TopicMetadata

from cqrs.testing.outside_failures import LibraryLog, broker_failures, missing_topics


def committed_offsets(
    bootstrap_servers: str,
    group_id: str,
    topic: str,
    *,
    timeout_seconds: float = 10.0,
    options: Mapping[str, object] | None = None,
) -> dict[int, int]:
    """Return the next offset of each partition of `topic` in which the group has committed.

    Raises:
        DependencyUnavailableException: the broker did not answer in time.
        ConfigurationException: there is no such topic.
    """
    asked = {"bootstrap.servers": bootstrap_servers, "group.id": group_id, **(options or {})}
    consumer = Consumer(asked, logger=LibraryLog())
    try:
        with broker_failures(f"asking {bootstrap_servers} what {group_id} has committed"):
            # All of them: a broker may create the one that is asked about.
            known: Mapping[str, TopicMetadata] = consumer.list_topics(timeout=timeout_seconds).topics
            if topic not in known:
                raise missing_topics([topic], known)
            places = [TopicPartition(topic, each) for each in known[topic].partitions]
            found = consumer.committed(places, timeout=timeout_seconds)
        return {each.partition: each.offset for each in found if each.offset >= 0}
    finally:
        consumer.close()
