"""A breaker opens when different keys fail, lets one probe through at a time, and closes with a success."""

from itertools import takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cqrs.messaging.backoff import Backoff
from cqrs.messaging.breaker import SHORTEST_SECONDS, Breaker

LONGEST = 8.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker_of(keys: int) -> tuple[Breaker, Clock]:
    """Return a breaker that stays open for 1, 2, 4 and then always 8 seconds, and its clock."""
    clock = Clock()
    return Breaker(keys=keys, backoff=Backoff(1.0, LONGEST, uniform=lambda _low, high: high), clock=clock), clock


def opened(keys: int = 3) -> tuple[Breaker, Clock]:
    """Return a breaker that just opened."""
    breaker, clock = breaker_of(keys)
    for key in range(keys):
        assert breaker.admit() == 0
        breaker.failed(key)
    assert breaker.state == "open"
    return breaker, clock


def half_opened() -> tuple[Breaker, Clock]:
    """Return a breaker of which a probe is on its way."""
    breaker, clock = opened()
    clock.now += 1
    assert breaker.admit() == 0
    assert breaker.state == "half_open"
    return breaker, clock


class History:
    """Know what a breaker is by everything that ever happened to it."""

    def __init__(self, keys: int) -> None:
        self.keys = keys
        self.events: list[tuple[str, int, float]] = []

    def since_it_opened(self) -> list[tuple[str, int, float]] | None:
        """Return what happened since it opened, that event first; None when it is closed."""
        reverse = list(takewhile(lambda event: event[0] != "succeeded", reversed(self.events)))
        since = reverse[::-1]
        for index in range(len(since)):
            if len({key for event, key, _ in since[: index + 1] if event == "failed"}) == self.keys:
                return since[index:]
        return None

    def expected(self, now: float) -> tuple[str, float]:
        """Return the state, and what somebody who asks now is told."""
        since = self.since_it_opened()
        if since is None:
            return "closed", 0.0
        begin, probes, probe_began = since[0][2], 0, None
        for event, _, at in since[1:]:
            if event == "admitted":
                probe_began = at
            elif event == "failed" and probe_began is not None:
                begin, probes, probe_began = at, probes + 1, None
            elif event == "abandoned":
                probe_began = None
        seconds = min(2.0**probes, LONGEST)
        if probe_began is not None:
            return "half_open", min(max(seconds, now - probe_began), LONGEST)
        return "open", max(begin + seconds - now, 0.0)


happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ask", "ask", "succeeded", "abandoned"]), st.just(0)),
        st.tuples(st.just("failed"), st.integers(0, 4)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    max_size=60,
)


@given(st.integers(1, 4), happenings)
@example(2, [("failed", 0), ("failed", 1), ("wait", 8), ("ask", 0), ("failed", 0), ("wait", 16), ("ask", 0)])
def test_it_agrees_with_its_whole_history_after_every_event(keys: int, script: list[tuple[str, int]]) -> None:
    breaker, clock = breaker_of(keys)
    history = History(keys)
    for event, number in script:
        if event == "ask":
            seconds = history.expected(clock.now)[1]
            assert breaker.admit() == seconds
            if seconds == 0:
                history.events.append(("admitted", 0, clock.now))
        elif event == "wait":
            clock.now += number / 8
        else:
            history.events.append((event, number, clock.now))
            if event == "failed":
                breaker.failed(number)
            else:
                getattr(breaker, event)()

        assert breaker.state == history.expected(clock.now)[0]
        assert len(breaker._failed) < keys


@given(st.lists(st.sampled_from(["first", "second"])))
def test_fewer_different_keys_never_open_it_however_often_they_fail(keys: list[str]) -> None:
    breaker, _ = breaker_of(3)
    for key in keys:
        breaker.failed(key)

    assert breaker.state == "closed"
    assert breaker.admit() == 0


