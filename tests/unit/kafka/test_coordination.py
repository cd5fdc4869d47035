"""Each answer of a coordinator counts, and a commit belongs to the generation it was asked for in."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupAuthorizationFailedError, IllegalGenerationError, KafkaError, UnknownError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.kafka.coordination import CarefulCoordinator

P0, P1 = KafkaPartition("orders", 0), KafkaPartition("orders", 1)
LOADING, NOT_COORDINATOR, DENIED, UNKNOWN_TOPIC, UNHEARD_OF = 14, 16, 30, 3, 999


def answer(*places: tuple[int, int, str | None, int], code: int = 0) -> SimpleNamespace:
    return SimpleNamespace(topics=[("orders", list(places))] if places else [], error_code=code)


GOOD = answer((0, 7, "8-9", 0), (1, -1, "", 0))


class Scripted(CarefulCoordinator):
    """Answer requests from a list, and take part in no group."""

    def __init__(self, *answers: SimpleNamespace) -> None:
        self.answers = list(answers)
        self.sent: list[Any] = []
        super().__init__(AIOKafkaClient(), SubscriptionState(), group_id="readers", retry_backoff_ms=1)
        self.coordinator_id = 1

    async def _coordination_routine(self) -> None:
        await self._closing

    async def ensure_coordinator_known(self) -> None:
        self.coordinator_id = 1
        self._coordinator_dead_fut = asyncio.get_running_loop().create_future()

    async def _send_req(self, request: object) -> Any:
        self.sent.append(request)
        return self.answers.pop(0)


@pytest_asyncio.fixture
async def script() -> AsyncIterator[list[Scripted]]:
    made: list[Scripted] = []
    yield made
    for coordinator in made:
        coordinator.generation = -1  # there is no group to leave
        await coordinator.close()


@pytest.mark.asyncio
async def test_offset_and_metadata_are_read_in_one_answer(script: list[Scripted]) -> None:
    script.append(Scripted(GOOD))
    expected = {P0: OffsetAndMetadata(7, "8-9"), P1: None}
    assert await script[0].read_committed([P0, P1]) == expected
    assert await script[0].read_committed([]) == {}
    assert len(script[0].sent) == 1


@pytest.mark.asyncio
async def test_metadata_that_is_null_is_empty(script: list[Scripted]) -> None:
    script.append(Scripted(answer((0, 7, None, 0))))
    assert await script[0].read_committed([P0]) == {P0: OffsetAndMetadata(7, "")}


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [LOADING, NOT_COORDINATOR, UNKNOWN_TOPIC])
@pytest.mark.parametrize("as_a_whole", [True, False])
async def test_what_passes_is_waited_out(script: list[Scripted], code: int, as_a_whole: bool) -> None:
    trouble = answer(code=code) if as_a_whole else answer((0, -1, "", code), (1, -1, "", 0))
    script.append(Scripted(trouble, trouble, GOOD))
    assert (await script[0].read_committed([P0, P1]))[P0] == OffsetAndMetadata(7, "8-9")


@pytest.mark.asyncio
@pytest.mark.parametrize("as_a_whole", [True, False])
async def test_an_error_is_never_taken_for_nothing_committed(script: list[Scripted], as_a_whole: bool) -> None:
    for code, kind in ((DENIED, GroupAuthorizationFailedError), (UNHEARD_OF, UnknownError)):
        script.append(Scripted(answer(code=code) if as_a_whole else answer((0, -1, "", code), (1, -1, "", 0))))
        with pytest.raises(kind):
            await script[-1].read_committed([P0, P1])


@pytest.mark.asyncio
async def test_an_answer_that_leaves_a_partition_out_is_an_error(script: list[Scripted]) -> None:
    script.append(Scripted(answer((0, 7, "", 0))))
    with pytest.raises(KafkaError, match=r"leaves out .*partition=1"):
        await script[0].read_committed([P0, P1])


@pytest.mark.asyncio
async def test_a_commit_is_sent_only_with_the_generation_of_its_assignment(script: list[Scripted]) -> None:
    script.append(Scripted(SimpleNamespace(topics=[("orders", [(0, 0)])])))
    coordinator, subscription = script[0], script[0]._subscription
    subscription.subscribe({"orders"})
    subscription.assign_from_subscribed([P0])
    assignment = subscription.subscription.assignment
    coordinator.generation = coordinator._settled_generation = 5
    await coordinator._do_commit_offsets(assignment, {P0: OffsetAndMetadata(1, "")})
    assert [type(request) for request in coordinator.sent] == [OffsetCommitRequest]
    for generation in (6, -1):
        coordinator.generation = generation
        with pytest.raises(IllegalGenerationError):
            await coordinator._do_commit_offsets(assignment, {P0: OffsetAndMetadata(2, "")})
    coordinator.generation = 5
    subscription.assign_from_subscribed([P0])  # the same partition anew: what was asked for before is old
    with pytest.raises(IllegalGenerationError):
        await coordinator._do_commit_offsets(assignment, {P0: OffsetAndMetadata(2, "")})
    assert len(coordinator.sent) == 1


@pytest.mark.asyncio
async def test_a_topic_that_a_broker_does_not_know_for_a_moment_keeps_its_partitions(script: list[Scripted]) -> None:
    script.append(Scripted())
    coordinator = script[0]
    coordinator._subscription.subscribe({"orders"})
    coordinator._group_subscription = {"orders"}
    known: dict[str, set[int] | None] = {"orders": {0, 1}}
    cluster: Any = SimpleNamespace(partitions_for_topic=known.get)
    coordinator._cluster = cluster
    for partitions, rejoins in (({0, 1}, True), (None, False), (set(), False), ({0, 1}, False), ({0, 1, 2}, True)):
        known["orders"] = partitions
        coordinator._rejoin_needed_fut = asyncio.get_running_loop().create_future()
        coordinator._handle_metadata_update(cluster)
        assert coordinator._rejoin_needed_fut.done() is rejoins


@pytest.mark.asyncio
async def test_a_member_that_begins_anew_does_not_let_the_group_wait_for_who_it_was(script: list[Scripted]) -> None:
    script.append(Scripted(SimpleNamespace(error_code=0)))
    coordinator = script[0]
    coordinator.reset_generation()
    coordinator.member_id, coordinator.generation = "before", 5
    coordinator.reset_generation()
    assert (coordinator.member_id, coordinator.generation) == ("", -1)
    assert coordinator._leaving_task is not None
    await coordinator._leaving_task
    assert [(type(each), each._member_id) for each in coordinator.sent] == [(LeaveGroupRequest, "before")]
