"""A service as a process of its own, to be killed as a crash does and stopped as an orchestrator does."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Set
from enum import Enum
from types import TracebackType
from typing import Self

from pydantic import SecretStr

SECONDS = 60.0
"""How long a process may take to end."""


class ServiceProcess:
    """Run `python -m MODULE ARGUMENTS` with settings of its own.

    The block ends with the process killed, if it still runs::

        async with ServiceProcess("service", settings={"kafka_bootstrap_servers": broker.bootstrap_servers}) as process:
            ...
            await process.kill()

    Args:
        module: The service's own module.
        arguments: What follows it.
        settings: Its settings by name, in place of the environment's, as code would pass them: mappings and sequences
            are written as the settings read them. None leaves one unset.
        crash_at: Where it is to kill itself, as `cqrs.testing.crash` understands it: `acked:7` is the seventh time
            at the point `acked`. None lets it live.
        seconds: How long it may take to end.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        settings: Mapping[str, object] | None = None,
        crash_at: str | None = None,
        seconds: float = SECONDS,
    ) -> None:
        crash = () if crash_at is None else ("cqrs.testing.crash", "--at", crash_at, "-m")
        self._module = module
        self._crash_at = crash_at
        self._command = (sys.executable, "-m", *crash, module, *(arguments or ("run",)))
        self._settings = dict(settings or {})
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Return the number of the process that was started last.

        Raises:
            RuntimeError: it has not been started.
        """
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended (-9 by SIGKILL), or None while it runs or before it was started."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start it; harmless when it runs. One that has ended is started anew."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment(), stdout=asyncio.subprocess.DEVNULL
            )

    async def kill(self) -> None:
        """End it as a crash does; harmless when it has ended."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it as an orchestrator does, and return its exit code.

        Raises:
            TimeoutError: it did not end in time; says which process, and what to try.
        """
        return await self._end(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until it has ended by itself, and return its exit code.

        Raises:
            TimeoutError: it did not end in time; says which process, and what to try.
        """
        return await self._wait("by itself")

    async def __aenter__(self) -> Self:
        """Start, and return itself."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        await self.kill()

    async def _end(self, how: signal.Signals) -> int:
        process = self._started()
        if process.returncode is None:
            process.send_signal(how)
        return await self._wait(f"after {how.name}")

    async def _wait(self, why: str) -> int:
        process = self._started()
        try:
            return await asyncio.wait_for(process.wait(), self._seconds)
        except TimeoutError:
            late = f"{self._module} (pid {process.pid}) did not end {why} within {self._seconds:g} s"
            raise TimeoutError(f"{late}; {self._advice()}") from None

    def _advice(self) -> str:
        if self._crash_at is None:
            return "look at what it logs on stderr, or give it longer by `seconds`"
        point = self._crash_at.partition(":")[0]
        return (
            f"it was to die at {self._crash_at}, which it has not come to: send it more work, or choose an earlier "
            f"passage; once stopped, it says on stderr how often it passed {point}"
        )

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the process has not been started; call start() or use it in an `async with`")
        return self._process

    def _environment(self) -> dict[str, str]:
        given = {name.upper(): value for name, value in self._settings.items()}
        kept = {name: value for name, value in os.environ.items() if name not in given}
        return kept | {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    """Write a value as the settings read it from a variable."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        return json.dumps(dict(value), default=str)
    if isinstance(value, list | tuple | Set):
        return ",".join(map(str, value))
    return str(value)
