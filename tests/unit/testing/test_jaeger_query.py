import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from cqrs.testing.jaeger_query import SERVICE_NAME, JaegerQuery, TraceNotFoundException

TRACE = {
    "traceID": "0af7651916cd43dd8448eb211c80319c",
    "processes": {"p1": {"serviceName": "orders-client"}, "p2": {"serviceName": "orders"}},
    "spans": [
        {
            "traceID": "0af7651916cd43dd8448eb211c80319c",
            "spanID": "b7ad6b7169203331",
            "operationName": "send orders.commands",
            "references": [],
            "startTime": 1_000,
            "duration": 250,
            "processID": "p1",
            "tags": [{"key": "span.kind", "value": "producer"}, {"key": "correlation_id", "value": "c"}],
        },
        {
            "traceID": "0af7651916cd43dd8448eb211c80319c",
            "spanID": "00f067aa0ba902b7",
            "operationName": "process orders.commands",
            "references": [
                {"refType": "FOLLOWS_FROM", "spanID": "1"},
                {"refType": "CHILD_OF", "spanID": "b7ad6b7169203331"},
            ],
            "startTime": 1_300,
            "duration": 100,
            "processID": "p2",
            "tags": [
                {"key": "otel.status_code", "value": "ERROR"},
                {"key": "otel.status_description", "value": "refused"},
            ],
        },
    ],
}


class Pretended(ThreadingHTTPServer):
    """Answer as Jaeger's API does, with one trace from the `appears`th question on."""

    daemon_threads = True

    def __init__(self, appears: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.appears = appears
        self.asked: list[str] = []

    @property
    def query(self) -> JaegerQuery:
        return JaegerQuery(f"http://127.0.0.1:{self.server_port}/")


class _Handler(BaseHTTPRequestHandler):
    server: Pretended

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        is_there = len(self.server.asked) > self.server.appears
        path = urlsplit(self.path).path
        is_known = is_there and path in ("/api/traces", f"/api/traces/{TRACE['traceID']}")
        body = json.dumps({"data": [TRACE] if is_known else [], "errors": None}).encode()
        self.send_response(200 if is_known or path == "/api/traces" else 404 if "trace" in path else 500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the test's output is the test's."""


@pytest.fixture
def jaeger() -> Iterator[Pretended]:
    with Pretended() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_trace_is_its_spans_with_parents_times_in_nanoseconds_and_the_service_of_each(jaeger: Pretended) -> None:
    sent, processed = jaeger.query.trace(str(TRACE["traceID"]))

    assert (sent.name, sent.kind, sent.parent_span_id, sent.status) == (
        "send orders.commands",
        "producer",
        None,
        "unset",
    )
    assert (sent.start_ns, sent.end_ns) == (1_000_000, 1_250_000)
    assert sent.attributes == {"span.kind": "producer", "correlation_id": "c", SERVICE_NAME: "orders-client"}
    assert processed.parent_span_id == sent.span_id
    assert (processed.status, processed.status_description) == ("error", "refused")
    assert processed.attributes[SERVICE_NAME] == "orders"


def test_an_unknown_trace_has_no_spans(jaeger: Pretended) -> None:
    assert jaeger.query.trace("00000000000000000000000000000001") == ()


def test_traces_are_found_by_service_and_tags(jaeger: Pretended) -> None:
    (found,) = jaeger.query.find("orders", {"correlation_id": "c"})

    assert len(found) == 2
    asked = parse_qs(urlsplit(jaeger.asked[0]).query)
    assert asked["service"] == ["orders"]
    assert json.loads(asked["tags"][0]) == {"correlation_id": "c"}


def test_a_trace_that_is_not_there_yet_is_waited_for(jaeger: Pretended) -> None:
    jaeger.appears = 3

    assert len(jaeger.query.find_one("orders", {}, lambda trace: len(trace) == 2)) == 2
    assert len(jaeger.asked) == 4


def test_a_trace_that_is_never_as_wanted_is_reported_with_what_was_there(jaeger: Pretended) -> None:
    with pytest.raises(TraceNotFoundException, match=r"'process orders\.commands', 'send orders\.commands'"):
        jaeger.query.find_one("orders", {}, lambda trace: len(trace) > 2, seconds=0.1)


def test_its_page_has_an_address_for_each_trace() -> None:
    assert JaegerQuery("http://localhost:16686/").link("ab") == "http://localhost:16686/trace/ab"
