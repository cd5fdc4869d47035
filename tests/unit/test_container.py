from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Annotated, Generic, Protocol, TypeVar, cast

import pytest
from dishka import provide

from cqrs.container import Container, Provider, Scope, bean, is_service, service
from cqrs.decorators import command_handler, query_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.exceptions import ConfigurationException

T = TypeVar("T")


class Orders(Protocol):
    def save(self, order: str) -> str: ...


class Clock(ABC):
    @abstractmethod
    def now(self) -> float: ...


class Engine:
    pass


@service
class SqlOrders(Orders):
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def save(self, order: str) -> str:
        return order


@service
class SystemClock(Clock):
    def now(self) -> float:
        return 1.0


@service
class Checkout:
    def __init__(self, orders: Orders, clock: Clock, limit: int = 10, note: str | None = None) -> None:
        self.orders = orders
        self.clock = clock
        self.limit = limit
        self.note = note


ALL = (SqlOrders, SystemClock, Checkout)


@pytest.mark.asyncio
async def test_constructors_are_wired_by_type_and_ports_by_the_class_that_implements_them() -> None:
    engine = Engine()
    async with Container(services=ALL, instances={Engine: engine}) as container:
        checkout = await container.get(Checkout)
        assert isinstance(checkout.orders, SqlOrders)
        assert checkout.orders.engine is engine
        assert checkout.clock.now() == 1.0
        assert (checkout.limit, checkout.note) == (10, None)


@pytest.mark.asyncio
async def test_each_object_is_made_once() -> None:
    container = Container(services=ALL, instances={Engine: Engine()})
    checkout = await container.get(Checkout)
    assert await container.get(Orders) is checkout.orders is await container.get(SqlOrders)
    assert await container.get(Checkout) is checkout


@pytest.mark.asyncio
async def test_starting_makes_everything_in_the_order_it_was_found() -> None:
    container = Container(services=ALL, instances={Engine: Engine()})
    assert [type(one) for one in await container.start()] == [SqlOrders, SystemClock, Checkout, Engine]


class Marked:
    pass


@pytest.mark.parametrize(
    "mark",
    [
        service,
        service(),
        service(provides=()),
        command_handler,
        query_handler(cacheable=True),
        lambda kind: command_handler(service(kind)),
        lambda kind: service(command_handler(timeout=3)(kind)),
        lambda kind: publish_domain_event(destination="t")(command_handler(service(kind))),
        lambda kind: service(publish_domain_event(destination="t")(command_handler(kind))),
    ],
)
def test_markers_work_bare_with_arguments_and_in_any_order(mark: object) -> None:
    kind = type("Fresh", (), {})
    assert cast("type", mark(kind)) is kind  # type: ignore[operator]
    assert is_service(kind)


def test_a_marker_holds_for_the_class_itself() -> None:
    class Below(Checkout):
        pass

    assert is_service(Checkout)
    assert not is_service(Below)
    assert not is_service(Marked)


@pytest.mark.asyncio
async def test_a_port_named_by_the_marker_needs_no_base_class_and_wins() -> None:
    @service(provides=[Orders])
    class MemoryOrders:
        def save(self, order: str) -> str:
            return order

    container = Container(services=(*ALL, MemoryOrders), instances={Engine: Engine()})
    assert isinstance(await container.get(Orders), MemoryOrders)


@pytest.mark.asyncio
async def test_what_may_be_absent_is_left_out_or_none() -> None:
    @service
    class Choosy:
        def __init__(
            self, clock: Clock | None, engine: Annotated[Engine | None, "told"], retries: int = 3, *args: int
        ) -> None:
            self.given = (clock, engine, retries, args)

    engine = Engine()
    assert (await Container(services=[Choosy]).get(Choosy)).given == (None, None, 3, ())
    given = (await Container(services=[Choosy], instances={Engine: engine}).get(Choosy)).given
    assert given == (None, engine, 3, ())


class Defaults:
    @bean
    def clock(self) -> Clock:
        return SystemClock()

    @bean
    def checkout(self, orders: Orders, clock: Clock) -> Checkout:
        return Checkout(orders, clock, limit=1)

    @bean
    def orders(self, engine: Engine | None = None) -> Orders | None:
        return SqlOrders(engine) if engine else None

    def no_bean(self) -> Engine:
        raise AssertionError


