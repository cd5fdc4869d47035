"""broker_bounce: each of three brokers is killed hard in turn under load; nothing is lost, no event is there twice."""

import time
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from cqrs.testing.kafka_cluster import KafkaCluster
from tests.chaos.load import Load
from tests.chaos.orders.deployment import Deployment, Where
from tests.chaos.orders.workload import commands_of
from tests.chaos.processes import wait_until
from tests.chaos.results import Progress, Result

NAME = "broker_bounce"
COPIES = 3
SHORT_AWAY_SECONDS = 2.0
"""How long a killed broker stays away in a short run."""

_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Bounce:
    """Say how often, and under which load.

    Attributes:
        seed: Of the commands.
        rounds: How often each broker is killed.
        per_second: Commands sent meanwhile.
        away_seconds: How long a killed broker stays away.
    """

    seed: int
    rounds: int = 3
    per_second: float = 200.0
    away_seconds: float = 5.0

    @property
    def again(self) -> str:
        """Return the arguments that run this alone."""
        short = " --short" if self.away_seconds == SHORT_AWAY_SECONDS else ""
        return f"{NAME} --seed {self.seed} --rounds {self.rounds}{short}"


def run_bounce(bounce: Bounce, cluster: KafkaCluster, postgres: str | None, progress: Progress) -> Result:
    """Send all the time, kill one broker after the other, judge."""
    begun = time.monotonic()
    where = Where(cluster.bootstrap_servers, COPIES, postgres)
    with Deployment(where, f"b{bounce.seed}", {"kafka_session_timeout_ms": 30_000}) as deployment:
        commands = commands_of(bounce.seed, int(bounce.per_second * _SECONDS * bounce.rounds), deployment.prefix)
        members = [deployment.begin() for _ in range(2)]
        for each in members:
            deployment.ready(each)
        with Load(deployment, commands, bounce.per_second):
            for number in range(bounce.rounds * len(cluster.brokers)):
                deployment.move()
                broker = cluster.brokers[number % len(cluster.brokers)]
                broker.kill()
                time.sleep(bounce.away_seconds)
                broker.start()
                wait_until(lambda: in_sync(where.kafka), "every broker has every record", _SECONDS)
                progress.say(f"{NAME}: {number + 1} killed and back, {deployment.outcomes.read():,} outcomes")
        deployment.settle()
        for each in members:
            deployment.stop(each)
        deployment.judge()
        if deployment.outcomes.repeats:
            deployment.problems.append(str(deployment.outcomes.history(deployment.sent).verdict()))
        measured = {"broker kills": bounce.rounds * len(cluster.brokers), **deployment.measured()}
    return Result(
        NAME,
        f"seed {bounce.seed}, 3 brokers, {where.database}",
        measured,
        deployment.problems,
        bounce.again,
        time.monotonic() - begun,
    )


def in_sync(bootstrap_servers: str) -> bool:
    """Say whether each broker has a copy of each partition that is up to date."""
    topics = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2}).list_topics(timeout=_SECONDS).topics
    return all(len(part.isrs) == len(part.replicas) for topic in topics.values() for part in topic.partitions.values())
