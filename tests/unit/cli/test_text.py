from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.cli.text import clock, hex_dump, one_line, pretty_json, printable, readable, short_json, simple_name


@given(st.text())
def test_nothing_that_is_printed_can_steer_the_terminal(text: str) -> None:
    assert all(character.isprintable() or character in "\n\t" for character in printable(text))
    assert one_line(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert printable(text) == one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[31mred", "\\x1b[31mred"), ("a\nb", "a\\nb"), ("\u202e", "\\u202e"), ("\U000e0001", "\\U000e0001")],
)
def test_what_could_steer_is_written_out(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize(
    ("raw", "shown"), [(None, "null"), (b"", ""), ("ü".encode(), "ü"), (b"\xff\x00", "0xff00"), (b"\x1b", "\\x1b")]
)
def test_bytes_are_text_where_they_are_text(raw: bytes | None, shown: str) -> None:
    assert readable(raw) == shown


def test_long_bytes_are_cut() -> None:
    assert readable(b"\xff" * 1000) == "0x" + "ff" * 256 + "..."


@given(st.binary(max_size=600))
def test_a_dump_holds_every_byte_of_its_beginning(raw: bytes) -> None:
    lines = hex_dump(raw, limit=300).splitlines()
    left = lines.pop() if len(raw) > 300 else None

    assert b"".join(bytes.fromhex(line[8:55]) for line in lines) == raw[:300]
    assert left == (f"... and {len(raw) - 300} bytes more" if len(raw) > 300 else None)


def test_a_dump_line_shows_offset_bytes_and_text() -> None:
    assert hex_dump(b"0123456789abcdef\x00A").splitlines() == [
        "000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
        "000010  00 41                                            .A",
    ]


def test_json_shows_amounts_times_ids_and_bytes_as_text() -> None:
    value = {
        "amount": Decimal("9.90"),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC),
        "id": UUID(int=1),
        "raw": b"\xff",
    }

    assert short_json(value) == (
        '{"amount": "9.90", "at": "2026-01-02T03:04:05.678Z", '
        '"id": "00000000-0000-0000-0000-000000000001", "raw": "0xff"}'
    )
    assert pretty_json({"a": "ü"}) == '{\n  "a": "ü"\n}'


def test_a_class_is_named_without_its_module() -> None:
    assert simple_name("a.b.FooException") == "FooException"
    assert simple_name("FooException") == "FooException"


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(1_700_000_000_005, "2023-11-14 22:13:20.005 UTC"), (2**62, str(2**62)), (-(2**62), str(-(2**62)))],
)
def test_a_moment_no_calendar_has_stays_a_number(milliseconds: int, shown: str) -> None:
    assert clock(milliseconds) == shown
