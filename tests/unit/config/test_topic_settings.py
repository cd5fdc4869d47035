"""Topics, groups and retry topics are read from a line, and what contradicts itself is said at once."""

import pytest

from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException


def made(**given: object) -> ServiceSettings:
    return ServiceSettings.model_validate(given)


def test_one_group_reads_the_command_topics() -> None:
    assert made(kafka_group_id="g", command_topics="a,b").groups == {"g": ("a", "b")}


def test_several_groups_are_written_in_a_line() -> None:
    settings = made(command_groups="orders=orders.commands+orders.urgent,billing=billing.commands")

    assert settings.groups == {"orders": ("orders.commands", "orders.urgent"), "billing": ("billing.commands",)}
    assert settings.all_command_topics == ("orders.commands", "orders.urgent", "billing.commands")


def test_lists_and_json_are_read_too() -> None:
    assert made(command_groups={"g": ["a", "b"]}).groups == {"g": ("a", "b")}
    assert made(command_groups='{"g": ["a"]}').groups == {"g": ("a",)}
    assert made(command_topics="a", retry_topics='{"a": [5, 6]}').retry_topics == {"a": (5, 6)}
    assert made(command_topics="a", retry_topics="a=5000").retry_topics == {"a": (5000,)}
    assert made(command_topics="a", retry_topics={"a": 5}).retry_topics == {"a": (5,)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"command_groups": "a=x,b=x"}, "each command would be run twice"),
        ({"command_groups": "a="}, "no topic"),
        ({"command_groups": "a=x", "command_topics": "y"}, "give one of the two"),
        ({"command_topics": "x", "retry_topics": "x=60000+5000"}, "must grow"),
        ({"command_topics": "x", "retry_topics": "y=5000"}, "no command topic"),
        ({"command_topics": "x", "retry_topics": "x=0"}, "RETRY_TOPICS"),
        ({"topic_replication": 0.5}, "TOPIC_REPLICATION"),
    ],
)
def test_what_contradicts_itself_is_said(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationException) as refused:
        made(**given)
    assert says in str(refused.value)


def test_groups_that_agree_with_the_topics_are_taken() -> None:
    assert made(command_groups="a=x,b=y", command_topics="y,x").all_command_topics == ("x", "y")
