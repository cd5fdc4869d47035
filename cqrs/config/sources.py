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

# What Kubernetes and Docker put into every container for each service of the namespace, such as KAFKA_PORT.
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
            belongs to another program and is `foreign`.

    Raises:
        ConfigurationException: the YAML file is named but absent, or is not a YAML mapping.
    """
    dotenv = read_dotenv()
    foreign = _foreign(settings, groups)
    mine = {name: value for name, value in os.environ.items() if name not in foreign}
    path = os.environ.get("CONFIG_FILE") or dotenv.get("CONFIG_FILE")
    service_name = os.environ.get("OTEL_SERVICE_NAME") or dotenv.get("OTEL_SERVICE_NAME")
    return Readings(
        overriding={"service_name": service_name} if service_name else {},
        environment=_nested(settings, groups, mine),
        dotenv=_nested(settings, groups, dotenv),
        file=_yaml(Path(path)) if path else _yaml(DEFAULT_FILE) if DEFAULT_FILE.is_file() else {},
        file_name=path or str(DEFAULT_FILE),
        foreign=foreign,
    )


def read_dotenv() -> dict[str, str]:
    """Return the variables of `.env` in the working directory; none when there is no such file."""
    return {name: value for name, value in dotenv_values(DOTENV).items() if value is not None}


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


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was probably meant to be, or None."""
    return next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)


def _nested(settings: type[BaseModel], groups: tuple[str, ...], variables: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name in sorted(variables):
        path = name.lower().split("__")
        # An empty variable is how compose files and shells write "not set".
        if variables[name] and (path[0] in settings.model_fields or _is_suspect(settings, groups, name)):
            _put(values, path, variables[name])
    return values


def _foreign(settings: type[BaseModel], groups: tuple[str, ...]) -> tuple[str, ...]:
    known = list(environment_names(settings))
    suspects = (name for name in os.environ if _is_suspect(settings, groups, name))
    return tuple(name for name in suspects if near_miss(name, known) is None)


def _is_suspect(settings: type[BaseModel], groups: tuple[str, ...], name: str) -> bool:
    path = name.lower().split("__")
    in_group = name.upper().startswith(groups) and not _SERVICE_LINK.fullmatch(name.upper())
    return in_group and path[0] not in settings.model_fields


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
