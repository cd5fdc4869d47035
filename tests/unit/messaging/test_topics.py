"""Each command topic has a dead letter topic with as many partitions."""

from cqrs.messaging.topics import ServiceTopics

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
