"""Write and read Avro as a foreign program does: confluent-kafka's serializers, schemas over the REST API."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cqrs.avro.bounds import check_bounds
from cqrs.avro.encoder import SubjectNaming
from cqrs.avro.framing import unframe
from cqrs.avro.model import AvroSchema, parse
from cqrs.avro.registry_login import RegistryLogin, login_options, registry_login
from cqrs.config.listing import masked
from cqrs.config.registry_settings import RegistrySettings
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException, UndecodableMessageException
from cqrs.messaging.message import Message
from cqrs.testing.avro_json import from_json
from cqrs.testing.outside_failures import UnsendableException

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

_MANY_SCHEMAS = 1_000


@dataclass(frozen=True, slots=True)
class RegistryUse:
    """Say how a schema registry is used.

    Attributes:
        login: Who asks.
        subject_naming: Under which names schemas stand there.
        auto_register: Whether a schema is registered before it is written with; else it must be there.
    """

    login: RegistryLogin = field(default_factory=RegistryLogin)
    subject_naming: SubjectNaming = SubjectNaming.TOPIC_RECORD_NAME
    auto_register: bool = True


def registry_use(settings: RegistrySettings) -> RegistryUse:
    """Return how the settings say that the registry is used."""
    return RegistryUse(
        registry_login(settings),
        SubjectNaming(settings.schema_registry_subject_naming),
        settings.schema_registry_auto_register,
    )


class OutsideAvro:
    """Hold one connection to a schema registry, opened when the first Avro value is written or read.

    Args:
        registry_url: The registry's REST API, or None.
        timeout_seconds: The deadline of each request.
        use: Who asks there, and how schemas are kept there.
    """

    def __init__(self, registry_url: str | None, timeout_seconds: float, use: RegistryUse | None = None) -> None:
        self._use = use or RegistryUse()
        self._registry_url = registry_url
        self._timeout = timeout_seconds
        self._client: SchemaRegistryClient | None = None
        self._serializers: dict[str, AvroSerializer] = {}
        self._deserializer: AvroDeserializer | None = None
        self._safe: set[int | str] = set()
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let the connection go; harmless when called again."""
        with self._lock:
            client, self._client = self._client, None
            self._serializers.clear()
            self._deserializer = None
        if client is not None:
            client.close()

    def name(self, schema: str) -> str:
        """Return the full name of the record that `schema` describes.

        Raises:
            UnsendableException: it is not an Avro schema.
        """
        return _parsed(schema).name

    def encode(self, topic: str, data: Mapping[str, object], schema: str) -> bytes:
        """Write `data` in Confluent's framing, registering `schema` under the names of topic and record.

        Raises:
            UnsendableException: the data does not fit the schema, or the registry refuses it.
            DependencyUnavailableException: the registry does not answer.
        """
        from confluent_kafka.serialization import MessageField, SerializationContext

        native = from_json(_parsed(schema).root, data)
        with self._failures(f"writing {self.name(schema)}"), self._lock:
            encoded = self._serializer(schema)(native, SerializationContext(topic, MessageField.VALUE))
        if encoded is None:
            raise UnsendableException(f"writing {self.name(schema)} gave no bytes")
        return encoded

    def decode(self, message: Message) -> object:
        """Read the value of `message` by the schema that its id names.

        Raises:
            UndecodableMessageException: the value is not what its schema says, or the registry knows no such schema,
                or there is no registry.
            DependencyUnavailableException: the registry does not answer.
        """
        if self._registry_url is None:
            raise UndecodableMessageException(f"{message.place} is Avro, and there is no schema registry to ask")
        from confluent_kafka.serialization import MessageField, SerializationContext

        context = SerializationContext(message.topic, MessageField.VALUE, headers=list(message.headers))
        try:
            with self._failures(f"reading {message.place}"), self._lock:
                self._check(message)
                return self._reader()(message.value, context)
        except UnsendableException as error:
            raise UndecodableMessageException(str(error)) from error

    def schema_of(self, message: Message) -> str | None:
        """Return the text of the schema that the value of `message` names, or None when it names none that is known.

        Raises:
            DependencyUnavailableException: the registry does not answer.
        """
        if self._registry_url is None:
            return None
        try:
            named = unframe(message).schema
            with self._failures(f"asking for the schema of {message.place}"), self._lock:
                return self._text(named)
        except (UndecodableMessageException, UnsendableException):
            return None

    def _text(self, named: int | str) -> str:
        client = self._connected()
        found = client.get_schema_by_guid(named) if isinstance(named, str) else client.get_schema(named)
        return found.schema_str or ""

    def _check(self, message: Message) -> None:
        """Refuse schemas that can bring the process down: fastavro follows a recursive one until the stack ends."""
        named = unframe(message).schema
        if named in self._safe:
            return
        check_bounds(_parsed(self._text(named)).root)
        if len(self._safe) < _MANY_SCHEMAS:
            self._safe.add(named)

    def _connected(self) -> "SchemaRegistryClient":
        # Imported when it is needed: it takes as long as the rest of a command line together.
        from confluent_kafka.schema_registry import SchemaRegistryClient

        if self._registry_url is None:
            raise ConfigurationException(["Avro needs a schema registry; give the client its URL."])
        if self._client is None:
            options = {"url": self._registry_url, "timeout": self._timeout, "max.retries": 1, "retries.wait.ms": 100}
            self._client = SchemaRegistryClient(options | login_options(self._use.login))
        return self._client

    def _serializer(self, schema: str) -> "AvroSerializer":
        from confluent_kafka import schema_registry
        from confluent_kafka.schema_registry.avro import AvroSerializer

        if schema not in self._serializers:
            strategies = {
                SubjectNaming.TOPIC_RECORD_NAME: schema_registry.topic_record_subject_name_strategy,
                SubjectNaming.TOPIC_NAME: schema_registry.topic_subject_name_strategy,
                SubjectNaming.RECORD_NAME: schema_registry.record_subject_name_strategy,
            }
            conf = {
                "subject.name.strategy": strategies[self._use.subject_naming],
                "auto.register.schemas": self._use.auto_register,
            }
            # The class takes its arguments by an attribute that pyright does not follow.
            self._serializers[schema] = AvroSerializer(self._connected(), schema, conf=conf)  # pyright: ignore[reportCallIssue]
        return self._serializers[schema]

    def _reader(self) -> "AvroDeserializer":
        from confluent_kafka.schema_registry.avro import AvroDeserializer

        if self._deserializer is None:
            self._deserializer = AvroDeserializer(self._connected())  # pyright: ignore[reportCallIssue]
        return self._deserializer

    @contextmanager
    def _failures(self, deed: str) -> Iterator[None]:
        from confluent_kafka.schema_registry import SchemaRegistryError
        from confluent_kafka.serialization import SerializationError

        try:
            yield
        except _transport_errors() as error:
            detail = f"{deed}: {masked(self._registry_url or '')} does not answer: {error or type(error).__name__}"
            raise DependencyUnavailableException("schema registry", detail) from error
        except SchemaRegistryError as error:
            detail = f"{deed}: the schema registry answers {error.http_status_code}: {error.error_message}"
            away = error.http_status_code >= 500
            raise (
                DependencyUnavailableException("schema registry", detail) if away else UnsendableException(detail)
            ) from error
        except (SerializationError, ValueError, TypeError, KeyError, EOFError, IndexError, AttributeError) as error:
            raise UnsendableException(f"{deed}: {error or type(error).__name__}") from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return what a registry that does not answer raises: the client uses httpx, or httpx2 where that is installed."""
    loaded = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return tuple(module.TransportError for module in loaded if module is not None)


def _parsed(schema: str) -> AvroSchema:
    try:
        return parse(schema)
    except ValueError as error:
        raise UnsendableException(f"this is no schema that can be used: {error}") from error
