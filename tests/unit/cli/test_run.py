import asyncio
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cqrs.cli import run
from cqrs.cli.addresses import FILE
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from tests.unit.cli.programs import FakeService, program


class Running:
    """Run `run` with a fake service, and keep what it prints."""

    def __init__(self, state: Path, *, failure: BaseException | None = None, **chosen: Any) -> None:
        settings = ServiceSettings.model_validate({"state_path": state, "command_topics": ("cmd",), **chosen})
        self.service = FakeService(settings, failure)
        self.file = io.StringIO()
        console = Console(file=self.file, width=80, color_system=None)
        self.task = asyncio.create_task(run._run(program(state, service=self.service, **chosen), console))

    @property
    def printed(self) -> str:
        return self.file.getvalue()

    async def stop(self) -> None:
        self.service.told_to_stop.set()
        await self.task


@pytest.mark.asyncio
async def test_it_leaves_its_addresses_while_it_runs_and_takes_them_away(tmp_path: Path) -> None:
    running = Running(tmp_path)
    await running.service.running.wait()
    written = (tmp_path / FILE).read_text()
    await running.stop()

    assert running.service.bootstrap_servers in written
    assert running.service.registry_url in written
    assert not (tmp_path / FILE).exists()
    assert running.service.events[-1] == "stopped"
    assert running.printed.endswith("stopped\n")


@pytest.mark.asyncio
async def test_it_says_where_it_is_and_what_to_type(tmp_path: Path) -> None:
    running = Running(tmp_path)
    await running.service.is_ready.wait()
    await asyncio.sleep(0)
    await running.stop()

    assert "broker      127.0.0.1:1 (embedded: nothing is kept when it stops)\n" in running.printed
    assert "management  http://127.0.0.1:3\n" in running.printed
    assert """ -m shop send t.Do '{"say": "it'"'"'s"}'\n""" in running.printed


@pytest.mark.asyncio
async def test_a_given_cluster_is_not_called_embedded(tmp_path: Path) -> None:
    running = Running(tmp_path, kafka_bootstrap_servers="k:1")
    await running.service.is_ready.wait()
    await running.stop()

    assert "embedded" not in running.printed


@pytest.mark.asyncio
async def test_the_password_of_a_given_registry_is_neither_shown_nor_kept(tmp_path: Path) -> None:
    given = "http://u:hunter2@registry:8081"
    running = Running(tmp_path, schema_registry_url=given)
    running.service.registry_url = given
    await running.service.is_ready.wait()
    written = (tmp_path / FILE).read_text()
    await running.stop()

    assert "registry    http://u:********@registry:8081\n" in running.printed
    assert running.service.bootstrap_servers in written
    assert "registry:8081" not in written


@pytest.mark.asyncio
async def test_nothing_is_left_that_the_settings_say_already(tmp_path: Path) -> None:
    state = tmp_path / "state"
    running = Running(state, schema_registry_url="http://r", kafka_bootstrap_servers="k:1")
    await running.service.running.wait()
    await running.stop()

    assert not state.exists()  # it may lie on a read-only file system


@pytest.mark.asyncio
async def test_a_second_embedded_service_is_refused_while_the_first_one_runs(tmp_path: Path) -> None:
    first = Running(tmp_path)
    await first.service.running.wait()
    second = Running(tmp_path)
    beside = Running(tmp_path, kafka_bootstrap_servers="k:1", schema_registry_url="http://r")

    with pytest.raises(ConfigurationException, match=rf"already \(process {os.getpid()}, .*: stop it.*STATE_PATH"):
        await second.task
    assert second.service.events == []
    assert (tmp_path / FILE).exists()
    await beside.service.running.wait()
    await beside.stop()
    await first.stop()
    third = Running(tmp_path)
    await third.service.running.wait()
    await third.stop()


@pytest.mark.asyncio
async def test_a_state_path_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    running = Running(tmp_path / "file" / "state")

    with pytest.raises(ConfigurationException, match=r"STATE_PATH: .*file/state cannot be written: Not a directory"):
        await running.task


@pytest.mark.asyncio
async def test_a_signal_while_it_starts_is_an_orderly_end(tmp_path: Path) -> None:
    running = Running(tmp_path)
    await running.service.running.wait()

    os.kill(os.getpid(), signal.SIGTERM)
    await running.task

    assert running.service.events[-1] == "stopped"
    assert not (tmp_path / FILE).exists()


@pytest.mark.asyncio
async def test_cancelling_it_is_not_swallowed(tmp_path: Path) -> None:
    running = Running(tmp_path)
    await running.service.running.wait()

    running.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running.task


@pytest.mark.asyncio
async def test_a_service_that_cannot_start_leaves_no_addresses(tmp_path: Path) -> None:
    running = Running(tmp_path, failure=ConfigurationException(["no"]))

    with pytest.raises(ConfigurationException):
        await running.task

    assert not (tmp_path / FILE).exists()
