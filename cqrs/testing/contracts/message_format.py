"""What `EventEncoder` and `Decoder` promise: `class TestMyFormat(MessageFormatContract)`, fixture `message_format`."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple
from uuid import UUID

import pytest

from cqrs.exceptions import UndecodableMessageException, UnpublishableEventException
from cqrs.messaging.message import Message
from cqrs.messaging.ports import Decoder, EventEncoder
from cqrs.testing.contracts.contract import Contract

TOPIC = "contract.events"


class MessageFormat(NamedTuple):
    """Hold the two sides of one format.

    Attributes:
        encoder: Writes events.
        decoder: Reads what it wrote.
    """

    encoder: EventEncoder
    decoder: Decoder


@dataclass(frozen=True)
class Sample:
    """Be an event with what events hold: text, numbers, money, times, ids, nothing, many."""

    event_type: ClassVar[str] = "contract.Sample"

    text: str
    number: int
    money: Decimal
    at: datetime
    id: UUID
    note: str | None
    many: tuple[str, ...]


@dataclass(frozen=True)
class Nameless:
    """Be an event that declares no name for the wire."""

    text: str


SAMPLE_SCHEMA = json.dumps(
    {
        "type": "record",
        "namespace": "contract",
        "name": "Sample",
        "fields": [
            {"name": "text", "type": "string"},
            {"name": "number", "type": "long"},
            {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "note", "type": ["null", "string"], "default": None},
            {"name": "many", "type": {"type": "array", "items": "string"}},
        ],
    }
)
"""The Avro schema of `Sample`, for formats that have schemas: give it to yours as the contract of `contract.Sample`."""

SAMPLE = Sample(
    text="ä\x00€𝄞",
    number=-(2**53) - 1,
    money=Decimal("-1234567890.10"),
    at=datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC),
    id=UUID("0b8f3a52-7d8a-4c0e-9b6a-3f1f6d1f2a11"),
    note=None,
    many=("", "b", "c" * 300),
)


class MessageFormatContract(Contract):
    """Hold an `EventEncoder` and a `Decoder` to their ports; needs a fixture `message_format`, a `MessageFormat`."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("note", [None, "", "x"], ids=repr)
    async def test_an_event_comes_back_as_it_went(self, message_format: MessageFormat, note: str | None) -> None:
        """Lose nothing: no digit, no microsecond, no difference between nothing and empty."""
        event = replace(SAMPLE, note=note)

        value = await _encoded(message_format, event)

        assert await _decoded(message_format, value) == event

    @pytest.mark.asyncio
    async def test_the_envelope_is_told_the_name_and_the_media_type(self, message_format: MessageFormat) -> None:
        """Say what `ce_type` and `content-type` are to say."""
        encoded = await message_format.encoder.encode(SAMPLE, TOPIC)

        assert encoded.type_name == "contract.Sample"
        assert encoded.content_type.count("/") == 1

    @pytest.mark.asyncio
    async def test_equal_events_are_equal_bytes(self, message_format: MessageFormat) -> None:
        """Let a reader compare a repeated event with the first one."""
        assert await _encoded(message_format, SAMPLE) == await _encoded(message_format, replace(SAMPLE))

    @pytest.mark.asyncio
    async def test_a_value_is_readable_without_a_class(self, message_format: MessageFormat) -> None:
        """Show what was written to whoever has no class for it."""
        value = await _encoded(message_format, SAMPLE)

        payload = await message_format.decoder.parse(_message(value), "contract.Sample")

        plain = payload.plain()
        assert isinstance(plain, dict)
        assert list(plain) == ["text", "number", "money", "at", "id", "note", "many"]
        assert (plain["text"], plain["number"], list(plain["many"])) == (SAMPLE.text, SAMPLE.number, list(SAMPLE.many))

    @pytest.mark.asyncio
    async def test_an_event_without_a_name_is_refused_and_told_at_the_start(
        self, message_format: MessageFormat
    ) -> None:
        """Never publish what no reader can tell."""
        with pytest.raises(UnpublishableEventException, match="Nameless"):
            await message_format.encoder.encode(Nameless("x"), TOPIC)

        assert any("Nameless" in each for each in message_format.encoder.problems(Nameless, TOPIC))
        assert list(message_format.encoder.problems(Sample, TOPIC)) == []

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "wrong", [{"text": object()}, {"money": float("nan")}, {"many": (object(),)}], ids=["text", "money", "many"]
    )
    async def test_an_event_that_cannot_be_written_is_refused(
        self, message_format: MessageFormat, wrong: dict[str, object]
    ) -> None:
        """Leave nothing out and write nothing else in its place."""
        with pytest.raises(UnpublishableEventException):
            await message_format.encoder.encode(replace(SAMPLE, **wrong), TOPIC)  # type: ignore[arg-type]

    @pytest.mark.asyncio
    async def test_what_is_cut_off_or_goes_on_is_no_event(self, message_format: MessageFormat) -> None:
        """Refuse every beginning of a value, and bytes behind its end."""
        value = await _encoded(message_format, SAMPLE)

        for wrong in [*(value[:length] for length in range(len(value))), value + b"\x00"]:
            with pytest.raises(UndecodableMessageException):
                await _decoded(message_format, wrong)

    @pytest.mark.asyncio
    async def test_bytes_that_are_changed_are_refused_or_read_and_nothing_else(
        self, message_format: MessageFormat
    ) -> None:
        """End no process by what a record holds: the one error is the one that makes a dead letter."""
        value = await _encoded(message_format, SAMPLE)

        for changed in _changed(value):
            try:
                await _decoded(message_format, changed)
            except UndecodableMessageException:
                continue


def _changed(value: bytes) -> Iterator[bytes]:
    """Yield 500 values with a few bytes changed; the same ones each time."""
    chance = random.Random(4711)  # noqa: S311 - it keeps no secret
    for _ in range(500):
        changed = bytearray(value)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed)


def _message(value: bytes) -> Message:
    return Message(TOPIC, 0, 0, None, value)


async def _encoded(message_format: MessageFormat, event: object) -> bytes:
    return (await message_format.encoder.encode(event, TOPIC)).value


async def _decoded(message_format: MessageFormat, value: bytes) -> Sample:
    payload = await message_format.decoder.parse(_message(value), "contract.Sample")
    return payload.build(Sample)
