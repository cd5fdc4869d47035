"""Where settings come from: the environment, a `.env` file and a YAML file, the first that names a key deciding."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel

from cqrs.exceptions import ConfigurationException

DOTENV = Path(".env")
DEFAULT_FILE = Path("service.yaml")

_NEAR = 0.8
"""How alike an unknown name of a group and a setting's name are (difflib's ratio) when one is meant for the other."""

_VERY_NEAR = 0.88
"""The same outside the groups, where most variables belong to other programs."""

_LIKE_A_WORD = 0.6

# What Kubernetes and Docker put into every container for each service of the namespace, such as KAFKA_PORT.
_LINKED_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


@dataclass(frozen=True)
class Readings:
    """Hold what each source says, as nested values by field name.

    Attributes:
        overriding: What wins over the environment: OTEL_SERVICE_NAME, the standard name for the service's own.
        environment: The process's environment.
        dotenv: The `.env` file of the working directory.
        file: The YAML file.
        file_name: The YAML file's path.
        foreign: Environment variables that look like this service's, and are not near any of its settings.
    """

    overriding: dict[str, object]
    environment: dict[str, object]
    dotenv: dict[str, object]
    file: dict[str, object]
    file_name: str
    foreign: tuple[str, ...] = ()

    def in_order(self) -> tuple[dict[str, object], ...]:
        """Return the sources' values, the most important first."""
        return (self.overriding, self.environment, self.dotenv, self.file)

    def origin(self, path: tuple[str, ...]) -> str:
        """Return where the value at `path` came from, as a person would call it."""
        names = ("OTEL_SERVICE_NAME", "environment", str(DOTENV), self.file_name)
        return next((name for name, values in zip(names, self.in_order(), strict=True) if _has(values, path)), "code")


def read_sources(settings: type[BaseModel], groups: tuple[str, ...]) -> Readings:
    """Read every source for the fields of `settings`.

    Args:
        settings: The class whose fields name the settings.
        groups: Prefixes of environment variables that belong to the service, such as `KAFKA_`. An unknown variable of
            a group is kept when it is nearly a known one or stands in `.env`, so that validation refuses it; any other
            belongs to another program and is `foreign`. Outside the groups an unknown variable is kept only when it
            is a known one misspelt, and is left alone otherwise.

    Raises:
        ConfigurationException: the YAML file is named but absent, or is not a YAML mapping; or `.env` is not UTF-8.
    """
    dotenv = read_dotenv()
    names = _Names(tuple(environment_names(settings)), frozenset(settings.model_fields), groups)
    foreign = tuple(name for name, value in os.environ.items() if names.is_foreign(name, value))
    mine = {name: value for name, value in os.environ.items() if name not in foreign}
    path = os.environ.get("CONFIG_FILE") or dotenv.get("CONFIG_FILE")
    service_name = os.environ.get("OTEL_SERVICE_NAME") or dotenv.get("OTEL_SERVICE_NAME")
    return Readings(
        overriding={"service_name": service_name} if service_name else {},
        environment=_nested(names, mine),
        dotenv=_nested(names, dotenv),
        file=_yaml(Path(path)) if path else _yaml(DEFAULT_FILE) if DEFAULT_FILE.is_file() else {},
        file_name=path or str(DEFAULT_FILE),
        foreign=foreign,
    )


def read_dotenv() -> dict[str, str]:
    """Return the variables of `.env` in the working directory; none when there is no such file.

    Raises:
        ConfigurationException: it cannot be read, or is not UTF-8.
    """
    try:
        found = dotenv_values(DOTENV, encoding="utf-8")
    except UnicodeDecodeError as error:
        # Not the error's own text: it quotes the whole file, which may hold secrets.
        problem = f"{DOTENV} is not UTF-8 (byte {error.start + 1}: {error.reason}); save it as UTF-8"
        raise ConfigurationException([problem]) from None
    except OSError as error:
        raise ConfigurationException([f"{DOTENV} cannot be read: {error.strerror}"]) from error
    return {name: value for name, value in found.items() if value is not None}


