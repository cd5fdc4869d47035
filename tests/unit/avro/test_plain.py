from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.avro.framing import frame
from cqrs.avro.plain import read_plain
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Message

AMOUNT = '{"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}'
SCHEMA = (
    '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}, {"name": "n", "type": '
    + AMOUNT
    + '}, {"name": "u", "type": ["null", "int"]}]}'
)
BODY = b"\x04hi\x04\x03\xe7\x02\x0e"


def message(body: bytes) -> Message:
    return Message("t", 0, 7, None, frame(3, body))


def test_a_value_is_read_as_its_writer_wrote_it() -> None:
    assert read_plain(message(BODY), SCHEMA) == {"a": "hi", "n": Decimal("9.99"), "u": 7}


@pytest.mark.parametrize(
    ("body", "schema", "why"),
    [
        (BODY[:-1], SCHEMA, "not what its schema says"),
        (BODY + b"\x00", SCHEMA, "1 bytes behind its end"),
        (BODY[:-2] + b"\x08\x0e", SCHEMA, "not what its schema says"),
        (
            b"\x02" * 100_000,
            '{"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}',
            "recurs",
        ),
        (BODY, "{", "not what its schema says"),
    ],
)
def test_what_does_not_fit_is_explained(body: bytes, schema: str, why: str) -> None:
    with pytest.raises(UndecodableMessageException, match=why):
        read_plain(message(body), schema)


def test_a_value_without_framing_is_refused() -> None:
    with pytest.raises(UndecodableMessageException, match="schema id"):
        read_plain(Message("t", 0, 7, None, b"{}"), SCHEMA)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = read_plain(message(body), SCHEMA)
    except UndecodableMessageException:
        return
    assert isinstance(value, dict)
