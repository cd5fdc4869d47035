"""A schema registry in a folder, for a laptop and for tests: the answers of Confluent's, without a server."""

import asyncio
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cqrs.avro.model import parse
from cqrs.avro.resolution import mismatches
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.messaging.schemas import (
    IncompatibleSchemaException,
    InvalidSchemaException,
    canonical_schema,
    schema_guid,
)
from cqrs.serialization.misfits import describe

_FORMAT = 1
_FILE = "schemas.json"
_LOCK = "schemas.lock"


@dataclass
class _State:
    """Hold what the file holds: schemas by id - 1, and the ids of each subject's versions by version - 1."""

    schemas: list[str] = field(default_factory=list)
    subjects: dict[str, list[int]] = field(default_factory=dict)


class FileSchemaRegistry:
    """Keep schemas in a folder, or in memory only; several threads and processes may share the folder.

    Ids count from 1 and stay the same over restarts. A schema has one id, whatever its spacing and order of keys, and
    whichever subjects it is under. A subject's new schema must be able to read what the latest one wrote (Confluent's
    default, BACKWARD).

    Args:
        folder: Where the state lies, made when absent; None keeps it in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._state = _State()
        self._seen: tuple[int, int, int] | None = None
        self._guids: dict[str, int] = {}

    async def register(self, subject: str, schema: str) -> int:
        """Store `schema` under `subject` and return its id; known schemas keep theirs.

        Raises:
            InvalidSchemaException: the schema is not valid Avro.
            IncompatibleSchemaException: it cannot read what the subject's latest schema wrote; says why.
            DependencyUnavailableException: the folder cannot be written just now.
        """
        return await asyncio.to_thread(self._register, subject, schema)

    async def find(self, subject: str, schema: str) -> tuple[int, int] | None:
        """Return (id, version) under which `subject` has `schema`, or None when it does not have it."""
        try:
            canonical = canonical_schema(schema)
        except ValueError:
            return None
        state = self._current()
        for version, schema_id in reversed(list(enumerate(state.subjects.get(subject, ()), 1))):
            if canonical_schema(state.schemas[schema_id - 1]) == canonical:
                return schema_id, version
        return None

    async def refusal(self, subject: str, schema: str) -> str | None:
        """Return why `register` would refuse `schema` under `subject`, or None."""
        if await self.find(subject, schema) is not None:
            return None
        latest = await self.schema_by_version(subject, None)
        try:
            parsed = parse(schema)
            if latest is not None:
                _refuse_incompatible(subject, mismatches(parse(latest[2]).root, parsed.root))
        except ConfigurationException as error:
            return str(error)
        except ValueError as error:
            return f"{subject}: {error}"
        return None

    async def schema_by_id(self, schema_id: int) -> str | None:
        """Return the schema with this id as JSON text, or None."""
        schemas = self._current().schemas
        return schemas[schema_id - 1] if 0 < schema_id <= len(schemas) else None

    async def schema_by_guid(self, guid: str) -> str | None:
        """Return the schema with this globally unique id as JSON text, or None."""
        schemas = self._current().schemas
        for schema_id in range(len(self._guids) + 1, len(schemas) + 1):
            self._guids[schema_guid(schemas[schema_id - 1])] = schema_id
        found = self._guids.get(guid)
        return None if found is None else schemas[found - 1]

    async def subjects(self) -> Sequence[str]:
        """Return every subject's name, in order."""
        return sorted(self._current().subjects)

    async def versions(self, subject: str) -> Sequence[int]:
        """Return the versions of `subject` from 1; empty when it is unknown."""
        return range(1, len(self._current().subjects.get(subject, ())) + 1)

    async def schema_by_version(self, subject: str, version: int | None) -> tuple[int, int, str] | None:
        """Return (id, version, schema) of one version, the latest for None; None when there is no such version."""
        state = self._current()
        ids = state.subjects.get(subject, [])
        number = len(ids) if version is None else version
        if not 0 < number <= len(ids):
            return None
        return ids[number - 1], number, state.schemas[ids[number - 1] - 1]

    def _register(self, subject: str, text: str) -> int:
        try:
            schema, canonical = parse(text), canonical_schema(text)
        except ValueError as error:
            raise InvalidSchemaException([f"{subject}: {error}"]) from error
        with self._lock, self._alone():
            state = self._loaded()
            known = next((i for i, each in enumerate(state.schemas, 1) if canonical_schema(each) == canonical), None)
            versions = state.subjects.get(subject, [])
            if known in versions:
                return known
            if versions:
                _refuse_incompatible(subject, mismatches(parse(state.schemas[versions[-1] - 1]).root, schema.root))
            return self._append(state, subject, text, known)

    def _append(self, state: _State, subject: str, text: str, known: int | None) -> int:
        schemas = state.schemas if known is not None else [*state.schemas, text]
        schema_id = known if known is not None else len(schemas)
        subjects = {**state.subjects, subject: [*state.subjects.get(subject, []), schema_id]}
        changed = _State(schemas, subjects)
        if self._folder is not None:
            self._write(self._folder, changed)
        self._state = changed
        return schema_id

    def _current(self) -> _State:
        with self._lock:
            return self._loaded()

    def _loaded(self) -> _State:
        """Return the state, read again when another process has changed the file."""
        if self._folder is None:
            return self._state
        path = self._folder / _FILE
        try:
            seen = _fingerprint(path)
            if seen != self._seen:
                self._state, self._seen = _parse_state(path, path.read_text(encoding="utf-8")), seen
        except FileNotFoundError:
            self._state, self._seen = _State(), None
        except OSError as error:
            raise DependencyUnavailableException("schema registry", f"{path} cannot be read: {error}") from error
        return self._state

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from registering at the same time."""
        if self._folder is None:
            yield
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise DependencyUnavailableException(
                "schema registry", f"{self._folder} cannot be written: {error}"
            ) from error

    def _write(self, folder: Path, state: _State) -> None:
        """Replace the file whole, so that a crash leaves the old one or the new one."""
        path, draft = folder / _FILE, folder / f"{_FILE}.draft"
        content = {"format": _FORMAT, "schemas": state.schemas, "subjects": state.subjects}
        with draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._seen = _fingerprint(path)


def _fingerprint(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _refuse_incompatible(subject: str, found: Sequence[tuple[str, str]]) -> None:
    if found:
        raise IncompatibleSchemaException(
            [
                f"{subject}: the new schema cannot read what the latest one wrote: {describe(found)}. "
                "Give new fields a default, or publish under another subject."
            ]
        )


def _parse_state(path: Path, text: str) -> _State:
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return _State(
            [str(each) for each in content["schemas"]], {str(k): list(v) for k, v in content["subjects"].items()}
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationException(
            [f"{path} is not a state of the schema registry ({error}); restore it, or delete it to begin anew"]
        ) from error