@given(st.integers(1, 50))
def test_of_many_who_ask_at_once_when_its_time_is_over_one_is_let_through(count: int) -> None:
    breaker, clock = opened()
    told = [breaker.admit() for _ in range(count)]
    clock.now += told[0]

    answers = [breaker.admit() for _ in range(count)]

    assert told == [1.0] * count
    assert answers == [0.0] + [1.0] * (count - 1)


def test_a_success_in_between_counts_from_the_beginning() -> None:
    breaker, _ = breaker_of(3)
    for key in (1, 2):
        breaker.failed(key)
    breaker.succeeded()
    for key in (3, 4):
        breaker.failed(key)

    assert breaker.admit() == 0
    breaker.failed(5)
    assert breaker.admit() > 0


def test_each_failed_probe_keeps_it_open_for_longer_until_the_maximum() -> None:
    breaker, clock = opened()
    waits = []
    for _ in range(6):
        waits.append(breaker.admit())
        clock.now += waits[-1]
        assert breaker.admit() == 0
        breaker.failed("probe")

    assert waits == [1, 2, 4, 8, 8, 8]


def test_after_a_success_it_opens_for_the_shortest_time_again() -> None:
    breaker, clock = half_opened()
    breaker.failed("probe")
    clock.now += 2
    assert breaker.admit() == 0
    breaker.succeeded()
    assert breaker.state == "closed"

    for key in range(3):
        breaker.failed(key)

    assert breaker.admit() == 1


def test_whoever_waits_for_a_slow_probe_asks_seldom() -> None:
    breaker, clock = half_opened()
    began, asked = clock.now, 0
    while clock.now < began + 100:
        seconds = breaker.admit()
        assert 1 <= seconds <= LONGEST
        clock.now += seconds
        asked += 1

    assert asked < 20


def test_a_probe_that_was_cancelled_makes_room_for_another() -> None:
    breaker, _ = half_opened()
    breaker.abandoned()

    assert breaker.state == "open"
    assert breaker.admit() == 0
    assert breaker.admit() > 0


def test_a_call_that_was_cancelled_changes_nothing_when_it_is_no_probe() -> None:
    breaker, _ = opened()
    breaker.abandoned()
    assert breaker.admit() == 1

    breaker, _ = breaker_of(2)
    breaker.failed(1)
    breaker.abandoned()
    breaker.failed(2)
    assert breaker.state == "open"


def test_late_failures_do_not_keep_it_open_for_longer() -> None:
    """They began before it opened, and say nothing of how things are now."""
    breaker, clock = opened()
    clock.now += 0.5
    for key in range(10):
        breaker.failed(key)

    assert breaker.admit() == 0.5
    clock.now += 0.5
    assert breaker.admit() == 0
    breaker.failed("probe")
    assert breaker.admit() == 2


def test_a_late_success_closes_it() -> None:
    breaker, _ = opened()
    breaker.succeeded()

    assert breaker.state == "closed"
    assert [breaker.admit() for _ in range(3)] == [0, 0, 0]


def test_a_failure_while_a_probe_is_on_its_way_counts_whoever_it_belongs_to() -> None:
    breaker, _ = half_opened()
    breaker.failed("late")
    assert breaker.admit() == 2
    breaker.failed("the probe itself")
    assert breaker.admit() == 2

    breaker.succeeded()
    assert breaker.state == "closed"


def test_nobody_spins_whatever_the_backoff_says() -> None:
    clock = Clock()
    breaker = Breaker(keys=1, backoff=Backoff(0.0, 0.0), clock=clock)
    breaker.failed(1)
    assert breaker.admit() == pytest.approx(SHORTEST_SECONDS)
    clock.now += 1

    assert breaker.admit() == 0
    assert breaker.admit() == SHORTEST_SECONDS


@pytest.mark.parametrize("keys", [0, -1])
def test_a_breaker_that_is_never_closed_is_refused(keys: int) -> None:
    with pytest.raises(ValueError, match="give a number above 0"):
        Breaker(keys=keys, backoff=Backoff(1, 1))
