import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.messaging.dead_letters import DeadLetters
from cqrs.messaging.message import Message, OutgoingMessage, Receipt
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient, UnsendableException
from cqrs.testing.recording_tracer import RecordingTracer
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import SpanKind
from tests.unit.testing.registry_server import registry_server

CREATE = Path("schemas/commands/orders.CreateOrder.avsc").read_text("utf-8")
ORDER = {
    "order_id": "o-1",
    "customer_id": "c-1",
    "items": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}],
    "currency": "EUR",
}
RECURSIVE = '{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}'


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    broker.create_topic("commands", partitions=3)
    broker.create_topic("commands-dlt", partitions=3)
    return "commands"


@pytest.fixture
def client(broker: EmbeddedBroker) -> Iterator[OutsideClient]:
    with OutsideClient(broker.bootstrap_servers, None) as opened:
        yield opened


class _DeadLetterProducer:
    """Send through an outside client what the service's own dead letters are made of."""

    def __init__(self, client: OutsideClient) -> None:
        self._client = client

    async def send(self, message: OutgoingMessage) -> Receipt:
        sent = self._client.send_raw(message.topic, message.value, key=message.key, headers=message.headers)
        return sent.receipt


def headers_of(message: Message) -> dict[str, bytes | None]:
    assert len(dict(message.headers)) == len(message.headers)
    return dict(message.headers)


def receipt_of(message: Message) -> Receipt:
    return Receipt(message.topic, message.partition, message.offset)


def test_json_goes_out_with_its_envelope_and_comes_back(client: OutsideClient, topic: str) -> None:
    sent = client.send_json(topic, {"a": Decimal("1.50")}, type_name="t.Do", key="k", correlation_id="corr")

    (received,) = client.read([topic])

    assert received.value == {"a": "1.50"}
    assert received.type_name == "t.Do"
    assert received.message.key == b"k"
    assert (sent.correlation_id, sent.key) == ("corr", "k")
    assert sent.receipt == Receipt(topic, received.message.partition, received.message.offset)
    headers = headers_of(received.message)
    assert headers["ce_id"] == sent.id.encode()
    assert headers["content-type"] == b"application/json"
    assert headers["ce_correlationid"] == b"corr"


def test_a_type_in_the_value_leaves_out_every_header(client: OutsideClient, topic: str) -> None:
    sent = client.send_json(topic, {"a": 1}, type_name="t.Do", type_in_value=True)

    (received,) = client.read([topic])

    assert received.value == {"type": "t.Do", "data": {"a": 1}}
    assert received.message.headers == ()
    assert sent.id == sent.correlation_id  # what a reader derives from the place


def test_the_current_correlation_id_goes_out(client: OutsideClient, topic: str) -> None:
    with CorrelationContext.scope(correlation_id="of-the-caller"):
        sent = client.send_json(topic, {}, type_name="t.Do")

    assert sent.correlation_id == "of-the-caller"


def test_avro_is_registered_and_read_back_by_the_id_in_the_value(broker: EmbeddedBroker, topic: str) -> None:
    with (
        registry_server() as url,
        OutsideClient(broker.bootstrap_servers, url) as client,
        OutsideClient(broker.bootstrap_servers, url) as other,
    ):
        client.send_avro(topic, ORDER, CREATE, key="o-1")
        (received,) = other.read([topic])

    assert received.message.value is not None
    assert received.message.value[:5] == b"\x00\x00\x00\x00\x01"
    assert received.value == {
        **ORDER,
        "items": [{"sku": "A", "quantity": 2, "unit_price": Decimal("9.99")}],
    }
    assert received.type_name == "orders.CreateOrder"


def test_bare_avro_has_no_header(broker: EmbeddedBroker, topic: str) -> None:
    with registry_server() as url, OutsideClient(broker.bootstrap_servers, url) as client:
        client.send_avro(topic, ORDER, CREATE, bare=True)
        (received,) = client.read([topic])

    assert received.message.headers == ()
    assert isinstance(received.value, dict)


