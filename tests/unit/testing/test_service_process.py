"""A service as a process: it has the settings that it was given, and one that does not end is named."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from cqrs.config.settings import ServiceSettings
from cqrs.testing.service_process import ServiceProcess

WRITES_SETTINGS = """
import json, sys
from pathlib import Path
from cqrs.config.settings import ServiceSettings
settings = ServiceSettings()
found = settings.model_dump(mode="json", include=set(sys.argv[1:]))
Path("settings.json").write_text(json.dumps(found | {"url": settings.used_database_url}))
"""
WAITS = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("started").touch()
signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def started(folder: Path) -> None:
    def wait() -> None:
        while not (folder / "started").exists():
            time.sleep(0.02)

    await asyncio.to_thread(wait)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "given",
    [
        {"topics": {"a": 3, "b": 1}, "command_topics": ("a", "b"), "retry_topics": {"a": (5_000, 60_000)}},
        {"command_groups": {"g": ("a", "b"), "h": ("c",)}, "schema_registry_auto_register": False, "cache_url": None},
        {"database_url": SecretStr("sqlite+aiosqlite:///x.db"), "state_path": Path("state"), "topic_types": {}},
    ],
    ids=["maps and lists", "maps of lists", "secrets and paths"],
)
async def test_settings_arrive_as_code_would_pass_them(folder: Path, given: Mapping[str, object]) -> None:
    (folder / "writes.py").write_text(WRITES_SETTINGS)

    async with ServiceProcess("writes", *given, settings=given) as process:
        assert await process.ended() == 0

    settings = ServiceSettings(**given)  # type: ignore[arg-type]
    expected = settings.model_dump(mode="json", include=set(given)) | {"url": settings.used_database_url}
    assert json.loads((folder / "settings.json").read_text()) == expected


@pytest.mark.asyncio
async def test_a_process_that_does_not_end_is_named(folder: Path) -> None:
    (folder / "waits.py").write_text(WAITS)
    process = ServiceProcess("waits", seconds=0.2)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = process.pid
    async with process:
        await started(folder)
        named = rf"waits \(pid {process.pid}\) did not end {{}} within 0.2 s; .*stderr"
        with pytest.raises(TimeoutError, match=named.format("by itself")):
            await process.ended()
        with pytest.raises(TimeoutError, match=named.format("after SIGTERM")):
            await process.stop()


@pytest.mark.asyncio
async def test_a_crash_that_was_not_come_to_is_named(folder: Path) -> None:
    (folder / "waits.py").write_text(WAITS)
    async with ServiceProcess("waits", crash_at="acked:7", seconds=0.2) as process:
        await started(folder)
        with pytest.raises(TimeoutError, match=r"waits.*to die at acked:7.*more work.*how often it passed acked"):
            await process.ended()
