"""The demo is only as good as its word: what does not come out as declared is said, and ends with 1."""

import asyncio
import io
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cqrs.cli import demo
from cqrs.cli.demo_commands import DemoCommand, Expected
from cqrs.cli.letter_file import read_letters
from cqrs.cli.program import ServiceProgram
from cqrs.cli.steps import Steps
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from service.bootstrap import order_service
from service.demo import demo_commands
from service.settings import OrderSettings
from tests.unit.cli.programs import FakeService, program

SCHEMAS = Path("schemas").resolve()


def commands(schemas: Path) -> tuple[DemoCommand, ...]:
    """Return one command that comes out as declared, and two that are declared to come out otherwise."""
    handled, *_ = demo_commands(schemas)
    refused = next(each for each in demo_commands(schemas) if each.case == "three faults")
    return (
        handled,
        replace(handled, case="again", expected=Expected(event="orders.OrderCreated")),
        replace(refused, expected=Expected(refusal=KeyError)),
    )


def test_what_is_not_as_declared_is_named_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings(given: Mapping[str, Any]) -> OrderSettings:
        return OrderSettings(**given, schemas_path=SCHEMAS)

    shop = ServiceProgram("shop", "A shop.", ("service.application",), settings, order_service, commands)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()

    code = demo.run_demo(shop, Steps(Console(file=printed, width=200, color_system=None), time.monotonic()), "CRITICAL")

    assert code == 1
    assert printed.getvalue().count("not as expected") == 2
    assert (
        "not as expected: command 2 (orders.CreateOrder, again): "
        "expected orders.OrderCreated, found refused: OrderExistsException"
    ) in printed.getvalue()
    assert "expected refused: KeyError, found refused: CommandValidationException" in printed.getvalue()
    assert "3 commands: 1 handled, 2 refused (" in printed.getvalue()
    assert len(read_letters(demo.LETTERS)) == 2


def test_a_service_that_gets_no_partitions_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(FakeService):
        async def start(self) -> None:
            self.events.append("started")

        async def stop(self) -> None:
            self.events.append("stopped")

        async def ready(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "READY_SECONDS", 0.01)
    shop = program(tmp_path)
    stuck = Stuck(shop.settings({}))

    with pytest.raises(DependencyUnavailableException, match="no partitions within"):
        demo.run_demo(program(tmp_path, service=stuck), Steps(Console(file=io.StringIO()), 0.0), "CRITICAL")

    assert stuck.events == ["started", "stopped"]
    assert not any((tmp_path / demo.FOLDER).iterdir())


def test_a_directory_where_it_may_keep_no_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".local").touch()
    steps = Steps(Console(file=io.StringIO()), time.monotonic())

    with pytest.raises(ConfigurationException, match=r"\.local/demo cannot be written: .*; start the demo in"):
        demo.run_demo(program(tmp_path), steps, "CRITICAL")
