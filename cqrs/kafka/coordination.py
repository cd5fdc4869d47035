"""Take part in a group with aiokafka, without what loses or repeats records there.

aiokafka reads committed offsets behind the listener's back, takes an answer that is an error as a whole (OffsetFetch
version 2 and later) for "nothing was committed", and sends a commit with whatever generation the member has by the
time it leaves. Here they are read on demand, every error in the answer counts, and a commit belongs to the generation
in which it was asked for.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Protocol

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IllegalGenerationError,
    KafkaError,
    NotCoordinatorForGroupError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Response
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.group import JoinGroupRequest, LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as KafkaPartition

_MOVED = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)
_PASSING = (*_MOVED, GroupLoadInProgressError, UnknownTopicOrPartitionError)


class CarefulCoordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka is untyped
    """Be aiokafka's coordinator that reads committed offsets when it is asked, and fences commits.

    Args:
        on_join: Is called before the group is asked to let this member in, which may take as long as a rebalance.
        known_as: The id of a member that the group was not told of leaving, to go on as; otherwise everybody would wait
            until its session is over.

    Attributes:
        heard_at: When a broker last answered, in the seconds of `time.monotonic`.
        left_behind: After `close`, the id of the member that the group was not told of leaving; otherwise nothing.
    """

    _metadata_snapshot: dict[str, int]

    def __init__(
        self, *args: object, on_join: Callable[[], None] | None = None, known_as: str = "", **options: object
    ) -> None:
        self._on_join = on_join
        self.heard_at = time.monotonic()
        self._settled_generation: int | None = None
        self._leaving_task: asyncio.Task[None] | None = None
        super().__init__(*args, **options)
        self.member_id = known_as
        self.left_behind = ""

    @property
    def tasks(self) -> Iterator[asyncio.Task[None]]:
        """Yield the tasks that must not end while this is a member."""
        yield self._coordination_task
        # It may end when another joining is due, which starts the next one.
        if self._heartbeat_task is not None and not self._rejoin_needed_fut.done():
            yield self._heartbeat_task

    def start_commit_offsets_refresh_task(self, assignment: Assignment) -> None:
        """Start nothing: fetching begins where `read_committed` says, so nobody waits for a second reading."""

    async def read_committed(
        self, partitions: Collection[KafkaPartition]
    ) -> Mapping[KafkaPartition, OffsetAndMetadata | None]:
        """Return what the group has committed for each of `partitions`, in one answer; None for nothing.

        Waits out a coordinator that moves or loads, so the caller sets the deadline.

        Raises:
            KafkaError: the broker refuses to say.
        """
        while partitions:
            await self.ensure_coordinator_known()
            try:
                return await self._ask_committed(partitions)
            except KafkaError as error:
                if not _passes(error):
                    raise
            await asyncio.sleep(self._retry_backoff_ms / 1000)
        return {}

    async def ask(self) -> None:
        """Ask who coordinates the group, until somebody answers; the caller sets the deadline.

        Raises:
            KafkaError: the broker refuses to say.
        """
        while True:
            try:
                await self._client.coordinator_lookup(CoordinationType.GROUP, self.group_id)
            except KafkaError as error:
                if not _passes(error):
                    raise
            else:
                self.heard_at = time.monotonic()
                return
            await asyncio.sleep(self._retry_backoff_ms / 1000)

    async def _send_req(self, request: object) -> "_Answer":
        wait = self._waiting_for_others() if isinstance(request, JoinGroupRequest) else nullcontext()
        async with wait:
            answer: _Answer = await super()._send_req(request)
        self.heard_at = time.monotonic()
        if isinstance(request, LeaveGroupRequest) and not answer.error_code:
            self.left_behind = ""
        return answer

    @asynccontextmanager
    async def _waiting_for_others(self) -> AsyncIterator[None]:
        """Wait for the answer to a JoinGroup as long as others may take to end their work, as Java's client does.

        aiokafka would ask again after the time of any request, on a new connection.
        """
        if self._on_join is not None:
            self._on_join()
        connection = await self._client._get_conn(self.coordinator_id, group=ConnectionGroup.COORDINATION)  # noqa: SLF001
        if connection is None:
            yield  # and what is sent now fails at once
            return
        usual = connection._request_timeout  # noqa: SLF001
        connection._request_timeout = usual + self._rebalance_timeout_ms / 1000  # noqa: SLF001
        try:
            yield
        finally:
            connection._request_timeout = usual  # noqa: SLF001

    async def _on_join_complete(
        self, generation: int, member_id: str, protocol: str, member_assignment_bytes: bytes
    ) -> None:
        self._settled_generation = generation
        await super()._on_join_complete(generation, member_id, protocol, member_assignment_bytes)

    def reset_generation(self) -> None:
        """Begin anew as another member, and tell the group not to wait for the one that it still may know."""
        known = self.member_id if self.generation > 0 and not self._is_static and not self._closing.done() else ""
        super().reset_generation()
        if known and self.coordinator_id is not None:
            self._leaving_task = asyncio.create_task(self._leave_as(known))

    @property
    def _is_static(self) -> bool:
        """Say whether this member has a name of its own: the group keeps its place, and knows it by that name alone."""
        return self._group_instance_id is not None

    async def _maybe_leave_group(self) -> None:
        self.left_behind = "" if self._is_static else self.member_id
        await super()._maybe_leave_group()

    async def _leave_as(self, member_id: str) -> None:
        with suppress(KafkaError):
            await self._send_req(LeaveGroupRequest(self.group_id, member_id))

    def _handle_metadata_update(self, cluster: ClusterMetadata) -> None:
        # A broker that has just started may know no topic yet. For aiokafka its partitions are gone then: everybody
        # would lose them, until somebody happens to ask again.
        if not any(
            count and not cluster.partitions_for_topic(topic) for topic, count in self._metadata_snapshot.items()
        ):
            super()._handle_metadata_update(cluster)

    async def _perform_assignment(self, response: Response) -> object:
        before = self._metadata_snapshot
        assignment: object = await super()._perform_assignment(response)
        known = {topic for topic, count in before.items() if count} | self._subscription.topics
        lost = sorted(topic for topic in known if self._metadata_snapshot.get(topic) == 0)
        if lost:
            self._metadata_snapshot = before
            raise KafkaError(f"the brokers know no partition of {', '.join(lost)}")
        return assignment

    async def _do_commit_offsets(
        self, assignment: Assignment, offsets: Mapping[KafkaPartition, OffsetAndMetadata]
    ) -> None:
        # Between two assignments the member may have a newer generation already, or none, which passes for a client
        # outside of the group: either would be believed for partitions that are others' now.
        if not assignment.active or self.generation != self._settled_generation:
            raise IllegalGenerationError(self.group_id)
        await super()._do_commit_offsets(assignment, offsets)

    async def _ask_committed(
        self, partitions: Collection[KafkaPartition]
    ) -> Mapping[KafkaPartition, OffsetAndMetadata | None]:
        numbers: defaultdict[str, list[int]] = defaultdict(list)
        for partition in partitions:
            numbers[partition.topic].append(partition.partition)
        answer = await self._send_req(OffsetFetchRequest(self.group_id, list(numbers.items())))
        self._require_good(getattr(answer, "error_code", 0))  # version 1 has none
        found: dict[KafkaPartition, OffsetAndMetadata | None] = {}
        for topic, places in answer.topics:
            for number, offset, metadata, code in places:
                self._require_good(code)
                known = OffsetAndMetadata(offset, metadata or "") if offset >= 0 else None
                found[KafkaPartition(topic, number)] = known
        if missing := set(partitions) - found.keys():
            raise KafkaError(f"the answer of the coordinator leaves out {sorted(missing)}")
        return found

    def _require_good(self, code: int) -> None:
        if code == 0:
            return
        error_type = for_code(code)
        if error_type in _MOVED:
            self.coordinator_dead()
        raise error_type(self.group_id) if error_type is GroupAuthorizationFailedError else error_type()


class _Answer(Protocol):
    """Name what is read of aiokafka's responses."""

    error_code: int
    topics: Collection[tuple[str, Collection[tuple[int, int, str | None, int]]]]


def _passes(error: KafkaError) -> bool:
    return bool(error.retriable) or isinstance(error, _PASSING)
