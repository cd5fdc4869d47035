"""The execution context of a command that came as a message."""

import time
from datetime import UTC, datetime

from cqrs.messaging.delivery import Delivery


class MessageContext:
    """Tell where a command came from; nothing is worked out before somebody asks.

    Identity is left out, for plain headers prove none.

    Args:
        delivery: The record.

    Attributes:
        user_id: None.
        tenant_id: None.
        organization_id: None.
        session_id: None.
        client_ip: None.
        user_agent: None.
    """

    user_id: str | None = None
    tenant_id: str | None = None
    organization_id: str | None = None
    session_id: str | None = None
    client_ip: str | None = None
    user_agent: str | None = None

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._made_at = time.time()
        self._properties: dict[str, object] | None = None
        self._feature_flags: dict[str, bool] | None = None

    @property
    def request_id(self) -> str | None:
        """Return the id of the message."""
        return self._delivery.envelope.id

    @property
    def source(self) -> str | None:
        """Return who sent the message; the topic when it does not say."""
        return self._delivery.envelope.source or self._delivery.message.topic

    @property
    def created_at(self) -> datetime:
        """Return when the context was made, in UTC."""
        return datetime.fromtimestamp(self._made_at, UTC)

    @property
    def properties(self) -> dict[str, object]:
        """Return where the record lies (`message.topic`, `.partition`, `.offset`) and its `message.attempt`, from 0."""
        if self._properties is None:
            message = self._delivery.message
            self._properties = {
                "message.topic": message.topic,
                "message.partition": message.partition,
                "message.offset": message.offset,
                "message.attempt": self._delivery.attempt,
            }
        return self._properties

    @property
    def feature_flags(self) -> dict[str, bool]:
        """Return the feature flags that are decided for this message: none, unless a middleware adds one."""
        if self._feature_flags is None:
            self._feature_flags = {}
        return self._feature_flags

    def get_feature_flag(self, name: str, default: bool = False) -> bool:
        """Return the flag `name`, or `default` when it is not decided."""
        return self.feature_flags.get(name, default)

    def get_property(self, key: str, default: object = None) -> object:
        """Return the property `key`, or `default` when it is absent."""
        return self.properties.get(key, default)
