"""Events out: written strictly with the schema of their name, which the registry keeps under its subject."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from fastavro import schemaless_writer
from fastavro.types import Schema

from cqrs.avro.asked_once import AskedOnce
from cqrs.avro.comparison import event_problems
from cqrs.avro.fitting import Fitter
from cqrs.avro.framing import frame
from cqrs.avro.schemas import AvroSchemas
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException, UnpublishableEventException
from cqrs.messaging.ports import EncodedEvent
from cqrs.messaging.schemas import SchemaRegistry
from cqrs.serialization.misfits import MisfitException
from cqrs.types import declared_name

CONTENT_TYPE = "application/avro"


class SubjectNaming(Enum):
    """Choose the subject under which a topic's schemas are registered, as Confluent's strategies of these names do."""

    TOPIC_RECORD_NAME = "TopicRecordName"
    TOPIC_NAME = "TopicName"
    RECORD_NAME = "RecordName"

    def subject(self, topic: str, record_name: str) -> str:
        """Return the subject of a record's schema on a topic."""
        if self is SubjectNaming.TOPIC_NAME:
            return f"{topic}-value"
        return f"{topic}-{record_name}" if self is SubjectNaming.TOPIC_RECORD_NAME else record_name


class AvroEncoder:
    """Write events as Avro in Confluent's framing.

    Args:
        schemas: What events are written with, by their declared names.
        registry: Where each schema is registered at its first use; its id is then remembered.
        subject_naming: How subjects are named.
        auto_register: Whether schemas are registered; else they must be there, registered by somebody who may.
    """

    def __init__(
        self,
        schemas: AvroSchemas,
        registry: SchemaRegistry,
        *,
        subject_naming: SubjectNaming = SubjectNaming.TOPIC_RECORD_NAME,
        auto_register: bool = True,
    ) -> None:
        self._auto_register = auto_register
        self._schemas = schemas
        self._registry = registry
        self._naming = subject_naming
        self._ids: AskedOnce[tuple[str, str], int] = AskedOnce(self._register)
        self._plans: dict[tuple[type, str], _Plan] = {}

    async def encode(self, event: object, topic: str) -> EncodedEvent:
        """Encode `event` for `topic`.

        A datetime in a `timestamp-millis` field loses what it has below a millisecond; nothing else is changed.

        Raises:
            UnpublishableEventException: it has no schema, does not fit it, or the registry refuses the schema; names
                every misfit with its path.
            DependencyUnavailableException: its schema cannot be registered just now.
        """
        plan = self._plans.get((type(event), topic)) or self._plan(type(event), topic)
        try:
            values = plan.fit(event)
        except MisfitException as error:
            raise UnpublishableEventException(f"event {plan.name} does not fit its schema: {error}") from None
        body = io.BytesIO()
        body.write(plan.prefix or await self._numbered(plan))
        schemaless_writer(body, plan.parsed, values)
        return EncodedEvent(body.getvalue(), plan.name, CONTENT_TYPE, plan.subject)

    def _plan(self, event_type: type, topic: str) -> "_Plan":
        name = self._name(event_type)
        schema = self._schemas.get(name)
        assert schema is not None  # noqa: S101 - _name found it
        plan = _Plan(name, self._naming.subject(topic, name), schema.parsed, self._schemas.fitter(name))
        self._plans[event_type, topic] = plan
        return plan

    async def _numbered(self, plan: "_Plan") -> bytes:
        plan.prefix = frame(await self._ids.get((plan.subject, plan.name)), b"")
        return plan.prefix

    def problems(self, event_type: type, topic: str) -> Sequence[str]:
        """Say what would keep every event of this class from being written, a sentence each."""
        return [f"{problem} (published to {topic})" for problem in event_problems(self._schemas, event_type)]

    async def register(self, event_type: type, topic: str) -> int:
        """Register the schema of a class for a topic before its first event, and return its id.

        Raises:
            UnpublishableEventException: the class has no schema, or the registry refuses it.
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        name = self._name(event_type)
        return await self._ids.get((self._naming.subject(topic, name), name))

    def _name(self, event_type: type) -> str:
        schema = self._schemas.of(event_type)
        if schema is None:
            name = declared_name(event_type)
            what = f"schemas/**/{name}.avsc is missing" if name else "it declares no name"
            raise UnpublishableEventException(f"event {event_type.__qualname__} has no Avro schema: {what}")
        return schema.name

    async def _register(self, key: tuple[str, str]) -> int:
        subject, name = key
        schema = self._schemas.get(name)
        assert schema is not None  # noqa: S101 - only names of schemas are asked for
        try:
            if not self._auto_register:
                return await self._found(subject, schema.text)
            return await self._registry.register(subject, schema.text)
        except ConfigurationException as error:
            raise UnpublishableEventException(
                f"the schema registry refuses the schema of {name} under {subject}: {error}"
            ) from error

    async def _found(self, subject: str, text: str) -> int:
        found = await self._registry.find(subject, text)
        if found is None:
            # Held rather than refused: it is there as soon as somebody registers it.
            raise DependencyUnavailableException(
                "schema registry",
                f"subject {subject} has not got the schema of this release, and SCHEMA_REGISTRY_AUTO_REGISTER is "
                "false; `schemas register` registers it",
            )
        return found[0]


@dataclass(slots=True)
class _Plan:
    """Say how the events of a class are written to a topic.

    Attributes:
        name: The full name of their schema.
        subject: Its subject.
        parsed: The schema, as fastavro takes it.
        fit: Turns an event into the values that the writer takes.
        prefix: What stands before each body, once the schema is registered.
    """

    name: str
    subject: str
    parsed: Schema
    fit: Fitter
    prefix: bytes = b""
