import asyncio
import gc
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from cqrs.exceptions import ConfigurationException
from cqrs.telemetry.logs import FIELDS, LogFormat, Logging, configure_logging
from cqrs.tracing.correlation import CorrelationContext

LOG = logging.getLogger("orders.application")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


Configure = Callable[..., Logging]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def configure(stream: io.StringIO) -> Iterator[Configure]:
    configured: list[Logging] = []

    def run(level: str = "INFO", style: LogFormat = "auto", target: io.StringIO = stream) -> Logging:
        configured.append(configure_logging(level, style, stream=target))
        return configured[-1]

    yield run
    for each in reversed(configured):
        each.restore()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def line(stream: io.StringIO) -> dict[str, object]:
    (found,) = lines(stream)
    return found


def test_a_record_is_one_line_of_json_where_no_person_looks(configure: Configure, stream: io.StringIO) -> None:
    configure()
    LOG.info("created %s", "o-1\nand more")
    found = line(stream)
    assert str(found.pop("timestamp")).endswith("Z")
    assert found == {
        "level": "info",
        "logger": "orders.application",
        "event": "created o-1\nand more",
        "trace_id": None,
        "span_id": None,
        "correlation_id": None,
    }


def test_the_timestamp_is_the_records_in_utc(configure: Configure, stream: io.StringIO) -> None:
    configure()
    record = LOG.makeRecord("orders", logging.INFO, __file__, 1, "x", (), None)
    record.created = 1_700_000_000.5
    LOG.handle(record)
    assert line(stream)["timestamp"] == "2023-11-14T22:13:20.500Z"


def test_ids_of_trace_and_correlation_are_on_each_line(configure: Configure, stream: io.StringIO) -> None:
    configure()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with CorrelationContext.scope(correlation_id="c-1"), tracer.start_as_current_span("work") as span:
        LOG.info("inside")
        logging.getLogger("aiokafka").warning("a library's own")
    context = span.get_span_context()
    for found in lines(stream):
        assert found["trace_id"] == f"{context.trace_id:032x}"
        assert found["span_id"] == f"{context.span_id:016x}"
        assert found["correlation_id"] == "c-1"


def test_extra_fields_are_kept_and_never_replace_ours(configure: Configure, stream: io.StringIO) -> None:
    configure()
    LOG.info("x", extra={"order_id": "o-1", "event": "theirs", "level": 7, "trace_id": "t"})
    found = line(stream)
    assert (found["order_id"], found["event"], found["level"], found["trace_id"]) == ("o-1", "x", "info", None)
    assert (found["extra_event"], found["extra_level"], found["extra_trace_id"]) == ("theirs", 7, "t")


def test_secrets_are_masked(configure: Configure, stream: io.StringIO) -> None:
    configure()
    try:
        raise ConnectionError("no answer from postgres://u:hunter2@db")
    except ConnectionError:
        LOG.exception("redis://u:hunter2@cache", extra={"password": "hunter2", "dsn": "amqp://u:hunter2@mq"})
    assert "hunter2" not in stream.getvalue()
    assert line(stream)["password"] == "***"


def test_an_exception_is_rendered_on_the_same_line(configure: Configure, stream: io.StringIO) -> None:
    configure()
    try:
        raise ValueError("no such order")
    except ValueError:
        LOG.exception("failed")
    assert str(line(stream)["exception"]).startswith("Traceback (most recent call last):")
    assert str(line(stream)["exception"]).endswith("ValueError: no such order")


def test_a_stack_is_rendered_when_asked_for(configure: Configure, stream: io.StringIO) -> None:
    configure()
    LOG.info("here", stack_info=True)
    assert "test_a_stack_is_rendered_when_asked_for" in str(line(stream)["stack"])


@pytest.mark.parametrize(
    ("template", "arguments"),
    [("%d orders", ("many",)), ("%s %s", (1,)), ("%s", (Unprintable(),)), ("100%", ())],
)
def test_no_line_is_lost_because_it_cannot_be_formatted(
    configure: Configure, stream: io.StringIO, template: str, arguments: tuple[object, ...]
) -> None:
    configure()
    odd = {"odd": Unprintable()}
    record = LOG.makeRecord(LOG.name, logging.INFO, __file__, 1, template, arguments, None, extra=odd)
    (ours,) = [handler for handler in logging.getLogger().handlers if type(handler).__name__ == "_ServiceHandler"]
    ours.handle(record)  # and not pytest's own handlers, which raise what cannot be formatted
    assert line(stream)["logger"] == "orders.application"
    assert line(stream)["odd"] == "<Unprintable cannot be shown: its repr() raised RuntimeError>"


def test_a_mapping_fills_a_template(configure: Configure, stream: io.StringIO) -> None:
    configure()
    LOG.info("%(count)d orders", {"count": 3})
    assert line(stream)["event"] == "3 orders"


