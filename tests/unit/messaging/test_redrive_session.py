"""Only the one member that has every partition redrives, and it notices when it does not any more."""

import asyncio
from collections.abc import Collection, Sequence

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.redrive_session import RedriveBusyException, RedriveSession
from cqrs.testing.memory import MemoryBroker, MemoryConsumer
from tests.unit.messaging.redrive_letters import MemoryPositions

FIRST, SECOND = TopicPartition("cmd-dlt", 0), TopicPartition("cmd-dlt", 1)
ALL = frozenset({FIRST, SECOND})
AWAY = DependencyUnavailableException("kafka", "away")


class Sharing(MemoryConsumer):
    """Be a member that is given only some partitions when it joins."""

    given = ALL
    polled: asyncio.Event | None = None

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        if self.polled is not None:
            self.polled.set()
        return await super().poll(timeout_seconds, partitions, max_records)

    def _all(self) -> frozenset[TopicPartition]:
        return self.given


class Group:
    def __init__(self, patience: float = 5.0) -> None:
        self.broker = MemoryBroker({"cmd-dlt": 2})
        self.member = Sharing(self.broker, ["cmd-dlt"])
        self.positions = MemoryPositions(shop_redrive=self.broker)
        self.session = RedriveSession(self.member, self.positions, "shop.redrive", ALL, patience, patience)


@pytest.mark.asyncio
async def test_the_only_member_works_and_commits() -> None:
    group = Group()
    group.broker.committed[FIRST] = Position(3, "note")
    await group.session.open()
    async with group.session.turn():
        assert group.session.committed == {FIRST: Position(3, "note"), SECOND: None}
        await group.session.commit(SECOND, Position(7))
    await group.session.close()

    assert group.broker.committed[SECOND] == Position(7)
    assert group.member.stopped


@pytest.mark.asyncio
async def test_one_that_is_given_a_share_says_that_another_is_at_work() -> None:
    group = Group()
    group.member.given = frozenset({SECOND})
    with pytest.raises(
        RedriveBusyException, match=r"another redrive is at work: it is a member of group shop\.redrive"
    ):
        await group.session.open()


@pytest.mark.asyncio
async def test_of_two_that_join_at_once_the_one_with_the_first_partition_stays() -> None:
    group = Group()
    group.member.given = frozenset({FIRST})
    group.member.polled = asyncio.Event()
    opening = asyncio.create_task(group.session.open())
    await group.member.polled.wait()
    await group.member.reassign(ALL)
    await opening
    async with group.session.turn():
        pass


@pytest.mark.asyncio
async def test_it_does_not_wait_for_ever_for_the_other_ones_share() -> None:
    group = Group(patience=0.01)
    group.member.given = frozenset({FIRST})
    with pytest.raises(RedriveBusyException):
        await group.session.open()


@pytest.mark.asyncio
async def test_partitions_are_given_back_behind_the_work_in_hand_and_worked_on_when_they_come_again() -> None:
    group = Group()
    await group.session.open()
    async with group.session.turn():
        leaving = asyncio.create_task(group.member.reassign(ALL))
        await asyncio.sleep(0)
        assert not leaving.done()
        await group.session.commit(FIRST, Position(1))
    await leaving
    async with group.session.turn():
        await group.session.commit(FIRST, Position(2))
    assert group.broker.committed[FIRST] == Position(2)


@pytest.mark.asyncio
async def test_it_stops_when_another_went_on_meanwhile() -> None:
    group = Group()
    await group.session.open()
    group.broker.committed[SECOND] = Position(9)
    await group.member.reassign(ALL)
    with pytest.raises(RedriveBusyException, match="another redrive went on"):
        async with group.session.turn():
            pytest.fail("it worked")


@pytest.mark.asyncio
async def test_a_commit_that_the_group_did_not_take_is_told() -> None:
    group = Group()
    await group.session.open()
    group.positions.committed["shop.redrive"] = {}
    with pytest.raises(RedriveBusyException, match=r"did not take the commit for cmd-dlt\[0\]"):
        await group.session.commit(FIRST, Position(1))


@pytest.mark.asyncio
async def test_a_commit_waits_for_the_broker_to_come_back() -> None:
    group = Group()
    await group.session.open()
    group.member.commit_failures = [AWAY]
    await group.session.commit(FIRST, Position(1))
    assert group.broker.committed[FIRST] == Position(1)

    impatient = Group(patience=0.0)
    await impatient.session.open()
    impatient.member.commit_failures = [AWAY] * 3
    with pytest.raises(DependencyUnavailableException):
        await impatient.session.commit(FIRST, Position(1))


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_told_as_that() -> None:
    group = Group(patience=0.15)
    group.member.given = frozenset({FIRST})
    group.member.failures = [AWAY] * 1_000
    with pytest.raises(DependencyUnavailableException):
        await group.session.open()
