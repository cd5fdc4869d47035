"""The spans of a command: a table of names and attributes, and when there are none."""

from dataclasses import dataclass, field

import pytest

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.config.properties import CommandProperties, CqrsProperties
from cqrs.decorators import command_handler
from cqrs.exceptions import CommandProcessingException
from cqrs.testing.recording_tracer import RecordingTracer
from cqrs.tracing.correlation import CorrelationContext
from cqrs.types import Command, message_type
from cqrs.validation.types import ValidationResult


@message_type("orders.Create")
@dataclass(frozen=True)
class Create(Command[str]):
    fail: int = 0
    ids: list[tuple[str | None, str | None]] = field(default_factory=list, compare=False)

    async def validate(self) -> ValidationResult:
        self.ids.append((CorrelationContext.get_trace_id(), CorrelationContext.get_span_id()))
        return ValidationResult.success()


@command_handler(retries=1, tags=("orders", "write"), description="Creates orders")
class CreateHandler(CommandHandler[Create, str]):
    def __init__(self) -> None:
        self.attempts = 0
        self.ids: list[tuple[str | None, str | None]] = []

    async def do_handle(self, command: Create) -> str:
        self.ids.append((CorrelationContext.get_trace_id(), CorrelationContext.get_span_id()))
        self.attempts += 1
        if self.attempts <= command.fail:
            raise ValueError("again")
        return "id"


async def no_sleep(seconds: float) -> None:
    return None


def bus_of(
    handler: CreateHandler, tracer: RecordingTracer, properties: CqrsProperties | None = None
) -> DefaultCommandBus:
    bus = DefaultCommandBus(HandlerRegistry(), tracer=tracer, properties=properties, timing=Timing(sleep=no_sleep))
    bus.register_handler(handler)
    return bus


@pytest.mark.asyncio
async def test_a_command_has_a_span_and_its_handler_one_within() -> None:
    tracer, command = RecordingTracer(), Create()
    await bus_of(CreateHandler(), tracer).send(command)

    outer, inner = tracer.spans
    described = {"cqrs.handler.tags": ("orders", "write"), "cqrs.handler.description": "Creates orders"}
    assert (outer.name, outer.parent) == ("command orders.Create", None)
    assert outer.attributes == {
        "cqrs.message.type": "orders.Create",
        "cqrs.command.id": command.get_command_id(),
        **described,
    }
    assert (inner.name, inner.parent) == ("handle CreateHandler", outer)
    assert inner.attributes == {"cqrs.handler.name": "CreateHandler", **described}
    assert outer.ended
    assert inner.ended
    assert outer.errors == inner.errors == []


@pytest.mark.asyncio
async def test_the_ids_of_the_context_follow_the_spans_and_are_restored() -> None:
    tracer, handler = RecordingTracer(), CreateHandler()
    with CorrelationContext.scope(trace_id="t", span_id="s"):
        await bus_of(handler, tracer).send(command := Create())
        assert (CorrelationContext.get_trace_id(), CorrelationContext.get_span_id()) == ("t", "s")
    outer, inner = tracer.spans
    assert command.ids == [(outer.trace_id, outer.span_id)]
    assert handler.ids == [(inner.trace_id, inner.span_id)]


@pytest.mark.asyncio
async def test_every_attempt_has_a_span_and_failures_are_on_them() -> None:
    tracer = RecordingTracer()
    await bus_of(CreateHandler(), tracer).send(Create(fail=1))
    outer, first, second = tracer.spans
    assert [type(error) for error in first.errors] == [ValueError]
    assert outer.errors == second.errors == []

    tracer = RecordingTracer()
    with pytest.raises(CommandProcessingException):
        await bus_of(CreateHandler(), tracer).send(Create(fail=2))
    assert [type(error) for error in tracer.spans[0].errors] == [CommandProcessingException]


@pytest.mark.asyncio
async def test_tracing_can_be_switched_off_for_a_handler_and_for_the_bus() -> None:
    @command_handler(tracing=False)
    class Untraced(CreateHandler):
        pass

    tracer = RecordingTracer()
    await bus_of(Untraced(), tracer).send(Create())
    off = CqrsProperties(command=CommandProperties(tracing_enabled=False))
    await bus_of(CreateHandler(), tracer, off).send(Create())
    assert tracer.spans == []