@pytest.mark.asyncio
async def test_configurations_give_beans_by_their_return_type() -> None:
    container = Container(defaults=[Defaults()], instances={Engine: Engine()})
    assert (await container.get(Checkout)).limit == 1


@pytest.mark.asyncio
async def test_a_bean_that_answers_none_is_only_for_those_who_can_do_without() -> None:
    @service
    class Tolerant:
        def __init__(self, orders: Orders | None) -> None:
            self.orders = orders

    container = Container(defaults=[Defaults()], services=[Tolerant])
    assert (await container.get(Tolerant)).orders is None
    assert await container.find(Orders) is None
    with pytest.raises(ConfigurationException, match="orders answered None, and Orders is needed"):
        await container.get(Checkout)
    with pytest.raises(ConfigurationException, match="orders answered None"):
        await container.get(Orders)


class FastClock(Clock):
    def now(self) -> float:
        return 2.0


class SlowClock(Clock):
    def now(self) -> float:
        return 3.0


class FrozenClock(Clock):
    def now(self) -> float:
        return 0.0


class Chosen:
    @bean
    def clock(self) -> Clock:
        return FrozenClock()


class ChosenByDishka(Provider):
    scope = Scope.APP

    @provide
    def clock(self) -> Clock:
        return FrozenClock()


@pytest.mark.asyncio
async def test_the_later_source_wins_whatever_depends_on_it() -> None:
    default = Container(defaults=[Defaults()])
    scanned = Container(defaults=[Defaults()], services=[FastClock])
    given = Container(defaults=[Defaults()], services=[FastClock], instances={Clock: SlowClock()})
    chosen = Container(services=[FastClock], instances={Clock: SlowClock()}, configurations=[Chosen()])
    dishka = Container(services=[FastClock], instances={Clock: SlowClock()}, providers=[ChosenByDishka()])
    found = [(await one.get(Clock)).now() for one in (default, scanned, given, chosen, dishka)]
    assert found == [1.0, 2.0, 3.0, 0.0, 0.0]


@pytest.mark.asyncio
async def test_a_replaced_default_is_not_made() -> None:
    class Costly:
        @bean
        def clock(self) -> Clock:
            raise AssertionError("made though replaced")

    container = Container(defaults=[Costly()], services=[FastClock])
    assert [type(one) for one in await container.start()] == [FastClock]


@pytest.mark.asyncio
async def test_dishka_providers_see_the_ports_and_are_closed() -> None:
    closed: list[str] = []

    class Session:
        pass

    class Own(Provider):
        scope = Scope.APP

        @provide
        async def session(self, clock: Clock) -> AsyncIterator[Session]:
            assert clock.now() == 2.0
            yield Session()
            closed.append("session")

    @service
    class Repository:
        def __init__(self, session: Session) -> None:
            self.session = session

    async with Container(services=[FastClock, Repository], providers=[Own()]) as container:
        assert isinstance((await container.get(Repository)).session, Session)
        assert closed == []
    assert closed == ["session"]


class Repository(Generic[T]):
    pass


@pytest.mark.asyncio
async def test_generic_ports_are_told_apart_by_their_argument() -> None:
    class OfStr(Repository[str]):
        pass

    class OfInt(Repository[int]):
        pass

    class Needy:
        def __init__(self, numbers: Repository[int]) -> None:
            self.numbers = numbers

    container = Container(services=[OfStr, OfInt, Needy])
    assert isinstance((await container.get(Needy)).numbers, OfInt)


@pytest.mark.asyncio
async def test_an_instance_stands_for_its_port_and_for_its_own_class() -> None:
    clock = FastClock()
    container = Container(instances={Clock: clock})
    assert await container.get(FastClock) is clock is await container.get(Clock)


@pytest.mark.asyncio
async def test_asking_for_what_nothing_or_too_much_stands_for_is_an_error() -> None:
    container = Container(services=[FastClock, SlowClock])
    with pytest.raises(ConfigurationException, match="nothing in the container stands for Engine"):
        await container.get(Engine)
    with pytest.raises(ConfigurationException, match="FastClock and SlowClock in the container stands for Clock"):
        await container.find(Clock)
    assert await container.find(Engine) is None
