import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from cqrs.exceptions import ConfigurationException
from cqrs.telemetry.span_memory import SpanMemory
from cqrs.telemetry.tracing import Tracing, configure_tracing
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import Headers, SpanKind

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT: Headers = (("traceparent", f"00-{TRACE}-{SPAN}-01".encode()),)


class Receiver:
    """An OTLP collector: where to send to, and what has arrived."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.endpoint = ""
        self.paths: list[str] = []
        self._arrived: queue.Queue[ExportTraceServiceRequest] = queue.Queue()

    def accept(self, request: ExportTraceServiceRequest) -> None:
        self._arrived.put(request)

    def next_resource(self) -> ResourceSpans:
        resource: ResourceSpans = self._arrived.get(timeout=10).resource_spans[0]
        return resource

    @property
    def is_empty(self) -> bool:
        return self._arrived.empty()


@pytest.fixture
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver("http/protobuf")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.paths.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.accept(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name of the method it replaces

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


@pytest.fixture
def grpc_receiver() -> Iterator[Receiver]:
    receiver = Receiver("grpc")

    class Servicer(TraceServiceServicer):
        def Export(  # noqa: N802 - the name of the remote procedure
            self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
        ) -> ExportTraceServiceResponse:
            receiver.accept(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield receiver
    server.stop(None).wait()


@pytest.fixture(params=["http", "grpc"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    found: Receiver = request.getfixturevalue(f"{request.param}_receiver")
    return found


def resource_attributes(resource: ResourceSpans) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}


def spans_by_name(resource: ResourceSpans) -> dict[str, Span]:
    return {span.name: span for scope in resource.scope_spans for span in scope.spans}


def exporting_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("Otel")}


def work(tracing: Tracing) -> None:
    with tracing.tracer.span("work"):
        pass


def test_an_endpoint_alone_makes_it_export_http(http_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
    tracing = configure_tracing("orders", "1.2.3")
    work(tracing)
    assert tracing.shutdown(10)
    assert resource_attributes(http_receiver.next_resource())["service.name"] == "orders"
    assert http_receiver.paths == ["/v1/traces"]


def test_parent_and_child_arrive_with_their_ids(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", receiver.protocol)
    tracing = configure_tracing("orders", "1.2.3")
    with (
        CorrelationContext.scope(correlation_id="c-1"),
        tracing.tracer.span("process", kind=SpanKind.CONSUMER, parent=PARENT) as process,
        tracing.tracer.span("handle") as handle,
    ):
        pass
    assert tracing.shutdown(10)

    arrived = spans_by_name(receiver.next_resource())
    assert {span.trace_id.hex() for span in arrived.values()} == {TRACE}
    assert arrived["process"].span_id.hex() == process.span_id
    assert arrived["process"].parent_span_id.hex() == SPAN
    assert arrived["process"].kind == Span.SPAN_KIND_CONSUMER
    assert arrived["handle"].span_id.hex() == handle.span_id
    assert arrived["handle"].parent_span_id.hex() == process.span_id
    for span in arrived.values():
        assert [(each.key, each.value.string_value) for each in span.attributes] == [("correlation_id", "c-1")]


def test_an_error_arrives_as_status_and_event(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", receiver.protocol)
    tracing = configure_tracing("orders", "1.2.3")
    with pytest.raises(ValueError, match="\ud800"), tracing.tracer.span("na\ud800me"):
        raise ValueError("text that UTF-8 cannot hold: \ud800")
    assert tracing.shutdown(10)
    arrived = spans_by_name(receiver.next_resource())["na?me"]
    assert arrived.status.message == "ValueError: text that UTF-8 cannot hold: ?"
    assert [event.name for event in arrived.events] == ["exception"]


def test_the_endpoint_of_traces_alone_makes_it_export(http_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", http_receiver.endpoint + "/mine")
    tracing = configure_tracing("orders", "1")
    work(tracing)
    assert tracing.shutdown(10)
    assert http_receiver.paths == ["/mine"]


def test_the_protocol_of_traces_wins(grpc_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", grpc_receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    tracing = configure_tracing("orders", "1")
    work(tracing)
    assert tracing.shutdown(10)
    assert "work" in spans_by_name(grpc_receiver.next_resource())


def test_the_environment_names_the_service(http_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders-blue")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9")
    tracing = configure_tracing("orders", "1.2.3")
    work(tracing)
    assert tracing.shutdown(10)
    attributes = resource_attributes(http_receiver.next_resource())
    assert attributes["service.name"] == "orders-blue"
    assert attributes["service.version"] == "9"
    assert attributes["deployment.environment.name"] == "test"


def test_batches_are_counted(http_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
    batches: list[tuple[int, bool]] = []
    tracing = configure_tracing("orders", "1", exported=lambda spans, taken: batches.append((spans, taken)))
    work(tracing)
    work(tracing)
    assert tracing.shutdown(10)
    assert batches == [(2, True)]


def test_without_a_variable_spans_are_made_and_nothing_runs_in_the_background() -> None:
    before = exporting_threads()
    memory = SpanMemory()
    tracing = configure_tracing("orders", "1", processors=[memory])
    with tracing.tracer.span("work") as span:
        assert tracing.tracer.inject()[0][0] == "traceparent"
    assert tracing.exporters == ()
    assert exporting_threads() == before
    assert [kept.name for kept in memory.trace(span.trace_id or "")] == ["work"]
    assert tracing.shutdown(0.5)


def test_exporting_is_switched_off_by_none(http_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracing = configure_tracing("orders", "1")
    work(tracing)
    assert tracing.shutdown(10)
    assert tracing.exporters == ()
    assert http_receiver.is_empty


def test_spans_can_be_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", " Console ")
    tracing = configure_tracing("orders", "1")
    work(tracing)
    tracing.shutdown(10)
    assert tracing.exporters == ("console",)
    assert '"name": "work"' in capsys.readouterr().out


def test_several_exporters_may_be_named(http_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp,console,otlp")
    tracing = configure_tracing("orders", "1")
    assert tracing.exporters == ("otlp", "console")
    tracing.shutdown(10)


def test_the_sdk_can_be_disabled_and_ids_still_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    before = exporting_threads()
    tracing = configure_tracing("orders", "1")
    with tracing.tracer.span("process", parent=PARENT):
        assert tracing.tracer.inject() == PARENT
    assert tracing.exporters == ()
    assert exporting_threads() == before


@pytest.mark.parametrize(("sampler", "kept"), [("always_off", 0), ("always_on", 1), ("parentbased_always_off", 0)])
def test_the_environment_decides_sampling(monkeypatch: pytest.MonkeyPatch, sampler: str, kept: int) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    memory = SpanMemory()
    work(configure_tracing("orders", "1", processors=[memory]))
    assert len(memory.trace_ids()) == kept


@pytest.mark.parametrize("ratio", ["0", "1"])
def test_the_environment_decides_the_ratio(monkeypatch: pytest.MonkeyPatch, ratio: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    memory = SpanMemory()
    work(configure_tracing("orders", "1", processors=[memory]))
    assert len(memory.trace_ids()) == int(ratio)


def test_everything_unknown_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger,otlpp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1.5")
    with pytest.raises(ConfigurationException) as raised:
        configure_tracing("orders", "1")
    assert raised.value.problems == (
        "OTEL_TRACES_EXPORTER=jaeger is not known here; choose one of none, console, otlp.",
        "OTEL_TRACES_EXPORTER=otlpp is not known here; did you mean otlp?",
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is not known here; choose one of http/protobuf, grpc.",
        "OTEL_TRACES_SAMPLER_ARG=1.5 is not a number from 0 to 1; traceidratio needs one.",
    )


@pytest.mark.parametrize("ratio", ["half", "-0.1", "nan"])
def test_a_ratio_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, ratio: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    with pytest.raises(ConfigurationException, match=f"OTEL_TRACES_SAMPLER_ARG={ratio}"):
        configure_tracing("orders", "1")


def test_an_unknown_sampler_names_the_near_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parent_based_always_on")
    with pytest.raises(ConfigurationException, match="did you mean parentbased_always_on"):
        configure_tracing("orders", "1")


def test_users_own_spans_join_once_it_is_installed() -> None:
    script = (
        "from opentelemetry import trace\n"
        "own = trace.get_tracer('theirs')\n"
        "from cqrs.telemetry.span_memory import SpanMemory\n"
        "from cqrs.telemetry.tracing import configure_tracing\n"
        "from cqrs.tracing.correlation import CorrelationContext\n"
        "memory = SpanMemory()\n"
        "tracing = configure_tracing('orders', '1', processors=[memory])\n"
        "tracing.install()\n"
        "CorrelationContext.set_correlation_id('c-1')\n"
        "with tracing.tracer.span('ours') as span, own.start_as_current_span('theirs'): pass\n"
        "print(*[(s.name, s.attributes['correlation_id']) for s in memory.trace(span.trace_id)])\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own script
    assert ran.stdout == "('theirs', 'c-1') ('ours', 'c-1')\n"
    assert ran.stderr == ""
