"""Events of commands: which are published, in which order, when, and what a failed publication does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.config.properties import CommandProperties, CqrsProperties
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.event.origin import EventOrigin
from cqrs.event.publisher import CommandEventPublisher
from cqrs.exceptions import CommandProcessingException, DependencyUnavailableException
from cqrs.types import Command, message_type


@dataclass
class Result:
    domain_events: list[str] = field(default_factory=list)


@message_type("orders.Create")
@dataclass(frozen=True)
class Create(Command[object]):
    domain_events: list[object] = field(default_factory=list)


Act = Callable[[Create], Awaitable[object]]


@publish_domain_event(destination="orders.events", message_format="avro", key="order_id")
@command_handler
class CreateHandler(CommandHandler[Create, object]):
    def __init__(self, act: Act) -> None:
        self.act = act

    async def do_handle(self, command: Create) -> object:
        return await self.act(command)


class GuidePublisher:
    """Takes what the guide's protocol names, and no more."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.published: list[tuple[object, str | None]] = []
        self.failing = failing

    async def publish(self, event: object, *, destination: str | None = None) -> None:
        if self.failing is not None:
            raise self.failing
        self.published.append((event, destination))

    @property
    def events(self) -> list[object]:
        return [event for event, _ in self.published]


class FullPublisher:
    """Takes everything that the bus can tell."""

    def __init__(self) -> None:
        self.told: list[tuple[object, str | None, str, str | None, EventOrigin | None]] = []

    async def publish(
        self,
        event: object,
        *,
        destination: str | None = None,
        message_format: str = "json",
        key: str | None = None,
        origin: EventOrigin | None = None,
    ) -> None:
        self.told.append((event, destination, message_format, key, origin))


def bus_of(act: Act, publisher: CommandEventPublisher, lenient: bool | None = None) -> DefaultCommandBus:
    bus = DefaultCommandBus(
        registry=HandlerRegistry(),
        event_publisher=publisher,
        lenient_publication=lenient,
        timing=Timing(sleep=no_sleep),
    )
    bus.register_handler(CreateHandler(act))
    return bus


async def no_sleep(seconds: float) -> None:
    return None


async def all_three_ways(command: Create) -> Result:
    emit("emitted 1")
    command.domain_events.append("of command")
    emit("emitted 2")
    return Result(["of result 1", "of result 2"])


@pytest.mark.asyncio
async def test_events_of_result_command_and_emit_are_published_in_that_order() -> None:
    publisher = GuidePublisher()
    await bus_of(all_three_ways, publisher).send(Create())
    assert publisher.events == ["of result 1", "of result 2", "of command", "emitted 1", "emitted 2"]
    assert {destination for _, destination in publisher.published} == {"orders.events"}


@pytest.mark.asyncio
async def test_a_publisher_that_takes_more_is_told_format_key_and_origin_with_one_running_index() -> None:
    publisher = FullPublisher()
    command = Create()
    await bus_of(all_three_ways, publisher).send(command)
    assert [told[1:4] for told in publisher.told] == [("orders.events", "avro", "order_id")] * 5
    assert [told[4] for told in publisher.told] == [
        EventOrigin(command.get_command_id(), "orders.Create", index, command.get_command_id()) for index in range(5)
    ]


@pytest.mark.asyncio
async def test_emit_works_for_a_handler_that_returns_a_str() -> None:
    async def act(command: Create) -> str:
        emit("event")
        return "id"

    publisher = GuidePublisher()
    assert await bus_of(act, publisher).send(Create()) == "id"
    assert publisher.events == ["event"]


@pytest.mark.asyncio
async def test_events_are_drained_once() -> None:
    result = Result(["of result"])

    async def act(command: Create) -> Result:
        return result

    publisher = GuidePublisher()
    bus = bus_of(act, publisher)
    command = Create(["of command"])
    await bus.send(command)
    await bus.send(command)
    assert publisher.events == ["of result", "of command"]
    assert (result.domain_events, command.domain_events) == ([], [])


@pytest.mark.asyncio
async def test_a_command_that_is_its_own_result_is_drained_once() -> None:
    async def act(command: Create) -> Create:
        return command

    publisher = GuidePublisher()
    await bus_of(act, publisher).send(Create(["event"]))
    assert publisher.events == ["event"]


@pytest.mark.asyncio
async def test_nor_is_it_published_twice_where_its_events_cannot_be_taken_out() -> None:
    async def act(command: Create) -> Create:
        return command

    publisher = GuidePublisher()
    await bus_of(act, publisher).send(Create(("event",)))  # type: ignore[arg-type]
    assert publisher.events == ["event"]


@pytest.mark.asyncio
async def test_nothing_is_published_when_the_handler_fails() -> None:
    async def act(command: Create) -> object:
        await all_three_ways(command)
        raise ValueError("too late")

    publisher = GuidePublisher()
    command = Create(["sent along"])
    with pytest.raises(CommandProcessingException):
        await bus_of(act, publisher).send(command)
    assert publisher.published == []
    assert command.domain_events == ["sent along"], "what the failed handler added is taken away again"


