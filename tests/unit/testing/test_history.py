import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.message import Message, Receipt
from cqrs.testing.history import History
from cqrs.testing.verdict import HistoryException, Stage, Verdict

Sighting = tuple[Stage, int, int]
"""In which stage, of which message, which event of it."""


def tell(history: History, sightings: Sequence[Sighting]) -> Verdict:
    for offset, (stage, message, event) in enumerate(sightings):
        at = Receipt(stage, 0, offset)
        if stage == "handled":
            history.handled(message, at)
        elif stage == "published":
            history.published(message, at, event)
        else:
            history.dead_lettered(message, at)
    return history.verdict()


@dataclass(frozen=True)
class Naive:
    """Judge by comparing everything with everything."""

    keys: Sequence[int]
    sightings: Sequence[Sighting]

    @property
    def lost(self) -> int:
        settled = {message for stage, message, _ in self.sightings if stage != "handled"}
        return sum(message not in settled for message in range(len(self.keys)))

    @property
    def duplicated(self) -> int:
        sent = range(len(self.keys))
        stages = defaultdict(set)
        for stage, message, _ in self.sightings:
            stages[message].add(stage)
        repeats = sum(count - 1 for count in Counter(map(self._same, self.sightings)).values())
        return repeats + sum({"published", "dead-lettered"} <= stages[message] for message in sent)

    @property
    def reordered(self) -> int:
        return sum(self._is_late(at) for at in range(len(self.sightings)))

    @property
    def unknown(self) -> int:
        return sum(message >= len(self.keys) for _, message, _ in self.sightings)

    def _is_late(self, at: int) -> bool:
        stage, message, _ = self.sightings[at]
        if message >= len(self.keys) or self._same(self.sightings[at]) in map(self._same, self.sightings[:at]):
            return False
        return any(
            each[0] == stage and message < each[1] < len(self.keys) and self.keys[each[1]] == self.keys[message]
            for each in self.sightings[:at]
        )

    @staticmethod
    def _same(sighting: Sighting) -> Sighting:
        stage, message, event = sighting
        return stage, message, event if stage == "published" else 0


@given(
    keys=st.lists(st.integers(0, 2), max_size=6),
    sightings=st.lists(
        st.tuples(st.sampled_from(["handled", "published", "dead-lettered"]), st.integers(0, 6), st.integers(0, 1)),
        max_size=12,
    ),
)
def test_it_finds_what_comparing_everything_with_everything_finds(keys: list[int], sightings: list[Sighting]) -> None:
    history, naive = History(), Naive(keys, sightings)
    for message, key in enumerate(keys):
        history.sent(message, key)

    verdict = tell(history, sightings)

    assert (verdict.lost, verdict.duplicated) == (naive.lost, naive.duplicated)
    assert (verdict.reordered, verdict.unknown) == (naive.reordered, naive.unknown)
    assert verdict.seen == {stage: sum(each[0] == stage for each in sightings) for stage in verdict.seen}
    assert all(len(verdict.of(kind)) > 0 for kind in ("lost", "reordered", "unknown") if getattr(verdict, kind))
    assert str(verdict)


@given(data=st.data(), keys=st.integers(1, 8), each=st.integers(2, 20))
def test_every_planted_loss_repeat_and_swap_is_found_and_named(data: st.DataObject, keys: int, each: int) -> None:
    """Some messages of a perfect run are taken out, some told again, some neighbours of one key swapped."""
    messages = list(range(keys * each))
    plan = data.draw(st.lists(st.sampled_from("....lds"), min_size=len(messages), max_size=len(messages)))
    seen: list[int] = []
    lost, doubled, late = set(), set(), set()
    step = iter(messages)
    for message in step:
        follower = message + keys  # the next of the same key, in the place where the two are swapped
        if plan[message] == "l":
            lost.add(message)
        elif plan[message] == "d":
            seen += [message, message]
            doubled.add(message)
        elif plan[message] == "s" and follower in messages and follower not in late and message not in late:
            late.add(message)
            seen.append(message)
        else:
            seen.append(message)
    late = {message for message in late if message + keys in seen and message + keys not in late}
    for message in late:
        first, second = seen.index(message), len(seen) - 1 - seen[::-1].index(message + keys)
        seen[first], seen[second] = seen[second], seen[first]
    history = History("handled")
    for message in messages:
        history.sent(message, message % keys, Receipt("commands", 0, message))
    for offset, message in enumerate(seen):
        history.handled(message, Receipt("trace", 0, offset))

    verdict = history.verdict()

    assert {finding.message_id for finding in verdict.of("lost")} == set(sorted(lost)[:100])
    assert {finding.message_id for finding in verdict.of("duplicated")} == doubled
    assert late <= {finding.message_id for finding in verdict.of("reordered")}
    assert bool(late) == bool(verdict.reordered)
    assert verdict.is_clean == (not lost | doubled | late)


def test_a_crash_that_repeats_a_run_of_messages_in_order_reorders_nothing() -> None:
    history = History("handled")
    for number in range(6):
        history.sent(number, "k")
    for number in (0, 1, 2, 3, 1, 2, 3, 2, 3, 4, 5):
        history.handled(number)

    verdict = history.verdict()

    assert (verdict.duplicated, verdict.reordered, verdict.lost) == (5, 0, 0)


