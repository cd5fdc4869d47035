"""A schema registry served as Confluent's REST API, so that other libraries read our events without a server of theirs.

Source: Confluent's "Schema Registry API Reference": paths, bodies, and errors as `{"error_code": ..., "message": ...}`.
"""

import json
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.schemas import (
    IncompatibleSchemaException,
    InvalidSchemaException,
    SchemaRegistry,
    schema_guid,
)

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_MAX_BODY_BYTES = 1024 * 1024
_COMPATIBILITY = "BACKWARD"

_SUBJECT_NOT_FOUND = 40401
_VERSION_NOT_FOUND = 40402
_SCHEMA_NOT_FOUND = 40403
_NO_SUBJECT_COMPATIBILITY = 40408
_INCOMPATIBLE = 409
_INVALID_SCHEMA = 42201
_INVALID_VERSION = 42202
_STORE_ERROR = 50001


class _RefusedException(Exception):
    """Carry an answer that is an error."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def schema_registry_app(registry: SchemaRegistry) -> Starlette:
    """Return an ASGI application that serves `registry` as Confluent's REST API."""
    api = _Api(registry)
    routes = [
        Route("/", _answer(api.root)),
        Route("/schemas/types", _answer(api.types)),
        Route("/schemas/ids/{id}", _answer(api.schema)),
        Route("/schemas/ids/{id}/schema", _answer(api.bare_schema)),
        Route("/schemas/ids/{id}/versions", _answer(api.places)),
        Route("/schemas/ids/{id}/subjects", _answer(api.subjects_of)),
        Route("/schemas/guids/{guid}", _answer(api.schema_by_guid)),
        Route("/subjects", _answer(api.subjects)),
        Route("/subjects/{subject:path}/versions", _answer(api.versions), methods=["GET"]),
        Route("/subjects/{subject:path}/versions", _answer(api.register), methods=["POST"]),
        Route("/subjects/{subject:path}/versions/{version}", _answer(api.version)),
        Route("/subjects/{subject:path}/versions/{version}/schema", _answer(api.bare_version)),
        Route("/subjects/{subject:path}", _answer(api.lookup), methods=["POST"]),
        Route("/compatibility/subjects/{subject:path}/versions/{version}", _answer(api.compatible), methods=["POST"]),
        Route("/compatibility/subjects/{subject:path}/versions", _answer(api.compatible), methods=["POST"]),
        Route("/config", _answer(api.config)),
        Route("/config/{subject:path}", _answer(api.subject_config)),
        Route("/mode", _answer(api.mode)),
    ]
    return Starlette(routes=routes)