@pytest.mark.parametrize(
    ("data", "schema", "why"),
    [
        ({"order_id": "o-1"}, CREATE, "customer_id"),
        ({**ORDER, "items": [{"sku": "A", "quantity": "two", "unit_price": "1"}]}, CREATE, "quantity|int"),
        ({}, "{", "no schema"),
    ],
)
def test_what_does_not_fit_its_schema_is_not_sent(
    broker: EmbeddedBroker, data: dict[str, object], schema: str, why: str
) -> None:
    with (
        registry_server() as url,
        OutsideClient(broker.bootstrap_servers, url) as client,
        pytest.raises(UnsendableException, match=why),
    ):
        client.send_avro("anything", data, schema)


def test_an_absent_registry_is_named(broker: EmbeddedBroker) -> None:
    with registry_server() as url:
        pass
    with (
        OutsideClient(broker.bootstrap_servers, url, timeout_seconds=2) as client,
        pytest.raises(DependencyUnavailableException, match=f"schema registry.*{url}"),
    ):
        client.send_avro("anything", ORDER, CREATE)


def test_avro_without_a_registry_says_what_is_missing(client: OutsideClient, topic: str) -> None:
    with pytest.raises(ConfigurationException, match="URL"):
        client.send_avro(topic, ORDER, CREATE)
    client.send_raw(topic, b"\x00\x00\x00\x00\x01\x00")

    (received,) = client.read([topic])

    assert received.problem is not None
    assert "no schema registry" in received.problem
    assert client.schema_of(received.message) is None


def test_the_schema_of_a_value_can_be_asked_for(broker: EmbeddedBroker, topic: str) -> None:
    with registry_server(RECURSIVE) as url, OutsideClient(broker.bootstrap_servers, url) as client:
        for number in (1, 2):
            client.send_raw(topic, b"\x00\x00\x00\x00" + bytes([number]), key="k")
        client.send_raw(topic, b"{}", key="k")
        found = [client.schema_of(each.message) for each in client.read([topic])]

    assert found == [RECURSIVE, None, None]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\x00\x00\x00\x00\x01" + b"\x02" * 100_000, "recursive"),
        (b"\x00\x00\x00\x00\x09\x00\x00", "40403|not found"),
        (b"\x00\x00", "schema id"),
        (b"[" * 100_000, "JSON"),
        (b"nonsense", "JSON"),
    ],
)
def test_an_unreadable_value_is_told_and_the_next_one_is_read(
    broker: EmbeddedBroker, topic: str, value: bytes, why: str
) -> None:
    with registry_server(RECURSIVE) as url, OutsideClient(broker.bootstrap_servers, url) as client:
        client.send_raw(topic, value, key="k")
        client.send_raw(topic, b"{}", key="k")
        poison, good = client.read([topic])

    assert poison.value is None
    assert poison.problem is not None
    assert any(word in poison.problem for word in why.split("|"))
    assert poison.message.value == value
    assert (good.value, good.problem) == ({}, None)


def test_bytes_travel_untouched(client: OutsideClient, topic: str) -> None:
    headers = (("h", b"\xff"), ("h", None), ("ce_id", b"\xfe"))

    client.send_raw(topic, None, key=b"\xff\x00", headers=headers)

    (received,) = client.read([topic])
    assert received.message.value is None
    assert received.message.key == b"\xff\x00"
    assert received.message.headers == headers


def test_every_send_and_every_read_has_its_span_and_they_hang_together(broker: EmbeddedBroker, topic: str) -> None:
    tracer = RecordingTracer()
    with OutsideClient(broker.bootstrap_servers, None, tracer=tracer) as client:
        sent = client.send_raw(
            topic, b"{}", headers=(("Traceparent", b"old"), ("traceparent", b"older"), ("ce_correlationid", b"corr"))
        )
        client.read([topic])

    send, process = tracer.spans
    assert (send.name, send.kind, send.trace_id) == (f"send {topic}", SpanKind.PRODUCER, sent.trace_id)
    assert send.attributes["correlation_id"] == "corr"
    assert send.attributes["messaging.kafka.offset"] == sent.receipt.offset
    assert (process.name, process.kind) == (f"process {topic}", SpanKind.CONSUMER)
    carried = [value for name, value in process.parent_headers or () if name.lower() == "traceparent"]
    assert carried == [f"00-{send.trace_id}-{send.span_id}-01".encode()]


