"""The guide's configuration, actuator outputs, complete example and testing section, as printed."""

import re
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
import yaml

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.config.properties import CommandProperties, CqrsProperties
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import CommandProcessingException
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query
from cqrs.validation.exceptions import CqrsValidationException
from tests.docs.guide_examples import Examples, block

ROOT = Path(__file__).parents[2]


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Examples:
    return Examples(monkeypatch)


# -- configuration --


def configuration() -> str:
    """Return the YAML of the guide under the prefix `cqrs`: without the line `pyfly:` above it."""
    root, *lines = block("Configuration Reference").splitlines()
    assert root == "pyfly:"
    return "\n".join(line.removeprefix("  ") for line in lines)


def leaves(settings: Mapping[str, object], above: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def loaded(text: str, where: Path, monkeypatch: pytest.MonkeyPatch) -> CqrsProperties:
    (where / "service.yaml").write_text(text, "utf-8")
    monkeypatch.chdir(where)
    return ServiceSettings().cqrs


def test_the_configuration_is_read_and_is_what_holds_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded(configuration(), tmp_path, monkeypatch) == CqrsProperties()
    other = configuration().replace("timeout: 30", "timeout: 31")
    assert loaded(other, tmp_path, monkeypatch) == CqrsProperties(command=CommandProperties(timeout=31))


def test_the_configuration_names_every_key_but_our_own() -> None:
    printed = yaml.safe_load(configuration())["cqrs"]

    assert set(leaves(CqrsProperties().model_dump())) - set(leaves(printed)) == {"command.event_publication"}
    assert set(leaves(printed)) <= set(leaves(CqrsProperties().model_dump()))


# -- actuator --


def registry_of(commands: int, queries: int) -> HandlerRegistry:
    """Return a registry with so many handlers, each of a message type of its own."""
    registry = HandlerRegistry()
    for number in range(commands):
        does = type(f"Does{number}", (CommandHandler,), {"do_handle": _nothing})()
        does.get_command_type = partial(type, f"Do{number}", (Command,), {})
        registry.register_command_handler(does)
    for number in range(queries):
        answers = type(f"Answers{number}", (QueryHandler,), {"do_handle": _nothing})()
        answers.get_query_type = partial(type, f"Ask{number}", (Query,), {})
        registry.register_query_handler(answers)
    return registry


async def _nothing(self: object, message: object) -> None: ...


async def answered(examples: Examples, code: str, call: str) -> object:
    """Return what the last line of an actuator example answers."""
    assert call in code
    module = await examples.run(code.replace(call, f"answer = {call}"), handler_registry=registry_of(3, 2))
    answer: object = module.answer
    return answer


def printed_answer(code: str) -> str:
    (printed,) = re.findall(r"^# (\{.*\})$", code, flags=re.MULTILINE)
    return str(printed)


@pytest.mark.asyncio
async def test_the_metrics_endpoint_answers_what_is_printed(examples: Examples) -> None:
    code = block("CqrsMetricsEndpoint")
    printed = {name: int(count) for name, count in re.findall(r'"(\w+)": (\d+)', printed_answer(code))}
    answer = await answered(examples, code, "endpoint.get_metrics()")

    assert printed == {"command_handlers": 3, "query_handlers": 2}
    assert isinstance(answer, dict)
    assert {name: answer[name] for name in printed} == printed
    assert answer["registered_command_types"] == ["Do0", "Do1", "Do2"]
    assert answer["registered_query_types"] == ["Ask0", "Ask1"]


@pytest.mark.asyncio
async def test_the_health_indicator_answers_exactly_what_is_printed(examples: Examples) -> None:
    code = block("CqrsHealthIndicator")

    assert await answered(examples, code, "indicator.health()") == literal_eval(printed_answer(code))


# -- the complete example --


@pytest.mark.asyncio
async def test_the_complete_example_runs(examples: Examples) -> None:
    module = await examples.run(block("Complete Example: Order Management"))

    await module.main()
    order_id = await module.command_bus.send(module.CreateOrderCommand(customer_id="c", items=["A"], total=1.0))
    assert order_id == "ord-new-123"
    assert await module.query_bus.query(module.GetOrderQuery(order_id=order_id)) == {
        "order_id": "ord-new-123",
        "status": "ACTIVE",
    }


@pytest.mark.asyncio
async def test_invalid_and_denied_commands_are_refused_there(examples: Examples) -> None:
    module = await examples.run(block("Complete Example: Order Management"))
    invalid = module.CreateOrderCommand(customer_id="c", items=["A"], total=0)
    denied = module.CancelOrderCommand(order_id="o", reason="")

    with pytest.raises(CqrsValidationException, match="total: Must be positive") as refused:
        await module.command_bus.send(invalid)
    assert isinstance(refused.value, CommandProcessingException)
    with pytest.raises(AuthorizationException, match="order: Reason required") as unauthorized:
        await module.command_bus.send(denied)
    assert isinstance(unauthorized.value, CommandProcessingException)


# -- the testing section --

IMPORTS = "from orders import CancelOrderCommand, CreateOrderCommand, CreateOrderHandler\n"
TESTS = (block("Handler Isolation"), block("Full Pipeline"), block("Validation and Authorization"))


def test_the_testing_section_passes_as_pytest_tests(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(block("Complete Example: Order Management"), "utf-8")
    (tmp_path / "test_orders.py").write_text(IMPORTS + "\n".join(TESTS), "utf-8")
    settings = ["asyncio_mode=strict", "asyncio_default_fixture_loop_scope=function", f"pythonpath={ROOT} {tmp_path}"]
    (tmp_path / "pytest.ini").write_text("\n".join(["[pytest]", "filterwarnings=error", *settings]), "utf-8")

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "test_orders.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    passed = re.findall(r"^test_orders.py::(\w+) PASSED", ran.stdout, flags=re.MULTILINE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert passed == [
        "test_create_order_handler",
        "test_send_through_bus",
        "test_validation_rejects_zero_total",
        "test_cancel_without_reason_denied",
    ]
