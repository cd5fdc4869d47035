import ctypes
import socket
import threading

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from cqrs.exceptions import ConfigurationException
from cqrs.testing import embedded_broker
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker, load_librdkafka, missing_symbols


def partitions(broker: EmbeddedBroker) -> dict[str, int]:
    metadata = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=5)
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def produce(bootstrap_servers: str, topic: str, value: bytes) -> str | None:
    errors: list[str | None] = []
    producer = Producer({"bootstrap.servers": bootstrap_servers, "message.timeout.ms": 300, "log_level": 0})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error.name() if error else None))
    producer.flush(5)
    return errors[0]


def accepts(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_the_installed_librdkafka_has_every_function_used() -> None:
    assert missing_symbols(load_librdkafka()) == []


def test_a_library_without_a_mock_cluster_is_recognised() -> None:
    assert "rd_kafka_mock_cluster_new" in missing_symbols(ctypes.CDLL(None))


def test_no_library_at_all_says_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    load_librdkafka.cache_clear()
    monkeypatch.setattr(embedded_broker, "_candidates", lambda: iter(["/nowhere/librdkafka.so"]))
    with pytest.raises(ConfigurationException, match=r"/nowhere/librdkafka\.so.*pip install"):
        EmbeddedBroker().start()
    load_librdkafka.cache_clear()


def test_another_client_creates_reads_and_writes_its_topics() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("orders", partitions=3)
        assert partitions(broker) == {"orders": 3}
        assert produce(broker.bootstrap_servers, "orders", b"v") is None


def test_start_and_stop_may_be_repeated_and_leave_no_thread_or_port() -> None:
    threads = threading.active_count()
    broker = EmbeddedBroker()
    broker.start()
    broker.start()
    address = broker.bootstrap_servers
    assert accepts(address)
    broker.stop()
    broker.stop()
    assert not accepts(address)
    assert threading.active_count() == threads
    broker.start()
    assert accepts(broker.bootstrap_servers)
    broker.stop()


def test_a_stopped_broker_says_so() -> None:
    with pytest.raises(ConfigurationException, match="not running"):
        _ = EmbeddedBroker().bootstrap_servers


def test_a_cluster_of_no_brokers_is_refused() -> None:
    with pytest.raises(ConfigurationException, match="one or more"):
        EmbeddedBroker(brokers=0)


def test_start_writes_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker():
        pass
    assert capfd.readouterr() == ("", "")


def test_a_topic_is_created_once() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("orders")
        with pytest.raises(ConfigurationException, match=r"orders.*exists"):
            broker.create_topic("orders")


def test_a_broker_that_is_down_refuses_connections_and_comes_back_on_its_port() -> None:
    with EmbeddedBroker(brokers=2) as broker:
        first, second = broker.bootstrap_servers.split(",")
        broker.broker_down(1)
        assert not accepts(first)
        assert accepts(second)
        broker.broker_down()
        assert not accepts(second)
        broker.broker_up()
        assert accepts(first)
        assert accepts(second)


def test_an_unknown_broker_cannot_go_down() -> None:
    with EmbeddedBroker() as broker, pytest.raises(ConfigurationException, match="broker 7"):
        broker.broker_down(7)


def test_requests_fail_with_the_codes_pushed_until_they_are_cleared() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("orders")
        broker.fail_requests(ApiKey.PRODUCE, 10)
        assert produce(broker.bootstrap_servers, "orders", b"v") == "MSG_SIZE_TOO_LARGE"
        broker.fail_requests(ApiKey.PRODUCE, 10)
        broker.clear_failures(ApiKey.PRODUCE)
        assert produce(broker.bootstrap_servers, "orders", b"v") is None


def test_a_topic_can_be_made_to_fail() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("orders")
        broker.fail_topic("orders", 29)
        assert produce(broker.bootstrap_servers, "orders", b"v") == "TOPIC_AUTHORIZATION_FAILED"


def test_leaders_and_coordinators_move() -> None:
    with EmbeddedBroker(brokers=2) as broker:
        broker.create_topic("orders")
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        for target in (2, 1):
            broker.move_leader("orders", 0, target)
            assert admin.list_topics(timeout=5).topics["orders"].partitions[0].leader == target
        broker.move_coordinator("group", 2)
        with pytest.raises(ConfigurationException, match="broker 9"):
            broker.move_leader("orders", 0, 9)


def test_answers_can_be_delayed() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("orders")
        broker.delay_answers(2_000)
        assert produce(broker.bootstrap_servers, "orders", b"v") == "_MSG_TIMED_OUT"
        broker.delay_answers(0)
        assert produce(broker.bootstrap_servers, "orders", b"v") is None
