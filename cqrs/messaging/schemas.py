"""The port of a schema registry, in the terms of Confluent's REST API."""

from collections.abc import Sequence
from typing import Protocol


class SchemaRegistry(Protocol):
    """Keep schemas by subject and version, and give each distinct schema one id.

    Every method raises DependencyUnavailableException when the registry cannot be asked.
    """

    async def register(self, subject: str, schema: str) -> int:
        """Store `schema` (Avro, as JSON text) under `subject` and return its id; known schemas keep theirs.

        Raises:
            ConfigurationException: the schema is not valid Avro, or is not compatible with the subject's earlier ones.
        """

    async def schema_by_id(self, schema_id: int) -> str | None:
        """Return the schema with this id as JSON text, or None when the registry knows no such id."""

    async def subjects(self) -> Sequence[str]:
        """Return every subject's name, in order."""

    async def versions(self, subject: str) -> Sequence[int]:
        """Return the versions of `subject` from 1; empty when it is unknown."""

    async def schema_by_version(self, subject: str, version: int | None) -> tuple[int, int, str] | None:
        """Return (id, version, schema) of one version, the latest for None; None when there is no such version."""
