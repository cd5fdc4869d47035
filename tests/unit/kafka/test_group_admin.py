"""A group is looked at from outside: its positions as they were committed; what is no answer is asked again."""

from collections.abc import Iterator

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.group_admin import GroupAdmin
from cqrs.messaging.message import Position, TopicPartition
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)
GROUP_AUTHORIZATION_FAILED, COORDINATOR_LOAD_IN_PROGRESS = 30, 14


class _Listener:
    async def on_assigned(self, committed: object) -> None: ...

    async def on_revoked(self, partitions: object) -> None: ...


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create_topic("t", 2)
        yield running


def admin(broker: EmbeddedBroker, timeout_seconds: float = 5.0) -> GroupAdmin:
    return GroupAdmin(bootstrap_servers=broker.bootstrap_servers, timeout_seconds=timeout_seconds)


@pytest.mark.asyncio
async def test_positions_are_what_was_committed_with_their_note(broker: EmbeddedBroker) -> None:
    member = KafkaConsumer(["t"], "g", bootstrap_servers=broker.bootstrap_servers, session_timeout_seconds=1.01)
    await member.start(_Listener())
    await member.commit({FIRST: Position(7, "a note")})
    async with admin(broker) as groups:
        assert await groups.positions("g", [FIRST, SECOND]) == {FIRST: Position(7, "a note"), SECOND: None}
        assert await groups.positions("other", [FIRST]) == {FIRST: None}
        assert await groups.positions("g", []) == {}
        assert await groups.members("g") == []  # the embedded broker does not know the question
    await member.stop()


@pytest.mark.asyncio
async def test_a_coordinator_that_loads_is_asked_again(broker: EmbeddedBroker) -> None:
    broker.fail_requests(ApiKey.OFFSET_FETCH, COORDINATOR_LOAD_IN_PROGRESS)
    async with admin(broker) as groups:
        assert await groups.positions("g", [FIRST]) == {FIRST: None}


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_told_in_time(broker: EmbeddedBroker) -> None:
    async with admin(broker, 0.5) as groups:
        await groups.positions("g", [FIRST])
        broker.broker_down()
        with pytest.raises(DependencyUnavailableException, match="the positions of group g"):
            await groups.positions("g", [FIRST])
    async with admin(broker, 0.5) as groups:
        with pytest.raises(DependencyUnavailableException):
            await groups.members("g")
