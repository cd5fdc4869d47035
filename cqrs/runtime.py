"""The whole service, folded together: the one module that sees every adapter.

What is started first is stopped last: telemetry, broker, registry, database, buses, producer, consumer.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from types import ModuleType, TracebackType
from typing import Self

from cqrs.actuator.endpoint import CqrsMetricsEndpoint
from cqrs.actuator.health import CqrsHealthIndicator
from cqrs.avro.comparison import command_problems
from cqrs.avro.decoder import AvroDecoder
from cqrs.avro.encoder import AvroEncoder, SubjectNaming
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.opening import open_registry
from cqrs.avro.schemas import AvroSchemas
from cqrs.caching import EventFeed, keep_fresh, open_cache
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.metrics import MetricsRegistry
from cqrs.command.registry import HandlerRegistry
from cqrs.command.unit_of_work import UnitOfWork
from cqrs.config.auto_configuration import auto_configuration
from cqrs.config.settings import ServiceSettings
from cqrs.config.sources import export_dotenv
from cqrs.consuming import Consuming, ConsumingParts, delivery_problems, open_consuming
from cqrs.container import Container
from cqrs.event.publisher import DEFAULT_DESTINATION, CommandEventPublisher
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.garbage import tune_garbage_collection
from cqrs.heap import keep_heap_small
from cqrs.http.management import ManagementSources, management_app
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from cqrs.kafka.clients import new_producer, new_topic_reader
from cqrs.messaging.dispatcher import CommandTypes
from cqrs.messaging.events import MessageEventPublisher
from cqrs.messaging.ports import Decoder, EventEncoder
from cqrs.messaging.routes import event_types_of, route_problems, routes_of
from cqrs.messaging.schemas import SchemaRegistry
from cqrs.messaging.topics import ServiceTopics
from cqrs.messaging.tracing import TracedProducer
from cqrs.messaging.values import AVRO, JSON, Values
from cqrs.probes import Probes
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.staleness import rule_problems
from cqrs.scanning import scan
from cqrs.serialization.json import JsonDecoder, JsonEncoder
from cqrs.signals import told_by_signals
from cqrs.sql.migrating import migrate
from cqrs.sql.migrations import Migrations, require_schema
from cqrs.sql.opening import open_engine
from cqrs.sql.unit_of_work import SqlUnitOfWork
from cqrs.telemetry.logs import configure_logging
from cqrs.telemetry.metrics import PrometheusMetrics
from cqrs.telemetry.span_memory import SpanMemory
from cqrs.telemetry.tracing import configure_tracing
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.threads import share_interpreter
from cqrs.tracing.tracer import Tracer
from cqrs.watching import Check, DependencyWatch
from cqrs.wrapping import current_wrapping

logger = logging.getLogger(__name__)

TELEMETRY_SHUTDOWN_SECONDS = 2.0
"""How long the last spans may take to reach the collector."""


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """Name the parts of a service that are its own.

    Attributes:
        packages: Packages scanned for handlers and `@service` classes.
        events: Packages scanned for event classes, which declare `event_type`.
        migrations: The tables and the steps that lead to them, or None for a service without a database.
        version: The service's version, for traces and metrics.
        transient: Errors of the client libraries that handlers use which the same call may not meet again; a command
            that fails with one is run again, a bounded number of times.
    """

    packages: tuple[str | ModuleType, ...]
    events: tuple[str | ModuleType, ...] = ()
    migrations: Migrations | None = None
    version: str = "0"
    transient: tuple[type[Exception], ...] = ()


class Service:
    """Run a service: start what it needs, consume commands until it is told to stop, stop in order.

    Args:
        settings: Every setting.
        parts: What the service itself consists of.
        spans: Keeps the spans of the latest traces, for whoever wants to draw them; None keeps none.

    Attributes:
        bootstrap_servers: The broker's address: the embedded one's, or the given cluster's.
        registry_url: Where the schema registry answers Confluent's REST API.
        management_url: Where metrics and probes are served.
        container: Every object of the service, by type.
        command_bus: The command bus.
        query_bus: The query bus.
        tracer: The tracer of all rooms.
        spans: Where finished spans are kept, or None.
        handlers: Every handler that was found.
    """

    bootstrap_servers: str
    registry_url: str
    management_url: str
    container: Container
    command_bus: DefaultCommandBus
    query_bus: DefaultQueryBus
    tracer: Tracer
    handlers: HandlerRegistry

    def __init__(self, settings: ServiceSettings, parts: ServiceParts, spans: SpanMemory | None = None) -> None:
        self.settings = settings
        self.spans = spans
        self._parts = parts
        self._wrapping = current_wrapping()
        self._topics = ServiceTopics(
            settings.all_command_topics, settings.topics, settings.dead_letter_suffix, settings.retry_topics
        )
        self._closing = AsyncExitStack()
        self._consuming: Consuming | None = None
        self._checks: dict[str, Check] = {}
        self._told_to_stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and begin to consume.

        Raises:
            ConfigurationException: the wiring or the settings are wrong; shows every problem.
            DependencyUnavailableException: the broker, the registry or the database cannot be reached.
        """
        async with AsyncExitStack() as closing:
            self._open_telemetry(closing)
            await self._open_broker(closing)
            await self._open_registry(closing)
            await self._open_producer(closing)
            unit_of_work = await self._open_database(closing)
            await self._open_container(closing, unit_of_work)
            await self._check()
            await self._open_invalidation(closing)
            await self._open_consumer(closing)
            self._open_watch(closing)
            await self._open_management(closing)
            self._closing = closing.pop_all()

    async def ready(self) -> None:
        """Return once each group has told this member its partitions."""
        await self._started_consuming().ready()

    async def run(self) -> None:
        """Consume until SIGTERM, SIGINT or `stop()`; then finish what is in hand, commit, leave the group.

        Raises:
            Exception: consuming ended by itself, which is a defect; the process should end and be started again.
        """
        consuming = self._started_consuming()
        self._tracing.install()
        tune_garbage_collection()
        keep_heap_small()
        with told_by_signals(self._told_to_stop):
            told = asyncio.create_task(self._told_to_stop.wait())
            ended = asyncio.create_task(consuming.ended())
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            if ended.done():
                ended.result()
            ended.cancel()
            await self.stop()  # a second signal changes nothing: it is heard until everything is closed

    async def stop(self) -> None:
        """Finish the record in hand, commit, leave, and close everything; harmless when called again."""
        self._told_to_stop.set()
        closing, self._closing = self._closing, AsyncExitStack()
        await closing.aclose()

    async def stop_consuming(self) -> None:
        """Let the records in hand finish within the budget, commit and leave the groups; all else stays open.

        What does not finish is left uncommitted for the next member.
        """
        if self._consuming is not None:
            await self._consuming.stop()

    def _started_consuming(self) -> Consuming:
        if self._consuming is None:
            raise RuntimeError("the service has not been started; call start() first")
        return self._consuming

    def _open_telemetry(self, closing: AsyncExitStack) -> None:
        settings, version = self.settings, self._parts.version
        export_dotenv("OTEL_")  # the SDK reads the process environment alone
        closing.callback(configure_logging(settings.log_level, settings.log_format).restore)
        self._metrics = PrometheusMetrics(settings.service_name, version)
        self._tracing = configure_tracing(
            settings.service_name,
            version,
            processors=() if self.spans is None else (self.spans,),
            ignored_header=self._metrics.count_ignored_header,
            exported=self._metrics.count_exported_spans,
        )
        self.tracer = self._tracing.tracer
        closing.push_async_callback(asyncio.to_thread, self._tracing.shutdown, TELEMETRY_SHUTDOWN_SECONDS)

    async def _open_broker(self, closing: AsyncExitStack) -> None:
        given = self.settings.kafka_bootstrap_servers
        if given is not None:
            self.bootstrap_servers = given
            return
        broker = EmbeddedBroker()
        await asyncio.to_thread(broker.start)
        closing.push_async_callback(asyncio.to_thread, broker.stop)
        for topic, partitions in self._topics.wanted.items():
            await asyncio.to_thread(broker.create_topic, topic, partitions)
        self.bootstrap_servers = broker.bootstrap_servers

    async def _open_registry(self, closing: AsyncExitStack) -> None:
        registry = await self._schema_registry(closing)
        self._schemas = AvroSchemas.load(self.settings.schemas_path)
        avro = AvroDecoder(self._schemas, registry, max_bytes=self.settings.max_message_bytes)
        json = JsonDecoder(contract=self._schemas.check, max_bytes=self.settings.max_message_bytes)
        self._decoders: dict[str, Decoder] = {JSON: json, AVRO: avro, "avro/binary": avro}
        naming = SubjectNaming(self.settings.schema_registry_subject_naming)
        register = self.settings.schema_registry_auto_register
        self._avro_encoder = AvroEncoder(self._schemas, registry, subject_naming=naming, auto_register=register)
        self._encoders: dict[str, EventEncoder] = {"json": JsonEncoder(), "avro": self._avro_encoder}

    async def _schema_registry(self, closing: AsyncExitStack) -> SchemaRegistry:
        given = self.settings.schema_registry_url
        if given is not None:
            self.registry_url = given
            remote = open_registry(self.settings, given)
            closing.push_async_callback(remote.close)
            self._checks["registry"] = remote.check
            return remote
        local = FileSchemaRegistry(self.settings.state_path / "schema-registry")
        self.registry_url = await self._serve(closing, ThreadedServer(schema_registry_app(local)))
        return local

    async def _open_producer(self, closing: AsyncExitStack) -> None:
        self._kafka_producer = new_producer(self.settings, self.bootstrap_servers)
        closing.push_async_callback(self._kafka_producer.stop)
        await self._kafka_producer.start()
        self._checks["producer"] = partial(self._kafka_producer.check, tuple(self._topics.wanted))
        self._producer = TracedProducer(self._kafka_producer, self.tracer)

    async def _open_database(self, closing: AsyncExitStack) -> SqlUnitOfWork | None:
        migrations, url = self._parts.migrations, self.settings.used_database_url
        if migrations is None:
            return None
        if self.settings.database_url is None:
            await migrate(url, migrations)  # the file is this service's own; a given database is migrated when told
        engine = open_engine(self.settings)
        closing.push_async_callback(engine.dispose)
        await require_schema(engine, migrations, allow_newer=self.settings.database_schema == "allow_newer")
        unit_of_work = SqlUnitOfWork(engine)
        self._checks["database"] = unit_of_work.check
        return unit_of_work

    async def _open_container(self, closing: AsyncExitStack, unit_of_work: SqlUnitOfWork | None) -> None:
        settings = self.settings
        if not settings.cqrs.enabled:
            raise ConfigurationException(
                ["CQRS__ENABLED is false, so there is no bus to carry out a command; leave it true to run the service"]
            )
        source = f"/{settings.service_name}"
        instances = await open_cache(settings, closing) | {
            CommandEventPublisher: MessageEventPublisher(
                self._wrapping.event_producer(self._producer), self._encoders, source=source
            ),
            Tracer: self.tracer,
            MetricsRegistry: self._metrics,
            type(settings): settings,
        }
        if unit_of_work is not None:
            instances |= {SqlUnitOfWork: unit_of_work, UnitOfWork: self._wrapping.unit_of_work(unit_of_work)}
        defaults = [auto_configuration(settings.cqrs)]
        container = Container(packages=self._parts.packages, instances=instances, defaults=defaults)
        self.container = await closing.enter_async_context(container)
        self.handlers = await container.get(HandlerRegistry)
        self.handlers.discover_from_beans([self._wrapping.handler(bean) for bean in await container.start()])
        self.command_bus = await container.get(DefaultCommandBus)
        self.query_bus = await container.get(DefaultQueryBus)

    async def _check(self) -> None:
        """Find everything that would fail later, before the first message.

        Raises:
            ConfigurationException: shows all of it.
        """
        topics = await self._kafka_producer.topics()
        handlers = [type(each.handler) for each in self.handlers.command_registrations()]
        routes = self._routes = routes_of(handlers, DEFAULT_DESTINATION)
        events = event_types_of(scan(self._parts.events, lambda _: True))
        problems = [*self._topics.problems(topics), *self._command_problems()]
        problems += route_problems(routes, events, self._encoders, topics)
        problems += delivery_problems(self.settings, self.handlers)
        problems += rule_problems(self.handlers.query_registrations(), events)
        if problems:
            raise ConfigurationException(problems)
        for route in routes:
            if route.message_format == "avro":
                await self._register(events, route.topic)

    async def _register(self, events: Iterable[type], topic: str) -> None:
        """Register the events' schemas before the first one is written; a registry that is away is asked again then."""
        try:
            for event_type in events:
                await self._avro_encoder.register(event_type, topic)
        except DependencyUnavailableException as error:
            logger.warning("the events' schemas are registered with the first event: %s", error)

    def _command_problems(self) -> Iterator[str]:
        types = self.handlers.get_registered_command_types()
        try:
            self._types = CommandTypes(types)
            yield from self._types.unknown(self.settings.topic_types)
        except ConfigurationException as error:
            yield from error.problems
        for each in sorted(types, key=lambda each: each.__qualname__):
            yield from command_problems(self._schemas, each)

    async def _open_consumer(self, closing: AsyncExitStack) -> None:
        parts = ConsumingParts(
            self.command_bus,
            self._types,
            self.handlers,
            self._decoders,
            self._producer,
            self._topics,
            self.tracer,
            self._metrics,
            self._wrapping,
            self._parts.transient,
        )
        self._consuming = open_consuming(self.settings, self.bootstrap_servers, parts)
        self._metrics.read_from(self._consuming.readings)
        self._consuming.start()
        closing.push_async_callback(self.stop_consuming)

    async def _open_invalidation(self, closing: AsyncExitStack) -> None:
        topics = {route.topic for route in self._routes}
        reader = new_topic_reader(self.settings, self.bootstrap_servers, topics) if topics else None
        values = Values(self._decoders, max_bytes=self.settings.max_message_bytes)
        await keep_fresh(self.settings, self.container, EventFeed(reader, values, self._metrics), closing)

    def _open_watch(self, closing: AsyncExitStack) -> None:
        self._watch = DependencyWatch(self._checks, interval_seconds=self.settings.readiness_interval_seconds)
        self._watch.start()
        closing.push_async_callback(self._watch.stop)

    async def _open_management(self, closing: AsyncExitStack) -> None:
        closing.callback(share_interpreter())
        endpoint = await self.container.get(CqrsMetricsEndpoint)
        indicator = await self.container.get(CqrsHealthIndicator)
        probes = Probes(self._started_consuming(), self._watch, self._told_to_stop.is_set)
        sources = ManagementSources(
            metrics=self._metrics.render,
            bus_metrics=endpoint.get_metrics,
            bus_health=indicator.health,
            liveness=probes.liveness,
            readiness=probes.readiness,
        )
        host, port = self.settings.management_host, self.settings.management_port
        self.management_url = await self._serve(closing, ThreadedServer(management_app(sources), host=host, port=port))

    async def _serve(self, closing: AsyncExitStack, server: ThreadedServer) -> str:
        await server.start()
        closing.push_async_callback(server.stop)
        return server.url
