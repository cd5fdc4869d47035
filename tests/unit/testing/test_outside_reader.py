"""A reader from outside reads to the end that is there when it is asked, and before it calls a command unknown."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin._metadata import ClusterMetadata

from cqrs.exceptions import DependencyUnavailableException
from cqrs.testing import outside_reader
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient


@pytest.fixture
def topic(embedded_broker: EmbeddedBroker) -> str:
    embedded_broker.create_topic("commands", partitions=3)
    return "commands"


@pytest.fixture
def client(embedded_broker: EmbeddedBroker) -> Iterator[OutsideClient]:
    with OutsideClient(embedded_broker.bootstrap_servers, None) as opened:
        yield opened


def test_a_reader_at_the_end_sees_only_what_comes_later(client: OutsideClient, topic: str) -> None:
    client.send_raw(topic, b'"before"', key="k")

    with client.reader([topic], at_end=True) as reader:
        assert reader.to_end() == []
        client.send_raw(topic, b'"after"', key="k", headers=(("ce_causationid", b"1"),))
        (outcome,) = reader.outcomes(["1"], timeout_seconds=10)

    assert [event.value for event in outcome.events] == ["after"]


def test_each_reading_to_the_end_goes_to_the_end_that_is_there_then(client: OutsideClient, topic: str) -> None:
    with client.reader([topic]) as reader:
        assert reader.to_end() == []
        client.send_raw(topic, b"1", key="k")
        client.send_raw(topic, b"2", key="other")
        assert {each.value for each in reader.to_end()} == {1, 2}
        reader.outcomes(["nobody's"], timeout_seconds=0.05)
        client.send_raw(topic, b"3", key="k")
        assert len(reader.to_end()) == 3
        assert len(reader.to_end()) == 3


def test_an_end_that_cannot_be_asked_for_is_told(embedded_broker: EmbeddedBroker, topic: str) -> None:
    with (
        OutsideClient(embedded_broker.bootstrap_servers, None, timeout_seconds=0.5) as client,
        client.reader([topic]) as reader,
    ):
        client.send_raw(topic, b"1")
        assert len(reader.to_end()) == 1
        embedded_broker.broker_down()

        with pytest.raises(DependencyUnavailableException, match="where the topics end"):
            reader.to_end()


def test_what_lies_there_when_the_time_is_up_is_read_before_a_command_is_called_unknown(
    client: OutsideClient, topic: str
) -> None:
    ids = [f"id-{number}" for number in range(30)]
    with client.reader([topic]) as reader:
        for each in ids:
            client.send_raw(topic, b"{}", headers=(("ce_causationid", each.encode()),))

        found = reader.outcomes([*ids, "nobody's"], timeout_seconds=0)

    assert [outcome.message_id for outcome in found if not outcome.is_known] == ["nobody's"]


class _Unready(Consumer):
    """Be a consumer whose broker has not got round to the partitions of a new topic when it is asked first."""

    asked = 0

    def list_topics(self, *args: object, **options: object) -> ClusterMetadata:
        found: ClusterMetadata = super().list_topics(*args, **options)  # type: ignore[arg-type]
        type(self).asked += 1
        if self.asked == 1:
            for topic in found.topics.values():
                topic.partitions = {}
        return found


def test_a_topic_that_was_just_created_is_waited_for(
    client: OutsideClient, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.send_raw(topic, b"early")
    monkeypatch.setattr(outside_reader, "Consumer", _Unready)

    assert [each.message.value for each in client.read([topic])] == [b"early"]
    assert _Unready.asked == 2
