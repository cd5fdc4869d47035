"""Kinds of faults of a broker, and when each begins and ends; `cqrs.testing.fault_plan` carries them out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from cqrs.exceptions import ConfigurationException
from cqrs.testing.embedded_broker import NO_METADATA_ERRORS, ApiKey, EmbeddedBroker
from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.kafka_server import KafkaServer

Broker = EmbeddedBroker | KafkaServer | KafkaCluster

START = "start"
"""The moment at which the block of a plan begins."""

END = "end"
"""The moment at which it ends."""

NOBODY = -1
"""The broker to give a partition to when it is to have no leader."""

_EVERY = 100_000


@dataclass(frozen=True, kw_only=True)
class Fault(ABC):
    """Be something that goes wrong from one moment to another.

    Attributes:
        begins: The moment at which it begins: a name that the plan is told, with a count: `handled:3` is the third
            time, `handled` the first.
        ends: The moment at which it ends.
    """

    embedded_only: ClassVar[bool] = True

    begins: str = START
    ends: str = END

    @abstractmethod
    def begin(self, broker: Broker) -> None:
        """Have it begin."""

    @abstractmethod
    def end(self, broker: Broker) -> None:
        """Leave the broker as if it had never been."""

    def problem(self, broker: Broker) -> str | None:
        """Say why this broker cannot show it, or None."""
        if self.embedded_only and not isinstance(broker, EmbeddedBroker):
            return f"{type(broker).__name__} cannot show {self}; run this plan on an EmbeddedBroker"
        return None

    def unmet(self, broker: Broker) -> str | None:
        """Say, while it holds, what of it nobody has met so far, or None; most kinds cannot tell."""
        return None


@dataclass(frozen=True)
class BrokerDown(Fault):
    """Take brokers away, their records kept; on a real Kafka the process ends and is started again.

    Attributes:
        broker_id: Which one, from 1; None takes all.
        how: As a crash does, or in order; an embedded broker knows no difference.
    """

    embedded_only: ClassVar[bool] = False

    broker_id: int | None = None
    how: Literal["kill", "stop"] = "kill"

    def begin(self, broker: Broker) -> None:
        """Take them away."""
        if isinstance(broker, EmbeddedBroker):
            broker.broker_down(self.broker_id)
            return
        for each in self._servers(broker):
            each.kill() if self.how == "kill" else each.stop()

    def end(self, broker: Broker) -> None:
        """Let them answer again, on the same ports; return once they do."""
        if isinstance(broker, EmbeddedBroker):
            broker.broker_up(self.broker_id)
        elif isinstance(broker, KafkaCluster) and self.broker_id is not None and broker.has_majority_with_one_more:
            self._servers(broker)[0].start()
        else:
            broker.start()  # of a cluster all at once: the first ones wait for a majority

    def _servers(self, broker: KafkaServer | KafkaCluster) -> Sequence[KafkaServer]:
        servers = broker.brokers if isinstance(broker, KafkaCluster) else (broker,)
        if self.broker_id is None:
            return servers
        if not 1 <= self.broker_id <= len(servers):
            raise ConfigurationException(
                [f"There is no broker {self.broker_id}; they are numbered 1 to {len(servers)}."]
            )
        return (servers[self.broker_id - 1],)


@dataclass(frozen=True)
class RequestErrors(Fault):
    """Answer requests of one kind with a Kafka error code.

    Attributes:
        api: The kind.
        code: The code.
        times: How many requests, all of which have to come; None is every one until it ends (up to 100,000), and at
            least one has to come.
    """

    api: ApiKey
    code: int
    times: int | None = None

    def begin(self, broker: Broker) -> None:
        """Have the next requests fail."""
        _embedded(broker).fail_requests(self.api, *[self.code] * (_EVERY if self.times is None else self.times))

    def end(self, broker: Broker) -> None:
        """Forget the errors that were not answered yet."""
        _embedded(broker).clear_failures(self.api)

    def problem(self, broker: Broker) -> str | None:
        """Say why this broker cannot show it, or None."""
        return NO_METADATA_ERRORS if self.api is ApiKey.METADATA else super().problem(broker)

    def unmet(self, broker: Broker) -> str | None:
        """Say how many of its errors nobody has asked for."""
        left = _embedded(broker).failures_left(self.api)
        if self.times is None:
            return f"nobody sent a {self.api.name} request" if left >= _EVERY else None
        return f"{left} of its errors were answered to nobody" if left else None


@dataclass(frozen=True)
class TopicError(Fault):
    """Answer those who ask where one topic lies with a Kafka error code; who knows it already goes on.

    Attributes:
        topic: The topic.
        code: The code.
    """

    topic: str
    code: int

    def begin(self, broker: Broker) -> None:
        """Have the topic fail."""
        _embedded(broker).fail_topic(self.topic, self.code)

    def end(self, broker: Broker) -> None:
        """Have it work."""
        _embedded(broker).fail_topic(self.topic, 0)

    def unmet(self, broker: Broker) -> str | None:
        """Say whether anybody asked."""
        return None if _embedded(broker).was_asked_for(self.topic) else f"nobody asked where {self.topic} lies"


@dataclass(frozen=True)
class LeaderMove(Fault):
    """Make another broker the leader of a partition.

    Attributes:
        topic: The topic.
        partition: The partition.
        to: The broker's number; NOBODY leaves it without a leader.
        back_to: Which broker leads when it ends.
    """

    topic: str
    partition: int
    to: int
    back_to: int = 1

    def begin(self, broker: Broker) -> None:
        """Move it."""
        _embedded(broker).move_leader(self.topic, self.partition, self.to)

    def end(self, broker: Broker) -> None:
        """Move it back."""
        _embedded(broker).move_leader(self.topic, self.partition, self.back_to)


@dataclass(frozen=True)
class CoordinatorMove(Fault):
    """Make another broker the coordinator of a consumer group.

    Attributes:
        group_id: The group.
        to: The broker's number.
        back_to: Which broker coordinates when it ends.
    """

    group_id: str
    to: int
    back_to: int = 1

    def begin(self, broker: Broker) -> None:
        """Move it."""
        _embedded(broker).move_coordinator(self.group_id, self.to)

    def end(self, broker: Broker) -> None:
        """Move it back."""
        _embedded(broker).move_coordinator(self.group_id, self.back_to)


@dataclass(frozen=True)
class SlowAnswers(Fault):
    """Have every answer take a round-trip time.

    Attributes:
        milliseconds: How long.
        broker_id: Whose answers; None is everybody's.
    """

    milliseconds: int
    broker_id: int | None = None

    def begin(self, broker: Broker) -> None:
        """Delay the answers."""
        _embedded(broker).delay_answers(self.milliseconds, self.broker_id)

    def end(self, broker: Broker) -> None:
        """Answer at once."""
        _embedded(broker).delay_answers(0, self.broker_id)


def _embedded(broker: Broker) -> EmbeddedBroker:
    if isinstance(broker, EmbeddedBroker):
        return broker
    raise ConfigurationException([f"{type(broker).__name__} cannot break so; run this on an EmbeddedBroker."])
