"""What the kit does around a service in the test's own process keeps its promises, and keeps off the service's loop."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cqrs.http.server import ThreadedServer
from cqrs.testing.deployment import Deployed
from cqrs.testing.embedded_broker import EmbeddedBroker


class Nothing:
    """Be a service that does nothing, on a broker with one topic."""

    registry_url = "http://127.0.0.1:1"

    def __init__(self, broker: EmbeddedBroker, management_url: str = "http://127.0.0.1:1") -> None:
        self.bootstrap_servers = broker.bootstrap_servers
        self.management_url = management_url

    async def start(self) -> None:
        pass

    async def ready(self) -> None:
        pass

    async def stop(self) -> None:
        pass


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create_topic("t")
        yield running


@pytest.mark.asyncio
async def test_a_record_is_stored_exactly_so(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker)) as deployed:
        await deployed.store("t", b"\xff", (("h", None),), key=b"k")
        (stored,) = await deployed.records("t", 1)

    assert (stored.message.value, stored.message.key, stored.message.headers) == (b"\xff", b"k", (("h", None),))


@pytest.mark.asyncio
async def test_a_record_that_the_broker_does_not_take_fails_the_test_and_says_why(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker), seconds=3) as deployed:
        with pytest.raises(AssertionError, match=r"t\[99\]: Local: Unknown partition"):
            await deployed.store("t", b"v", partition=99)
        with pytest.raises(AssertionError, match=r"t\[0\]: .*too large"):
            await deployed.store("t", bytes(70 * 1024 * 1024))


@pytest.mark.asyncio
async def test_a_broker_that_is_away_fails_the_test_in_time(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker), seconds=0.5) as deployed:
        broker.broker_down()
        with pytest.raises(AssertionError, match=r"did not take the record for t\[0\]"):
            await asyncio.wait_for(deployed.store("t", b"v"), 10)


@pytest.mark.asyncio
async def test_the_loop_runs_on_while_a_record_is_stored(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker)) as deployed:
        broker.delay_answers(200)
        storing = asyncio.create_task(deployed.store("t", b"v"))
        turns = 0
        while not storing.done():
            await asyncio.sleep(0.01)
            turns += 1
        await storing

    assert turns > 5


class NeverReady(Nothing):
    """Be a service whose group gives it nothing."""

    async def ready(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_a_service_that_gets_no_partitions_is_told_with_what_to_try(broker: EmbeddedBroker) -> None:
    with pytest.raises(TimeoutError, match=rf"no partitions from {broker.bootstrap_servers} after 0\.1 s.*`seconds`"):
        async with Deployed(NeverReady(broker), seconds=0.1):
            pytest.fail("it cannot be ready")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "last"), [(200, "that all is well"), (503, "{'status': 'DOWN'}")], ids=["all well", "something else"]
)
async def test_a_probe_that_does_not_say_what_is_waited_for_is_told(
    broker: EmbeddedBroker, status: int, last: str
) -> None:
    async def answer(_: Request) -> JSONResponse:
        return JSONResponse({"status": "DOWN"}, status)

    server = ThreadedServer(Starlette(routes=[Route("/actuator/health/readiness", answer)]))
    await server.start()
    try:
        async with Deployed(Nothing(broker, server.url), seconds=0.3) as deployed:
            with pytest.raises(TimeoutError, match=f"{server.url} did not say 'the registry' was missing.*{last}"):
                await deployed.unready("the registry")
    finally:
        await server.stop()
