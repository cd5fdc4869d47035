"""OTEL_EXPORTER_OTLP_ENDPOINT alone makes the service export: the whole trace of a command reaches an OTLP receiver."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.bootstrap import order_service
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import deployed, settings_in

SENDER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Receiver(ThreadingHTTPServer):
    """Take OTLP over HTTP, as a collector does, and keep the spans."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.services: set[str] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        for resource in request.resource_spans:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.server.services.add(attributes["service.name"])
            self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the test's output is the test's."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.asyncio
async def test_the_spans_of_a_command_arrive_under_the_senders_trace(receiver: Receiver, tmp_path: Path) -> None:
    async with deployed(order_service(settings_in(tmp_path))) as found:
        value = (
            b'{"type": "orders.CreateOrder", "data": {"order_id": "o-1", "customer_id": "c", "currency": "EUR", '
            b'"items": [{"sku": "A", "quantity": 1, "unit_price": "1.00"}]}}'
        )
        found.produce(value, (("traceparent", SENDER), ("X-Correlation-ID", b"my-request")), key=b"o-1")
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
