import io
import json

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from cqrs.avro.model import parse
from cqrs.avro.skim import Skim, skimmer

ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


def record(**fields: object) -> dict[str, object]:
    return {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def compiled(schema: object) -> Skim:
    skim = skimmer(parse(json.dumps(schema)).root)
    assert skim is not None
    return skim


def integer(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value & ~0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_a_schema_that_leaves_no_room_is_not_skimmed() -> None:
    assert skimmer(parse(json.dumps(record(a="string", b={"type": "array", "items": "double"}))).root) is None


@pytest.mark.parametrize(
    ("schema", "body", "says"),
    [
        (["null", "string"], integer(-1), "no branch -1"),
        (["null", "string"], integer(2), "no branch 2"),
        (ENUM, integer(-1), "no symbol -1"),
        (ENUM, integer(2), "no symbol 2"),
        ("boolean", b"\x02", "the byte 2"),
        ({"type": "map", "values": "null"}, integer(2) + b"\x02a\x02a\x00", "same key twice"),
        (["string"], integer(0) + integer(-3), "below zero"),
        (["long"], integer(0) + b"\xff" * 10 + b"\x01", "more than 64 bits"),
    ],
)
def test_lenient_reading_is_made_strict(schema: object, body: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compiled(schema)(body)


ALL = record(
    u=["null", "string", ENUM],
    e="E",
    b="boolean",
    m={"type": "map", "values": {"type": "array", "items": "int"}},
    f={"type": "fixed", "name": "F", "size": 3},
    d="double",
    s="float",
    r=["null", {"type": "bytes"}],
)


def written(count: int = 2) -> bytes:
    body = io.BytesIO()
    values = {"u": "x", "e": "B", "b": True, "f": b"abc", "d": 1.5, "s": 0.5, "r": b"raw"}
    schemaless_writer(body, parse_schema(ALL), {**values, "m": {str(i): [1, -(2**31)] for i in range(count)}})
    return body.getvalue()


@given(st.integers(0, 30))
def test_what_fastavro_writes_is_walked_to_its_end(count: int) -> None:
    body = written(count)

    compiled(ALL)(body)
    for end in range(len(body)):
        with pytest.raises(EOFError):
            compiled(ALL)(body[:end])


def test_blocks_with_their_size_are_walked_over() -> None:
    body = integer(-2) + integer(4) + b"\x02a\x01" + b"\x02b\x00" + integer(0)

    compiled({"type": "map", "values": "boolean"})(body)


@given(st.binary(max_size=50))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        compiled(ALL)(body)
    except (ValueError, EOFError):
        return
