import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cqrs.cli.program import ServiceProgram
from cqrs.cli.send import Order, read_data, read_headers, send_command
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.messaging import dead_letter_headers
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient, Received, UnsendableException
from tests.unit.cli.programs import program
from tests.unit.testing.registry_server import registry_server

CANCEL = {"order_id": "o-1", "requested_by": "c-1", "reason": "-"}


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        for topic in ("cmd", "cmd-dlt", "evt"):
            running.create_topic(topic)
        yield running


@pytest.fixture
def shop(broker: EmbeddedBroker, tmp_path: Path) -> ServiceProgram[ServiceSettings]:
    return program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers)


@pytest.fixture
def answering(broker: EmbeddedBroker) -> Iterator[None]:
    """Handle each command that has a reason, and refuse the others."""
    stop = threading.Event()
    with OutsideClient(broker.bootstrap_servers, None) as client, client.reader(["cmd"], at_end=True) as reader:

        def answer() -> None:
            while not stop.is_set():
                for received in reader.poll():
                    answer_one(client, received)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        stop.set()
        thread.join()


def answer_one(client: OutsideClient, received: Received) -> None:
    message = received.message
    own_id = dict(message.headers)["ce_id"] or b""
    if isinstance(received.value, dict) and received.value.get("reason"):
        client.send_raw("evt", b'{"ok": true}', headers=(("ce_type", b"t.Done"), ("ce_causationid", own_id)))
        return
    why = (
        (dead_letter_headers.ORIGINAL_TOPIC, b"cmd"),
        (dead_letter_headers.EXCEPTION_FQCN, b"shop.NoReasonException"),
        (dead_letter_headers.EXCEPTION_MESSAGE, b"give a reason\nany will do"),
    )
    client.send_raw("cmd-dlt", message.value, headers=(*message.headers, *why))


def send(shop: ServiceProgram[ServiceSettings], order: Order) -> tuple[int, str]:
    printed = io.StringIO()
    code = send_command(shop, Console(file=printed, width=80, color_system=None), order)
    return code, printed.getvalue()


def sent(broker: EmbeddedBroker) -> Received:
    with OutsideClient(broker.bootstrap_servers, None) as client:
        (received,) = client.read(["cmd"])
    return received


@pytest.mark.usefixtures("answering")
def test_a_handled_command_shows_its_event_and_ends_with_0(shop: ServiceProgram[ServiceSettings]) -> None:
    order = Order("orders.CancelOrder", json.dumps(CANCEL), correlation_id="corr", wait_seconds=20)

    code, printed = send(shop, order)

    assert code == 0
    assert printed.startswith("sent to      cmd[0]@0\n")
    assert "correlation  corr\n" in printed
    assert "trace        " in printed
    assert 'handled\nt.Done  evt[0]@0\n  {"ok": true}' in printed


@pytest.mark.usefixtures("answering")
def test_a_refused_command_shows_why_and_what_to_type_and_ends_with_1(shop: ServiceProgram[ServiceSettings]) -> None:
    code, printed = send(shop, Order("orders.CancelOrder", json.dumps({**CANCEL, "reason": ""}), wait_seconds=20))

    assert code == 1
    assert "refused      shop.NoReasonException\ngive a reason\nany will do\n" in printed
    assert "dead-letters --at cmd-dlt:0:0\n" in printed


@pytest.mark.usefixtures("answering")
def test_where_jaeger_is_known_the_trace_is_a_link_to_it(broker: EmbeddedBroker, tmp_path: Path) -> None:
    shop = program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, jaeger_url="http://localhost:16686/")

    _, printed = send(shop, Order("orders.CancelOrder", json.dumps(CANCEL), wait_seconds=20))

    assert re.search(r"^trace +http://localhost:16686/trace/[0-9a-f]{32}$", printed, flags=re.MULTILINE)


def test_without_an_outcome_in_time_it_says_so_and_ends_with_1(shop: ServiceProgram[ServiceSettings]) -> None:
    code, printed = send(shop, Order("orders.CancelOrder", json.dumps(CANCEL), wait_seconds=0.1))

    assert code == 1
    assert "no outcome within 0.1 s" in printed


def test_the_key_is_the_field_that_the_handler_names(
    shop: ServiceProgram[ServiceSettings], broker: EmbeddedBroker
) -> None:
    code, _ = send(shop, Order("orders.CancelOrder", json.dumps(CANCEL), headers=("a=b=c", "d=")))

    received = sent(broker)
    assert code == 0
    assert received.message.key == b"o-1"
    assert received.value == CANCEL
    assert received.type_name == "orders.CancelOrder"
    assert dict(received.message.headers)["a"] == b"b=c"
    assert dict(received.message.headers)["d"] == b""


