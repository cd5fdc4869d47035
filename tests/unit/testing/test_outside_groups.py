"""What a group has committed is known from outside, without joining it, and what it has not is left out."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient
from cqrs.testing.outside_groups import committed_offsets


def test_partitions_with_a_commit_are_told(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("t", partitions=3)
    servers = embedded_broker.bootstrap_servers
    member = Consumer({"bootstrap.servers": servers, "group.id": "g"})
    member.commit(offsets=[TopicPartition("t", 0, 7), TopicPartition("t", 2, 0)], asynchronous=False)
    member.close()

    with OutsideClient(servers, None) as client:
        assert client.committed("g", "t") == {0: 7, 2: 0}
        assert client.committed("other", "t") == {}


def test_a_broker_that_is_away_is_told(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("t")
    embedded_broker.broker_down()

    with pytest.raises(DependencyUnavailableException, match="what g has committed"):
        committed_offsets(embedded_broker.bootstrap_servers, "g", "t", timeout_seconds=0.5)


def test_a_topic_that_does_not_exist_is_told_and_not_created(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("t")

    for _ in range(2):
        with pytest.raises(ConfigurationException, match=r"no topic nowhere; it has t\."):
            committed_offsets(embedded_broker.bootstrap_servers, "g", "nowhere")
