"""A handler's hooks: which run, in which order, and what each decides."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from cqrs.command.handler import CommandHandler, ContextAwareCommandHandler
from cqrs.command.lifecycle import Lifecycle
from cqrs.command.limit import TimeLimit
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.exceptions import HandlerTimeoutException, UnexpectedResultException
from cqrs.types import Command


@dataclass(frozen=True)
class Create(Command[str]):
    x: int = 1


class Recording(CommandHandler[Create, str]):
    """Note every hook that runs; fail where told."""

    def __init__(self, failing: str = "") -> None:
        self.ran: list[str] = []
        self.failing = failing
        self.told: list[Exception] = []

    def _note(self, hook: str) -> None:
        self.ran.append(hook)
        if hook == self.failing:
            raise ValueError(hook)

    async def pre_process(self, command: Create) -> None:
        self._note("pre_process")

    async def do_handle(self, command: Create) -> str:
        self._note("do_handle")
        return "done"

    async def post_process(self, command: Create, result: str) -> None:
        assert result == "done"
        self._note("post_process")

    async def on_success(self, command: Create, result: str) -> None:
        assert result == "done"
        self._note("on_success")

    async def on_error(self, command: Create, error: Exception) -> None:
        self.told.append(error)
        self._note("on_error")

    def map_error(self, command: Create, error: Exception) -> Exception:
        self._note("map_error")
        return error


class Minimal(CommandHandler[Create, str]):
    async def do_handle(self, command: Create) -> str:
        return "done"


class Aware(ContextAwareCommandHandler[Create, str]):
    async def do_handle_with_context(self, command: Create, context: ExecutionContext) -> str:
        return f"for-{context.user_id}"


@pytest.mark.asyncio
async def test_the_hooks_run_in_the_guides_order() -> None:
    handler = Recording()
    assert await handler.handle(Create()) == "done"
    assert handler.ran == ["pre_process", "do_handle", "post_process", "on_success"]


@pytest.mark.asyncio
async def test_a_handler_needs_do_handle_alone() -> None:
    assert await Minimal().handle(Create()) == "done"
    assert await Minimal().handle_with_context(Create(), DefaultExecutionContext()) == "done"


def test_do_handle_must_be_overridden() -> None:
    with pytest.raises(TypeError, match="do_handle"):
        CommandHandler()  # type: ignore[abstract]
    with pytest.raises(TypeError, match="do_handle_with_context"):
        ContextAwareCommandHandler()  # type: ignore[abstract]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("failing", "ran"),
    [
        ("pre_process", ["pre_process", "map_error"]),
        ("do_handle", ["pre_process", "do_handle", "on_error", "map_error"]),
        ("post_process", ["pre_process", "do_handle", "post_process", "map_error"]),
        ("on_success", ["pre_process", "do_handle", "post_process", "on_success", "map_error"]),
    ],
)
async def test_on_error_runs_exactly_when_do_handle_raises(failing: str, ran: list[str]) -> None:
    handler = Recording(failing)
    with pytest.raises(ValueError, match=failing):
        await handler.handle(Create())
    assert handler.ran == ran
    assert [str(error) for error in handler.told] == (["do_handle"] if failing == "do_handle" else [])


@pytest.mark.asyncio
async def test_map_error_decides_what_leaves_the_handler_and_the_chain_is_kept() -> None:
    class Mapping(Minimal):
        async def do_handle(self, command: Create) -> str:
            raise KeyError("x")

        def map_error(self, command: Create, error: Exception) -> Exception:
            return LookupError("no such order")

    with pytest.raises(LookupError, match="no such order") as raised:
        await Mapping().handle(Create())
    assert type(raised.value.__cause__) is KeyError


@pytest.mark.asyncio
async def test_the_default_on_error_logs_and_the_default_map_error_passes_the_error_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failure = RuntimeError("broken")

    class Failing(Minimal):
        async def do_handle(self, command: Create) -> str:
            raise failure

    with caplog.at_level(logging.ERROR, "cqrs"), pytest.raises(RuntimeError) as raised:
        await Failing().handle(Create())
    assert raised.value is failure
    assert "Failing failed: broken" in caplog.text


@pytest.mark.asyncio
async def test_an_on_error_that_raises_does_not_hide_the_handlers_own_error(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Minimal):
        async def do_handle(self, command: Create) -> str:
            raise KeyError("own")

        async def on_error(self, command: Create, error: Exception) -> None:
            raise RuntimeError("second")

    with pytest.raises(KeyError, match="own"):
        await Failing().handle(Create())
    assert "on_error raised" in caplog.text


@pytest.mark.asyncio
async def test_a_map_error_that_returns_no_exception_is_a_failure_of_its_own() -> None:
    class Forgetting(Minimal):
        async def do_handle(self, command: Create) -> str:
            raise KeyError("own")

        def map_error(self, command: Create, error: Exception) -> Exception:
            return None  # type: ignore[return-value]

    with pytest.raises(UnexpectedResultException, match="map_error returned None") as raised:
        await Forgetting().handle(Create())
    assert type(raised.value.__cause__) is KeyError


@pytest.mark.asyncio
async def test_hooks_may_be_of_the_other_color() -> None:
    class Colored(Minimal):
        def __init__(self) -> None:
            self.ran: list[str] = []

        def pre_process(self, command: Create) -> None:  # type: ignore[override]
            self.ran.append("pre_process")

        def on_error(self, command: Create, error: Exception) -> None:  # type: ignore[override]
            self.ran.append("on_error")

        async def map_error(self, command: Create, error: Exception) -> Exception:  # type: ignore[override]
            return LookupError("mapped")

        async def do_handle(self, command: Create) -> str:
            raise KeyError("own")

    handler = Colored()
    with pytest.raises(LookupError, match="mapped"):
        await handler.handle(Create())
    assert handler.ran == ["pre_process", "on_error"]


@pytest.mark.asyncio
async def test_a_plain_do_handle_runs_in_a_thread() -> None:
    class Blocking(CommandHandler[Create, str]):
        def do_handle(self, command: Create) -> str:  # type: ignore[override]
            return threading.current_thread().name

    assert await Blocking().handle(Create()) != threading.current_thread().name


@pytest.mark.asyncio
async def test_a_plain_do_handle_may_return_a_coroutine() -> None:
    class Delegating(CommandHandler[Create, str]):
        def do_handle(self, command: Create) -> Any:
            return Minimal().do_handle(command)

    assert await Delegating().handle(Create()) == "done"


@pytest.mark.asyncio
async def test_hooks_set_on_the_instance_run_too() -> None:
    handler = Minimal()
    ran: list[str] = []

    async def post_process(command: Create, result: str) -> None:
        ran.append(result)

    handler.post_process = post_process  # type: ignore[method-assign]
    await handler.handle(Create())
    assert ran == ["done"]


@pytest.mark.asyncio
async def test_cancellation_is_no_error_of_the_handler() -> None:
    started = asyncio.Event()

    class Waiting(Recording):
        async def do_handle(self, command: Create) -> str:
            started.set()
            await asyncio.Event().wait()
            return ""

    handler = Waiting()
    task = asyncio.create_task(handler.handle(Create()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert handler.ran == ["pre_process"]


# -- context ---------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_context_aware_handler_works_with_a_context_alone() -> None:
    assert await Aware().handle_with_context(Create(), DefaultExecutionContext(user_id="u-1")) == "for-u-1"
    with pytest.raises(RuntimeError, match=r"Aware requires an ExecutionContext; call handle_with_context"):
        await Aware().handle(Create())
    with pytest.raises(RuntimeError, match=r"Aware requires an ExecutionContext"):
        await Aware().do_handle(Create())


@pytest.mark.asyncio
async def test_the_hooks_of_a_context_aware_handler_run() -> None:
    ran: list[str] = []

    class Noting(Aware):
        async def pre_process(self, command: Create) -> None:
            ran.append("pre_process")

        async def on_success(self, command: Create, result: str) -> None:
            ran.append(result)

    await Noting().handle_with_context(Create(), DefaultExecutionContext(user_id="u-1"))
    assert ran == ["pre_process", "for-u-1"]


# -- limits and results ----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("hanging", "told"), [("pre_process", []), ("do_handle", [HandlerTimeoutException]), ("post_process", [])]
)
async def test_the_limit_covers_the_hooks_and_on_error_is_told_of_do_handle(hanging: str, told: list[type]) -> None:
    class Hanging(Recording):
        async def pre_process(self, command: Create) -> None:
            await self._hang("pre_process")

        async def do_handle(self, command: Create) -> str:
            await self._hang("do_handle")
            return "done"

        async def post_process(self, command: Create, result: str) -> None:
            await self._hang("post_process")

        async def on_error(self, command: Create, error: Exception) -> None:
            await asyncio.sleep(0)  # it is given time of its own
            self.told.append(error)

        async def _hang(self, hook: str) -> None:
            if hook == hanging:
                await asyncio.Event().wait()

    handler = Hanging()
    lifecycle = Lifecycle(handler, handler.do_handle, limit=TimeLimit("Hanging", 0.01))
    with pytest.raises(HandlerTimeoutException, match=r"Hanging did not finish within 0.01 s"):
        await lifecycle.run(Create(), None)
    assert [type(error) for error in handler.told] == told


@pytest.mark.asyncio
async def test_a_result_of_another_class_is_a_failure_that_on_error_is_told_of() -> None:
    handler = Recording()
    lifecycle = Lifecycle(handler, handler.do_handle, expected=(int, type(None)))
    with pytest.raises(UnexpectedResultException, match=r"returned str where its message declares int \| NoneType"):
        await lifecycle.run(Create(), None)
    assert handler.ran == ["pre_process", "do_handle", "on_error", "map_error"]
