"""The order service with topics, a group and a database of its own, and everything that is asked of it in one run."""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos import logs
from tests.chaos.orders import database
from tests.chaos.orders.judge import Trial
from tests.chaos.orders.model import Command, Order
from tests.chaos.orders.outcomes import Outcomes
from tests.chaos.orders.records import record_of
from tests.chaos.orders.workload import by_order
from tests.chaos.processes import Forked, run_service, wait_until

EVENTS = "orders.events"
PARTITIONS = 6
IN_FLIGHT = 50
COMMIT_RECORDS = 50
SESSION_SECONDS = 2.0
STILL_SECONDS = 60.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Where:
    """Say on which servers a run takes place.

    Attributes:
        kafka: `host:port,...` of the brokers.
        copies: Copies of each topic.
        postgres: A PostgreSQL server's URL; None keeps the state in SQLite.
    """

    kafka: str
    copies: int = 1
    postgres: str | None = None

    @property
    def database(self) -> str:
        """Return what keeps the state."""
        return "SQLite" if self.postgres is None else "PostgreSQL"


class Deployment:
    """Be the order service of one run; the block ends with its processes killed, and its folder gone if all was well.

    Args:
        where: The servers.
        name: Tells it from others on the same servers.
        settings: Changes to its settings.

    Attributes:
        prefix: What its orders begin with.
        outcomes: What became of the commands so far.
        problems: What must not be.
    """

    def __init__(self, where: Where, name: str, settings: Mapping[str, object] | None = None) -> None:
        self._where = where
        self.prefix = f"{name}x{time.time_ns() // 1_000_000 % 10**9}"  # the same may run again on the same brokers
        self._topic = f"chaos.{self.prefix}"
        self._letters = f"{self._topic}-dlt"
        self._group = f"{self._topic}.group"
        self._folder = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
        self._changed = dict(settings or {})
        self._processes: list[Forked] = []
        self._sent: list[Command] = []
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        """Create the topics and the database, and return itself."""
        topics = {EVENTS: PARTITIONS, self._topic: PARTITIONS, self._letters: PARTITIONS}
        logs.create(self._where.kafka, topics, self._where.copies)
        if self._where.postgres is not None:
            database.create_postgres(self._where.postgres, self.prefix)
        self._commands = logs.Log(self._where.kafka, self._topic)
        self.outcomes = Outcomes(self._where.kafka, EVENTS, self._letters, self.prefix)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs; what the processes wrote stays when something was wrong."""
        for process in self._processes:
            if process.exit_code is None:
                process.kill()
        self.outcomes.close()
        self._commands.close()
        if error is None and not self.problems:
            shutil.rmtree(self._folder)

    @property
    def sent(self) -> Sequence[Command]:
        """Return the commands that were sent so far."""
        return self._sent

    @property
    def sqlite(self) -> Path:
        """Return the file that keeps the state."""
        return self._folder / "service.db"

    def begin(self, crash_at: str | None = None, *, count_tasks: bool = False) -> Forked:
        """Start a process of the service.

        Args:
            crash_at: The crash point at which it dies, if it does.
            count_tasks: Have it count its tasks, for `tasks`.
        """
        name = f"{len(self._processes)}-{(crash_at or 'lives').replace(':', '-')}"
        log = self._folder / f"{name}.log"
        counted = log.with_suffix(".tasks") if count_tasks else None
        process = Forked(f"order service {name}", run_service, self._settings(), crash_at, counted, log=log)
        self._processes.append(process)
        return process

    def tasks(self, process: Forked) -> int:
        """Return how many tasks a process had a second ago, one that counts them."""
        place = process.log.with_suffix(".tasks")
        return int(place.read_text("utf-8")) if place.exists() else 0

    def ready(self, process: Forked) -> None:
        """Wait until a process has its partitions.

        Raises:
            TimeoutError: not in time.
        """
        wait_until(lambda: b"ready; send it" in process.log.read_bytes(), f"{process.name} consumes")

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands, and return when the broker has them."""
        logs.send(self._where.kafka, self._topic, [record_of(each) for each in commands])
        self._sent += commands

    def move(self, *, or_end: bool = False) -> None:
        """Wait until something more is settled.

        Args:
            or_end: Or until everything that was sent is committed, after which nothing comes.

        Raises:
            TimeoutError: nothing was in time.
        """
        before = self.outcomes.read()
        wait_until(
            lambda: self.outcomes.read() > before or (or_end and self._is_all_committed()),
            f"an outcome in {self._letters} or {EVENTS}",
        )

    def settle(self) -> None:
        """Wait until everything that was sent is committed; that nothing moves any more before that is a problem."""
        moved, before = time.monotonic(), (0, 0)
        while not self._is_all_committed():
            now = self.outcomes.read(), sum(self._committed())
            if now != before:
                moved, before = time.monotonic(), now
            if time.monotonic() - moved > STILL_SECONDS:
                self.problems.append(
                    f"for {STILL_SECONDS:g} s nothing moved: of {self._topic}, which ends at {self._ends()}, "
                    f"{self._committed()} is committed"
                )
                return
            time.sleep(_LOOK_SECONDS)

    def stop(self, process: Forked) -> None:
        """Tell a process to end in order; that it does not is a problem."""
        process.terminate()
        self.require_exit(process, 0)

    def require_exit(self, process: Forked, wanted: int) -> bool:
        """Wait for a process to end as wanted; that it does not is a problem."""
        try:
            code = process.ended()
        except TimeoutError as error:
            self.problems.append(f"{error}; its words: {process.log}")
            process.kill()
            return False
        if code != wanted:
            self.problems.append(f"{process.name} ended with {code} and not {wanted}; its words: {process.log}")
        return code == wanted

    def judge(self) -> None:
        """Compare the events, the dead letters and the database with what was sent."""
        self.outcomes.read()
        kept = self._kept()
        for order, commands in by_order(self._sent).items():
            self.problems += Trial(order, commands, *self.outcomes.of(order), kept.get(order)).problems()
        verdict = self.outcomes.history(self._sent).verdict()
        if verdict.lost or verdict.reordered or verdict.unknown:
            self.problems.append(str(verdict))

    def measured(self) -> Mapping[str, object]:
        """Return the counts of the run."""
        return {
            "commands": len(self._sent),
            "events": len(self.outcomes.published),
            "refused": len(self.outcomes.refused),
            "lost": len(self._sent) - self.outcomes.settled,
            "repeated": self.outcomes.repeats,
        }

    def _is_all_committed(self) -> bool:
        return self._ends() == self._committed()

    def _ends(self) -> Sequence[int]:
        return [end for _, end in sorted(self._commands.ends().items())]

    def _committed(self) -> Sequence[int]:
        return list(logs.committed(self._where.kafka, self._group, self._topic, PARTITIONS))

    def _settings(self) -> Mapping[str, object]:
        topics = {EVENTS: PARTITIONS, self._topic: PARTITIONS, self._letters: PARTITIONS}
        settings: dict[str, object] = {
            "kafka_bootstrap_servers": self._where.kafka,
            "kafka_group_id": self._group,
            "kafka_session_timeout_ms": int(SESSION_SECONDS * 1000),
            "kafka_max_poll_records": 100,
            "command_topics": self._topic,
            "topics": ",".join(f"{name}={count}" for name, count in topics.items()),
            "max_in_flight": IN_FLIGHT,
            "buffer": 500,
            "commit_interval_ms": 500,
            "commit_records": COMMIT_RECORDS,
            "state_path": self._folder,
            "management_port": 0,
            "log_level": "WARNING",
            "log_format": "json",
        }
        if self._where.postgres is not None:
            settings["database_url"] = database.url_of(self._where.postgres, self.prefix)
        return settings | self._changed

    def _kept(self) -> Mapping[str, Order]:
        if self._where.postgres is None:
            return database.in_sqlite(self.sqlite)
        return database.in_postgres(self._where.postgres, self.prefix)
