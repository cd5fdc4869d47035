from abc import ABC, abstractmethod
from typing import Protocol

import pytest
from dishka import provide

from cqrs.container import Container, Provider, Scope, bean, service
from cqrs.exceptions import ConfigurationException


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


class FrozenClock(Clock):
    def now(self) -> float:
        return 0.0


class Chosen:
    @bean
    def clock(self) -> Clock:
        return FrozenClock()


ALL = (SqlOrders, SystemClock, Checkout)


def problems(**wiring: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationException) as refused:
        Container(**wiring)  # type: ignore[arg-type]
    return refused.value.problems


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
