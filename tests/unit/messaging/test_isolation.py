"""A coroutine in a context of its own leaves nothing behind, and otherwise runs as ever."""

import asyncio
from contextvars import ContextVar

import pytest

from cqrs.messaging.isolation import OwnContext

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.asyncio
async def test_what_it_sets_is_gone_and_what_was_set_before_is_seen() -> None:
    tenant.set("before")

    async def handle() -> str:
        seen = tenant.get()
        tenant.set("inside")
        await asyncio.sleep(0)
        child = await asyncio.create_task(asyncio.sleep(0, tenant.get()))
        return f"{seen}, {tenant.get()}, {child}"

    assert await OwnContext(handle()) == "before, inside, inside"
    assert tenant.get() == "before"
    tenant.set("nobody")


@pytest.mark.asyncio
async def test_errors_timeouts_and_cancellation_go_through() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await OwnContext(fail())

    async def hang() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    assert await OwnContext(hang()) == "timed out"
    cleaned: list[str] = []
    begun = asyncio.Event()

    async def cancelled() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    async def around() -> None:
        await OwnContext(cancelled())

    task = asyncio.create_task(around())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["cleaned"]
