"""Send one command from outside, and wait for what becomes of it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cqrs.cli.addresses import find_cluster
from cqrs.cli.handlers import HandlerLine, command_of, handlers_of
from cqrs.cli.outcome_views import event_list
from cqrs.cli.places import Place
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.refusal import refusal_of
from cqrs.cli.terminal import REFUSED, invocation
from cqrs.cli.text import one_line
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.message import Headers
from cqrs.telemetry.tracing import configure_tracing
from cqrs.testing.outside_avro import registry_use
from cqrs.testing.outside_client import Outcome, OutsideClient, Sent
from cqrs.testing.outside_security import outside_options

TELEMETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """Hold what was asked for on the command line.

    Attributes:
        type_name: The command's type.
        data: Its fields, as JSON text; `-` reads standard input.
        avro: Whether it travels as Avro instead of JSON.
        topic: Where to; None takes the service's own.
        key: The record's key; None takes the field that the handler names.
        headers: Further headers, `name=value` each.
        correlation_id: What its outcome carries; None makes one.
        wait_seconds: How long to wait for its outcome; None does not wait.
    """

    type_name: str
    data: str
    avro: bool = False
    topic: str | None = None
    key: str | None = None
    headers: tuple[str, ...] = ()
    correlation_id: str | None = None
    wait_seconds: float | None = None


def send_command(program: ServiceProgram[S], console: Console, order: Order) -> int:
    """Send the command and return the exit code: 0 when it was handled or not waited for, 1 otherwise.

    Raises:
        ConfigurationException: what was asked for cannot be; says what to try.
        DependencyUnavailableException: broker or registry are away.
        UnsendableException: the data does not fit its schema, or the broker refuses it.
    """
    settings = program.settings({})
    handler = command_of(handlers_of(program.packages), order.type_name)
    data = read_data(order.data)
    bootstrap_servers, registry_url = find_cluster(settings, f"{invocation(program.module)} run")
    tracing = configure_tracing(f"{settings.service_name}-client", "0")
    try:
        with OutsideClient(
            bootstrap_servers,
            registry_url,
            tracer=tracing.tracer,
            source=program.module,
            options=outside_options(settings),
            registry_use=registry_use(settings),
        ) as client:
            return _Sending(program.module, console, settings, client, order).run(handler, data)
    finally:
        tracing.shutdown(TELEMETRY_SECONDS)


class _Sending:
    def __init__(
        self, module: str, console: Console, settings: ServiceSettings, client: OutsideClient, order: Order
    ) -> None:
        self._module = module
        self._console = console
        self._settings = settings
        self._client = client
        self._order = order
        self._topic = _known_topic(order.topic or _only(settings.all_command_topics), client.topics())

    def run(self, handler: HandlerLine, data: Mapping[str, object]) -> int:
        if self._order.wait_seconds is None:
            self._tell_sent(self._send(handler, data))
            return 0
        suffix = self._settings.dead_letter_suffix
        outcomes = [*self._event_topics(), self._topic + suffix]
        with self._client.reader(outcomes, at_end=True) as reader:
            sent = self._send(handler, data)
            self._tell_sent(sent)
            (outcome,) = reader.outcomes([sent.id], timeout_seconds=self._order.wait_seconds, dead_letter_suffix=suffix)
        return self._tell_outcome(outcome, self._order.wait_seconds)

    def _send(self, handler: HandlerLine, data: Mapping[str, object]) -> Sent:
        order = self._order
        key = order.key if order.key is not None else _key(handler, data)
        headers = read_headers(order.headers)
        if order.avro:
            schema = _schema(self._settings.schemas_path, handler.name)
            return self._client.send_avro(
                self._topic, data, schema, key=key, headers=headers, correlation_id=order.correlation_id
            )
        return self._client.send_json(
            self._topic,
            data,
            type_name=order.type_name,
            key=key,
            headers=headers,
            correlation_id=order.correlation_id,
        )

    def _event_topics(self) -> list[str]:
        suffix, commands = self._settings.dead_letter_suffix, self._settings.all_command_topics
        return [topic for topic in self._settings.topics if topic not in commands and not topic.endswith(suffix)]

    def _tell_sent(self, sent: Sent) -> None:
        place = f"{sent.receipt.topic}[{sent.receipt.partition}]@{sent.receipt.offset}"
        facts = [("sent to", place), ("message id", sent.id), ("correlation", sent.correlation_id)]
        if sent.trace_id is not None:
            facts.append(("trace", self._link(sent.trace_id)))
        for name, text in facts:
            self._console.print(Text.assemble((f"{name:<13}", "dim"), one_line(text)), soft_wrap=True)

    def _link(self, trace_id: str) -> str:
        url = self._settings.jaeger_url
        return trace_id if url is None else f"{url.rstrip('/')}/trace/{trace_id}"

    def _tell_outcome(self, outcome: Outcome, seconds: float) -> int:
        if outcome.dead_letter is not None:
            refusal, place = refusal_of(outcome.dead_letter), Place.of(outcome.dead_letter)
            self._console.print(Text.assemble(("refused", "bold red"), f"      {refusal.reason}"), soft_wrap=True)
            self._console.print(Text(refusal.message), soft_wrap=True)
            self._console.print(
                Text(f"look at it: {invocation(self._module)} dead-letters --at {place}"), soft_wrap=True
            )
            return REFUSED
        if outcome.events:
            self._console.print(Text("handled", style="bold green"))
            self._console.print(event_list(outcome.events))
            return 0
        self._console.print(
            Text(
                f"no outcome within {seconds:g} s: neither an event nor a dead letter of it was seen. Either the "
                "service does not run, or it is busy, or the command caused no event."
            ),
            soft_wrap=True,
        )
        return REFUSED


def read_data(text: str) -> Mapping[str, object]:
    """Read a command's fields from JSON text, or from standard input when it is `-`.

    Raises:
        ConfigurationException: it is not a JSON object; says where.
    """
    source = sys.stdin.read() if text == "-" else text
    try:
        data = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ConfigurationException([f"The command's data is not JSON: {error}"]) from None
    if not isinstance(data, dict):
        raise ConfigurationException(
            [f'The command\'s data must be an object, {{"field": ...}}; it is {source[:40]!r}']
        )
    return data


def read_headers(given: Sequence[str]) -> Headers:
    """Read headers from `name=value` texts.

    Raises:
        ConfigurationException: lists those that are not of that form.
    """
    pairs = [(text, *text.partition("=")) for text in given]
    wrong = [text for text, name, equals, _ in pairs if not (name and equals)]
    if wrong:
        raise ConfigurationException([f"--header {text!r}: write name=value." for text in wrong])
    return tuple((name, value.encode()) for _, name, _, value in pairs)


def _only(topics: Sequence[str]) -> str:
    if len(topics) == 1:
        return topics[0]
    raise ConfigurationException([f"The service reads {', '.join(topics) or 'no topic'}; name one with --topic."])


def _known_topic(topic: str, topics: Mapping[str, int]) -> str:
    if topic not in topics:
        raise ConfigurationException([f"The broker has no topic {topic}; it has {', '.join(topics) or 'none'}."])
    return topic


def _key(handler: HandlerLine, data: Mapping[str, object]) -> str | None:
    value = data.get(handler.key) if handler.key is not None else None
    return None if value is None else str(value)


def _schema(schemas: Path, name: str) -> str:
    found = next(iter(sorted(schemas.rglob(f"{name}.avsc"))), None)
    if found is None:
        raise ConfigurationException([f"There is no schema {name}.avsc below {schemas}; send it without --avro."])
    return found.read_text(encoding="utf-8")
