from collections.abc import Callable

import pytest
from aiokafka.conn import collect_hosts
from hypothesis import given
from hypothesis import strategies as st

from cqrs.exceptions import ConfigurationException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.topic_reader import KafkaTopicReader

READABLE = ["kafka:9092", "kafka", "10.0.0.1:1", "[::1]:9092", "::1", "[::1]", "a:65535,b:9092", " a:9092 , b:9092 "]


@pytest.mark.parametrize("given_addresses", READABLE)
def test_what_aiokafka_reads_passes(given_addresses: str) -> None:
    assert collect_hosts(checked_addresses(given_addresses))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("host:port", "the port 'port', which is no number"),
        ("kafka:", "the port '', which is no number"),
        ("kafka:-1", "the port '-1', which is no number"),
        ("kafka:٣", "which is no number"),
        ("kafka:0", "not within 1 to 65535"),
        ("kafka:65536", "not within 1 to 65535"),
        (":9092", "names no host"),
        ("", "'' is empty"),
        ("a:9092,,b:9092", "'' is empty"),
        ("a:9092,", "'' is empty"),
        ("PLAINTEXT://kafka:9092", "has a scheme"),
        ("kafka 1:9092", "a character that no host's name has"),
        ("kafka/:9092", "a character that no host's name has"),
        ("[::1:9092", "no IPv6 address in brackets"),
        ("kafka]:9092", "a character that no host's name has"),
        ("[kafka]:9092", "no IPv6 address in brackets"),
        ("fe80::1%eth0", "no IPv6 address in brackets"),
        ("a:b:9092", "no IPv6 address in brackets"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(address: str, reason: str) -> None:
    with pytest.raises(ConfigurationException) as refused:
        checked_addresses(address)
    [problem] = refused.value.problems
    assert "KAFKA_BOOTSTRAP_SERVERS" in problem
    assert reason in problem
    assert "write host:port" in problem


def test_every_mistake_is_named() -> None:
    with pytest.raises(ConfigurationException) as refused:
        checked_addresses("a:x,b:9092,c:y")
    assert ["'a:x'" in refused.value.problems[0], "'c:y'" in refused.value.problems[1]] == [True, True]


@given(st.text(st.sampled_from("ab1:[]., /-"), max_size=12))
def test_what_passes_never_makes_aiokafka_raise(text: str) -> None:
    try:
        passed = checked_addresses(text)
    except ConfigurationException:
        return
    assert len(collect_hosts(passed)) == len(text.split(","))


@pytest.mark.parametrize(
    "make",
    [
        lambda servers: KafkaProducer(bootstrap_servers=servers),
        lambda servers: KafkaConsumer(["orders"], "group", bootstrap_servers=servers),
        lambda servers: KafkaTopicReader(["orders"], bootstrap_servers=servers),
    ],
    ids=["producer", "consumer", "topic reader"],
)
def test_no_client_is_made_for_an_address_that_cannot_be_read(make: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationException, match="which is no number"):
        make("host:port")
