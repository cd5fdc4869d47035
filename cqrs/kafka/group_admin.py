"""Look at a consumer group from outside: what it has committed, and who is in it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code

from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.closing import ends_within
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.membership import ours, theirs
from cqrs.kafka.patience import PatientAdminClient
from cqrs.messaging.message import Position, TopicPartition

_CLOSE_SECONDS = 2.0
_RETRY_SECONDS = 0.1


class GroupAdmin:
    """Ask for the positions and members of groups; use it in an `async with`.

    Args:
        bootstrap_servers: `host:port`, comma-separated.
        client_id: The name the brokers see.
        timeout_seconds: How long each question may take.
        security: What reaches a secured cluster; see `cqrs.kafka.security.security_options`.

    Raises:
        ConfigurationException: an address cannot be read.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        client_id: str = "cqrs",
        timeout_seconds: float = 30.0,
        security: Mapping[str, object] | None = None,
    ) -> None:
        self._timeout = timeout_seconds
        self._new_client = partial(
            PatientAdminClient,
            bootstrap_servers=checked_addresses(bootstrap_servers),
            client_id=client_id,
            request_timeout_ms=int(timeout_seconds * 1000),
            **(security or {}),
        )
        self._client: AIOKafkaAdminClient | None = None

    async def __aenter__(self) -> Self:
        """Return itself; it connects with its first question."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await ends_within(client.close(), _CLOSE_SECONDS)

    async def positions(
        self, group_id: str, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, Position | None]:
        """Return what the group has committed for each of `partitions`; None for nothing.

        Raises:
            DependencyUnavailableException: the broker did not answer in time, or refuses to say.
        """
        if not partitions:
            return {}
        async with self._asking(f"asking for the positions of group {group_id}") as client:
            while True:
                try:
                    found = await client.list_consumer_group_offsets(
                        group_id, partitions=[theirs(each) for each in partitions]
                    )
                    if len(found) == len(partitions):  # an error of the answer as a whole leaves them out
                        break
                except KafkaError as error:
                    if not error.retriable:
                        raise
                await asyncio.sleep(_RETRY_SECONDS)
        return {
            ours(place): Position(at.offset, at.metadata or "") if at.offset >= 0 else None
            for place, at in found.items()
        }

    async def members(self, group_id: str) -> list[str]:
        """Return who is in the group, each as `client (host)`; nobody where the broker cannot be asked.

        Raises:
            DependencyUnavailableException: the broker did not answer in time, or refuses to say.
        """
        async with self._asking(f"asking who is in group {group_id}") as client:
            while True:
                try:
                    (answer,) = await client.describe_consumer_groups([group_id])
                    for code, _, _, _, _, members, *_ in getattr(answer, "groups", ()):
                        if code:
                            raise for_code(code)(group_id)
                        return [f"{member[1]} ({member[2].lstrip('/')})" for member in members]
                except IncompatibleBrokerVersion:  # the embedded broker does not know the question
                    return []
                except KafkaError as error:
                    if not error.retriable:
                        raise
                await asyncio.sleep(_RETRY_SECONDS)

    @asynccontextmanager
    async def _asking(self, deed: str) -> AsyncIterator[AIOKafkaAdminClient]:
        with kafka_failures(deed):
            async with asyncio.timeout(self._timeout):
                if self._client is None:
                    client = self._new_client()
                    try:
                        await client.start()
                    except BaseException:
                        await ends_within(client.close(), _CLOSE_SECONDS)
                        raise
                    self._client = client
                yield self._client
