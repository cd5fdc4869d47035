"""Avro values in: read with the writer's schema, resolved to ours, made into the command's class."""

import io
from dataclasses import dataclass
from decimal import DecimalException
from typing import Protocol, TypeVar

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError
from fastavro.schema import parse_schema
from fastavro.types import Schema

from cqrs.avro.asked_once import AskedOnce
from cqrs.avro.bounds import check_bounds
from cqrs.avro.framing import unframe
from cqrs.avro.model import AvroSchema, graph, parse
from cqrs.avro.resolution import mismatches
from cqrs.avro.schemas import AvroSchemas
from cqrs.avro.skim import Skim, skimmer
from cqrs.avro.values import Check, value_check
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Message
from cqrs.messaging.schemas import SchemaRegistry
from cqrs.serialization.misfits import MisfitException, describe
from cqrs.serialization.structure import build
from cqrs.types import declared_aliases, declared_name

T = TypeVar("T")

MAX_BYTES = 1024 * 1024

_BAD_BYTES = (
    EOFError,
    ValueError,  # also text that is not UTF-8, and digits that are no UUID
    LookupError,
    OverflowError,
    DecimalException,
    SchemaResolutionError,
)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Hold a writer's schema, or why it is not read with; both are final, since an id never changes its schema."""

    key: int | str
    schema: AvroSchema | None
    skim: Skim | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Reading:
    """Hold what reads one writer's values as one class, or why they cannot be."""

    reader: Schema | None = None
    check: Check | None = None
    refusal: str = ""


class _Source(Protocol):
    def reading(self, writer: _Writer, target: type) -> _Reading: ...


class AvroPayload:
    """Be an Avro value whose writer's schema is known."""

    def __init__(self, source: _Source, writer: _Writer, schema: AvroSchema, body: bytes) -> None:
        self._source = source
        self._writer = writer
        self._schema = schema
        self._body = body

    @property
    def type_name(self) -> str | None:
        """Return the full name of the record that was written."""
        return self._schema.name

    def build(self, target: type[T]) -> T:
        """Read the value as our schema of `target` sees it, and make an object of that class.

        Raises:
            UndecodableMessageException: the bytes end too early or too late, the writer's schema cannot be read as
                ours, or the value does not fit the class; names every misfit.
        """
        reading = self._source.reading(self._writer, target)
        if reading.refusal:
            raise UndecodableMessageException(reading.refusal)
        try:
            datum = self._read(reading.reader)
            if reading.check is not None:
                reading.check(datum)
            return build(target, datum)
        except MisfitException as error:
            raise self._undecodable(f"is no {target.__qualname__}: {error}") from None

    def plain(self) -> object:
        """Return the value as its writer's schema alone reads it.

        Raises:
            UndecodableMessageException: the bytes end too early or too late, or are not what that schema says.
        """
        return self._read(None)

    def _read(self, reader: Schema | None) -> object:
        body = io.BytesIO(self._body)
        try:
            if self._writer.skim is not None:
                self._writer.skim(self._body)
            datum = schemaless_reader(body, self._schema.parsed, reader)
        except _BAD_BYTES as error:
            what = (
                "ends too early" if isinstance(error, EOFError) else f"is not what its schema says: {str(error)[:200]}"
            )
            raise self._undecodable(what) from error
        if body.tell() != len(self._body):
            raise self._undecodable(f"has {len(self._body) - body.tell()} bytes behind its end")
        return datum

    def _undecodable(self, what: str) -> UndecodableMessageException:
        return UndecodableMessageException(
            f"the Avro value (schema {self._writer.key}, {self._schema.name}, {len(self._body)} bytes) {what}"
        )


class AvroDecoder:
    """Parse Avro values in Confluent's framing.

    Args:
        schemas: Ours: what values are resolved to.
        registry: Where the writers' schemas are asked for; each is asked for once and remembered.
        max_bytes: The largest value that is read.
    """

    def __init__(self, schemas: AvroSchemas, registry: SchemaRegistry, *, max_bytes: int = MAX_BYTES) -> None:
        self._schemas = schemas
        self._registry = registry
        self._max_bytes = max_bytes
        self._writers: AskedOnce[int | str, _Writer] = AskedOnce(self._ask)
        self._readings: dict[tuple[int | str, type], _Reading] = {}

    async def parse(self, message: Message, declared_type: str | None) -> AvroPayload:
        """Find the schema that the value of `message` was written with.

        Args:
            message: The record; its value is not None.
            declared_type: Not needed: the value names its own type by its schema.

        Raises:
            UndecodableMessageException: the value has no framing, is too large, or its schema is unknown or unsafe.
            DependencyUnavailableException: the registry cannot be asked for the schema just now.
        """
        size = len(message.value or b"")
        if size > self._max_bytes:
            raise UndecodableMessageException(
                f"the Avro value has {size} bytes, more than the {self._max_bytes} allowed"
            )
        framed = unframe(message)
        writer = self._writers.known(framed.schema) or await self._writers.get(framed.schema)
        if writer.schema is None:
            raise UndecodableMessageException(writer.refusal)
        return AvroPayload(self, writer, writer.schema, framed.body)

    def reading(self, writer: _Writer, target: type) -> _Reading:
        """Return what reads a writer's values as objects of class `target`; compiled once."""
        known = self._readings.get((writer.key, target))
        if known is None:
            if len(self._readings) >= 10_000:  # ids come from outside: forget rather than grow
                self._readings.clear()
            known = self._readings[writer.key, target] = self._compile(writer, target)
        return known

    async def _ask(self, key: int | str) -> _Writer:
        asked = self._registry.schema_by_id(key) if isinstance(key, int) else self._registry.schema_by_guid(key)
        text = await asked
        if text is None:
            raise UndecodableMessageException(
                f"the schema registry knows no schema {key}; was the value written against another registry?"
            )
        try:
            return _trusted(key, parse(text))
        except ValueError as error:
            return _Writer(key, None, refusal=f"the writer's schema {key} is not read with: {error}")

    def _compile(self, writer: _Writer, target: type) -> _Reading:
        ours = self._schemas.of(target)
        if ours is None or writer.schema is None:
            missing = f"{declared_name(target) or target.__qualname__}.avsc"
            return _Reading(refusal=f"there is no schema to read {target.__qualname__} with; add schemas/**/{missing}")
        if ours.text == writer.schema.text:
            return _Reading(check=value_check(ours.root))
        reader = _answering_to(ours, declared_aliases(target), writer.schema.name)
        root = graph(reader)
        found = mismatches(writer.schema.root, root)
        if writer.schema.name not in {root.name, *root.aliases}:
            found.append(("", f"{writer.schema.name} is not {root.name}, nor one of its aliases"))
        if found:
            return _Reading(
                refusal=f"the writer's schema {writer.key} cannot be read as {ours.name}: {describe(found)}"
            )
        return _Reading(reader, value_check(root))


def _trusted(key: int | str, schema: AvroSchema) -> _Writer:
    if schema.root.kind != "record":
        raise ValueError(f"a message is a record, not of type {schema.root.kind}")
    check_bounds(schema.root)
    return _Writer(key, schema, skimmer(schema.root))


def _answering_to(ours: AvroSchema, aliases: tuple[str, ...], written: str) -> Schema:
    """Return our schema; for a value written under an alias of the class, with that alias in it."""
    if written == ours.name or written not in aliases or not isinstance(ours.parsed, dict):
        return ours.parsed
    definition = {name: part for name, part in ours.parsed.items() if not name.startswith("__")}
    return parse_schema({**definition, "aliases": [*ours.root.aliases, written]})
