import pytest
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes

from cqrs.tracing import attributes

MESSAGING_NAMES = [name for name in vars(attributes) if name.startswith("MESSAGING_")]
OWN_NAMES = [
    "CANCELLED",
    "MESSAGE_TYPE",
    "COMMAND_ID",
    "QUERY_ID",
    "HANDLER_NAME",
    "HANDLER_DESCRIPTION",
    "HANDLER_TAGS",
    "OUTCOME",
    "CACHE_HIT",
]


@pytest.mark.parametrize("name", MESSAGING_NAMES)
def test_a_messaging_name_is_the_one_of_the_semantic_conventions(name: str) -> None:
    assert getattr(attributes, name) == getattr(messaging_attributes, name)


def test_every_name_is_looked_at_here() -> None:
    values = {"ERROR_TYPE", "CORRELATION_ID", "KAFKA", "OPERATION_SEND", "OPERATION_PROCESS"}
    constants = {name for name in vars(attributes) if name.isupper()}
    assert constants == {*MESSAGING_NAMES, *OWN_NAMES, *values}


def test_error_type_is_the_one_of_the_semantic_conventions() -> None:
    assert attributes.ERROR_TYPE == error_attributes.ERROR_TYPE


def test_values_are_the_ones_of_the_semantic_conventions() -> None:
    assert messaging_attributes.MessagingSystemValues.KAFKA.value == attributes.KAFKA
    assert messaging_attributes.MessagingOperationTypeValues.SEND.value == attributes.OPERATION_SEND
    assert messaging_attributes.MessagingOperationTypeValues.PROCESS.value == attributes.OPERATION_PROCESS


@pytest.mark.parametrize("name", OWN_NAMES)
def test_our_own_names_stand_under_our_own_prefix(name: str) -> None:
    assert getattr(attributes, name).startswith("cqrs.")


def test_the_correlation_id_is_searched_for_by_its_plain_name() -> None:
    assert attributes.CORRELATION_ID == "correlation_id"
