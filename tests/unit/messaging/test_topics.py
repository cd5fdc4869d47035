"""Each command topic has a dead letter topic with as many partitions."""

import pytest

from cqrs.messaging.topics import ServiceTopics, TopicRules, TopicState, WantedTopic, hours, shortcomings

TOPICS = ServiceTopics(("c",), {"c": 3, "e": 2}, "-dlt")


def test_a_dead_letter_topic_is_wanted_beside_each_command_topic() -> None:
    assert TOPICS.wanted == {"c": 3, "c-dlt": 3, "e": 2}


def test_what_is_declared_wins() -> None:
    assert ServiceTopics(("c",), {"c-dlt": 6}, "-dlt").wanted == {"c": 1, "c-dlt": 6}


def test_every_missing_topic_is_named() -> None:
    problems = list(TOPICS.problems({"e": 1}))

    assert len(problems) == 2
    assert "'c'" in problems[0]
    assert "'c-dlt'" in problems[1]


def test_other_partition_counts_than_declared_are_the_operators_choice() -> None:
    assert list(TOPICS.problems({"c": 12, "c-dlt": 12, "e": 1})) == []


def test_a_dead_letter_topic_with_fewer_partitions_is_refused() -> None:
    (problem,) = TOPICS.problems({"c": 12, "c-dlt": 3, "e": 1})

    assert "as many" in problem


def test_a_retry_topic_stands_beside_its_source_for_each_delay() -> None:
    topics = ServiceTopics(("c",), {"c": 3}, "-dlt", {"c": (5_000, 60_000)})

    assert topics.wanted == {"c": 3, "c-dlt": 3, "c-retry-5000": 3, "c-retry-60000": 3}
    assert topics.retry_topics("c") == ("c-retry-5000", "c-retry-60000")
    assert topics.retry_topics("other") == ()
    assert (topics.source_of("c-retry-5000"), topics.source_of("e")) == ("c", "e")
    assert (topics.delay_seconds("c-retry-60000"), topics.delay_seconds("c")) == (60.0, 0.0)
    assert (topics.dead_letter_topic("c"), topics.dead_letter_topic("c-retry-5000")) == ("c-dlt", "c-dlt")


def test_the_plan_says_what_each_topic_is_for_and_how_it_is_set_up() -> None:
    topics = ServiceTopics(("c",), {"c": 3, "other": 2}, "-dlt", {"c": (5_000,)})
    plan = {each.name: each for each in topics.plan(TopicRules(3, 2, {"e": 1.0}, 24.0), ["e"])}

    purposes = {name: each.purpose for name, each in plan.items()}
    assert purposes == {
        "c": "commands",
        "c-dlt": "dead letters",
        "c-retry-5000": "retries",
        "other": "declared",
        "e": "events",
    }
    assert plan["c"].wanted == TopicState(3, 3, None, 2, "delete")
    assert plan["c-dlt"].wanted == TopicState(3, 3, 24 * 3_600_000, 2, "delete")
    assert plan["e"].wanted == TopicState(1, 3, 3_600_000, 2, None)
    assert (plan["c-dlt"].source, plan["c-retry-5000"].source, plan["e"].source) == ("c", "c", None)


WANTED = WantedTopic("t-dlt", "dead letters", TopicState(3, 3, 7_200_000, 2, "delete"), "t")


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (TopicState(3, 3, 7_200_000, 2, "delete"), []),
        (TopicState(5, 4, -1, 2, "delete"), []),
        (TopicState(3, None, None, None, None), []),
        (TopicState(1, 3, 7_200_000, 2, "delete"), ["1 partitions of 3"]),
        (TopicState(3, 1, 7_200_000, 2, "delete"), ["1 copies of 3"]),
        (TopicState(3, 3, 3_600_000, 2, "delete"), ["keeps records for 1 h, not 2 h"]),
        (TopicState(3, 3, 7_200_000, 1, "delete"), ["min.insync.replicas is 1, not 2"]),
        (TopicState(3, 3, 7_200_000, 2, "compact"), ["cleanup.policy is compact, which loses records of the same key"]),
    ],
    ids=["well", "more than asked for", "not known", "partitions", "copies", "retention", "insync", "compacted"],
)
def test_what_falls_short_is_said(there: TopicState, says: list[str]) -> None:
    assert list(shortcomings(WANTED, {"t-dlt": there})) == says


def test_a_missing_topic_and_one_with_fewer_partitions_than_its_source_are_said() -> None:
    assert list(shortcomings(WANTED, {})) == ["missing"]
    there = {"t": TopicState(12), "t-dlt": TopicState(3)}
    assert list(shortcomings(WANTED, there)) == ["3 partitions of 12"]


def test_records_that_are_kept_for_ever_are_kept_long_enough() -> None:
    forever = WantedTopic("t", "declared", TopicState(1, retention_ms=-1))
    assert list(shortcomings(forever, {"t": TopicState(1, retention_ms=3_600_000)})) == [
        "keeps records for 1 h, not ever"
    ]
    assert hours(None) == "default"
