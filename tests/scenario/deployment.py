"""A whole service on an embedded broker, seen from outside."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from confluent_kafka import Producer

from cqrs.messaging.message import Headers, Message
from cqrs.runtime import Service
from cqrs.testing.outside_client import OutsideClient, Received, Sent
from service.settings import COMMANDS, EVENTS, OrderSettings

DEAD_LETTERS = f"{COMMANDS}-dlt"
SECONDS = 20.0


class Deployed:
    """Be one started service and the outside world around it.

    Attributes:
        service: The service.
        client: A foreign program on its topics.
    """

    def __init__(self, service: Service, client: OutsideClient) -> None:
        self.service = service
        self.client = client

    def produce(
        self,
        value: bytes | None,
        headers: Headers = (),
        *,
        key: bytes | None = None,
        partition: int = 0,
        topic: str = COMMANDS,
    ) -> None:
        """Store a record exactly so, without a tracer or an envelope's help."""
        producer = Producer(
            {"bootstrap.servers": self.service.bootstrap_servers, "message.max.bytes": 64 * 1024 * 1024}
        )
        producer.produce(topic, value=value, key=key, partition=partition, headers=list(headers))
        assert producer.flush(SECONDS) == 0, "the broker did not take the record"

    def create(self, order_id: str, **fields: object) -> Sent:
        """Send a CreateOrder that is right, but for `fields`."""
        data = {
            "order_id": order_id,
            "customer_id": "c-1",
            "items": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}],
            "currency": "EUR",
        }
        return self.client.send_json(COMMANDS, {**data, **fields}, type_name="orders.CreateOrder", key=order_id)

    async def until(self, topic: str, wanted: Callable[[Sequence[Received]], bool]) -> list[Received]:
        """Read `topic` from its beginning until what it holds is `wanted`."""

        def read() -> list[Received]:
            found: list[Received] = []
            deadline = time.monotonic() + SECONDS
            with self.client.reader([topic]) as reader:
                while not wanted(found) and time.monotonic() < deadline:
                    found += reader.poll()
            return found

        found = await asyncio.to_thread(read)
        assert wanted(found), f"{topic} held only {found} after {SECONDS} s"
        return found

    async def letters(self, count: int) -> list[Message]:
        """Wait for `count` dead letters."""
        return [each.message for each in await self.until(DEAD_LETTERS, lambda found: len(found) >= count)]

    async def unready(self, saying: str = "") -> dict[str, object]:
        """Ask the readiness probe until it says that something is missing, and return its answer."""

        def ask() -> dict[str, object] | None:
            try:
                with urlopen(f"{self.service.management_url}/actuator/health/readiness", timeout=SECONDS):  # noqa: S310
                    return None
            except HTTPError as refused:
                with refused:
                    answer: dict[str, object] = json.load(refused)
                    return answer

        async with asyncio.timeout(SECONDS):
            answer = None
            while answer is None or saying not in str(answer):
                answer = await asyncio.to_thread(ask)
        return answer

    async def events(self, count: int) -> list[Received]:
        """Wait for `count` events."""
        return await self.until(EVENTS, lambda found: len(found) >= count)


def settings_in(folder: Path, **changed: object) -> OrderSettings:
    """Return the order service's settings for a state folder of its own; short waits."""
    given: dict[str, object] = {
        "state_path": folder,
        "management_port": 0,
        "retry_backoff_min_ms": 10,
        "retry_backoff_max_ms": 50,
        "log_level": "ERROR",
    }
    return OrderSettings(**{**given, **changed})  # type: ignore[arg-type]


@asynccontextmanager
async def deployed(service: Service) -> AsyncIterator[Deployed]:
    """Start `service` and wait until it consumes; stop it behind the block."""
    async with service:
        async with asyncio.timeout(SECONDS):
            await service.ready()
        client = OutsideClient(service.bootstrap_servers, service.registry_url)
        try:
            yield Deployed(service, client)
        finally:
            await asyncio.to_thread(client.close)
