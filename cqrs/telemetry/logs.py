"""Render every library's log records the same way, with the ids that tie them to a trace."""

import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, get_args

import structlog
from opentelemetry import trace
from structlog.types import EventDict, Processor, WrappedLogger

from cqrs.exceptions import ConfigurationException
from cqrs.masking import without_url_passwords
from cqrs.telemetry.secrets import Plain, masked, represented
from cqrs.tracing.correlation import CorrelationContext

LogFormat = Literal["auto", "json", "console"]
"""How lines look: `json`, `console` for people, or `auto`: console on a terminal and JSON elsewhere."""

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

FIELDS: Final = ("timestamp", "level", "logger", "event", "trace_id", "span_id", "correlation_id", "exception", "stack")
"""The fields that a line has by itself; `exception` and `stack` only where there is one."""

_OF_A_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "_logger", "_name"}
_OF_STRUCTLOG = frozenset({"event", "exc_info", "stack_info", "positional_args", "_record", "_from_structlog"})


CHATTY = ("aiokafka", "alembic", "httpx", "httpx2", "uvicorn.error")
"""Libraries that speak at INFO of what goes well; they are heard from WARNING on, and wholly at DEBUG."""


class _ServiceHandler(logging.StreamHandler[TextIO]):
    """Be the one handler of the root logger, known by its class so that it can be replaced."""


class Logging:
    """Hold what was configured, so that a program inside a program can undo it."""

    def __init__(self, handler: logging.Handler, replaced: list[logging.Handler], level: int) -> None:
        self._handler = handler
        self._replaced = replaced
        self._level = level

    def restore(self) -> None:
        """Put the root logger back as it was before; harmless when called again."""
        root = logging.getLogger()
        if self._handler in root.handlers:
            root.removeHandler(self._handler)
            for handler in self._replaced:
                root.addHandler(handler)
            root.setLevel(self._level)
            logging.captureWarnings(False)


def configure_logging(
    level: str = "INFO",
    format: LogFormat = "auto",  # noqa: A002 - it is what the setting is called
    *,
    stream: TextIO | None = None,
) -> Logging:
    """Send the records of every logger through one handler: one line each, with trace and correlation ids.

    Fields given as `extra={...}` are kept; one that has the name of a standard field gets `extra_` before it. Secrets
    are masked: fields that look like passwords, secrets or tokens, and passwords in URLs. Warnings become records of
    the logger `py.warnings`.

    Args:
        level: The lowest level that is shown, by name.
        format: `json`, `console`, or `auto`: console when `stream` is a terminal, JSON otherwise.
        stream: Where lines go; standard error when None.

    Raises:
        ConfigurationException: there is no such level or format.
    """
    _check(level, format)
    target = stream if stream is not None else sys.stderr
    handler = _ServiceHandler(target)
    for_people = format == "console" or (format == "auto" and target.isatty())
    handler.setFormatter(_formatter(for_people=for_people, colors=target.isatty()))
    root = logging.getLogger()
    replaced = [old for old in root.handlers if type(old) in {_ServiceHandler, logging.StreamHandler}]
    configured = Logging(handler, replaced, root.level)
    for old in replaced:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if level.upper() == "DEBUG" else logging.WARNING)
    logging.captureWarnings(True)
    return configured


def _check(level: str, format_name: str) -> None:
    problems: list[str] = []
    if level.upper() not in LEVELS:
        problems.append(f"The log level {level} is not known; choose one of {', '.join(LEVELS)}.")
    if format_name not in get_args(LogFormat):
        problems.append(f"The log format {format_name} is not known; choose one of {', '.join(get_args(LogFormat))}.")
    if problems:
        raise ConfigurationException(problems)


def _formatter(*, for_people: bool, colors: bool) -> logging.Formatter:
    # plain_traceback: the prettier ones print local variables, and with them what those hold.
    people = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    rendering: list[Processor] = [_without_absent, people] if for_people else [structlog.processors.JSONRenderer()]
    return structlog.stdlib.ProcessorFormatter(
        processors=[_line, *rendering], use_get_message=False, pass_foreign_args=True
    )


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make the fields of one line; nothing that was logged can make it fail."""
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC)
    line: dict[str, Plain] = {
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": without_url_passwords(_message(event["event"], event.get("positional_args"))),
        **_ids(),
    }
    for name, value in _extras(event, record):
        line[f"extra_{name}" if name in FIELDS else name] = masked(name, value)
    return line | _traces(event)


def _extras(event: EventDict, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    yield from ((name, value) for name, value in event.items() if name not in _OF_STRUCTLOG)
    yield from ((name, value) for name, value in vars(record).items() if name not in _OF_A_RECORD)


def _message(template: object, arguments: object) -> str:
    try:
        text = str(template)
        return text % arguments if arguments else text
    except Exception as error:  # noqa: BLE001 - what is logged may raise anything when printed; the line must not be lost
        return f"{represented(template)} % {represented(arguments)} cannot be printed: {type(error).__name__}"


def _ids() -> dict[str, Plain]:
    span = trace.get_current_span().get_span_context()
    return {
        "trace_id": f"{span.trace_id:032x}" if span.is_valid else None,
        "span_id": f"{span.span_id:016x}" if span.is_valid else None,
        "correlation_id": CorrelationContext.get_correlation_id(),
    }


def _traces(event: EventDict) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    if isinstance(error := (event.get("exc_info") or (None, None))[1], BaseException):
        found["exception"] = without_url_passwords("".join(traceback.format_exception(error)).rstrip())
    if stack := event.get("stack_info"):
        found["stack"] = str(stack)
    return found


def _without_absent(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if value is not None}
