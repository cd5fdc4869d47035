"""What the decorators of handlers keep, refuse and inherit."""

from collections.abc import Callable
from itertools import permutations

import pytest

from cqrs.container import is_service, service
from cqrs.decorators import HandlerKind, HandlerOptions, command_handler, handler_kind, handler_options, query_handler
from cqrs.event.decorators import event_route, publish_domain_event
from cqrs.exceptions import ConfigurationException


def test_bare_decorators_mark_the_class_and_take_the_defaults() -> None:
    @command_handler
    class Creates:
        pass

    @query_handler
    class Gets:
        pass

    assert handler_options(Creates) == HandlerOptions(HandlerKind.COMMAND)
    assert handler_options(Gets()) == HandlerOptions(HandlerKind.QUERY)
    assert handler_kind(Creates) is HandlerKind.COMMAND


def test_the_defaults_are_the_guides() -> None:
    assert HandlerOptions() == HandlerOptions(
        kind=None,
        timeout=None,
        retries=0,
        backoff_ms=1000,
        metrics=True,
        tracing=True,
        validation=True,
        priority=0,
        tags=(),
        description="",
        cacheable=False,
        cache_ttl=None,
        cache_key_prefix=None,
    )


def test_every_option_of_a_command_handler_is_kept() -> None:
    @command_handler(
        timeout=3,
        retries=2,
        backoff_ms=500,
        metrics=False,
        tracing=False,
        validation=False,
        priority=-1,
        tags=("orders",),
        description="Creates orders",
    )
    class Creates:
        pass

    assert handler_options(Creates) == HandlerOptions(
        HandlerKind.COMMAND, 3, 2, 500, False, False, False, -1, ("orders",), "Creates orders"
    )


def test_every_option_of_a_query_handler_is_kept() -> None:
    @query_handler(
        timeout=3,
        retries=2,
        backoff_ms=500,
        metrics=False,
        tracing=False,
        validation=False,
        cacheable=True,
        cache_ttl=600,
        cache_key_prefix="orders",
        priority=5,
        tags=("read",),
        description="Finds orders",
    )
    class Gets:
        pass

    assert handler_options(Gets) == HandlerOptions(
        HandlerKind.QUERY, 3, 2, 500, False, False, False, 5, ("read",), "Finds orders", True, 600, "orders"
    )


def test_a_subclass_inherits_options_but_is_not_marked_itself() -> None:
    @command_handler(retries=2)
    class Base:
        pass

    class Below(Base):
        pass

    assert handler_options(Below).retries == 2
    assert handler_kind(Below) is None


def test_a_class_without_a_decorator_runs_with_the_defaults() -> None:
    assert handler_options(object()) == HandlerOptions()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (HandlerOptions(timeout=0), "timeout is 0"),
        (HandlerOptions(timeout=-1), "timeout is -1"),
        (HandlerOptions(retries=-1), "retries is -1"),
        (HandlerOptions(backoff_ms=-1), "backoff_ms is -1"),
        (HandlerOptions(cache_ttl=-1), "cache_ttl is -1"),
        (HandlerOptions(tags="orders"), "give a tuple of str"),  # type: ignore[arg-type]
    ],
)
def test_an_option_out_of_range_is_a_problem(options: HandlerOptions, problem: str) -> None:
    assert [problem in each for each in options.problems()] == [True]


def test_every_problem_is_told_at_once_with_the_class_it_is_about() -> None:
    with pytest.raises(ConfigurationException) as refused:

        @query_handler(timeout=0, retries=-1)
        class Gets:
            pass

    assert len(refused.value.problems) == 2
    assert all("@query_handler on" in each and "Gets" in each for each in refused.value.problems)


def test_a_function_cannot_be_marked() -> None:
    with pytest.raises(ConfigurationException, match="it marks classes"):
        command_handler(print)  # type: ignore[call-overload]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_decorators_stack_in_any_order(order: tuple[int, ...]) -> None:
    decorators: list[Callable[[type], type]] = [
        service,
        command_handler(retries=1),
        publish_domain_event(destination="orders.events"),
    ]

    class Creates:
        pass

    for place in order:
        assert decorators[place](Creates) is Creates
    assert handler_options(Creates).retries == 1
    assert event_route(Creates).destination == "orders.events"
    assert is_service(Creates)


def test_the_options_also_stand_on_the_class_by_name() -> None:
    @command_handler(timeout=30, retries=2, tags=("a",))
    class Commands:
        pass

    @query_handler(cacheable=True, cache_ttl=5)
    class Queries:
        pass

    marks = {name: value for name, value in vars(Commands).items() if name.startswith("__pyfly_")}
    assert marks == {
        "__pyfly_handler_type__": "command",
        "__pyfly_timeout__": 30,
        "__pyfly_retries__": 2,
        "__pyfly_backoff_ms__": 1000,
        "__pyfly_metrics__": True,
        "__pyfly_tracing__": True,
        "__pyfly_validation__": True,
        "__pyfly_priority__": 0,
        "__pyfly_tags__": ("a",),
        "__pyfly_description__": "",
    }
    assert vars(Queries)["__pyfly_handler_type__"] == "query"
    assert vars(Queries)["__pyfly_cacheable__"] is True
    assert vars(Queries)["__pyfly_cache_ttl__"] == 5
    assert vars(Queries)["__pyfly_cache_key_prefix__"] is None
