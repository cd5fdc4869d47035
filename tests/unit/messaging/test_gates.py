"""A gate holds commands back while their handler fails, or comes too often; and learns nothing from refusals."""

import asyncio

import pytest

from cqrs.delivery import Retry
from cqrs.exceptions import CommandProcessingException, DependencyUnavailableException
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.breaker import Breaker
from cqrs.messaging.delivery import Delivery, TryAgainException
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.failures import Failures
from cqrs.messaging.gates import Gate
from cqrs.messaging.message import Message
from cqrs.messaging.rate_limit import RateLimit

AWAY = DependencyUnavailableException("warehouse", "no answer")


class World:
    def __init__(self, *, keys: int = 2, rate: float | None = None) -> None:
        self.now = 0.0
        backoff = Backoff(1.0, 8.0, uniform=lambda low, high: high)
        self.breaker = Breaker(keys=keys, backoff=backoff, clock=lambda: self.now)
        limit = None if rate is None else RateLimit(rate, 1, lambda: self.now)
        self.gate = Gate("orders.Ship", self.breaker, limit, Failures())

    def run(self, key: str, error: BaseException | None = None) -> None:
        message = Message("c", 0, 0, key.encode(), b"")
        with self.gate.passage(Delivery(message, read_envelope(message))):
            if error is not None:
                raise error

    def fail(self, key: str, error: BaseException) -> None:
        with pytest.raises(type(error)):
            self.run(key, error)

    def held(self, key: str) -> TryAgainException:
        with pytest.raises(TryAgainException) as again:
            self.run(key)
        return again.value


def test_commands_are_held_back_when_key_after_key_fails_and_spend_nothing() -> None:
    world = World()
    world.fail("a", AWAY)
    world.fail("b", ConnectionError("reset"))
    again = world.held("c")
    assert (again.after, again.spent, again.waits_for, again.is_outage) == (
        1.0,
        False,
        "the handler of orders.Ship",
        False,
    )
    assert again.cause.__cause__ is not None, "why it is held back is told"


def test_one_bad_key_holds_nobody_back() -> None:
    world = World()
    for _ in range(10):
        world.fail("a", AWAY)
    world.run("b")
    assert world.breaker.state == "closed"


@pytest.mark.parametrize(
    "refusal", [ValueError("no"), CommandProcessingException("no", cause=KeyError("k")), Retry(after=1)], ids=repr
)
def test_a_refusal_says_nothing_of_the_handler(refusal: Exception) -> None:
    world = World()
    world.fail("a", AWAY)
    world.fail("b", refusal)
    world.fail("c", AWAY)
    assert world.breaker.state == "open", "the refusal is no success between the failures"
    world.now = 1.0
    world.fail("d", refusal)
    world.run("e")
    world.run("f")  # the probe that was refused left its place to another, which closed the breaker


def test_a_command_that_is_held_back_takes_nothing_of_the_rate() -> None:
    world = World(rate=1.0)
    world.fail("a", AWAY)
    world.now = 1.0
    world.fail("b", AWAY)
    world.now = 1.5
    assert world.held("c").waits_for is not None
    world.now = 2.0
    world.run("c")


def test_one_probe_at_a_time_then_all_go_on() -> None:
    world = World()
    world.fail("a", AWAY)
    world.fail("b", AWAY)
    world.now = 1.0
    world.fail("c", AWAY)
    assert world.held("d").after == 2.0, "a failed probe holds back for longer"
    world.now = 3.0
    world.run("d")
    world.run("e")


def test_a_probe_that_is_cancelled_leaves_its_place_to_another() -> None:
    world = World()
    world.fail("a", AWAY)
    world.fail("b", AWAY)
    world.now = 1.0
    world.fail("c", asyncio.CancelledError())
    world.run("d")
    assert world.breaker.state == "closed"


def test_more_than_the_rate_wait_and_spend_nothing() -> None:
    world = World(rate=2.0)
    world.run("a")
    again = world.held("b")
    assert (again.spent, again.waits_for) == (False, None)
    assert 0.5 <= again.after < 0.6
    world.now = again.after
    world.run("b")