class _Api:
    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry

    async def root(self, request: Request) -> object:
        return {}

    async def types(self, request: Request) -> object:
        return ["AVRO"]

    async def config(self, request: Request) -> object:
        return {"compatibilityLevel": _COMPATIBILITY}

    async def mode(self, request: Request) -> object:
        return {"mode": "READWRITE"}

    async def subject_config(self, request: Request) -> object:
        if request.query_params.get("defaultToGlobal") == "true":
            return {"compatibilityLevel": _COMPATIBILITY}
        subject = request.path_params["subject"]
        raise _RefusedException(
            404,
            _NO_SUBJECT_COMPATIBILITY,
            f"Subject '{subject}' does not have subject-level compatibility configured",
        )

    async def schema(self, request: Request) -> object:
        text = await self._by_id(request)
        return {"schema": text, "guid": schema_guid(text)}

    async def bare_schema(self, request: Request) -> object:
        return json.loads(await self._by_id(request))

    async def schema_by_guid(self, request: Request) -> object:
        guid = request.path_params["guid"]
        text = await self._registry.schema_by_guid(guid)
        if text is None:
            raise _RefusedException(404, _SCHEMA_NOT_FOUND, f"Schema {guid} not found")
        return {"schema": text, "guid": guid}

    async def places(self, request: Request) -> object:
        return [{"subject": subject, "version": version} for subject, version in await self._places(request)]

    async def subjects_of(self, request: Request) -> object:
        return sorted({subject for subject, _ in await self._places(request)})

    async def subjects(self, request: Request) -> object:
        prefix = request.query_params.get("subjectPrefix", "")
        return [subject for subject in await self._registry.subjects() if subject.startswith(prefix)]

    async def versions(self, request: Request) -> object:
        return list(await self._known_versions(request))

    async def version(self, request: Request) -> object:
        schema_id, version, text = await self._version(request)
        return _registered(request.path_params["subject"], schema_id, version, text)

    async def bare_version(self, request: Request) -> object:
        _, _, text = await self._version(request)
        return json.loads(text)

    async def register(self, request: Request) -> object:
        text = await _schema_of(request)
        schema_id = await self._registry.register(request.path_params["subject"], text)
        return {"id": schema_id, "guid": schema_guid(text)}

    async def compatible(self, request: Request) -> object:
        refusal = await self._registry.refusal(request.path_params["subject"], await _schema_of(request))
        told = [refusal] if refusal is not None and request.query_params.get("verbose", "").lower() == "true" else []
        return {"is_compatible": refusal is None, "messages": told}

    async def lookup(self, request: Request) -> object:
        subject, guid = request.path_params["subject"], schema_guid(await _schema_of(request))
        for version in reversed(await self._known_versions(request)):
            found = await self._registry.schema_by_version(subject, version)
            if found is not None and schema_guid(found[2]) == guid:
                return _registered(subject, *found)
        raise _RefusedException(404, _SCHEMA_NOT_FOUND, "Schema not found")

    async def _by_id(self, request: Request) -> str:
        number = request.path_params["id"]
        text = await self._registry.schema_by_id(int(number)) if _is_number(number) else None
        if text is None:
            raise _RefusedException(404, _SCHEMA_NOT_FOUND, f"Schema {number} not found")
        return text

    async def _places(self, request: Request) -> list[tuple[str, int]]:
        guid = schema_guid(await self._by_id(request))
        places: list[tuple[str, int]] = []
        for subject in await self._registry.subjects():
            for version in await self._registry.versions(subject):
                found = await self._registry.schema_by_version(subject, version)
                if found is not None and schema_guid(found[2]) == guid:
                    places.append((subject, version))
        return places

    async def _known_versions(self, request: Request) -> list[int]:
        subject = request.path_params["subject"]
        versions = list(await self._registry.versions(subject))
        if not versions:
            raise _RefusedException(404, _SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")
        return versions

    async def _version(self, request: Request) -> tuple[int, int, str]:
        subject, version = request.path_params["subject"], request.path_params["version"]
        if version != "latest" and (not _is_number(version) or int(version) == 0):
            raise _RefusedException(
                422, _INVALID_VERSION, f"The specified version '{version}' is not a valid version id."
            )
        await self._known_versions(request)
        found = await self._registry.schema_by_version(subject, None if version == "latest" else int(version))
        if found is None:
            raise _RefusedException(404, _VERSION_NOT_FOUND, f"Version {version} not found.")
        return found


def _registered(subject: str, schema_id: int, version: int, text: str) -> object:
    return {"subject": subject, "version": version, "id": schema_id, "guid": schema_guid(text), "schema": text}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


async def _schema_of(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise _RefusedException(413, 413, f"A schema may have {_MAX_BODY_BYTES} bytes")
    try:
        content = json.loads(bytes(body))
        text, kind = content["schema"], content.get("schemaType") or "AVRO"
        json.loads(text)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _RefusedException(422, _INVALID_SCHEMA, f"The body holds no schema: {error!r}"[:500]) from error
    if kind != "AVRO" or content.get("references"):
        raise _RefusedException(422, _INVALID_SCHEMA, "Only Avro schemas without references are kept here")
    return str(text)


def _answer(endpoint: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    """Turn what an endpoint returns or raises into an answer as Confluent gives it."""

    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await endpoint(request), media_type=_MEDIA_TYPE)
        except _RefusedException as error:
            return _error(error.status, error.code, str(error))
        except IncompatibleSchemaException as error:
            return _error(409, _INCOMPATIBLE, str(error))
        except InvalidSchemaException as error:
            return _error(422, _INVALID_SCHEMA, str(error))
        except DependencyUnavailableException as error:
            return _error(503, _STORE_ERROR, str(error))

    return answer


def _error(status: int, code: int, message: str) -> Response:
    return JSONResponse({"error_code": code, "message": message}, status_code=status, media_type=_MEDIA_TYPE)
