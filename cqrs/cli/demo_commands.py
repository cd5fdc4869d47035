"""The commands of a demo, and what is expected of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cqrs.cli.refusal import refusal_of
from cqrs.cli.text import simple_name
from cqrs.testing.outside_client import Outcome, OutsideClient, Sent
from cqrs.tracing.tracer import Headers


@dataclass(frozen=True, slots=True)
class Expected:
    """Say how a command must end: with one event of this type, or refused for this reason.

    Attributes:
        event: The declared type of the event that it causes, or None.
        refusal: The class of what refused it or of its root cause, or None.
    """

    event: str | None = None
    refusal: type[BaseException] | None = None

    def contradiction(self, outcome: Outcome) -> str | None:
        """Return how `outcome` differs from what is expected, in a sentence, or None when it does not."""
        if self.refusal is None:
            met = [event.type_name for event in outcome.events] == [self.event] and outcome.dead_letter is None
        else:
            met = outcome.dead_letter is not None and refusal_of(outcome.dead_letter).is_by(self.refusal)
        wanted = f"refused: {self.refusal.__qualname__}" if self.refusal is not None else self.event
        return None if met else f"expected {wanted}, found {outcome_text(outcome)}"


@dataclass(frozen=True, slots=True)
class DemoCommand:
    """Describe one command of a demo.

    Attributes:
        case: What it shows, in a few words.
        type_name: Its type, as a person would name it.
        form: How it travels: JSON, Avro, ...
        key: The record's key.
        send: Sends it with an outside client to a topic.
        expected: How it must end.
        data: Its fields, where it can be sent as JSON.
    """

    case: str
    type_name: str
    form: str
    key: str
    send: Callable[[OutsideClient, str], Sent]
    expected: Expected
    data: Mapping[str, object] | None = None


def json_command(case: str, type_name: str, key: str, data: Mapping[str, object], expected: Expected) -> DemoCommand:
    """Return a command in JSON whose type stands in the header `ce_type`."""

    def send(client: OutsideClient, topic: str) -> Sent:
        return client.send_json(topic, data, type_name=type_name, key=key)

    return DemoCommand(case, type_name, "JSON", key, send, expected, data)


def bare_json_command(
    case: str, type_name: str, key: str, data: Mapping[str, object], expected: Expected
) -> DemoCommand:
    """Return a command in JSON without headers: its type stands beside its data."""

    def send(client: OutsideClient, topic: str) -> Sent:
        return client.send_json(topic, data, type_name=type_name, key=key, type_in_value=True)

    return DemoCommand(case, type_name, "bare JSON", key, send, expected)


def avro_command(
    case: str, type_name: str, key: str, data: Mapping[str, object], schema: Path, expected: Expected
) -> DemoCommand:
    """Return a command in Avro without headers: the schema's id in the value says what it is."""

    def send(client: OutsideClient, topic: str) -> Sent:
        return client.send_avro(topic, data, schema.read_text("utf-8"), key=key, bare=True)

    return DemoCommand(case, type_name, "Avro", key, send, expected)


def cut_avro_command(
    case: str, type_name: str, key: str, data: Mapping[str, object], schema: Path, expected: Expected
) -> DemoCommand:
    """Return a command in Avro whose second half got lost."""

    def send(client: OutsideClient, topic: str) -> Sent:
        value = client.encode_avro(topic, data, schema.read_text("utf-8"))
        return client.send_raw(topic, value[: len(value) // 2], key=key)

    return DemoCommand(case, type_name, "Avro", key, send, expected)


def raw_command(
    case: str, type_name: str, form: str, key: str, value: bytes, headers: Headers, expected: Expected
) -> DemoCommand:
    """Return a command that is these bytes with these headers."""

    def send(client: OutsideClient, topic: str) -> Sent:
        return client.send_raw(topic, value, key=key, headers=headers)

    return DemoCommand(case, type_name, form, key, send, expected)


def outcome_text(outcome: Outcome) -> str:
    """Return an outcome in a few words: the event that it caused, or the class that refused it."""
    if outcome.dead_letter is not None:
        return f"refused: {simple_name(refusal_of(outcome.dead_letter).reason)}"
    return ", ".join(event.type_name or "event without a type" for event in outcome.events) or "no outcome in time"
