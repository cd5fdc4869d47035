"""A real Jaeger takes what our tracing exports, over HTTP and over gRPC, and gives it back by its correlation id."""

import pytest

from cqrs.telemetry.tracing import configure_tracing
from cqrs.testing.jaeger_query import SERVICE_NAME
from cqrs.testing.jaeger_server import JaegerServer

pytestmark = pytest.mark.deploy


@pytest.mark.parametrize(("protocol", "scheme"), [("http/protobuf", "otlp_http"), ("grpc", "otlp_grpc")])
def test_a_span_is_found_by_its_correlation_id(
    jaeger_server: JaegerServer, monkeypatch: pytest.MonkeyPatch, protocol: str, scheme: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", getattr(jaeger_server, scheme))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    tracing = configure_tracing("shop", "1")
    with tracing.tracer.span("outer"), tracing.tracer.span("inner", attributes={"correlation_id": "my-request"}):
        pass
    assert tracing.shutdown(10.0)

    outer, inner = sorted(
        jaeger_server.query.find_one("shop", {"correlation_id": "my-request"}, lambda trace: len(trace) == 2),
        key=lambda span: span.name,
        reverse=True,
    )

    assert inner.parent_span_id == outer.span_id
    assert inner.attributes[SERVICE_NAME] == "shop"
    assert jaeger_server.query.trace(inner.trace_id) != ()


def test_it_starts_anew_without_its_traces(jaeger_server: JaegerServer) -> None:
    jaeger_server.kill()
    jaeger_server.start()
    jaeger_server.start()

    assert jaeger_server.query.find("shop", {}) == []
