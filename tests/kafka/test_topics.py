"""`topics create` makes what a service needs on a real Kafka, and `topics check` says what is not as it should be."""

import asyncio
import json
import os
import sys
from dataclasses import replace

import pytest

from cqrs.exceptions import ConfigurationException
from cqrs.kafka.topic_admin import TopicAdmin
from cqrs.messaging.topics import TopicState, WantedTopic

SECONDS = 60.0
_made = iter(range(1_000_000))


def unique() -> str:
    return f"cli-{os.getpid()}-{next(_made)}.commands"


async def topics(bootstrap: str, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run the command as an operator does, and return its exit code and what it printed."""
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "COLUMNS": "200", **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        "topics",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode or 0, output.decode()


@pytest.mark.asyncio
async def test_what_is_missing_is_made_once_and_then_all_is_well(kafka_bootstrap: str) -> None:
    name = unique()
    wanted = {"COMMAND_TOPICS": name, "TOPICS": f"{name}=4,orders.events=3", "RETRY_TOPICS": f"{name}=5000"}
    code, said = await topics(kafka_bootstrap, "check", **wanted)
    assert code == 1
    assert "missing" in said
    assert "topics create" in said

    answers = await asyncio.gather(*(topics(kafka_bootstrap, "create", **wanted) for _ in range(2)))
    assert [code for code, _ in answers] == [0, 0], answers

    code, said = await topics(kafka_bootstrap, "check", "--json", **wanted)
    assert code == 0
    there = {each["topic"]["name"]: each["there"] for each in json.loads(said)}
    assert there[f"{name}-dlt"]["partitions"] == there[f"{name}-retry-5000"]["partitions"] == 4
    assert there[f"{name}-dlt"]["retention_ms"] == 336 * 3_600_000
    assert there[name]["cleanup"] == "delete"


@pytest.mark.asyncio
async def test_a_dry_run_makes_nothing(kafka_bootstrap: str) -> None:
    name = unique()
    wanted = {"COMMAND_TOPICS": name, "TOPICS": f"{name}=1,orders.events=3"}
    code, said = await topics(kafka_bootstrap, "create", "--dry-run", **wanted)

    assert code == 1
    assert "would be made" in said
    assert await TopicAdmin(bootstrap_servers=kafka_bootstrap).describe([name]) == {}


@pytest.mark.asyncio
async def test_partitions_are_added_only_where_that_is_asked_for_and_beside_it_too(kafka_bootstrap: str) -> None:
    name = unique()
    less = {"COMMAND_TOPICS": name, "TOPICS": f"{name}=2,orders.events=3"}
    more = less | {"TOPICS": f"{name}=5,orders.events=3"}
    assert (await topics(kafka_bootstrap, "create", **less))[0] == 0
    code, said = await topics(kafka_bootstrap, "create", **more)
    assert code == 1
    assert "2 partitions of 5" in said
    assert (await topics(kafka_bootstrap, "create", "--add-partitions", **more))[0] == 0
    there = await TopicAdmin(bootstrap_servers=kafka_bootstrap).describe([name, f"{name}-dlt"])
    assert {each.partitions for each in there.values()} == {5}


@pytest.mark.asyncio
async def test_what_the_broker_refuses_is_said_with_what_to_mend(kafka_bootstrap: str) -> None:
    admin = TopicAdmin(bootstrap_servers=kafka_bootstrap)
    topic = WantedTopic(unique(), "declared", TopicState(1, replication=99))
    with pytest.raises(ConfigurationException, match="TOPIC_REPLICATION"):
        await admin.create(topic)
    one = replace(topic, wanted=TopicState(1))
    assert await admin.create(one)
    assert not await admin.create(one), "it is there already"


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_said_within_the_deadline() -> None:
    code, said = await topics("127.0.0.1:1", "check", KAFKA_REQUEST_TIMEOUT_MS="2000")
    assert code == 2
    assert "kafka is unavailable" in said
