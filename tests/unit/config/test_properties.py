import pytest
from pydantic import ValidationError

from cqrs.config.properties import AuthorizationProperties, CommandProperties, CqrsProperties, QueryProperties

GUIDE = {
    "enabled": True,
    "command": {"timeout": 30, "metrics_enabled": True, "tracing_enabled": True, "event_publication": "strict"},
    "query": {
        "timeout": 15,
        "caching_enabled": True,
        "cache_ttl": 900,
        "metrics_enabled": True,
        "tracing_enabled": True,
    },
    "authorization": {"enabled": True, "custom": {"enabled": True, "timeout_ms": 5000}},
}


def test_the_defaults_are_the_guides_table() -> None:
    assert CqrsProperties().model_dump() == GUIDE


def test_code_sets_any_of_them() -> None:
    properties = CqrsProperties(command=CommandProperties(timeout=3), query=QueryProperties(cache_ttl=0))
    assert (properties.command.timeout, properties.query.cache_ttl, properties.query.timeout) == (3, 0, 15)


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": {"timeout": 0}},
        {"query": {"timeout": -1}},
        {"query": {"cache_ttl": -1}},
        {"authorization": {"custom": {"timeout_ms": 0}}},
        {"command": {"event_publication": "sometimes"}},
        {"comand": {}},
        {"query": {"ttl": 3}},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CqrsProperties.model_validate(wrong)


def test_they_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError):
        CqrsProperties().enabled = False
    with pytest.raises(ValidationError):
        AuthorizationProperties().custom = AuthorizationProperties().custom
