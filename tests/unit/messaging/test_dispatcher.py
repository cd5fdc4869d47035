"""From a record to the bus: the right type, the right bytes, the right identity, or a refusal that says why."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import ContextAwareCommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.context.execution_context import ExecutionContext
from cqrs.exceptions import (
    ConfigurationException,
    InvalidMessageException,
    UndecodableMessageException,
    UnknownMessageTypeException,
)
from cqrs.messaging.delivery import HANDLED, Delivery, current_delivery
from cqrs.messaging.dispatcher import CommandTypes, Dispatcher
from cqrs.messaging.envelope import derived_id, read_envelope
from cqrs.messaging.message import Message
from cqrs.messaging.values import AVRO, JSON
from cqrs.types import Command, message_type

T = TypeVar("T")


@message_type("t.Do", aliases=("t.OldDo",))
@dataclass(frozen=True)
class Do(Command[str]):
    what: str


class Nameless(Command[str]):
    pass


@message_type("t.Do")
class SameName(Command[str]):
    pass


class Payload:
    def __init__(self, data: dict[str, str], type_name: str | None) -> None:
        self.data, self.type_name = data, type_name

    def build(self, target: type[T]) -> T:
        return target(**self.data)

    def plain(self) -> object:
        return self.data


class Decoder:
    def __init__(self, type_name: str | None = None) -> None:
        self.type_name = type_name
        self.declared: list[str | None] = []

    async def parse(self, message: Message, declared_type: str | None) -> Payload:
        self.declared.append(declared_type)
        try:
            return Payload(json.loads(message.value or b""), self.type_name)
        except ValueError as error:
            raise UndecodableMessageException(str(error)) from error


class DoHandler(ContextAwareCommandHandler[Do, str]):
    def __init__(self) -> None:
        self.commands: list[Do] = []
        self.contexts: list[ExecutionContext] = []
        self.deliveries: list[Delivery | None] = []

    async def do_handle_with_context(self, command: Do, context: ExecutionContext) -> str:
        self.commands.append(command)
        self.contexts.append(context)
        self.deliveries.append(current_delivery.get())
        return "done"


class Fixture:
    def __init__(self, *, value_type: str | None = None, topic_types: dict[str, str] | None = None) -> None:
        self.handler = DoHandler()
        registry = HandlerRegistry()
        registry.register_command_handler(self.handler)
        self.json, self.avro = Decoder(value_type), Decoder(value_type)
        self.dispatcher = Dispatcher(
            DefaultCommandBus(registry=registry),
            CommandTypes([Do]),
            {JSON: self.json, AVRO: self.avro},
            max_bytes=100,
            topic_types=topic_types,
        )

    async def dispatch(self, *headers: tuple[str, bytes | None], value: bytes | None = b'{"what": "x"}') -> Delivery:
        message = Message("c", 0, 5, b"k", value, headers, timestamp_ms=1_700_000_000_000)
        delivery = Delivery(message, read_envelope(message))
        assert await self.dispatcher(delivery) is HANDLED
        return delivery


DECLARED = ("ce_type", b"t.Do")


@pytest.mark.asyncio
async def test_the_declared_type_is_built_and_sent_with_the_messages_identity() -> None:
    fixture = Fixture()

    delivery = await fixture.dispatch(
        DECLARED, ("ce_id", b"m-1"), ("ce_correlationid", b"c-1"), ("ce_time", b"2026-01-01T00:00:00Z")
    )

    (command,) = fixture.handler.commands
    assert command.what == "x"
    assert command.get_command_id() == "m-1"
    assert command.get_correlation_id() == "c-1"
    assert command.get_timestamp() == datetime(2026, 1, 1, tzinfo=UTC)
    assert fixture.handler.deliveries == [delivery]
    assert current_delivery.get() is None


@pytest.mark.asyncio
async def test_a_record_without_an_id_gives_its_command_the_same_id_at_every_delivery() -> None:
    fixture = Fixture()

    first = await fixture.dispatch(DECLARED)
    await fixture.dispatch(DECLARED)

    ids = [command.get_command_id() for command in fixture.handler.commands]
    assert ids == [derived_id(first.message)] * 2


@pytest.mark.asyncio
async def test_an_alias_names_the_same_type() -> None:
    fixture = Fixture()

    await fixture.dispatch(("ce_type", b"t.OldDo"))

    assert len(fixture.handler.commands) == 1


@pytest.mark.asyncio
async def test_the_value_may_name_the_type_itself() -> None:
    fixture = Fixture(value_type="t.Do")

    await fixture.dispatch()

    assert len(fixture.handler.commands) == 1
    assert fixture.json.declared == [None]


@pytest.mark.asyncio
async def test_a_topic_may_stand_for_one_type() -> None:
    fixture = Fixture(topic_types={"c": "t.Do"})

    await fixture.dispatch()

    assert fixture.json.declared == ["t.Do"], "the decoder is told, so that it reads a bare body"


@pytest.mark.asyncio
async def test_identity_is_never_taken_from_a_plain_header() -> None:
    fixture = Fixture()

    await fixture.dispatch(DECLARED, ("initiated_by", b"admin"), ("user_id", b"admin"), ("X-User-ID", b"admin"))

    context = fixture.handler.contexts[0]
    assert (context.user_id, context.tenant_id) == (None, None)
    assert fixture.handler.commands[0].get_initiated_by() is None


@pytest.mark.asyncio
async def test_the_context_says_where_the_command_came_from() -> None:
    fixture = Fixture()

    await fixture.dispatch(DECLARED, ("ce_id", b"m-1"), ("ce_source", b"/shop"))

    context = fixture.handler.contexts[0]
    assert (context.request_id, context.source) == ("m-1", "/shop")
    assert context.properties["message.topic"] == "c"
    assert context.properties["message.offset"] == 5


@pytest.mark.parametrize(
    ("headers", "value", "used"),
    [
        ([("content-type", b"application/avro")], b'{"what": "x"}', "avro"),
        ([("content-type", b"application/json; charset=utf-8")], b'{"what": "x"}', "json"),
        ([], b'{"what": "x"}', "json"),
        ([("__value_schema_id", b"\x00\x00\x00\x00\x01")], b'{"what": "x"}', "avro"),
    ],
)
@pytest.mark.asyncio
async def test_the_decoder_is_chosen_by_content_type_else_by_the_bytes(
    headers: list[tuple[str, bytes | None]], value: bytes, used: str
) -> None:
    fixture = Fixture()

    await fixture.dispatch(DECLARED, *headers, value=value)

    assert len(fixture.avro.declared) == (used == "avro")
    assert len(fixture.json.declared) == (used == "json")


@pytest.mark.asyncio
async def test_a_leading_zero_byte_is_avro() -> None:
    fixture = Fixture()

    with pytest.raises(UndecodableMessageException):
        await fixture.dispatch(DECLARED, value=b"\x00\x00\x00\x00\x01abc")

    assert len(fixture.avro.declared) == 1


@pytest.mark.parametrize(
    ("headers", "value", "error", "says"),
    [
        ([DECLARED], None, UndecodableMessageException, "null"),
        ([DECLARED], b"x" * 101, UndecodableMessageException, "101 bytes"),
        ([("ce_type", b"t.Unknown")], b"{}", UnknownMessageTypeException, "t.Do"),
        ([("ce_type", b"t.Unknown")], b"\xff", UnknownMessageTypeException, "t.Unknown"),
        ([], b'{"what": "x"}', UnknownMessageTypeException, "ce_type"),
        ([("ce_type", b"\xff")], b'{"what": "x"}', UnknownMessageTypeException, "not UTF-8"),
        ([DECLARED, ("ce_type", b"t.Other")], b"{}", InvalidMessageException, "twice"),
        ([DECLARED, ("content-type", b"text/xml")], b"{}", InvalidMessageException, "application/json"),
        ([DECLARED], b"{", UndecodableMessageException, "property name"),
    ],
)
@pytest.mark.asyncio
async def test_what_cannot_become_a_command_is_refused_with_its_cause(
    headers: list[tuple[str, bytes | None]], value: bytes | None, error: type[Exception], says: str
) -> None:
    fixture = Fixture()

    with pytest.raises(error, match=says):
        await fixture.dispatch(*headers, value=value)

    assert fixture.handler.commands == []


def test_every_command_needs_a_name_of_its_own_and_all_problems_are_shown() -> None:
    with pytest.raises(ConfigurationException) as caught:
        CommandTypes([Do, Nameless, SameName])

    assert len(caught.value.problems) == 2
    assert any("Nameless" in problem and "@message_type" in problem for problem in caught.value.problems)
    assert any("SameName" in problem and "Do" in problem for problem in caught.value.problems)


def test_a_topic_that_stands_for_an_unknown_type_is_named() -> None:
    (problem,) = CommandTypes([Do]).unknown({"c": "t.Do", "d": "t.Dont"})

    assert "'d'" in problem
    assert "t.Do" in problem
