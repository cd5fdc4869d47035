"""The order service on an embedded broker, seen from outside."""

from pathlib import Path

from cqrs.messaging.message import Headers, Message
from cqrs.runtime import Service
from cqrs.testing import deployment
from cqrs.testing.deployment import SECONDS
from cqrs.testing.outside_client import Received, Sent
from service.settings import COMMANDS, EVENTS, OrderSettings

__all__ = ["DEAD_LETTERS", "SECONDS", "Deployed", "deployed", "settings_in"]

DEAD_LETTERS = f"{COMMANDS}-dlt"


class Deployed(deployment.Deployed[Service]):
    """Be one started service with the topics of the order service."""

    async def produce(
        self,
        value: bytes | None,
        headers: Headers = (),
        *,
        key: bytes | None = None,
        partition: int = 0,
        topic: str = COMMANDS,
    ) -> None:
        """Store a record exactly so, as a command unless `topic` says otherwise."""
        await self.store(topic, value, headers, key=key, partition=partition)

    def create(self, order_id: str, **fields: object) -> Sent:
        """Send a CreateOrder that is right, but for `fields`."""
        data = {
            "order_id": order_id,
            "customer_id": "c-1",
            "items": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}],
            "currency": "EUR",
        }
        return self.client.send_json(COMMANDS, {**data, **fields}, type_name="orders.CreateOrder", key=order_id)

    async def letters(self, count: int) -> list[Message]:
        """Wait for `count` dead letters."""
        return [each.message for each in await self.records(DEAD_LETTERS, count)]

    async def events(self, count: int) -> list[Received]:
        """Wait for `count` events."""
        return await self.records(EVENTS, count)


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


def deployed(service: Service) -> Deployed:
    """Return what starts `service`, waits until it consumes, and stops it behind the block."""
    return Deployed(service)
