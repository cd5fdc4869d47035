"""The port of a schema registry, in the terms of Confluent's REST API."""

import json
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID, uuid5

from cqrs.exceptions import ConfigurationException


class InvalidSchemaException(ConfigurationException):
    """Report a text that is not a schema; Confluent's error 42201."""


class IncompatibleSchemaException(ConfigurationException):
    """Report a schema that cannot read what the subject's latest one wrote; Confluent's error 409."""


_GUIDS = UUID("3c1d0f52-7b0a-5a0e-9c55-5f8f6f1f2a10")


class SchemaRegistry(Protocol):
    """Keep schemas by subject and version, and give each distinct schema one id.

    Every method raises DependencyUnavailableException when the registry cannot be asked.
    """

    async def register(self, subject: str, schema: str) -> int:
        """Store `schema` (Avro, as JSON text) under `subject` and return its id; known schemas keep theirs.

        Raises:
            InvalidSchemaException: the schema is not valid Avro.
            IncompatibleSchemaException: the schema is not compatible with the subject's earlier ones.
        """
        ...

    async def find(self, subject: str, schema: str) -> tuple[int, int] | None:
        """Return (id, version) under which `subject` has `schema`, or None when it does not have it."""
        ...

    async def refusal(self, subject: str, schema: str) -> str | None:
        """Return why `register` would refuse `schema` under `subject`, or None; nothing is stored."""
        ...

    async def schema_by_id(self, schema_id: int) -> str | None:
        """Return the schema with this id as JSON text, or None when the registry knows no such id."""
        ...

    async def schema_by_guid(self, guid: str) -> str | None:
        """Return the schema with this globally unique id as JSON text, or None when the registry knows none."""
        ...

    async def subjects(self) -> Sequence[str]:
        """Return every subject's name, in order."""
        ...

    async def versions(self, subject: str) -> Sequence[int]:
        """Return the versions of `subject` from 1; empty when it is unknown."""
        ...

    async def schema_by_version(self, subject: str, version: int | None) -> tuple[int, int, str] | None:
        """Return (id, version, schema) of one version, the latest for None; None when there is no such version."""
        ...


def canonical_schema(schema: str) -> str:
    """Return the one spelling of a schema's JSON text that equal schemas share: no spaces, sorted keys.

    Raises:
        ValueError: the text is not JSON.
    """
    return json.dumps(json.loads(schema), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def schema_guid(schema: str) -> str:
    """Return a schema's globally unique id: the digest of its canonical text, as a version 5 UUID.

    Raises:
        ValueError: the text is not JSON.
    """
    return str(uuid5(_GUIDS, canonical_schema(schema)))
