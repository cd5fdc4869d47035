"""The servers that the scenarios run on, each started when one asks for it first."""

import os
import threading
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Self

from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.kafka_server import KafkaServer, resolve_jars
from cqrs.testing.postgres_server import PostgresServer, find_postgres
from tests.chaos.orders.deployment import Where
from tests.chaos.results import Progress


class Servers:
    """Hold a Kafka of one broker, one of three, and a PostgreSQL; the block ends with all of them gone."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._closing = ExitStack()
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        """Return itself; nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Kill what was started and delete its data; harmless when called again."""
        self._closing.close()

    @cached_property
    def kafka(self) -> str:
        """Return the address of one broker: the one that KAFKA_BOOTSTRAP_SERVERS names, or one of our own."""
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        if given:
            return given
        self._progress.say("starting a Kafka of one broker")
        return self._closing.enter_context(KafkaServer(resolve_jars())).bootstrap_servers

    @cached_property
    def cluster(self) -> KafkaCluster:
        """Return three brokers that may be killed."""
        self._progress.say("starting a Kafka of three brokers")
        return self._closing.enter_context(KafkaCluster(resolve_jars(), brokers=3))

    @cached_property
    def postgres(self) -> PostgresServer | None:
        """Return a PostgreSQL that may be stopped, or None where it is not installed."""
        if find_postgres() is None:
            self._progress.say("PostgreSQL is not installed (Debian: apt-get install -y postgresql): SQLite instead")
            return None
        self._progress.say("starting a PostgreSQL")
        return self._closing.enter_context(PostgresServer())

    def where(self, *, postgres: bool) -> Where:
        """Return one broker, and PostgreSQL if asked for and installed."""
        with self._starting:  # seeds run beside each other
            return Where(self.kafka, postgres=self.url if postgres else None)

    @property
    def url(self) -> str | None:
        """Return the URL of PostgreSQL, or None where it is not installed."""
        return None if self.postgres is None else self.postgres.url()