def test_a_dead_letter_is_an_outcome_and_stands_in_no_order_to_events() -> None:
    history = History()
    for number in range(3):
        history.sent(number, "k")
    history.published(0)
    history.published(2)
    history.dead_lettered(1)

    assert history.verdict().is_clean


def test_several_events_of_one_message_are_no_duplicates_and_have_an_order() -> None:
    history = History()
    history.sent("a", "k")
    history.sent("b", "k")
    for message, event in (("a", "a0"), ("b", "b0"), ("a", "a1"), ("b", "b0")):
        history.published(message, event_id=event)

    verdict = history.verdict()

    assert (verdict.duplicated, verdict.reordered) == (1, 1)
    (late,) = verdict.of("reordered")
    assert late.behind is not None
    assert (late.message_id, late.behind.message_id) == ("a", "b")


@pytest.mark.parametrize(("one", "other"), [(-1, -2), (0, 2**61 - 1), (b"1", "1"), ("", 0)])
def test_events_whose_ids_have_one_hash_or_look_are_two(one: Hashable, other: Hashable) -> None:
    history = History()
    history.sent("a", "k")
    history.published("a", event_id=one)
    history.published("a", event_id=other)
    assert history.verdict().is_clean

    history.published("a", event_id=one)
    assert history.verdict().duplicated == 1


def test_what_was_seen_may_be_told_before_what_was_sent() -> None:
    history = History()
    history.published("a")
    history.sent("a", "k")

    assert history.verdict().is_clean


def test_an_id_that_is_sent_twice_is_refused() -> None:
    history = History()
    history.sent("a", "k")

    with pytest.raises(ValueError, match="'a' was sent before"):
        history.sent("a", "k")


def test_the_text_shows_the_counts_and_where_the_evidence_lies() -> None:
    history = History()
    for offset, message in enumerate("abcde"):
        history.sent(message, b"o-1", Receipt("orders.commands", 2, offset))
    history.handled("a")
    history.published("b", Message("orders.events", 1, 7, None, None))
    history.published("d", Receipt("orders.events", 1, 8))
    history.published("c", Receipt("orders.events", 1, 9))
    history.published("c", Receipt("orders.events", 1, 12))
    history.published("e", Receipt("orders.events", 1, 13))
    history.dead_lettered("e", Receipt("orders.commands-dlt", 2, 0))
    history.published("z", Receipt("orders.events", 0, 0))

    assert str(history.verdict()).splitlines() == [
        "sent  keys  handled  published  dead-lettered  lost  duplicated  reordered  unknown",
        "   5     1        1          6              1     1           2          1        1",
        "lost        key o-1 #1, id a, sent at orders.commands[2]@0: handled at #1 handled, but it has no outcome",
        "duplicated  key o-1 #3, id c, sent at orders.commands[2]@2: published 2 times, at orders.events[1]@9, "
        "orders.events[1]@12",
        "duplicated  key o-1 #5, id e, sent at orders.commands[2]@4: published and dead-lettered 2 times, at "
        "orders.events[1]@13, orders.commands-dlt[2]@0",
        "reordered   key o-1 #3, id c, sent at orders.commands[2]@2: published at orders.events[1]@9, behind #4 (id d) "
        "at orders.events[1]@8",
        "unknown     id z: published at orders.events[0]@0, but nobody sent it",
    ]


def test_what_is_required_raises_with_the_evidence() -> None:
    history = History()
    history.sent("a", "k")
    history.published("a")
    history.published("a")
    verdict = history.verdict()

    assert verdict.require(duplicated=1) is verdict
    with pytest.raises(HistoryException, match="published 2 times, at #1 published, #2 published"):
        verdict.require()
    history.sent("b", "k")
    with pytest.raises(HistoryException, match="Allowed were 5 duplicated"):
        history.verdict().require(duplicated=5)


def test_all_are_counted_and_the_text_names_some() -> None:
    history = History()
    for number in range(1_000):
        history.sent(number, number % 10)

    verdict = history.verdict()

    assert verdict.lost == 1_000
    assert len(verdict.of("lost")) == 100
    assert str(verdict).count("\nlost") == 11
    assert str(verdict).endswith("lost        ... 1000 in all")


def test_half_a_million_messages_are_judged_in_seconds() -> None:
    history = told_of(500_000)
    begun = time.monotonic()

    assert history.verdict().is_clean
    assert time.monotonic() - begun < 30, "about a second on an idle machine"


@pytest.mark.parametrize(("with_event_ids", "most"), [(False, 250), (True, 350)])
def test_a_message_takes_little_memory(with_event_ids: bool, most: int) -> None:
    count = 20_000
    tracemalloc.start()
    history = told_of(count, with_event_ids)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert history.verdict().sent == count
    assert kept < most * count, "bytes"


def told_of(count: int, with_event_ids: bool = False) -> History:
    history = History()
    for number in range(count):
        history.sent(number, number % 1_000)
        history.published(number, event_id=f"{number:036}" if with_event_ids else "")
    return history
