"""The schemas of this service: every `.avsc` file of a folder, by full name."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from cqrs.avro.bounds import check_bounds
from cqrs.avro.fitting import Fitter, fitter
from cqrs.avro.model import AvroSchema, parse
from cqrs.exceptions import ConfigurationException, UndecodableMessageException
from cqrs.serialization.misfits import MisfitException
from cqrs.types import declared_name


class AvroSchemas:
    """Know the schemas that this service reads and writes with.

    Args:
        schemas: Each schema by the full name of its record.

    Raises:
        ConfigurationException: a schema is recursive, too deep, or uses a logical type that is not supported.
    """

    def __init__(self, schemas: Mapping[str, AvroSchema]) -> None:
        self._schemas = dict(schemas)
        self._fitters: dict[str, Fitter] = {}
        self._contracts: dict[type, tuple[str, Fitter]] = {}
        problems = [f"schema {name}: {why}" for name, why in self._compile()]
        if problems:
            raise ConfigurationException(problems)

    @classmethod
    def load(cls, folder: Path) -> "AvroSchemas":
        """Read every `*.avsc` below `folder`: one file is one record, named `<full name>.avsc`.

        Raises:
            ConfigurationException: lists every file that is no usable schema, and why; or there is no file.
        """
        found: dict[str, tuple[Path, AvroSchema]] = {}
        problems: list[str] = []
        for path in sorted(folder.rglob("*.avsc")):
            try:
                schema = _read(path)
            except ValueError as error:
                problems.append(f"{path}: {error}")
                continue
            first, _ = found.setdefault(schema.name, (path, schema))
            if first != path:
                problems.append(f"{path}: {schema.name} is already defined by {first}; keep one of them")
        if not found and not problems:
            problems.append(_nothing_in(folder))
        if problems:
            raise ConfigurationException(problems)
        return cls({name: schema for name, (_, schema) in found.items()})

    def _compile(self) -> Iterator[tuple[str, str]]:
        for name, schema in self._schemas.items():
            try:
                check_bounds(schema.root)
                self._fitters[name] = fitter(schema.root)
            except ValueError as error:
                yield name, str(error)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the full name of every schema, sorted."""
        return tuple(sorted(self._schemas))

    def get(self, name: str) -> AvroSchema | None:
        """Return the schema of a full name, or None."""
        return self._schemas.get(name)

    def of(self, cls: type) -> AvroSchema | None:
        """Return the schema that a command or event class declares by its name, or None."""
        name = declared_name(cls)
        return None if name is None else self._schemas.get(name)

    def fitter(self, name: str) -> Fitter:
        """Return what turns an object into the values that a schema's writer takes.

        Raises:
            KeyError: there is no schema of that full name.
        """
        return self._fitters[name]

    def check(self, value: object) -> None:
        """Check an object against the schema of its class: the contract that JSON has to keep as Avro does.

        A class without a schema has no contract, and passes.

        Raises:
            UndecodableMessageException: the object does not fit; names every misfit with its path.
        """
        known = self._contracts.get(type(value))
        if known is None:
            schema = self.of(type(value))
            known = self._contracts[type(value)] = (schema.name, self._fitters[schema.name]) if schema else _NO_CONTRACT
        name, fit = known
        try:
            fit(value)
        except MisfitException as error:
            raise UndecodableMessageException(f"the value does not fit the schema {name}: {error}") from None


def _fits(value: object) -> object:
    return value


_NO_CONTRACT: tuple[str, Fitter] = ("", _fits)


def _nothing_in(folder: Path) -> str:
    lacking = "has no .avsc file" if folder.is_dir() else "is no folder"
    return f"{folder} {lacking}; SCHEMAS_PATH names the folder of the messages' schemas"


def _read(path: Path) -> AvroSchema:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"it cannot be read: {error}") from error
    schema = parse(text)
    if schema.root.kind != "record":
        raise ValueError(f"a message is a record; this is of type {schema.root.kind}")
    if path.name != f"{schema.name}.avsc":
        raise ValueError(f"it defines {schema.name}; name the file {schema.name}.avsc, so that people find it")
    return schema