@pytest.mark.asyncio
async def test_outcomes_are_events_by_their_cause_and_dead_letters_by_id_or_place(
    client: OutsideClient, topic: str
) -> None:
    handled = client.send_json(topic, {}, type_name="t.Do")
    refused = client.send_json(topic, {}, type_name="t.Do")
    nameless = client.send_raw(topic, b"nonsense")
    lost = client.send_raw(topic, b"never handled")
    letters = DeadLetters(_DeadLetterProducer(client), "group", "{}-dlt".format)
    for sent in (refused, nameless):
        (record,) = [each.message for each in client.read([topic]) if receipt_of(each.message) == sent.receipt]
        await letters.put(record, ValueError("refused"))
    client.send_raw(topic, b'{"done": true}', headers=(("ce_causationid", handled.id.encode()),))

    found = client.outcomes([handled, refused, nameless, lost], [topic, f"{topic}-dlt"], 0.5)

    assert [outcome.is_known for outcome in found] == [True, True, True, False]
    assert [event.value for event in found[0].events] == [{"done": True}]
    assert found[0].dead_letter is None
    assert found[1].dead_letter is not None
    assert found[1].dead_letter.topic == f"{topic}-dlt"
    assert found[2].dead_letter is not None
    assert found[2].dead_letter.value == b"nonsense"


def test_an_unknown_topic_is_an_error_that_names_the_known_ones(client: OutsideClient, topic: str) -> None:
    with pytest.raises(ConfigurationException, match=f"no topic nowhere; it has {topic}, {topic}-dlt"):
        client.read(["nowhere"])

    assert client.topics()[topic] == 3
    assert "nowhere" not in client.topics()


def test_a_refused_message_and_an_absent_broker_are_told_apart(broker: EmbeddedBroker, topic: str) -> None:
    with OutsideClient(broker.bootstrap_servers, None, timeout_seconds=5) as client:
        client.send_raw(topic, b"connected")
        broker.fail_requests(ApiKey.PRODUCE, 10)
        with pytest.raises(UnsendableException, match="too large"):
            client.send_raw(topic, b"refused")
    with (
        OutsideClient("127.0.0.1:1", None, timeout_seconds=0.3) as client,
        pytest.raises(DependencyUnavailableException, match="kafka"),
    ):
        client.send_raw(topic, b"nobody there")


def test_a_record_whose_acknowledgement_is_lost_is_not_sent_again(broker: EmbeddedBroker, topic: str) -> None:
    with OutsideClient(broker.bootstrap_servers, None) as client, ThreadPoolExecutor(1) as sender:
        client.send_raw(topic, b"1", key="k")
        reached = False
        while not reached:  # a connection that is just being made waits for its own answers, and the record with it
            client.send_raw(f"{topic}-dlt", b"{}")
            sent_before = broker.requests(ApiKey.PRODUCE)
            broker.delay_answers(60_000)
            sending = sender.submit(client.send_raw, topic, b"2", key="k")
            while not (reached := broker.requests(ApiKey.PRODUCE) > sent_before) and not sending.done():
                time.sleep(0.01)
            broker.broker_down()
            broker.delay_answers(0)
            broker.broker_up()

        with pytest.raises(DependencyUnavailableException, match="may be stored or not"):
            sending.result()

        client.send_raw(topic, b"3", key="k")
        assert [each.value for each in client.read([topic])] == [1, 2, 3]


def test_a_leader_that_moved_and_a_broker_that_was_away_are_sent_to(topic: str) -> None:
    with EmbeddedBroker(brokers=2) as two, OutsideClient(two.bootstrap_servers, None) as client:
        two.create_topic(topic, partitions=1, replication_factor=2)
        for leader in (1, 2, 1):
            two.move_leader(topic, 0, leader)
            client.send_raw(topic, b"{}")
        two.broker_down()
        two.broker_up()
        two.create_topic("new")
        client.send_raw("new", b"{}")

        assert len(client.read([topic, "new"])) == 4


def test_an_absent_broker_is_no_flood_of_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        OutsideClient("127.0.0.1:1", None, timeout_seconds=0.3) as client,
        pytest.raises(DependencyUnavailableException, match=r"asking 127\.0\.0\.1:1 for its topics"),
    ):
        client.topics()

    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert any("librdkafka" in record.getMessage() for record in caplog.records)


def test_threads_share_a_client(client: OutsideClient, topic: str) -> None:
    threads = [threading.Thread(target=client.send_raw, args=(topic, b"1")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(client.read([topic])) == 8
