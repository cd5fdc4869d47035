"""soak: at half of the top rate, with a fault every few seconds, the service holds no more in the end than at first."""

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from cqrs.testing.growth import Sample, growths, sample
from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.postgres_server import PostgresServer
from tests.chaos.broker_bounce import COPIES
from tests.chaos.load import Load
from tests.chaos.orders.deployment import STILL_SECONDS, Deployment, Where
from tests.chaos.orders.workload import commands_of
from tests.chaos.processes import Forked
from tests.chaos.results import Progress, Result

NAME = "soak"
SECONDS = 1_200.0
_TELL_SECONDS = 30.0
_SAMPLE_SECONDS = 2.0
_LOCKED_SECONDS = 2.0
_AWAY_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Soak:
    """Say how long, and how often something goes wrong.

    Attributes:
        seed: Of commands and faults.
        seconds: How long, the warm-up of `cqrs.testing.growth` included: 15 minutes are judged.
        probe: Commands whose handling shows the top rate.
        fault_seconds: Between two faults.
    """

    seed: int
    seconds: float = SECONDS
    probe: int = 5_000
    fault_seconds: float = 20.0

    @property
    def again(self) -> str:
        """Return the arguments that run this alone."""
        return f"{NAME} --seed {self.seed} --seconds {self.seconds:.0f}"


def run_soak(soak: Soak, cluster: KafkaCluster, postgres: PostgresServer | None, progress: Progress) -> Result:
    """Find the top rate, send at half of it with faults, look at the process all the time, judge."""
    begun = time.monotonic()
    where = Where(cluster.bootstrap_servers, COPIES, None if postgres is None else postgres.url())
    with Deployment(where, f"k{soak.seed}", {"kafka_session_timeout_ms": 10_000}) as deployment:
        watched = deployment.begin(count_tasks=True)
        deployment.ready(watched)
        top = _top_rate(soak, deployment)
        progress.say(f"{NAME}: top rate {top:.0f} commands a second")
        commands = commands_of(soak.seed, int(top / 2 * soak.seconds), f"{deployment.prefix}-paced")
        faults = Faults(soak.seed, deployment, cluster, postgres)
        with Load(deployment, commands, top / 2):
            samples = _watch(soak, deployment, watched, faults, progress)
        deployment.settle()
        faults.end()
        deployment.stop(watched)
        deployment.judge()
        found = growths(samples)
        deployment.problems += [
            f"{each.name}: {each}, but {each.allowed:.1f} allowed" for each in found if not each.is_flat
        ]
        measured = {
            "commands/s": round(top / 2),
            **deployment.measured(),
            "faults": faults.count,
            **{each.name: str(each) for each in found},
        }
    return Result(
        NAME,
        f"{soak.seconds:.0f} s, {where.database}",
        measured,
        deployment.problems,
        soak.again,
        time.monotonic() - begun,
    )


class Faults:
    """Let something go wrong, and mend it before this returns.

    Attributes:
        count: How often it did.
    """

    def __init__(
        self, seed: int, deployment: Deployment, cluster: KafkaCluster, postgres: PostgresServer | None
    ) -> None:
        self._chance = random.Random(f"faults {seed}")
        self._deployment = deployment
        self._cluster = cluster
        self._postgres = postgres
        self._second: Forked | None = None
        self.count = 0

    def next(self) -> str:
        """Let one go wrong, and return what it was."""
        acts: Sequence[tuple[str, Callable[[], None]]] = (
            ("a broker is killed", self._kill_broker),
            ("a broker restarts", self._restart_broker),
            ("the database crashes, or is locked", self._harm_database),
            ("a member joins or leaves", self._change_members),
            ("a member joins or is killed", self._kill_member),
        )
        name, act = self._chance.choice(acts)
        act()
        self.count += 1
        return name

    def end(self) -> None:
        """Let the second member leave, if there is one."""
        if self._second is not None:
            self._deployment.stop(self._second)

    def _kill_broker(self) -> None:
        broker = self._chance.choice(self._cluster.brokers)
        broker.kill()
        time.sleep(_AWAY_SECONDS)
        broker.start()

    def _restart_broker(self) -> None:
        broker = self._chance.choice(self._cluster.brokers)
        broker.stop()
        broker.start()

    def _harm_database(self) -> None:
        if self._postgres is not None:
            self._postgres.stop("immediate")
            time.sleep(_LOCKED_SECONDS)
            self._postgres.start()
            return
        with closing(sqlite3.connect(self._deployment.sqlite, timeout=STILL_SECONDS, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            time.sleep(_LOCKED_SECONDS)
            database.execute("ROLLBACK")

    def _change_members(self) -> None:
        if self._second is None:
            self._second = self._deployment.begin()
            self._deployment.ready(self._second)
        else:
            self._deployment.stop(self._second)
            self._second = None

    def _kill_member(self) -> None:
        if self._second is None:
            self._change_members()
        else:
            self._second.kill()
            self._second = None


def _top_rate(soak: Soak, deployment: Deployment) -> float:
    deployment.send(commands_of(soak.seed, soak.probe, f"{deployment.prefix}-probe"))
    begun = time.monotonic()
    deployment.settle()
    return soak.probe / (time.monotonic() - begun)


def _watch(soak: Soak, deployment: Deployment, watched: Forked, faults: Faults, progress: Progress) -> Sequence[Sample]:
    samples: list[Sample] = []
    begun = time.monotonic()
    wrong, told = begun + soak.fault_seconds, begun
    while (now := time.monotonic()) - begun < soak.seconds and watched.exit_code is None:
        samples.append(sample(watched.pid, now - begun, deployment.tasks(watched)))
        fault = ""
        if now >= wrong:
            fault = faults.next()
            wrong += soak.fault_seconds
        if fault or now - told > _TELL_SECONDS:
            told = now
            last = samples[-1]
            progress.say(
                f"{NAME}: {last.memory:.0f} MiB, {last.threads} threads, {last.sockets} sockets, "
                f"{last.tasks} tasks; {len(deployment.sent):,} sent; {fault}"
            )
        time.sleep(_SAMPLE_SECONDS)
    return samples
