"""Look at topics and make them, through aiokafka's admin client."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions
from aiokafka.errors import TopicAlreadyExistsError, for_code

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.closing import ends_within
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.patience import PatientAdminClient
from cqrs.messaging.topics import TopicState, WantedTopic

_CLOSE_SECONDS = 2.0
_RETENTION, _MIN_INSYNC, _CLEANUP = "retention.ms", "min.insync.replicas", "cleanup.policy"


class TopicAdmin:
    """Describe and create topics.

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
        self._bootstrap_servers = checked_addresses(bootstrap_servers)
        self._client_id = client_id
        self._timeout = timeout_seconds
        self._security = dict(security or {})

    async def describe(self, names: Iterable[str]) -> dict[str, TopicState]:
        """Return how those of the topics `names` that there are are set up; none is created by asking.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        async with self._client("asking for the topics") as client:
            metadata = await client.describe_topics()
            there = {each["topic"]: each for each in metadata if not each["error_code"]}
            wanted = [name for name in names if name in there]
            configs = await self._configs(client, wanted)
        return {name: _state(there[name]["partitions"], configs.get(name, {})) for name in wanted}

    async def create(self, topic: WantedTopic) -> bool:
        """Create `topic`, and return False when it is there already; returns when every partition has a leader.

        Raises:
            DependencyUnavailableException: the broker did not answer in time, or did not elect leaders.
            ConfigurationException: the broker refuses it: too few brokers for its copies, or it may not be made.
        """
        async with self._client(f"creating the topic {topic.name}") as client:
            answer = await client.create_topics([_new_topic(topic)])
            for _, code, *words in answer.topic_errors:  # pyright: ignore[reportAttributeAccessIssue]
                error = for_code(code)
                if error is TopicAlreadyExistsError:
                    return False
                if code:
                    raise ConfigurationException([_refused(topic.name, error, words)])
            await self._led(client, topic.name)
        return True

    async def add_partitions(self, name: str, count: int) -> None:
        """Give the topic `name` `count` partitions in all: new records of a key may go to another one from then on.

        Raises:
            DependencyUnavailableException: the broker did not answer in time, or refuses it.
        """
        async with self._client(f"adding partitions to {name}") as client:
            await client.create_partitions({name: NewPartitions(count)})
            await self._led(client, name)

    async def _configs(self, client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, configs={_RETENTION: "", _MIN_INSYNC: "", _CLEANUP: ""})
            for name in names
        ]
        answers = await client.describe_configs(resources) if resources else []
        found: dict[str, dict[str, str]] = {}
        for answer in answers:
            for code, _, _, name, entries in answer.resources:  # pyright: ignore[reportAttributeAccessIssue]
                if not code:  # else it may not be asked: what is not known is not judged
                    found[name] = {entry[0]: entry[1] for entry in entries}
        return found

    async def _led(self, client: AIOKafkaAdminClient, name: str) -> None:
        """Wait until every partition of `name` has a leader; the caller's deadline bounds it."""
        while True:
            [found] = await client.describe_topics([name])
            if not found["error_code"] and all(each["leader"] >= 0 for each in found["partitions"]):
                return
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _client(self, deed: str) -> AsyncIterator[AIOKafkaAdminClient]:
        client = PatientAdminClient(
            bootstrap_servers=self._bootstrap_servers,
            client_id=self._client_id,
            request_timeout_ms=int(self._timeout * 1000),
            **self._security,
        )
        try:
            with kafka_failures(f"{deed} at {self._bootstrap_servers}"):
                async with asyncio.timeout(self._timeout):
                    await client.start()
                    yield client
        except TimeoutError as error:
            raise DependencyUnavailableException("kafka", f"{deed}: no answer in {self._timeout:g} s") from error
        finally:
            await ends_within(client.close(), _CLOSE_SECONDS)


def _new_topic(topic: WantedTopic) -> NewTopic:
    wanted = topic.wanted
    configs = {
        _RETENTION: None if wanted.retention_ms is None else str(wanted.retention_ms),
        _MIN_INSYNC: None if wanted.min_insync is None else str(wanted.min_insync),
        _CLEANUP: wanted.cleanup,
    }
    given = {name: value for name, value in configs.items() if value is not None}
    made = NewTopic(topic.name, wanted.partitions, wanted.replication or 1, topic_configs=given)
    if wanted.replication is None:
        made.replication_factor = -1  # the broker's default, which aiokafka's constructor does not let be asked for
    return made


def _state(partitions: list[dict[str, list[int]]], configs: Mapping[str, str]) -> TopicState:
    copies = min((len(each["replicas"]) for each in partitions), default=0)
    return TopicState(
        len(partitions), copies, _int(configs.get(_RETENTION)), _int(configs.get(_MIN_INSYNC)), configs.get(_CLEANUP)
    )


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def _refused(name: str, error: type[Exception], words: list[str | None]) -> str:
    said = next((each for each in words if each), error.__name__)
    return (
        f"the broker does not create {name!r}: {said}; mend TOPIC_REPLICATION or TOPICS, or ask who may create topics"
    )
