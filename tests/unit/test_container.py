import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
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


def problems(**wiring: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationException) as refused:
        Container(**wiring)  # type: ignore[arg-type]
    return refused.value.problems


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


def test_a_missing_dependency_is_named_with_the_path_to_it() -> None:
    assert problems(services=ALL) == (
        "Checkout(orders: Orders) > SqlOrders(engine: Engine): nothing provides Engine; mark a class with "
        "@service(provides=Engine), or give the container one.",
    )


def test_everything_wrong_is_told_at_once() -> None:
    @service
    class Lost:
        def __init__(self, first: Orders, second: Clock) -> None: ...

    assert [problem.split(":")[0] for problem in problems(services=[Lost])] == [
        f"{Lost.__qualname__}(first",
        f"{Lost.__qualname__}(second",
    ]


def test_two_implementations_are_ambiguous_until_one_is_marked() -> None:
    @service
    class MemoryOrders(Orders):
        def save(self, order: str) -> str:
            return order

    (problem,) = problems(services=(*ALL, MemoryOrders), instances={Engine: Engine()})
    assert "both stand for Orders" in problem
    assert "@service(provides=Orders)" in problem


@pytest.mark.asyncio
async def test_a_port_named_by_the_marker_needs_no_base_class_and_wins() -> None:
    @service(provides=[Orders])
    class MemoryOrders:
        def save(self, order: str) -> str:
            return order

    container = Container(services=(*ALL, MemoryOrders), instances={Engine: Engine()})
    assert isinstance(await container.get(Orders), MemoryOrders)


def test_a_class_that_would_fit_is_suggested() -> None:
    @service
    class MemoryOrders:
        def save(self, order: str) -> str:
            return order

    @service
    class Needy:
        def __init__(self, orders: Orders) -> None: ...

    (problem,) = problems(services=(MemoryOrders, Needy))
    assert problem.endswith("MemoryOrders fits; mark it with @service(provides=Orders).")


def test_a_marker_that_names_a_port_the_class_does_not_have_is_refused() -> None:
    @service(provides=Orders)
    class Nothing:
        pass

    @service(provides=Clock)
    class Watch:
        pass

    lacking, unrelated = problems(services=(Nothing, Watch))
    assert "is marked to provide Orders, but it lacks save." in lacking
    assert "is marked to provide Clock, but it is no subclass of it." in unrelated


def test_circles_are_drawn() -> None:
    class First:
        def __init__(self, second: "Second") -> None: ...

    class Second:
        def __init__(self, first: First) -> None: ...

    First.__init__.__annotations__["second"] = Second
    (problem,) = problems(services=(First, Second))
    assert problem.count("First") == 2
    assert "is a circle" in problem


def test_abstract_and_untyped_classes_are_refused() -> None:
    @service
    class Untyped:
        def __init__(self, something) -> None: ...  # type: ignore[no-untyped-def]

    @service
    class Hidden:
        def __init__(self, something: "NotImported") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    abstract, untyped, hidden = problems(services=(Clock, Untyped, Hidden))
    assert "leaves now abstract" in abstract
    assert "give the parameter something a type" in untyped
    assert "NotImported is not known at run time" in hidden


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


def test_dishka_providers_that_miss_something_are_an_error_at_start() -> None:
    class Broken(Provider):
        scope = Scope.APP

        @provide
        def clock(self, engine: Engine) -> Clock:
            raise AssertionError

    (problem,) = problems(providers=[Broken()])
    assert "Engine" in problem


def test_two_beans_of_one_type_are_refused() -> None:
    assert problems(configurations=[Chosen(), Chosen()]) == (
        "Clock is made by Chosen.clock and by Chosen.clock; keep one of them.",
    )


def test_a_bean_without_a_type_is_refused() -> None:
    class Silent:
        @bean
        def clock(self):  # type: ignore[no-untyped-def]
            return FrozenClock()

    (problem,) = problems(defaults=[Silent()])
    assert "declare the type that it returns" in problem


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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "scanned_shop"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "inner" / "__init__.py").write_text("")
    (root / "__main__.py").write_text("raise SystemExit('run by scanning')")
    (root / "b.py").write_text("from cqrs.container import service\n@service\nclass B: ...\nclass Plain: ...\n")
    (root / "inner" / "a.py").write_text(
        "from cqrs.decorators import command_handler\nfrom scanned_shop.b import B\n"
        "@command_handler\nclass A:\n    def __init__(self, b: B) -> None: self.b = b\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    for name in [name for name in sys.modules if name.startswith("scanned_shop")]:
        del sys.modules[name]


@pytest.mark.asyncio
async def test_packages_are_scanned_with_everything_below_them(package: Path) -> None:
    made = await Container(packages=["scanned_shop", "scanned_shop.inner"]).start()
    assert [type(one).__name__ for one in made] == ["B", "A"]


def test_modules_that_cannot_be_imported_are_all_named(package: Path) -> None:
    (package / "c.py").write_text("import nowhere_to_be_found")
    (package / "d.py").write_text("1 / 0")
    first, second, third = problems(packages=["scanned_shop", "scanned_shop.d"])
    assert first.startswith("scanned_shop.c cannot be imported: ModuleNotFoundError")
    assert second == third == "scanned_shop.d cannot be imported: ZeroDivisionError: division by zero"
