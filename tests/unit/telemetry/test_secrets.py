import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.masking import without_url_passwords
from cqrs.telemetry.secrets import MASK, masked


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


class Holder:
    def __repr__(self) -> str:
        return "Holder(postgres://u:hunter2@db/x)"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "PASSWORD", "sasl_plain_password", "db-passwd", "client_secret", "accessToken"),
        *("api_key", "apiKey", "private_key", "aws_credentials", "Authorization", "passphrase"),
    ],
)
@pytest.mark.parametrize("value", ["hunter2", 42, ["hunter2"], {"a": "hunter2"}])
def test_a_field_that_looks_like_a_secret_is_masked(name: str, value: object) -> None:
    assert masked(name, value) == MASK


@pytest.mark.parametrize("name", ["user", "key", "order_id", "authorization_result", "topic"])
def test_other_fields_are_shown(name: str) -> None:
    assert masked(name, "shown") == "shown"


def test_secrets_are_masked_however_deep_they_are() -> None:
    value = {"consumer": [{"sasl": {"password": "hunter2", "user": "u"}}]}
    assert masked("config", value) == {"consumer": [{"sasl": {"password": MASK, "user": "u"}}]}


def test_that_there_is_no_secret_may_be_shown() -> None:
    assert masked("password", None) is None
    assert masked("has_token", False) is False


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+asyncpg://u:hunter2@db:5432/orders", "postgresql+asyncpg://u:***@db:5432/orders"),
        ("redis://:hunter2@cache/0 failed", "redis://:***@cache/0 failed"),
        ("a http://u:p@h/ and b https://v:q@h/", "a http://u:***@h/ and b https://v:***@h/"),
        ("amqp://u:hunt@er@h/", "amqp://u:***@h/"),
        ("http://h:8080/a@b", "http://h:8080/a@b"),
        ("mail me@home: now", "mail me@home: now"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, shown: str) -> None:
    assert without_url_passwords(text) == shown
    assert masked("url", [text]) == [shown]


def test_what_json_has_no_word_for_is_shown_as_its_repr() -> None:
    assert masked("holder", Holder()) == "Holder(postgres://u:***@db/x)"
    assert masked("raw", b"\xff") == "b'\\xff'"
    assert masked("broken", Unshowable()) == "<Unshowable cannot be shown: its repr() raised RuntimeError>"


def test_what_holds_itself_comes_to_an_end() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert json.dumps(masked("ring", ring))


keys = st.one_of(st.text(max_size=4), st.integers(), st.tuples(st.integers()))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.dates(), st.decimals()),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner),
    max_leaves=20,
)


@given(values)
def test_everything_becomes_plain_data(value: object) -> None:
    assert json.dumps(masked("value", value))
