import os
from collections.abc import Iterator

import pytest
from opentelemetry.context import Context, attach, detach

from tests.unit.telemetry.traced import Traced


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_outer_span() -> Iterator[None]:
    token = attach(Context())
    yield
    detach(token)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Traced, Traced]]:
    light, whole = Traced(monkeypatch, light=True), Traced(monkeypatch, light=False)
    yield light, whole
    for each in (light, whole):
        each.tracing.shutdown(5)


@pytest.fixture
def light(both: tuple[Traced, Traced]) -> Traced:
    return both[0]