def test_what_structlog_loggers_say_is_rendered_alike(configure: Configure, stream: io.StringIO) -> None:
    configure()
    logger = structlog.wrap_logger(
        LOG,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logger.info("created", order_id="o-1", token="hunter2")
    found = line(stream)
    assert (found["event"], found["order_id"], found["token"]) == ("created", "o-1", "***")


def test_the_level_decides_what_is_shown(configure: Configure, stream: io.StringIO) -> None:
    configure("warning")
    LOG.info("hidden")
    LOG.warning("shown")
    assert [found["event"] for found in lines(stream)] == ["shown"]


@pytest.mark.asyncio
async def test_an_exception_that_nobody_retrieved_is_a_line(configure: Configure, stream: io.StringIO) -> None:
    configure()
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise ValueError("never retrieved")

    task = asyncio.create_task(fail())
    await failed.wait()
    await asyncio.sleep(0)
    del task
    gc.collect()
    found = line(stream)
    assert found["logger"] == "asyncio"
    assert "never retrieved" in str(found["exception"])


def test_warnings_are_lines(configure: Configure, stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure()
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    assert line(stream)["logger"] == "py.warnings"


def test_people_at_a_terminal_get_lines_for_people(configure: Configure) -> None:
    terminal = Terminal()
    configure(target=terminal)
    LOG.info("created", extra={"order_id": "o-1"})
    shown = terminal.getvalue()
    assert "created" in shown
    assert "\x1b[" in shown
    assert "correlation_id" not in shown


def test_the_format_can_be_chosen(configure: Configure, stream: io.StringIO) -> None:
    terminal = Terminal()
    configure(style="json", target=terminal)
    LOG.info("created")
    assert line(terminal)["event"] == "created"
    configure(style="console")
    LOG.info("created", extra={"order_id": "o-1"})
    assert "created" in stream.getvalue()
    assert "order_id=o-1" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


def test_local_variables_are_never_shown_to_people(configure: Configure, stream: io.StringIO) -> None:
    configure(style="console")
    hidden = "hunter" + "2"
    try:
        raise ValueError(len(hidden))
    except ValueError:
        LOG.exception("failed")
    assert "ValueError: 7" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_to_configure_again_replaces_what_was(configure: Configure, stream: io.StringIO) -> None:
    configure(target=io.StringIO())
    configure()
    LOG.info("once")
    assert line(stream)["event"] == "once"


def test_everything_can_be_put_back() -> None:
    root = logging.getLogger()
    plain = logging.StreamHandler(io.StringIO())
    root.addHandler(plain)
    before, level = list(root.handlers), root.level
    configured = configure_logging("ERROR", stream=io.StringIO())
    assert plain not in root.handlers
    configured.restore()
    configured.restore()
    assert (set(root.handlers), root.level) == (set(before), level)
    root.removeHandler(plain)


def test_an_unknown_level_or_format_is_an_error() -> None:
    with pytest.raises(ConfigurationException) as raised:
        configure_logging("LOUD", "xml")  # type: ignore[arg-type]
    assert raised.value.problems == (
        "The log level LOUD is not known; choose one of DEBUG, INFO, WARNING, ERROR, CRITICAL.",
        "The log format xml is not known; choose one of auto, json, console.",
    )


def test_the_fields_of_a_line_are_the_declared_ones(configure: Configure, stream: io.StringIO) -> None:
    configure()
    try:
        raise ValueError
    except ValueError:
        LOG.exception("failed", stack_info=True)
    assert tuple(line(stream)) == FIELDS


@pytest.mark.parametrize(("level", "heard"), [("INFO", False), ("DEBUG", True)])
def test_libraries_that_chat_at_info_are_heard_at_debug(level: str, heard: bool) -> None:
    stream = io.StringIO()
    configured = configure_logging(level, "json", stream=stream)
    try:
        logging.getLogger("uvicorn.error").info("Application startup complete.")
        logging.getLogger("httpx").warning("something is wrong")
    finally:
        configured.restore()

    assert ("startup complete" in stream.getvalue()) is heard
    assert "something is wrong" in stream.getvalue()


@pytest.mark.parametrize("library", ["uvicorn.error", "alembic.runtime.migration", "aiokafka.consumer.fetcher"])
def test_lines_of_libraries_are_json_with_the_ids_too(library: str) -> None:
    stream = io.StringIO()
    configured = configure_logging("INFO", "json", stream=stream)
    CorrelationContext.set_correlation_id("c-1")
    try:
        logging.getLogger(library).warning("asked %s", "http://me:hunter2@registry")
    finally:
        configured.restore()

    line = json.loads(stream.getvalue())
    assert (line["logger"], line["level"], line["event"]) == (library, "warning", "asked http://me:***@registry")
    assert line["correlation_id"] == "c-1"
    assert {"trace_id", "span_id"} <= line.keys()
