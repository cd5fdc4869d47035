"""The consuming side of a service: a subscriber for each of its groups, and what their records pass."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field

from cqrs.command.bus import CommandBus
from cqrs.command.metrics import MetricsRegistry
from cqrs.command.registry import HandlerRegistry
from cqrs.config.settings import ServiceSettings
from cqrs.delivery import delivery_options
from cqrs.kafka.clients import new_consumer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.breaker import Breaker
from cqrs.messaging.dead_letters import DeadLetters
from cqrs.messaging.delivery import Delivery, DeliveryHandler, fold
from cqrs.messaging.dispatcher import CommandTypes, Dispatcher
from cqrs.messaging.failures import Failures
from cqrs.messaging.gates import Gate
from cqrs.messaging.gauges import Reading, breaker_readings, member_readings
from cqrs.messaging.halting import HaltedKeys
from cqrs.messaging.loop_guard import LoopGuard
from cqrs.messaging.metrics import blocked
from cqrs.messaging.ports import Consumer, Decoder, Producer
from cqrs.messaging.progress import Progress
from cqrs.messaging.rate_limit import RateLimit
from cqrs.messaging.retry import Retries, RetryPolicy
from cqrs.messaging.retry_topics import RetryTopics
from cqrs.messaging.room import Limits
from cqrs.messaging.stack import middleware
from cqrs.messaging.subscriber import Subscriber
from cqrs.messaging.topics import ServiceTopics
from cqrs.threads import HandlerThreads
from cqrs.tracing.tracer import Tracer
from cqrs.types import message_name
from cqrs.wrapping import Wrapping

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConsumingParts:
    """Name what the records of every group pass.

    Attributes:
        bus: Where commands go.
        types: The command types by their declared names.
        handlers: The handlers, with what they say of delivery.
        decoders: A decoder for each media type.
        producer: Where dead letters go.
        topics: The service's topics.
        tracer: Opens spans.
        metrics: Counts.
        wrapping: Put around the consumers, and around what dead letters are sent with.
        transient: Further classes of errors that the same call may not meet again.
    """

    bus: CommandBus
    types: CommandTypes
    handlers: HandlerRegistry
    decoders: Mapping[str, Decoder]
    producer: Producer
    topics: ServiceTopics
    tracer: Tracer
    metrics: MetricsRegistry
    wrapping: Wrapping
    transient: tuple[type[Exception], ...] = field(default=())


class Consuming:
    """Run the subscribers of a service, and end them within the budget.

    Args:
        settings: The budgets, and how many threads there are for handlers.
        subscribers: One for each group, by the group's name.
        metrics: Times how long handlers block the event loop.
        wrapping: Is told of a stop.
        gates: What stands before the handlers.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        subscribers: Mapping[str, Subscriber],
        metrics: MetricsRegistry,
        wrapping: Wrapping,
        gates: Iterable[Gate] = (),
    ) -> None:
        self._settings = settings
        self._groups = dict(subscribers)
        self._subscribers = tuple(subscribers.values())
        self._gates = tuple(gates)
        self._wrapping = wrapping
        self._threads = HandlerThreads(settings.sync_handler_threads)
        self._guard = LoopGuard(
            self._in_hand, threshold_seconds=settings.loop_blocked_ms / 1000, on_blocked=blocked(metrics)
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to consume."""
        self._guard.start()
        context = copy_context()
        context.run(self._threads.use)
        self._tasks = [
            asyncio.create_task(each.run(), name="subscriber", context=context) for each in self._subscribers
        ]

    async def ready(self) -> None:
        """Return once each group has told this member its partitions."""
        for subscriber in self._subscribers:
            await subscriber.assigned.wait()

    async def ended(self) -> None:
        """Return when a subscriber ends.

        Raises:
            Exception: it ended by itself, which is a defect.
        """
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Let the records in hand finish within the budget, commit and leave the groups."""
        for subscriber in self._subscribers:
            subscriber.stop()
        if self.is_alive:
            await self._wrapping.draining()
        _, late = await asyncio.wait(self._tasks, timeout=self._settings.shutdown_timeout_seconds)
        if late:
            logger.warning(
                "not all records in hand finished within SHUTDOWN_TIMEOUT_SECONDS (%g); these will be read again",
                self._settings.shutdown_timeout_seconds,
            )
            for task in late:
                task.cancel()
            await asyncio.wait(late)
        self._guard.stop()
        self._threads.stop()

    @property
    def is_alive(self) -> bool:
        """Say whether every subscriber is running."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def stall(self) -> str | None:
        """Return what makes no progress, as a sentence, or None; what brokers do is no matter. From any thread."""
        if not self._tasks:
            return "consuming has not begun"
        if not self.is_alive:
            return "a consuming task has ended"
        allowed = self._settings.liveness_seconds
        if self._guard.silence_seconds > allowed:
            return f"the event loop has not turned for {self._guard.silence_seconds:.0f} s"
        # Giving partitions back, and waiting for a broker, take their time and are no standing still.
        allowed += self._settings.rebalance_drain_seconds + self._settings.retry_backoff_max_ms / 1000
        for group, subscriber in self._groups.items():
            if subscriber.silence_seconds > allowed:
                return f"the group {group} has not been looked after for {subscriber.silence_seconds:.0f} s"
        return None

    @property
    def is_assigned(self) -> bool:
        """Say whether each group has told this member its partitions."""
        return all(each.assigned.is_set() for each in self._subscribers)

    @property
    def waiting_for(self) -> str | None:
        """Return what records wait for that is away, or None."""
        return "; ".join(each.waiting_for for each in self._subscribers if each.waiting_for is not None) or None

    def readings(self) -> Iterator[Reading]:
        """Yield what the groups and the breakers have to say now; from any thread."""
        for group, subscriber in self._groups.items():
            yield from member_readings(group, subscriber.standing)
        for gate in self._gates:
            if gate.breaker_state is not None:
                yield from breaker_readings(gate.name, gate.breaker_state)

    def _in_hand(self, task: asyncio.Task[None]) -> Delivery | None:
        found = (each.in_hand(task) for each in self._subscribers)
        return next((delivery for delivery in found if delivery is not None), None)


def open_consuming(settings: ServiceSettings, bootstrap_servers: str, parts: ConsumingParts) -> Consuming:
    """Return what runs a subscriber for each group; none has joined yet."""
    failures = Failures(parts.transient)
    gates = _gates(settings, parts.handlers, failures)
    dispatcher = Dispatcher(
        parts.bus,
        parts.types,
        parts.decoders,
        max_bytes=settings.max_message_bytes,
        topic_types=settings.topic_types,
        gates=gates,
        source_of=parts.topics.source_of,
    )
    subscribers: dict[str, Subscriber] = {}
    for group_id, topics in settings.groups.items():
        read = [name for topic in topics for name in (topic, *parts.topics.retry_topics(topic))]
        consumer = parts.wrapping.consumer(new_consumer(settings, bootstrap_servers, read, group_id))
        subscribers[group_id] = _subscriber(settings, parts, consumer, group_id, dispatcher, failures)
    return Consuming(settings, subscribers, parts.metrics, parts.wrapping, gates.values())


def _subscriber(
    settings: ServiceSettings,
    parts: ConsumingParts,
    consumer: Consumer,
    group_id: str,
    dispatcher: Dispatcher,
    failures: Failures,
) -> Subscriber:
    halted = HaltedKeys()
    return Subscriber(
        consumer,
        _stack(settings, parts, group_id, halted, dispatcher, failures),
        backoff=_backoff(settings),
        progress=Progress(halted),
        limits=_limits(settings),
        commit_seconds=settings.commit_interval_ms / 1000,
        commit_records=settings.commit_records,
        drain_seconds=settings.rebalance_drain_seconds,
    )


def _limits(settings: ServiceSettings) -> Limits:
    return Limits(
        settings.max_in_flight,
        settings.buffer,
        settings.buffer_bytes,
        settings.max_lead,
        settings.kafka_max_poll_records,
    )


def _stack(
    settings: ServiceSettings,
    parts: ConsumingParts,
    group_id: str,
    halted: HaltedKeys,
    dispatcher: Dispatcher,
    failures: Failures,
) -> DeliveryHandler:
    policies = retry_policies(settings, parts.handlers)
    producer = parts.wrapping.letter_producer(parts.producer)
    waiting = RetryTopics(producer, parts.topics, group_id)
    retries = Retries(failures, _policy(settings), policies, _backoff(settings), waiting)
    letters = DeadLetters(producer, group_id, parts.topics.dead_letter_topic)
    stack = middleware(parts.tracer, parts.metrics, group_id, halted, letters, _backoff(settings), retries)
    return fold(stack, dispatcher)


def delivery_problems(settings: ServiceSettings, handlers: HandlerRegistry) -> Iterator[str]:
    """Say what contradicts itself in the policies of delivery, a sentence each."""
    if not settings.retry_topics:
        return
    for command_type, policy in retry_policies(settings, handlers).items():
        if policy.when_exhausted == "halt_key":
            yield (
                f"{message_name(command_type)} halts its key when retries run out, to keep its order, and RETRY_TOPICS "
                f"({', '.join(settings.retry_topics)}) gives it up; choose one of the two"
            )


def retry_policies(settings: ServiceSettings, handlers: HandlerRegistry) -> Mapping[type, RetryPolicy]:
    """Return the policies of the command types whose handlers say something of delivery."""
    policies: dict[type, RetryPolicy] = {}
    for command_type in handlers.get_registered_command_types():
        options = delivery_options(handlers.find_command_handler(command_type))
        policies[command_type] = RetryPolicy(
            options.max_attempts or settings.retry_max_attempts,
            options.max_seconds or settings.retry_max_seconds,
            options.when_exhausted or settings.retry_exhausted,
        )
    return policies


def _policy(settings: ServiceSettings) -> RetryPolicy:
    return RetryPolicy(settings.retry_max_attempts, settings.retry_max_seconds, settings.retry_exhausted)


def _gates(settings: ServiceSettings, handlers: HandlerRegistry, failures: Failures) -> dict[type, Gate]:
    gates: dict[type, Gate] = {}
    for command_type in handlers.get_registered_command_types():
        options = delivery_options(handlers.find_command_handler(command_type))
        keys = settings.breaker_keys if options.breaker_keys is None else options.breaker_keys
        breaker = Breaker(keys=keys, backoff=_backoff(settings)) if keys else None
        rate = RateLimit(options.rate_limit) if options.rate_limit is not None else None
        if breaker is not None or rate is not None:
            gates[command_type] = Gate(message_name(command_type), breaker, rate, failures)
    return gates


def _backoff(settings: ServiceSettings) -> Backoff:
    return Backoff(settings.retry_backoff_min_ms / 1000, settings.retry_backoff_max_ms / 1000)
