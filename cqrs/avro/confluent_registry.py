"""The schema registry over Confluent's REST API, by confluent-kafka's own client."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlsplit

from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from cqrs.avro.registry_login import Fields, RegistryLogin, login_options
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.messaging.schemas import IncompatibleSchemaException, InvalidSchemaException

R = TypeVar("R")

_NOT_FOUND = 404
_CONFLICT = 409
_UNPROCESSABLE = 422
_NOT_LET_IN = frozenset({401, 403})
_SERVER_ERROR = 500


class ConfluentSchemaRegistry:
    """Ask a server that speaks Confluent's REST API: Confluent's own, Apicurio, Karapace, or ours.

    Args:
        url: Its address; user and password may stand in it, and several addresses are separated by commas.
        timeout_seconds: How long one call may take, its retries included.
        login: Who this client is.

    Raises:
        ConfigurationException: the address is none.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 5.0, login: RegistryLogin | None = None) -> None:
        self._timeout = timeout_seconds
        self._place = ",".join(urlsplit(each.strip()).hostname or each.strip() for each in url.split(","))
        options = {"url": url, "timeout": timeout_seconds, "max.retries": 2, "retries.wait.ms": 100}
        try:
            self._client = AsyncSchemaRegistryClient(options | login_options(login or RegistryLogin(), _awaited))
        except (ValueError, TypeError) as error:
            raise ConfigurationException(
                [f"SCHEMA_REGISTRY_URL is no address of a schema registry: {error}; try http://localhost:8081"]
            ) from error

    async def register(self, subject: str, schema: str) -> int:
        """Store `schema` under `subject` and return its id; known schemas keep theirs.

        Raises:
            InvalidSchemaException: the schema is not valid Avro.
            IncompatibleSchemaException: it is not compatible with the subject's earlier ones.
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        try:
            return await self._ask(self._client.register_schema(subject, Schema(schema, "AVRO")))
        except SchemaRegistryError as error:
            problem = [f"{subject}: {error.error_message}"]
            if error.http_status_code == _CONFLICT:
                raise IncompatibleSchemaException(problem) from error
            if error.http_status_code == _UNPROCESSABLE:
                raise InvalidSchemaException(problem) from error
            raise self._refused(error) from error

    async def find(self, subject: str, schema: str) -> tuple[int, int] | None:
        """Return (id, version) under which `subject` has `schema`, or None when it does not have it.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        found = await self._find(self._client.lookup_schema(subject, Schema(schema, "AVRO")))
        return None if found is None or not (found.schema_id and found.version) else (found.schema_id, found.version)

    async def refusal(self, subject: str, schema: str) -> str | None:
        """Return why `register` would refuse `schema` under `subject`, or None; nothing is stored.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        asked = self._client.test_compatibility(subject, Schema(schema, "AVRO"))
        try:
            compatible = await self._find(asked)
        except DependencyUnavailableException as error:
            cause = error.__cause__
            if isinstance(cause, SchemaRegistryError) and cause.http_status_code == _UNPROCESSABLE:
                return f"{subject}: {cause.error_message}"
            raise
        return f"{subject}: it is not compatible with the latest version there" if compatible is False else None

    async def compatibility(self, subject: str) -> str:
        """Return the level of compatibility that holds for `subject`: its own, or that of all.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        # Not the client's get_compatibility(subject): what Apicurio answers to that is not what holds.
        asked = f"config/{quote(subject, safe='')}?defaultToGlobal=true"
        own = await self._find(self._client._rest_client.get(asked))  # noqa: SLF001
        if own is not None:
            return str(own["compatibilityLevel"])
        return await self._find(self._client.get_compatibility()) or "unknown"

    async def schema_by_id(self, schema_id: int) -> str | None:
        """Return the schema with this id as JSON text, or None when the registry knows no such id.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        found = await self._find(self._client.get_schema(schema_id))
        return None if found is None else found.schema_str

    async def schema_by_guid(self, guid: str) -> str | None:
        """Return the schema with this globally unique id, or None when the registry knows none, or knows no GUIDs.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        found = await self._find(self._client.get_schema_by_guid(guid))
        return None if found is None else found.schema_str

    async def subjects(self) -> Sequence[str]:
        """Return every subject's name, in order.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        return sorted(await self._find(self._client.get_subjects()) or ())

    async def versions(self, subject: str) -> Sequence[int]:
        """Return the versions of `subject` from 1; empty when it is unknown.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        return sorted(await self._find(self._client.get_versions(subject)) or ())

    async def schema_by_version(self, subject: str, version: int | None) -> tuple[int, int, str] | None:
        """Return (id, version, schema) of one version, the latest for None; None when there is no such version.

        Raises:
            DependencyUnavailableException: the registry cannot be asked just now.
        """
        found = await self._find(self._client.get_version(subject, "latest" if version is None else version))
        if found is None or not (found.schema_id and found.version and found.schema.schema_str):
            return None
        return found.schema_id, found.version, found.schema.schema_str

    async def check(self) -> None:
        """Have the registry answer something.

        Raises:
            DependencyUnavailableException: it does not, or lets this client in no more.
        """
        try:
            await self._ask(self._client.get_config())
        except SchemaRegistryError as error:
            if error.http_status_code in _NOT_LET_IN or error.http_status_code >= _SERVER_ERROR:
                raise self._refused(error) from error

    async def close(self) -> None:
        """Close the connections; harmless when called again."""
        await self._client.__aexit__(None, None, None)  # type: ignore[no-untyped-call]

    async def _find(self, call: Awaitable[R]) -> R | None:
        try:
            return await self._ask(call)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._refused(error) from error

    async def _ask(self, call: Awaitable[R]) -> R:
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except TimeoutError as error:
            raise DependencyUnavailableException(
                "schema registry", f"{self._place} did not answer within {self._timeout:g} s"
            ) from error
        except (SchemaRegistryError, DependencyUnavailableException):
            raise
        except Exception as error:  # which HTTP library it uses is the client's own affair, and so are its errors
            raise DependencyUnavailableException("schema registry", f"{self._place}: {error!r}") from error

    def _refused(self, error: SchemaRegistryError) -> DependencyUnavailableException:
        """Wait for whatever else it answers: a refused login is mended by an operator, not by losing messages."""
        return DependencyUnavailableException(
            "schema registry", f"{self._place} answered {error.http_status_code}: {error.error_message}"
        )


def _awaited(fields: Fields) -> Callable[[object], Awaitable[Mapping[str, str]]]:
    async def answer(given: object) -> Mapping[str, str]:
        return fields(given)

    return answer
