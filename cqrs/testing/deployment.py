"""A whole service, started in the test's own process and seen from outside."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from confluent_kafka import KafkaError, KafkaException, Producer

from cqrs.config.kafka_security import KafkaSecuritySettings
from cqrs.config.registry_settings import RegistrySettings
from cqrs.messaging.message import Headers, Message
from cqrs.testing.outside_avro import registry_use
from cqrs.testing.outside_client import OutsideClient, Sent
from cqrs.testing.outside_failures import LibraryLog
from cqrs.testing.outside_outcomes import DEAD_LETTER_SUFFIX, Outcome, Received
from cqrs.testing.outside_security import OutsideOptions, outside_options

SECONDS = 20.0
"""How long a test waits for anything that must happen."""

_MOST_BYTES = 64 * 1024 * 1024
_MORE_SECONDS = 1.0  # librdkafka's own word, that the time is up, comes a moment later


class Deployable(Protocol):
    """Be a service that can be started and stopped, as `cqrs.runtime.Service` is.

    Attributes:
        bootstrap_servers: The broker's address.
        registry_url: The schema registry's address.
        management_url: Where probes and metrics are served.
    """

    bootstrap_servers: str
    registry_url: str
    management_url: str

    async def start(self) -> None:
        """Start everything and begin to consume."""

    async def ready(self) -> None:
        """Return once each group has told this member its partitions."""

    async def stop(self) -> None:
        """Finish what is in hand, commit, leave the group and close everything."""


S = TypeVar("S", bound=Deployable)


class Deployed(Generic[S]):
    """Be one started service and the outside world around it; the block ends with the service stopped.

    Any `Service` with any settings will do: its client shows brokers and registry the credentials that they name.
    Without KAFKA_BOOTSTRAP_SERVERS it brings an embedded broker of its own::

        async with Deployed(Service(settings, parts)) as deployed:
            deployed.client.send_json("orders.commands", {...}, type_name="orders.CreateOrder", key="o-1")
            (event,) = await deployed.records("orders.events", 1)

    Args:
        service: The service, not yet started.
        seconds: How long to wait for anything that must happen.

    Attributes:
        service: The service.
        client: A foreign program on its topics.
    """

    client: OutsideClient

    def __init__(self, service: S, *, seconds: float = SECONDS) -> None:
        self.service = service
        self._seconds = seconds
        self._options: OutsideOptions = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the service, wait until it consumes, and return itself.

        Raises:
            TimeoutError: the group did not give this member its partitions in time; says what to try.
        """
        async with AsyncExitStack() as closing:
            await self.service.start()
            closing.push_async_callback(self.service.stop)
            await self._ready()
            self.client = self._connected()
            closing.push_async_callback(asyncio.to_thread, self.client.close)
            self._closing = closing.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client and stop the service."""
        await self._closing.aclose()

    async def store(
        self,
        topic: str,
        value: bytes | None,
        headers: Headers = (),
        *,
        key: bytes | None = None,
        partition: int = 0,
    ) -> None:
        """Store a record exactly so, without a tracer or an envelope's help.

        Raises:
            AssertionError: the broker did not take it, or did not say so in time; says why.
        """
        refused = await asyncio.to_thread(self._refused, Message(topic, partition, 0, key, value, headers))
        if refused is not None:
            raise AssertionError(f"the broker did not take the record for {topic}[{partition}]: {refused}")

    async def until(self, topic: str, wanted: Callable[[Sequence[Received]], bool]) -> list[Received]:
        """Read `topic` from its beginning until what it holds is `wanted`, and return that.

        Raises:
            AssertionError: it was not in time; shows what there was.
        """
        found = await asyncio.to_thread(self._read, topic, wanted)
        if not wanted(found):
            raise AssertionError(f"{topic} held only {found} after {self._seconds:g} s")
        return found

    async def records(self, topic: str, count: int) -> list[Received]:
        """Read `topic` from its beginning until it holds at least `count` records, and return them.

        Raises:
            AssertionError: there were fewer in time; shows them.
        """
        return await self.until(topic, lambda found: len(found) >= count)

    async def outcomes(
        self, sent: Sequence[Sent], topics: Sequence[str], *, dead_letter_suffix: str = DEAD_LETTER_SUFFIX
    ) -> list[Outcome]:
        """Wait until every sent command has its outcome on `topics`, or until the time runs out; the service goes on.

        `client.outcomes`, called on the service's own loop, would hold up the service that it waits for.

        Returns:
            One outcome for each command, in the order of `sent`; what has none yet says so.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
            ConfigurationException: there is no such topic.
        """
        wait = partial(self.client.outcomes, dead_letter_suffix=dead_letter_suffix)
        return await asyncio.to_thread(wait, sent, topics, self._seconds)

    async def unready(self, saying: str = "") -> dict[str, object]:
        """Ask the readiness probe until it says that something is missing, and return its answer.

        Raises:
            TimeoutError: it did not say so in time; shows what it said last.
        """
        answer = None
        try:
            async with asyncio.timeout(self._seconds):
                while answer is None or saying not in str(answer):
                    answer = await asyncio.to_thread(self._refusal)
        except TimeoutError:
            wanted = f"the readiness probe of {self.service.management_url} did not say {saying!r} was missing"
            last = "that all is well" if answer is None else str(answer)
            raise TimeoutError(f"{wanted} within {self._seconds:g} s; it said last: {last}") from None
        return answer

    def _connected(self) -> OutsideClient:
        settings: object = getattr(self.service, "settings", None)
        if isinstance(settings, KafkaSecuritySettings):
            self._options = outside_options(settings)
        use = registry_use(settings) if isinstance(settings, RegistrySettings) else None
        return OutsideClient(
            self.service.bootstrap_servers, self.service.registry_url, options=self._options, registry_use=use
        )

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self.service.ready()
        except TimeoutError:
            raise TimeoutError(
                f"the service has no partitions from {self.service.bootstrap_servers} after {self._seconds:g} s. A "
                "member that was not stopped keeps its group waiting until its session times out: stop it first, give "
                "both a short kafka_session_timeout_ms (1010 on the embedded broker), or wait longer by `seconds`."
            ) from None

    def _refused(self, record: Message) -> str | None:
        """Send the record, and return why it is not stored, or None when it is."""
        answers: list[KafkaError | None] = []
        settings: dict[str, object] = {
            "bootstrap.servers": self.service.bootstrap_servers,
            "message.max.bytes": _MOST_BYTES,
            "message.timeout.ms": int(self._seconds * 1000),
            "retries": 0,  # a record whose acknowledgement is lost would be stored twice
            **self._options,
        }
        producer = Producer(settings, logger=LibraryLog())
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                lambda error, _: answers.append(error),
                headers=list(record.headers),
            )
        except KafkaException as error:
            return str(error)
        producer.flush(self._seconds + _MORE_SECONDS)
        if not answers:
            return f"{self.service.bootstrap_servers} gave no answer in {self._seconds:g} s"
        return answers[0].str() if answers[0] is not None else None

    def _read(self, topic: str, wanted: Callable[[Sequence[Received]], bool]) -> list[Received]:
        found: list[Received] = []
        deadline = time.monotonic() + self._seconds
        with self.client.reader([topic]) as reader:
            while not wanted(found) and time.monotonic() < deadline:
                found += reader.poll()
        return found

    def _refusal(self) -> dict[str, object] | None:
        url = f"{self.service.management_url}/actuator/health/readiness"
        try:
            with urlopen(url, timeout=self._seconds):  # noqa: S310 - our own server
                return None
        except HTTPError as refused:
            with refused:
                answer: dict[str, object] = json.load(refused)
                return answer
