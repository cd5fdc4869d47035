"""The management endpoints of a service: metrics, health and what the bus knows, for `cqrs.http.server` to serve.

What is served comes from plain callables, so that this room needs none of the others. They run in the server's own
thread and must answer at once from what is known: no probe may wait for the main event loop.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Checks = Callable[[], Mapping[str, str | None]]
"""Answer, for each part by name, None when it is well, or one sentence that says what is wrong with it."""

UP = "UP"
DOWN = "DOWN"

_NO_STORE = {"Cache-Control": "no-store"}

_log = logging.getLogger(__name__)


def nothing_to_check() -> Mapping[str, str | None]:
    """Find nothing wrong."""
    return {}


@dataclass(frozen=True, slots=True)
class ManagementSources:
    """Hold what the management endpoints serve.

    Attributes:
        metrics: Takes the request's `Accept` header; answers the metrics as text and their content type.
        bus_metrics: Answers what `/actuator/cqrs/metrics` serves, as `CqrsMetricsEndpoint.get_metrics` does.
        bus_health: Answers status and details of the bus, as `CqrsHealthIndicator.health` does.
        liveness: What must be well for the process not to be restarted: progress, never another server's health.
        readiness: What must be well for the process to be given work.
    """

    metrics: Callable[[str], tuple[bytes, str]]
    bus_metrics: Callable[[], Mapping[str, object]]
    bus_health: Callable[[], Mapping[str, object]]
    liveness: Checks = nothing_to_check
    readiness: Checks = nothing_to_check


def management_app(sources: ManagementSources) -> Starlette:
    """Build the application that serves `sources`.

    | path | answers |
    |---|---|
    | `/metrics` | the metrics, as OpenMetrics where the client asks for it |
    | `/actuator/health` | all that is known: 200 when all is well, 503 otherwise |
    | `/actuator/health/liveness` | 200, or 503 when the process should be restarted |
    | `/actuator/health/readiness` | 200, or 503 and which part is missing |
    | `/actuator/cqrs/metrics` | the handlers that are registered |
    """

    endpoints = _Endpoints(sources)
    return Starlette(
        routes=[
            Route("/metrics", endpoints.metrics),
            Route("/actuator/health", endpoints.health),
            Route("/actuator/health/liveness", endpoints.liveness),
            Route("/actuator/health/readiness", endpoints.readiness),
            Route("/actuator/cqrs/metrics", endpoints.bus_metrics),
        ]
    )


class _Endpoints:
    def __init__(self, sources: ManagementSources) -> None:
        self._sources = sources

    async def metrics(self, request: Request) -> Response:
        body, content_type = self._sources.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, **_NO_STORE})

    async def bus_metrics(self, _request: Request) -> Response:
        return JSONResponse(dict(self._sources.bus_metrics()), headers=_NO_STORE)

    async def liveness(self, _request: Request) -> Response:
        return _health(_components("liveness", self._sources.liveness))

    async def readiness(self, _request: Request) -> Response:
        return _health(_components("readiness", self._sources.readiness))

    async def health(self, _request: Request) -> Response:
        live = _components("liveness", self._sources.liveness)
        ready = _components("readiness", self._sources.readiness)
        return _health({"cqrs": dict(self._sources.bus_health()), **live, **ready})


def _components(probe: str, checks: Checks) -> dict[str, dict[str, object]]:
    try:
        found = checks()
    except Exception as error:  # noqa: BLE001 - a probe that cannot answer is not well, whatever broke it
        # What broke it stands in the log, not on the network.
        _log.exception("The %s check itself failed.", probe)
        found = {probe: f"The check itself failed with {type(error).__name__}; the log says more."}
    return {part: _component(problem) for part, problem in found.items()}


def _component(problem: str | None) -> dict[str, object]:
    return {"status": UP} if problem is None else {"status": DOWN, "details": {"reason": problem}}


def _health(components: Mapping[str, Mapping[str, object]]) -> Response:
    # UNKNOWN, the word of a bus without handlers, takes nothing out of service, as in Spring Boot.
    down = any(component.get("status") == DOWN for component in components.values())
    body = {"status": DOWN if down else UP, "components": components}
    return JSONResponse(body, status_code=503 if down else 200, headers=_NO_STORE)