def export_dotenv(prefix: str) -> None:
    """Put the variables of `.env` that begin with `prefix` into the process environment, which wins over them."""
    for name, value in read_dotenv().items():
        if name.startswith(prefix):
            os.environ.setdefault(name, value)


def environment_names(settings: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the environment name of every setting: upper case, groups joined by two underscores."""
    for name, field in settings.model_fields.items():
        if is_group(field.annotation):
            yield from environment_names(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def is_group(annotation: object) -> TypeGuard[type[BaseModel]]:
    """Say whether a field of this type holds settings of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def near_miss(name: str, known: Iterable[str], cutoff: float = _NEAR) -> str | None:
    """Return the known name that `name` was probably meant to be, or None."""
    near = difflib.get_close_matches(name.upper(), known, n=3, cutoff=cutoff)
    return next((each for each in near if not _says_another_word(name.upper(), each)), None)


def _says_another_word(name: str, meant: str) -> bool:
    """Say whether one word of `name` is no misspelling: DATABASE_USER is as like DATABASE_URL, and means another."""
    pairs = list(zip(name.split("_"), meant.split("_"), strict=False))
    alike = (difflib.SequenceMatcher(None, *pair).ratio() >= _LIKE_A_WORD for pair in pairs)
    return name.count("_") == meant.count("_") and not all(alike)


@dataclass(frozen=True)
class _Names:
    """Tell this service's variables from those of other programs.

    Attributes:
        known: The environment name of every setting.
        fields: The fields of the settings, groups of settings among them.
        groups: Prefixes that belong to the service.
    """

    known: tuple[str, ...]
    fields: frozenset[str]
    groups: tuple[str, ...]

    def is_mine(self, name: str, value: str) -> bool:
        """Say whether a variable is a setting, or has to be one: for all others validation has a refusal."""
        return name.lower().split("__")[0] in self.fields or self._is_of_group(name) or self._is_misspelt(name, value)

    def is_foreign(self, name: str, value: str) -> bool:
        """Say whether a variable of the process looks like a setting, and is none by any mistake of spelling."""
        unknown = name.lower().split("__")[0] not in self.fields and self._is_of_group(name)
        return unknown and near_miss(name, self.known) is None and not self._is_misspelt(name, value)

    def _is_of_group(self, name: str) -> bool:
        return name.upper().startswith(self.groups) and not _SERVICE_LINK.fullmatch(name.upper())

    def _is_misspelt(self, name: str, value: str) -> bool:
        meant = near_miss(name, self.known, _VERY_NEAR)
        if meant is None or _LINKED_ADDRESS.match(value):
            return False
        # Whole words more are no mistake: TEST_DATABASE_URL and DATABASE_URL_TEST are meant as they stand.
        return f"_{meant}_" not in f"_{name.upper()}_"


def _nested(names: _Names, variables: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name in sorted(variables):
        # An empty variable is how compose files and shells write "not set".
        if variables[name] and names.is_mine(name, variables[name]):
            _put(values, name.lower().split("__"), variables[name])
    return values


def _put(values: dict[str, object], path: list[str], value: str) -> None:
    branch = values
    for part in path[:-1]:
        below = branch.setdefault(part, {})
        if not isinstance(below, dict):
            return  # the shorter name gave the whole group a text, which validation refuses
        branch = below
    branch[path[-1]] = value


def _has(values: object, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return bool(path)


def _yaml(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationException([f"CONFIG_FILE names {path}, and there is no such file."]) from None
    except yaml.MarkedYAMLError as error:
        # Not the error's own text: it quotes the line, which may hold a secret.
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationException([f"{path} is not YAML: {error.problem}{line}."]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationException([f"{path} cannot be read: {type(error).__name__}: {error}"]) from None
    if not isinstance(content, dict | None):
        raise ConfigurationException([f"{path} holds {type(content).__name__}; write `name: value` lines."])
    return {str(name): value for name, value in (content or {}).items()}
