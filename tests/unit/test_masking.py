import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.masking import without_url_passwords

PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'"), min_size=1).map(
    lambda text: f"hunter2{text}hunter2"
)


@given(PASSWORDS, st.sampled_from(["http", "postgresql+asyncpg", "redis", "amqps"]))
def test_whatever_a_password_holds_nothing_of_it_is_left(password: str, scheme: str) -> None:
    shown = without_url_passwords(f"asking {scheme}://me:{password}@db:5432/orders failed")

    assert "hunter2" not in shown
    assert shown == f"asking {scheme}://me:***@db:5432/orders failed"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing", "nothing"),
        ("http://host:8081/path", "http://host:8081/path"),
        ("http://me@host", "http://me@host"),
        ("http://a:p@h1:1,http://b:q@h2:2", "http://a:***@h1:1,http://b:***@h2:2"),
        ("{'url': 'http://a:p@h1', 'mail': 'a@b'}", "{'url': 'http://a:***@h1', 'mail': 'a@b'}"),
        ("redis://:p@cache/0", "redis://:***@cache/0"),
        ("redis://cache/0?password=p&db=1", "redis://cache/0?password=***&db=1"),
        ("https://idp/token?client_secret=s", "https://idp/token?client_secret=***"),
    ],
)
def test_everything_else_stays_readable(text: str, shown: str) -> None:
    assert without_url_passwords(text) == shown
