"""OTEL_EXPORTER_OTLP_ENDPOINT makes the service export: the whole trace of a command arrives, by HTTP and gRPC."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.bootstrap import order_service
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import deployed, settings_in

SENDER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Receiver:
    """Keep the spans that a collector is given."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(attributes["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]


class _HttpServer(ThreadingHTTPServer):
    """Take OTLP over HTTP, as a collector does."""

    daemon_threads = True

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receiver = receiver


class _GrpcService(TraceServiceServicer):
    """Take OTLP over gRPC, as a collector does."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: N802
        self._receiver.take(request)
        return ExportTraceServiceResponse()


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        self.server.receiver.take(request)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the test's output is the test's."""


@contextmanager
def over_http(receiver: Receiver) -> Iterator[str]:
    with _HttpServer(receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def over_grpc(receiver: Receiver) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(_GrpcService(receiver), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    found = Receiver()
    with (over_grpc if request.param == "grpc" else over_http)(found) as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        if request.param == "grpc":
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        yield found


@pytest.mark.asyncio
async def test_the_spans_of_a_command_arrive_under_the_senders_trace(receiver: Receiver, tmp_path: Path) -> None:
    async with deployed(order_service(settings_in(tmp_path))) as found:
        value = (
            b'{"type": "orders.CreateOrder", "data": {"order_id": "o-1", "customer_id": "c", "currency": "EUR", '
            b'"items": [{"sku": "A", "quantity": 1, "unit_price": "1.00"}]}}'
        )
        await found.produce(value, (("traceparent", SENDER), ("X-Correlation-ID", b"my-request")), key=b"o-1")
        await found.events(1)
        await asyncio.to_thread(found.client.read, [EVENTS])

    names = {span.span_id: span.name for span in receiver.spans}
    parents = {span.name: names.get(span.parent_span_id, span.parent_span_id.hex()) for span in receiver.spans}
    assert parents == {
        f"process {COMMANDS}": "b7ad6b7169203331",
        "command orders.CreateOrder": f"process {COMMANDS}",
        "handle CreateOrderHandler": "command orders.CreateOrder",
        f"send {EVENTS}": "command orders.CreateOrder",
    }
    assert {span.trace_id.hex() for span in receiver.spans} == {"0af7651916cd43dd8448eb211c80319c"}
    for span in receiver.spans:
        assert {each.key: each.value.string_value for each in span.attributes}["correlation_id"] == "my-request"
    assert receiver.services == {"orders"}
