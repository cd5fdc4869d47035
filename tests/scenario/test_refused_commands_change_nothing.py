"""Rule: a refused command changes nothing and publishes nothing; what is published was written, in that order."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.registry import HandlerRegistry
from cqrs.container import Container
from cqrs.event.origin import EventOrigin
from cqrs.exceptions import CommandProcessingException, DependencyUnavailableException, is_retryable
from cqrs.query.bus import DefaultQueryBus
from cqrs.sql.engine import create_engine
from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork
from cqrs.types import Command, restore_metadata
from cqrs.validation.exceptions import CqrsValidationException
from service.adapters.sql_orders import metadata
from service.application.add_item import AddItem
from service.application.cancel_order import CancelOrder
from service.application.create_order import CreateOrder
from service.application.get_order import GetOrder
from service.application.list_orders import ListOrders
from service.domain.errors import (
    NotOrderOwnerException,
    OrderAlreadyCancelledException,
    OrderExistsException,
    OrderNotFoundException,
    OrderTotalTooLargeException,
)
from service.domain.events import ItemAdded, OrderCancelled, OrderCreated
from service.domain.item import OrderItem
from service.domain.rules import MAX_QUANTITY, MAX_UNIT_PRICE

ITEM = OrderItem("A", 2, Decimal("9.99"))
HUGE = OrderItem("A", MAX_QUANTITY, MAX_UNIT_PRICE)

Rows = list[tuple[object, ...]]


@dataclass
class Topic:
    """Take events, as a broker that acknowledges them, refuses them, or keeps its sender waiting."""

    refusal: Exception | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledging: asyncio.Event = field(default_factory=asyncio.Event)
    events: list[object] = field(default_factory=list)
    sent: list[tuple[str | None, str | None, str | None, EventOrigin | None]] = field(default_factory=list)

    async def publish(
        self,
        event: object,
        *,
        destination: str | None = None,
        message_format: str | None = None,
        key: str | None = None,
        origin: EventOrigin | None = None,
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.set()
        await self.acknowledging.wait()
        self.events.append(event)
        self.sent.append((destination, message_format, key, origin))


@dataclass
class Service:
    """Be the order service without its broker: the container finds what it is made of."""

    work: SqlUnitOfWork
    commands: DefaultCommandBus
    queries: DefaultQueryBus
    topic: Topic

    async def rows(self) -> Rows:
        async with self.work.reading() as session:
            orders = await session.execute(text("SELECT * FROM orders ORDER BY order_id"))
            items = await session.execute(text("SELECT * FROM order_items ORDER BY order_id, position"))
            return [tuple(row) for row in (*orders.all(), *items.all())]


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    engine, topic, registry = create_engine(f"sqlite+aiosqlite:///{tmp_path}/orders.db"), Topic(), HandlerRegistry()
    topic.acknowledging.set()
    await create_tables(engine, metadata)
    work = SqlUnitOfWork(engine)
    packages = ["service.application", "service.adapters"]
    async with Container(packages=packages, instances={SqlUnitOfWork: work}) as container:
        registry.discover_from_beans(await container.start())
        commands = DefaultCommandBus(registry, event_publisher=topic, unit_of_work=work)
        yield Service(work, commands, DefaultQueryBus(registry), topic)
    await engine.dispose()


@pytest_asyncio.fixture
async def stocked(service: Service) -> Service:
    """An open order o-1 and a cancelled one, o-2, both of customer c-1."""
    await service.commands.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR"))
    await service.commands.send(CreateOrder("o-2", "c-1", (ITEM,), "EUR"))
    await service.commands.send(CancelOrder("o-2", "c-1", "changed my mind"))
    return service


@pytest.mark.asyncio
async def test_what_is_accepted_is_written_and_published(service: Service) -> None:
    assert await service.commands.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR")) == "o-1"
    assert await service.commands.send(AddItem("o-1", OrderItem("B", 1, Decimal("0.02")))) == 2
    assert await service.commands.send(CancelOrder("o-1", "admin", "")) == 3

    created, added, cancelled = service.topic.events
    assert isinstance(created, OrderCreated)
    assert isinstance(added, ItemAdded)
    assert isinstance(cancelled, OrderCancelled)
    assert [created.version, added.version, cancelled.version] == [1, 2, 3]
    assert (created.total, added.total) == (Decimal("19.98"), Decimal("20.00"))

    order = await service.queries.query(GetOrder("o-1"))
    assert order is not None
    assert (order.status, order.version, order.total) == ("cancelled", 3, Decimal("20.00"))
    assert order.created_at == created.created_at
    assert order.cancelled_at == cancelled.cancelled_at
    assert await service.queries.query(ListOrders("c-1")) == [order]
    assert await service.queries.query(GetOrder("o-9")) is None


@pytest.mark.asyncio
async def test_events_are_routed_by_order_and_traceable_to_their_command(service: Service) -> None:
    command = CreateOrder("o-1", "c-1", (ITEM,), "EUR")
    await service.commands.send(command)

    ((destination, message_format, key, origin),) = service.topic.sent
    assert (destination, message_format, key) == ("orders.events", "avro", "order_id")
    assert origin is not None
    assert (origin.command_id, origin.command_type, origin.index) == (
        command.get_command_id(),
        "orders.CreateOrder",
        0,
    )


REFUSED: list[tuple[Command[object], type[Exception], type[Exception]]] = [
    (CreateOrder("o-3", "c-1", (), "EUR"), CqrsValidationException, CqrsValidationException),
    (CreateOrder("o-3", "c-1", (ITEM,), "eur"), CqrsValidationException, CqrsValidationException),
    (CreateOrder("o-1", "c-2", (ITEM,), "EUR"), CommandProcessingException, OrderExistsException),
    (CreateOrder("o-2", "c-1", (ITEM,), "EUR"), CommandProcessingException, OrderExistsException),
    (CreateOrder("o-3", "c-1", (HUGE,), "EUR"), CommandProcessingException, OrderTotalTooLargeException),
    (AddItem("o-1", OrderItem("B", 0, Decimal(1))), CqrsValidationException, CqrsValidationException),
    (AddItem("o-1", HUGE), CommandProcessingException, OrderTotalTooLargeException),
    (AddItem("o-2", ITEM), CommandProcessingException, OrderAlreadyCancelledException),
    (AddItem("o-9", ITEM), CommandProcessingException, OrderNotFoundException),
    (CancelOrder("o-1", "", ""), AuthorizationException, AuthorizationException),
    (CancelOrder("o-1", "c-2", ""), AuthorizationException, NotOrderOwnerException),
    (CancelOrder("o-2", "c-2", ""), AuthorizationException, NotOrderOwnerException),
    (CancelOrder("o-2", "c-1", ""), CommandProcessingException, OrderAlreadyCancelledException),
    (CancelOrder("o-9", "admin", ""), CommandProcessingException, OrderNotFoundException),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("command", "raised", "root"), REFUSED, ids=lambda value: getattr(value, "__name__", str(value))
)
async def test_what_is_refused_changes_nothing(
    stocked: Service, command: Command[object], raised: type[Exception], root: type[Exception]
) -> None:
    before, published = await stocked.rows(), list(stocked.topic.events)

    with pytest.raises(CommandProcessingException) as caught:
        await stocked.commands.send(command)

    assert isinstance(caught.value, raised)
    assert any(isinstance(error, root) for error in chain(caught.value))
    assert not is_retryable(caught.value)
    assert await stocked.rows() == before
    assert stocked.topic.events == published


@pytest.mark.asyncio
@pytest.mark.parametrize("query", [GetOrder(""), ListOrders("c-1", 0), ListOrders("", 501)], ids=repr)
async def test_a_wrong_question_is_refused(stocked: Service, query: GetOrder | ListOrders) -> None:
    with pytest.raises(CqrsValidationException):
        await stocked.queries.query(query)


@pytest.mark.asyncio
async def test_what_cannot_be_published_is_not_written(stocked: Service) -> None:
    before = await stocked.rows()
    stocked.topic.refusal = DependencyUnavailableException("kafka", "no broker")

    for command in (CreateOrder("o-3", "c-1", (ITEM,), "EUR"), AddItem("o-1", ITEM), CancelOrder("o-1", "c-1", "")):
        with pytest.raises(CommandProcessingException) as caught:
            await stocked.commands.send(command)
        assert is_retryable(caught.value)
        assert await stocked.rows() == before

    stocked.topic.refusal = None
    assert await stocked.commands.send(AddItem("o-1", ITEM)) == 2


@pytest.mark.asyncio
async def test_the_event_is_acknowledged_before_the_state_is_committed(service: Service) -> None:
    service.topic.acknowledging.clear()
    sending = asyncio.create_task(service.commands.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR")))
    await service.topic.asked.wait()
    assert await service.rows() == []
    service.topic.acknowledging.set()
    await sending

    assert len(await service.rows()) == 2


@pytest.mark.asyncio
async def test_a_command_cancelled_before_the_acknowledgement_leaves_nothing(service: Service) -> None:
    service.topic.acknowledging.clear()
    sending = asyncio.create_task(service.commands.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR")))
    await service.topic.asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    service.topic.acknowledging.set()
    assert await service.rows() == []
    assert await service.commands.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR")) == "o-1"


@pytest.mark.asyncio
async def test_a_command_run_again_after_a_failed_publication_makes_the_same_event(service: Service) -> None:
    command = CreateOrder("o-1", "c-1", (ITEM,), "EUR")
    service.topic.refusal = DependencyUnavailableException("kafka", "no broker")
    with pytest.raises(CommandProcessingException):
        await service.commands.send(command)
    service.topic.refusal = None
    again = CreateOrder("o-1", "c-1", (ITEM,), "EUR")
    restore_metadata(again, message_id=command.get_command_id(), timestamp=command.get_timestamp())

    await service.commands.send(again)

    (created,), ((_, _, _, origin),) = service.topic.events, service.topic.sent
    assert isinstance(created, OrderCreated)
    assert abs(created.created_at - command.get_timestamp()).total_seconds() < 0.001
    assert origin is not None
    assert origin.command_id == command.get_command_id()


@pytest.mark.asyncio
async def test_many_commands_at_once_leave_versions_without_gaps(service: Service) -> None:
    await service.commands.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR"))

    versions = await asyncio.gather(*(service.commands.send(AddItem("o-1", ITEM)) for _ in range(20)))

    assert sorted(versions) == list(range(2, 22))
    assert [getattr(event, "version", None) for event in service.topic.events] == list(range(1, 22))


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__)]