@pytest.mark.parametrize(("key", "data", "found"), [("mine", CANCEL, b"mine"), (None, {}, None), ("", CANCEL, b"")])
def test_a_key_that_is_given_wins(
    shop: ServiceProgram[ServiceSettings], broker: EmbeddedBroker, key: str | None, data: object, found: bytes | None
) -> None:
    send(shop, Order("orders.CancelOrder", json.dumps(data), key=key))

    assert sent(broker).message.key == found


def test_avro_goes_out_with_the_schema_of_the_service(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with registry_server() as url:
        shop = program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, schema_registry_url=url)
        send(shop, Order("orders.CancelOrder", json.dumps(CANCEL), avro=True))
        with pytest.raises(UnsendableException, match="requested_by"):
            send(shop, Order("orders.CancelOrder", '{"order_id": "o-1"}', avro=True))

    value = sent(broker).message.value or b""
    assert value[:5] == b"\x00\x00\x00\x00\x01"
    assert b"o-1" in value


@pytest.mark.parametrize(
    ("user", "password", "token", "authorization"),
    [("me", "p", None, "Basic bWU6cA=="), (None, None, "t", "Bearer t")],
    ids=["basic", "bearer"],
)
def test_a_registry_is_told_who_asks_and_schemas_stand_where_the_settings_say(
    broker: EmbeddedBroker,
    tmp_path: Path,
    user: str | None,
    password: str | None,
    token: str | None,
    authorization: str,
) -> None:
    subjects: list[str] = []
    order = Order("orders.CancelOrder", json.dumps(CANCEL), avro=True)
    with registry_server(authorization=authorization, subjects=subjects) as url:
        known = program(
            tmp_path,
            kafka_bootstrap_servers=broker.bootstrap_servers,
            schema_registry_url=url,
            schema_registry_username=user,
            schema_registry_password=password,
            schema_registry_token=token,
            schema_registry_subject_naming="TopicName",
        )
        send(known, order)
        unknown = program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, schema_registry_url=url)
        with pytest.raises(UnsendableException, match="answers 401"):
            send(unknown, order)
    assert subjects[0] == "cmd-value"


def test_avro_without_a_schema_says_so(broker: EmbeddedBroker, tmp_path: Path) -> None:
    shop = program(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, schemas_path=tmp_path)

    with pytest.raises(ConfigurationException, match=r"no schema orders\.CancelOrder\.avsc"):
        send(shop, Order("orders.CancelOrder", "{}", avro=True))


def test_the_topic_must_be_there_and_must_be_plain(broker: EmbeddedBroker, tmp_path: Path) -> None:
    at = broker.bootstrap_servers
    order = Order("orders.CancelOrder", "{}", topic="cmds")

    with pytest.raises(ConfigurationException, match="no topic cmds; it has cmd, cmd-dlt, evt"):
        send(program(tmp_path, kafka_bootstrap_servers=at), order)
    with pytest.raises(ConfigurationException, match="name one with --topic"):
        send(
            program(tmp_path, kafka_bootstrap_servers=at, command_topics=("cmd", "evt")),
            Order("orders.CancelOrder", "{}"),
        )


def test_an_unknown_type_is_not_sent(shop: ServiceProgram[ServiceSettings]) -> None:
    with pytest.raises(ConfigurationException, match=r"did you mean orders\.CancelOrder"):
        send(shop, Order("CancelOrdr", "{}"))


@pytest.mark.parametrize(
    ("text", "why"), [('{"a"', "line 1 column 5"), ("[1]", "must be an object"), ("", "not JSON"), ("[" * 9**6, "JSON")]
)
def test_data_that_is_no_json_object_is_explained(text: str, why: str) -> None:
    with pytest.raises(ConfigurationException, match=why):
        read_data(text)


def test_data_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))

    assert read_data("-") == {"a": 1}


def test_every_header_that_is_none_is_named() -> None:
    assert read_headers(["a=1", "a=2", "b="]) == (("a", b"1"), ("a", b"2"), ("b", b""))
    with pytest.raises(ConfigurationException) as raised:
        read_headers(["a=1", "b", "=c"])

    assert raised.value.problems == ("--header 'b': write name=value.", "--header '=c': write name=value.")
