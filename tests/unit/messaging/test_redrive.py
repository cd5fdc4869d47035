"""What goes back, in which order, and as what: a table of cases, and properties against plain models."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.letter_facts import LetterFacts, Selection
from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.redrive import Decision, InOrder, RedriveRules, plan_redrive, redriven
from tests.unit.messaging.redrive_letters import facts, letter

RULES = RedriveRules(lambda topic: topic.partition("-retry-")[0], "{}-dlt".format, {"cmd": 2, "cmd-dlt": 2})


def plan(letters: list[LetterFacts], selection: Selection | None = None) -> list[Decision]:
    return plan_redrive(letters, selection or Selection(), RULES).decisions


def told(decisions: list[Decision]) -> list[tuple[int, str]]:
    return [(each.letter.offset, each.fate) for each in decisions]


def test_letters_go_back_to_their_topic_and_partition() -> None:
    (decision,) = plan([facts(0, partition=1)])
    assert (decision.fate, decision.topic, decision.partition, decision.releases) == ("send", "cmd", 1, False)


def test_a_retry_topic_goes_back_to_its_source() -> None:
    (decision,) = plan([facts(0, topic="cmd-retry-5000")])
    assert (decision.fate, decision.topic) == ("send", "cmd")


def test_a_partition_that_is_gone_is_chosen_by_the_key() -> None:
    assert [each.partition for each in plan([facts(0, partition=2), facts(1, partition=9)])] == [None, None]


@pytest.mark.parametrize(
    ("found", "fate", "reason"),
    [
        (replace(facts(0), origin=None), "leave", "does not say which topic"),
        (facts(0, topic="evil"), "leave", "it names evil, whose dead letters are not kept here"),
        (facts(0, count=3), "park", "sent back 3 times; the limit is 3"),
    ],
)
def test_what_cannot_be_sent_stays_and_says_why(found: LetterFacts, fate: str, reason: str) -> None:
    (decision,) = plan([found])
    assert decision.fate == fate
    assert reason in decision.reason


def test_a_topic_that_is_gone_keeps_its_letters() -> None:
    rules = replace(RULES, partitions={"cmd-dlt": 2})
    (decision,) = plan_redrive([facts(0)], Selection(), rules).decisions
    assert (decision.fate, decision.reason) == ("leave", "topic cmd does not exist")


def test_one_letter_of_a_halted_key_brings_all_and_the_last_releases_it() -> None:
    letters = [
        facts(0, 5, halted=b"first"),
        facts(1, 6, halted=b"follower"),
        facts(2, 7, halted=b"follower"),
        facts(3, 4),  # of the same key, put aside before it was halted
        facts(4, 8, key=b"other"),
    ]
    chosen = plan(letters, Selection(offsets=frozenset({1})))

    assert told(chosen) == [(0, "send"), (1, "send"), (2, "send")]
    assert [each.is_drawn_in for each in chosen] == [True, False, True]
    assert [each.releases for each in chosen] == [False, False, True]
    everything = plan(letters)
    assert told(everything)[:4] == [(3, "send"), (0, "send"), (1, "send"), (2, "send")]
    assert [each.letter.offset for each in everything if each.releases] == [2]


def test_the_order_is_that_of_the_source_also_for_what_failed_again() -> None:
    letters = [facts(0, 6, halted=b"follower"), facts(1, 5, halted=b"first", count=1)]
    assert told(plan(letters)) == [(1, "send"), (0, "send")]


def test_behind_one_that_stays_a_halted_key_stays_and_is_not_released() -> None:
    letters = [facts(0, 5, halted=b"first"), facts(1, 6, halted=b"first", count=3), facts(2, 7, halted=b"follower")]
    chosen = plan(letters)

    assert told(chosen) == [(0, "send"), (1, "park"), (2, "leave")]
    assert "it waits for cmd-dlt[0]@1, which is parked" in chosen[2].reason
    assert not any(each.releases for each in chosen)


def test_a_key_known_to_be_halted_is_released_though_no_letter_says_so() -> None:
    lane = plan([facts(0)])[0].lane
    found = plan_redrive([facts(0)], Selection(), RULES, frozenset({lane}))
    assert found.decisions[0].releases
    assert found.halted == {lane}


_LETTERS = st.lists(
    st.builds(
        lambda offset, key, halted, count: (offset, key, halted, count),
        st.integers(0, 9),
        st.sampled_from([b"a", b"b", None]),
        st.sampled_from([b"", b"", b"first", b"follower"]),
        st.integers(0, 4),
    ),
    max_size=12,
)


@given(_LETTERS, st.sets(st.integers(0, 11)))
def test_whatever_is_chosen_a_halted_key_leaves_in_order_whole_or_stops(
    given_letters: list[tuple[int, bytes | None, bytes, int]], offsets: set[int]
) -> None:
    letters = [
        facts(at, offset, key, halted=halted, count=count)
        for at, (offset, key, halted, count) in enumerate(given_letters)
    ]
    selection = Selection(offsets=frozenset(offsets))
    found = plan_redrive(letters, selection, RULES)

    by_place = {each.letter.offset: each for each in found.decisions}
    assert len(by_place) == len(found.decisions)
    assert {each.offset for each in letters if selection.chooses(each)} <= by_place.keys()
    for lane in {each.lane for each in found.decisions}:
        decisions = [each for each in found.decisions if each.lane == lane]
        origins = [each.letter.origin.offset for each in decisions if each.letter.origin]
        assert origins == sorted(origins)
        if lane not in found.halted:
            assert not any(each.is_drawn_in or each.releases for each in decisions)
            continue
        halted = {each.offset for each in letters if each.key == lane[3] and each.is_halted}
        assert halted <= {each.letter.offset for each in decisions}
        fates = [each.fate for each in decisions]
        assert "send" not in fates[next((at for at, fate in enumerate(fates) if fate != "send"), len(fates)) :]
        assert [each.releases for each in decisions] == [False] * (len(fates) - 1) + [set(fates) == {"send"}]


def sent(message: Message, *, releases: bool = False, original: Message | None = None) -> dict[str, bytes | None]:
    (decision,) = plan([facts(message.offset, count=0)])
    found = redriven(replace(decision, releases=releases), message, original)
    assert len(dict(found.headers)) == len(found.headers), "a header is repeated"
    return dict(found.headers)


def test_key_value_and_ids_stay_and_the_count_grows() -> None:
    message = letter(4, count=0)
    (decision,) = plan([facts(4, count=2)])
    found = redriven(decision, message)

    assert (found.key, found.value, found.topic, found.partition) == (b"k", b"v4", "cmd", 0)
    headers = dict(found.headers)
    assert headers[names.REDRIVE_COUNT] == b"3"
    assert dict(message.headers).items() <= headers.items()


def test_what_a_redrive_said_before_is_replaced() -> None:
    earlier = letter(4, count=1, halted=b"first")
    trace = (("Traceparent", b"00-new"), ("tracestate", b"a=b"), ("baggage", b"tenant=7"))
    old = (
        (names.REDRIVE_SEEN, b"9"),
        (names.REDRIVE_RELEASE, b"1"),
        (names.REDRIVE_TRACEPARENT, b"00-old"),
        ("retry_topic-attempts", b"\0\0\0\2"),
    )
    headers = sent(earlier._replace(headers=earlier.headers + trace + old))

    assert headers[names.REDRIVE_TRACEPARENT] == b"00-new"
    assert headers[names.REDRIVE_SEEN] == b"0"
    assert headers["baggage"] == b"tenant=7"
    gone = {names.REDRIVE_RELEASE, names.HALTED_KEY, "Traceparent", "traceparent", "tracestate", "retry_topic-attempts"}
    assert not gone & headers.keys()
    assert sent(earlier, releases=True)[names.REDRIVE_RELEASE] == b"1"


def test_a_reference_is_sent_as_the_record_that_it_names() -> None:
    reference = letter(4)
    reference = reference._replace(value=None, headers=(*reference.headers, (names.OMITTED_VALUE, b"9")))
    own = (("ce_id", b"own"), (names.ORIGINAL_OFFSET, b"stale"), ("traceparent", b"00-own"))
    original = Message("cmd", 0, 4, b"k", b"large", own)
    (decision,) = plan([facts(4)])
    found = redriven(decision, reference, original)

    headers = dict(found.headers)
    assert (found.value, headers["ce_id"], headers[names.REDRIVE_TRACEPARENT]) == (b"large", b"own", b"00-own")
    assert headers[names.ORIGINAL_OFFSET] == (4).to_bytes(8, "big")
    assert names.OMITTED_VALUE not in headers
    assert len(headers) == len(found.headers)


_LANES = st.lists(st.permutations(range(12)), min_size=1, max_size=1).flatmap(
    lambda drawn: st.lists(st.integers(0, 3), min_size=12, max_size=12).map(
        lambda lanes: [[offset for offset in drawn[0] if lanes[offset] == lane] for lane in range(4)]
    )
)


@given(_LANES, st.permutations(range(14)), st.sets(st.integers(0, 11)))
def test_each_lane_leaves_in_its_order_however_it_arrives(
    lanes: list[list[int]], arriving: list[int], gone: set[int]
) -> None:
    order = InOrder(lanes)
    left: list[int] = []
    for offset in arriving:
        if offset not in gone:
            left += [each.offset for each in order.arrive(Message("t", 0, offset, None, None))]
    for lane in lanes:
        until = next((at for at, offset in enumerate(lane) if offset in gone), len(lane))
        assert [offset for offset in left if offset in lane] == lane[:until]

    assert order.missing == sorted(gone)
    left += [each.offset for each in order.rest()]
    for lane in lanes:
        assert [offset for offset in left if offset in lane] == [offset for offset in lane if offset not in gone]
    assert sorted(left) == sorted(set(range(12)) - gone)


def test_the_lane_of_a_letter_is_its_partition_source_and_key() -> None:
    lane = plan([facts(1)])[0].lane
    assert lane == (TopicPartition("cmd-dlt", 0), "cmd", 0, b"k")