@pytest.mark.asyncio
async def test_a_further_attempt_publishes_its_own_events_alone() -> None:
    attempts: list[int] = []

    @command_handler(retries=1)
    class Retried(CreateHandler):
        pass

    async def act(command: Create) -> str:
        attempts.append(1)
        emit(f"emitted {len(attempts)}")
        command.domain_events.append(f"of command {len(attempts)}")
        if len(attempts) == 1:
            raise ValueError
        return "id"

    publisher = GuidePublisher()
    bus = DefaultCommandBus(HandlerRegistry(), event_publisher=publisher, timing=Timing(sleep=no_sleep))
    bus.register_handler(Retried(act))
    await bus.send(Create())
    assert publisher.events == ["of command 2", "emitted 2"]


@pytest.mark.asyncio
async def test_a_failed_publication_fails_the_command_and_loses_no_event() -> None:
    result = Result(["of result"])

    async def act(command: Create) -> Result:
        return result

    away = DependencyUnavailableException("kafka", "no acknowledgement")
    publisher = GuidePublisher(away)
    bus = bus_of(act, publisher)
    command = Create(["of command"])
    with pytest.raises(CommandProcessingException) as failed:
        await bus.send(command)
    assert failed.value.cause is away
    assert failed.value.retryable
    assert (result.domain_events, command.domain_events) == (["of result"], ["of command"])

    publisher.failing = None
    await bus.send(command)
    assert publisher.events == ["of result", "of command"]


class Recorded:
    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        self.counted.append((name, labels["type"]))

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        assert seconds >= 0


@pytest.mark.asyncio
@pytest.mark.parametrize("by_properties", [True, False])
async def test_the_lenient_strategy_gives_the_event_up_and_says_so(
    by_properties: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(command: Create) -> str:
        emit("event")
        return "id"

    recorded = Recorded()
    bus = DefaultCommandBus(
        HandlerRegistry(),
        metrics=CqrsMetricsService(recorded),
        event_publisher=GuidePublisher(OSError("away")),
        lenient_publication=None if by_properties else True,
        properties=CqrsProperties(command=CommandProperties(event_publication="lenient")) if by_properties else None,
    )
    bus.register_handler(CreateHandler(act))
    assert await bus.send(Create()) == "id"
    assert "str of orders.Create is lost: away" in caplog.text
    assert ("cqrs_lost_events_total", "str") in recorded.counted


@pytest.mark.asyncio
async def test_strict_publication_can_be_asked_for_against_the_settings() -> None:
    async def act(command: Create) -> str:
        emit("event")
        return "id"

    bus = DefaultCommandBus(
        HandlerRegistry(),
        event_publisher=GuidePublisher(OSError("away")),
        lenient_publication=False,
        properties=CqrsProperties(command=CommandProperties(event_publication="lenient")),
    )
    bus.register_handler(CreateHandler(act))
    with pytest.raises(CommandProcessingException):
        await bus.send(Create())


@pytest.mark.asyncio
async def test_a_handler_without_a_route_leaves_the_destination_to_the_publisher() -> None:
    class Unrouted(CommandHandler[Create, object]):
        async def do_handle(self, command: Create) -> object:
            emit("event")
            return None

    publisher = GuidePublisher()
    bus = DefaultCommandBus(HandlerRegistry(), event_publisher=publisher)
    bus.register_handler(Unrouted())
    await bus.send(Create())
    assert publisher.published == [("event", None)]


@pytest.mark.asyncio
async def test_emit_works_without_a_publisher() -> None:
    async def act(command: Create) -> str:
        emit("event")
        return "id"

    bus = DefaultCommandBus(HandlerRegistry())
    bus.register_handler(CreateHandler(act))
    assert await bus.send(Create()) == "id"


@pytest.mark.asyncio
async def test_a_format_that_the_publisher_cannot_be_told_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def act(command: Create) -> str:
        return "id"

    await bus_of(act, GuidePublisher()).send(Create())
    assert "takes no message_format" in caplog.text
    assert "takes no key" in caplog.text


@pytest.mark.asyncio
async def test_events_of_a_nested_command_are_its_own() -> None:
    publisher = FullPublisher()
    inner_command, outer_command = Create(), Create()

    async def inner(command: Create) -> str:
        emit("inner")
        return ""

    inner_bus = bus_of(inner, publisher)

    async def outer(command: Create) -> str:
        emit("before")
        await inner_bus.send(inner_command)
        emit("after")
        return ""

    await bus_of(outer, publisher).send(outer_command)
    assert [told[0] for told in publisher.told] == ["inner", "before", "after"]
    origins = [told[4] for told in publisher.told if told[4] is not None]
    assert [(each.command_id, each.index) for each in origins] == [
        (inner_command.get_command_id(), 0),
        (outer_command.get_command_id(), 0),
        (outer_command.get_command_id(), 1),
    ]
