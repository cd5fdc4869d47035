from typing import TypeVar

import pytest

from cqrs.exceptions import InvalidMessageException, UndecodableMessageException
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Headers, Message
from cqrs.messaging.values import AVRO, JSON, Values

T = TypeVar("T")


class Payload:
    type_name = None

    def __init__(self, decoder: str, declared: str | None) -> None:
        self.told = (decoder, declared)

    def build(self, target: type[T]) -> T:
        raise NotImplementedError

    def plain(self) -> object:
        return self.told


class Decoder:
    def __init__(self, name: str) -> None:
        self.name = name

    async def parse(self, message: Message, declared_type: str | None) -> Payload:
        return Payload(self.name, declared_type)


VALUES = Values({JSON: Decoder("json"), AVRO: Decoder("avro")}, max_bytes=4)


def record(value: bytes | None, *headers: tuple[str, bytes | None]) -> Message:
    told: Headers = headers
    return Message("t", 0, 0, None, value, told)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("message", "decoder"),
    [
        (record(b"{}"), "json"),
        (record(b""), "json"),
        (record(b"\0\0"), "avro"),
        (record(b"{}", ("__value_schema_id", b"\0")), "avro"),
        (record(b"\0", ("content-type", b"Application/JSON; charset=utf-8")), "json"),
        (record(b"{}", ("content-type", b"application/avro")), "avro"),
    ],
)
async def test_the_content_type_decides_and_else_the_first_byte(message: Message, decoder: str) -> None:
    envelope = read_envelope(message)
    VALUES.check(message, envelope)
    assert (await VALUES.parse(message, envelope, "a.B")).plain() == (decoder, "a.B")


@pytest.mark.asyncio
async def test_an_unknown_content_type_is_refused_with_those_that_are_known() -> None:
    message = record(b"{}", ("content-type", b"text/xml"))
    with pytest.raises(InvalidMessageException, match=r"'text/xml' is not understood; send one of application/avro"):
        await VALUES.parse(message, read_envelope(message), None)


@pytest.mark.parametrize(
    ("message", "why", "raised"),
    [
        (record(None), "is null", UndecodableMessageException),
        (record(b"12345"), "5 bytes, but MAX_MESSAGE_BYTES allows 4", UndecodableMessageException),
        (record(b"{}", ("ce_id", b"1"), ("ce_id", b"2")), "given twice", InvalidMessageException),
    ],
)
def test_what_need_not_be_looked_into_is_refused(message: Message, why: str, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=why):
        VALUES.check(message, read_envelope(message))
    VALUES.check(record(b"1234"), read_envelope(message=record(b"1234")))
