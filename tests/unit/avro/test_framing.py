from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.avro.framing import SCHEMA_ID_HEADER, Framed, frame, unframe
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Headers, Message


def record(value: bytes | None, headers: Headers = ()) -> Message:
    return Message("t", 0, 0, None, value, headers)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=20))
def test_frames_round_trip(schema_id: int, body: bytes) -> None:
    assert unframe(record(frame(schema_id, body))) == Framed(schema_id, body)


def test_the_frame_is_confluents() -> None:
    assert frame(258, b"x") == b"\x00\x00\x00\x01\x02x"


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01x", b'{"a": 1}', None])
def test_a_value_without_a_frame_is_refused(value: bytes | None) -> None:
    with pytest.raises(UndecodableMessageException, match="4-byte schema id"):
        unframe(record(value))


def test_the_header_names_the_schema_and_the_value_is_all_body() -> None:
    guid = UUID("0b8f3a52-7d8a-4c0e-9b6a-3f1f6d1f2a11")

    assert unframe(record(b"body", ((SCHEMA_ID_HEADER, b"\x00\x00\x00\x00\x07"),))) == Framed(7, b"body")
    assert unframe(record(b"body", ((SCHEMA_ID_HEADER, b"\x01" + guid.bytes),))) == Framed(str(guid), b"body")


def test_a_null_header_is_none() -> None:
    assert unframe(record(frame(3, b"x"), ((SCHEMA_ID_HEADER, None),))) == Framed(3, b"x")


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\x01" + b"x" * 15, b"\x02" + b"x" * 16, b"\x00" * 6])
def test_a_header_that_names_no_schema_is_refused(content: bytes) -> None:
    with pytest.raises(UndecodableMessageException, match=SCHEMA_ID_HEADER):
        unframe(record(frame(3, b"x"), ((SCHEMA_ID_HEADER, content),)))
