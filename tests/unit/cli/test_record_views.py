import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.cli.letter_file import Letter
from cqrs.cli.record_views import first_line, letter_list, letter_view, value_view
from cqrs.messaging.message import Message
from tests.unit.cli.letters import SOURCE, dead_letter_of
from tests.unit.cli.rendering import rendered

SCHEMA = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}'
RECURSIVE = '{"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}'


def value_of(value: bytes | None, schema: str | None = None) -> str:
    return rendered(value_view(Letter(Message("t", 0, 0, None, value), schema)))


@pytest.mark.asyncio
async def test_a_dead_letter_shows_all_that_it_holds() -> None:
    shown = rendered(letter_view(Letter(await dead_letter_of())), width=100)

    assert shown.startswith("cmd-dlt[1]@0\nkey       k-1\n")
    assert "came from cmd[1]@7" in shown
    assert "StockException\n  raised as cqrs.exceptions.CommandProcessingException" in shown
    assert "t.Do failed: StockException: sold out" in shown
    assert '  {\n    "a": 1\n  }\n' in shown
    assert "kafka_dlt-original-offset          7\n" in shown
    assert "stack trace\n  Traceback (most recent call last):" in shown
    assert shown.count("(see above)") == 2


def test_a_record_that_is_no_dead_letter_shows_what_there_is() -> None:
    shown = rendered(letter_view(Letter(SOURCE)))

    assert "why" not in shown
    assert "stack trace" not in shown
    assert "ce_type" in shown
    assert rendered(letter_view(Letter(Message("t", 0, 0, None, None)))).endswith("headers\n  none")


@pytest.mark.asyncio
async def test_a_list_shows_where_what_and_why() -> None:
    letter = await dead_letter_of()

    shown = rendered(letter_list([Letter(letter), Letter(SOURCE)])).splitlines()

    assert shown[0] == "cmd-dlt:1:0  t.Do  key k-1"
    assert shown[1] == "    StockException: t.Do failed: StockException: sold out"
    assert shown[2:] == ["cmd:1:7  t.Do  key k-1"]


def test_each_kind_of_value_is_shown_in_its_own_way() -> None:
    assert value_of(None) == "null"
    assert value_of(b'{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert value_of(b"not json") == "not json"
    assert value_of(b"\x00\xff") == "000000  00 ff                                            .."
    assert value_of(b"") == ""
    assert value_of(b"\x00\x00\x00\x00\x01\x04hi", SCHEMA) == '{\n  "a": "hi"\n}'


def test_avro_that_cannot_be_read_is_dumped_with_the_reason() -> None:
    short = value_of(b"\x00\x00\x00\x00\x01\x7fhi", SCHEMA)
    deep = value_of(b"\x00\x00\x00\x00\x01" + b"\x02" * 100_000, RECURSIVE)

    assert short.startswith("not readable as Avro: t[0]@0 is not what its schema says")
    assert "000000  00 00 00 00 01 7f 68 69" in short
    assert "recursive" in deep
    assert "bytes more" in deep


def test_deep_and_long_json_is_shown_as_text() -> None:
    deep = b"[" * 50_000 + b"]" * 50_000

    assert value_of(deep).startswith("[[[[")
    assert value_of(json.dumps("x" * 200_000).encode()).startswith('"xxx')


@given(st.binary(max_size=300), st.none() | st.just(SCHEMA))
def test_no_value_can_steer_the_terminal(value: bytes, schema: str | None) -> None:
    assert all(character.isprintable() or character == "\n" for character in value_of(value, schema))


def test_a_message_of_many_lines_is_begun_only() -> None:
    assert first_line("  one\ntwo") == "one"
    assert first_line("x" * 200) == "x" * 117 + "..."
