from collections.abc import Mapping

import httpx
import pytest

from cqrs.http.management import ManagementSources, management_app
from cqrs.http.server import ThreadedServer

PATHS = ["/metrics", "/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness"]
HANDLERS = {"command_handlers": 3, "query_handlers": 2, "registered_command_types": ["CreateOrder"]}


class Service:
    """What a running service knows of itself."""

    def __init__(self) -> None:
        self.asked_for: list[str] = []
        self.live: dict[str, str | None] = {"consumer": None}
        self.ready: dict[str, str | None] = {"assignment": None, "producer": None}
        self.bus: dict[str, object] = {"status": "UP", "details": {"command_handlers": 3}}

    def metrics(self, accept: str) -> tuple[bytes, str]:
        self.asked_for.append(accept)
        return b"cqrs_commands_total 1.0\n", "text/plain; version=0.0.4; charset=utf-8"

    def sources(self) -> ManagementSources:
        return ManagementSources(
            metrics=self.metrics,
            bus_metrics=lambda: HANDLERS,
            bus_health=lambda: self.bus,
            liveness=lambda: self.live,
            readiness=lambda: self.ready,
        )


@pytest.fixture
def service() -> Service:
    return Service()


async def get(sources: ManagementSources, path: str, accept: str = "*/*") -> httpx.Response:
    transport = httpx.ASGITransport(app=management_app(sources))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.get(path, headers={"accept": accept})


@pytest.mark.asyncio
async def test_metrics_are_served_in_the_form_the_client_asks_for(service: Service) -> None:
    answer = await get(service.sources(), "/metrics", accept="application/openmetrics-text")
    assert answer.status_code == 200
    assert answer.content == b"cqrs_commands_total 1.0\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert service.asked_for == ["application/openmetrics-text"]


@pytest.mark.asyncio
async def test_the_registered_handlers_are_served(service: Service) -> None:
    answer = await get(service.sources(), "/actuator/cqrs/metrics")
    assert (answer.status_code, answer.json()) == (200, HANDLERS)


@pytest.mark.asyncio
async def test_a_ready_service_says_so(service: Service) -> None:
    answer = await get(service.sources(), "/actuator/health/readiness")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "UP",
        "components": {"assignment": {"status": "UP"}, "producer": {"status": "UP"}},
    }


@pytest.mark.asyncio
async def test_readiness_names_the_part_that_is_missing(service: Service) -> None:
    service.ready["producer"] = "No broker answers at kafka:9092."
    answer = await get(service.sources(), "/actuator/health/readiness")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "DOWN",
        "components": {
            "assignment": {"status": "UP"},
            "producer": {"status": "DOWN", "details": {"reason": "No broker answers at kafka:9092."}},
        },
    }


@pytest.mark.asyncio
async def test_liveness_does_not_follow_readiness(service: Service) -> None:
    service.ready["producer"] = "No broker answers."
    assert (await get(service.sources(), "/actuator/health/liveness")).status_code == 200
    service.live["consumer"] = "No progress for 90 s."
    answer = await get(service.sources(), "/actuator/health/liveness")
    assert answer.status_code == 503
    assert answer.json()["components"]["consumer"]["details"] == {"reason": "No progress for 90 s."}


@pytest.mark.asyncio
async def test_health_shows_everything_that_is_known(service: Service) -> None:
    answer = await get(service.sources(), "/actuator/health")
    assert answer.status_code == 200
    assert answer.json()["components"] == {
        "cqrs": {"status": "UP", "details": {"command_handlers": 3}},
        "consumer": {"status": "UP"},
        "assignment": {"status": "UP"},
        "producer": {"status": "UP"},
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("part", ["live", "ready"])
async def test_health_is_down_when_any_part_is(service: Service, part: str) -> None:
    getattr(service, part)["database"] = "It refuses connections."
    answer = await get(service.sources(), "/actuator/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "DOWN")


@pytest.mark.asyncio
async def test_a_bus_without_handlers_is_unknown_and_takes_nothing_down(service: Service) -> None:
    service.bus = {"status": "UNKNOWN", "details": {"command_handlers": 0}}
    answer = await get(service.sources(), "/actuator/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "UP")


@pytest.mark.asyncio
async def test_a_check_that_breaks_is_down_and_tells_the_network_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Mapping[str, str | None]:
        raise RuntimeError("password=hunter2")

    sources = ManagementSources(service.metrics, lambda: HANDLERS, lambda: service.bus, readiness=broken)
    answer = await get(sources, "/actuator/health/readiness")
    assert answer.status_code == 503
    assert "RuntimeError" in answer.text
    assert "hunter2" not in answer.text
    assert "The readiness check itself failed." in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [*PATHS, "/actuator/cqrs/metrics"])
async def test_no_answer_may_be_kept_by_a_cache(service: Service, path: str) -> None:
    assert (await get(service.sources(), path)).headers["cache-control"] == "no-store"


@pytest.mark.asyncio
async def test_nothing_else_is_served(service: Service) -> None:
    assert (await get(service.sources(), "/actuator/env")).status_code == 404


@pytest.mark.asyncio
@pytest.mark.parametrize("path", PATHS)
async def test_probes_answer_while_the_main_event_loop_is_blocked(service: Service, path: str) -> None:
    server = ThreadedServer(management_app(service.sources()))
    await server.start()
    try:
        # A plain, blocking call: this thread's event loop runs nothing until the answer is there.
        answer = httpx.get(server.url + path, timeout=10)  # noqa: ASYNC210
    finally:
        await server.stop()
    assert answer.status_code == 200
