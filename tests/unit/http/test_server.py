import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cqrs.exceptions import ConfigurationException
from cqrs.http.server import ThreadedServer


async def whoami(request: Request) -> Response:
    return JSONResponse({"thread": threading.get_ident()})


APP = Starlette(routes=[Route("/", whoami)])


@pytest.mark.asyncio
async def test_it_answers_from_its_own_thread_once_started() -> None:
    server = ThreadedServer(APP)
    await server.start()

    async with httpx.AsyncClient() as client:
        answer = (await client.get(server.url)).json()
    await server.stop()

    assert answer["thread"] != threading.get_ident()


@pytest.mark.asyncio
async def test_it_answers_while_the_callers_loop_is_blocked() -> None:
    server = ThreadedServer(APP)
    await server.start()

    answer = httpx.get(server.url)  # noqa: ASYNC210 - the loop is blocked on purpose
    await server.stop()

    assert answer.status_code == 200


@pytest.mark.asyncio
async def test_starting_and_stopping_twice_is_harmless() -> None:
    server = ThreadedServer(APP)
    await server.stop()
    await server.start()
    port = server.port
    await server.start()
    assert server.port == port

    await server.stop()
    await server.stop()

    with pytest.raises(RuntimeError, match="before start"):
        _ = server.port
    assert not any(thread.name == "http" for thread in threading.enumerate())


@pytest.mark.asyncio
async def test_a_stopped_server_can_start_again_on_its_port() -> None:
    server = ThreadedServer(APP)
    await server.start()
    port = server.port
    await server.stop()

    again = ThreadedServer(APP, port=port)
    await again.start()

    assert again.url == f"http://127.0.0.1:{port}"
    await again.stop()


@pytest.mark.asyncio
async def test_a_taken_port_is_told() -> None:
    first = ThreadedServer(APP)
    await first.start()

    with pytest.raises(ConfigurationException, match=f"Port {first.port} on 127.0.0.1 cannot be listened on"):
        await ThreadedServer(APP, port=first.port).start()
    await first.stop()


@pytest.mark.asyncio
async def test_an_application_that_does_not_start_is_told() -> None:
    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        if app.routes == []:
            raise RuntimeError("no")
        yield

    server = ThreadedServer(Starlette(lifespan=broken))

    with pytest.raises(ConfigurationException, match="did not start"):
        await server.start()
    assert not any(thread.name == "http" for thread in threading.enumerate())


@pytest.mark.asyncio
async def test_a_request_in_hand_is_answered_before_it_stops() -> None:
    arrived, leave = threading.Event(), threading.Event()

    async def slow(request: Request) -> Response:
        arrived.set()
        await asyncio.to_thread(leave.wait, 5)
        return JSONResponse("done")

    server = ThreadedServer(Starlette(routes=[Route("/", slow)]))
    await server.start()
    async with httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.get(server.url))
        await asyncio.to_thread(arrived.wait, 5)
        stopping = asyncio.create_task(server.stop())
        leave.set()

        assert (await asked).json() == "done"
        await stopping


@pytest.mark.asyncio
async def test_a_request_without_end_does_not_hold_up_the_stop() -> None:
    arrived = threading.Event()

    async def endless(request: Request) -> Response:
        arrived.set()
        await asyncio.Event().wait()
        return JSONResponse("never")

    server = ThreadedServer(Starlette(routes=[Route("/", endless)]), stop_timeout_seconds=1)
    await server.start()
    async with httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.get(server.url))
        await asyncio.to_thread(arrived.wait, 5)

        async with asyncio.timeout(10):
            await server.stop()

        with pytest.raises(httpx.HTTPError):
            (await asked).raise_for_status()
    assert not any(thread.name == "http" for thread in threading.enumerate())
