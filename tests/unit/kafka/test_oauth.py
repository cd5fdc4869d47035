"""A token is there when it is needed, or a word about why not; nothing that gives it out stops a client."""

import asyncio
import json
import socketserver
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs

import pytest
from aiokafka.errors import KafkaConnectionError

from cqrs.kafka.oauth import ClientCredentials, EndpointTokens, FileTokens, NoTokenException

ME = ("c", "s")


@pytest.mark.asyncio
async def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" first\n", "utf-8")
    tokens = FileTokens(path)
    assert await tokens.token() == "first"
    path.write_text("second", "utf-8")
    assert await tokens.token() == "second"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (b"", "holds no token"),
        (b" \n", "holds no token"),
        (b"two tokens", "characters that no token has"),
        ("t\u00f6ken".encode(), "characters that no token has"),
        (b"to\x01ken", "characters that no token has"),
        (b"\xff", "KAFKA_SASL_OAUTH_TOKEN_FILE"),
        (None, "cannot be read"),
    ],
)
@pytest.mark.asyncio
async def test_a_token_file_of_no_use_is_a_broker_that_cannot_be_reached(
    tmp_path: Path, found: bytes | None, says: str
) -> None:
    path = tmp_path / "token"
    if found is not None:
        path.write_bytes(found)
    with pytest.raises(NoTokenException, match=says) as missing:
        await FileTokens(path).token()
    assert isinstance(missing.value, KafkaConnectionError), "else it would end a task of aiokafka"


class Clock:
    """Be a time that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Endpoint(HTTPServer):
    """Give out numbered tokens, and remember who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.answer: bytes | None = None
        self.status = 200
        self.elsewhere: str | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of who does not wait."""


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast(Endpoint, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        proof = b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        server.asked.append((proof, parse_qs(body)))
        server.may_answer.wait(10)
        given = {"access_token": f"token-{len(server.asked)}", "expires_in": 100}
        self.send_response(server.status)
        if server.elsewhere:
            self.send_header("Location", server.elsewhere)
        self.end_headers()
        self.wfile.write(server.answer if server.answer is not None else json.dumps(given).encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    with serving(server):
        yield server


@pytest.mark.asyncio
async def test_a_token_is_asked_for_once_and_again_when_most_of_its_life_is_over(endpoint: Endpoint) -> None:
    clock = Clock()
    tokens = EndpointTokens(ClientCredentials(endpoint.url, "me:here", "s&c/ret", "kafka"), clock)
    assert await asyncio.gather(*(tokens.token() for _ in range(5))) == ["token-1"] * 5
    clock.now += 79.0
    assert await tokens.token() == "token-1"
    clock.now += 1.0
    assert await asyncio.gather(*(tokens.token() for _ in range(5))) == ["token-2"] * 5
    assert len(endpoint.asked) == 2
    assert endpoint.asked[0] == ("me%3Ahere:s%26c%2Fret", {"grant_type": ["client_credentials"], "scope": ["kafka"]})


def test_event_loops_of_several_threads_share_a_token(endpoint: Endpoint) -> None:
    tokens, found = EndpointTokens(ClientCredentials(endpoint.url, *ME)), list[str]()
    threads = [threading.Thread(target=lambda: found.append(asyncio.run(tokens.token()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["token-1"] * 8
    assert len(endpoint.asked) == 1


@pytest.mark.asyncio
async def test_a_failure_is_asked_for_once_too_and_told_to_all_who_wait(endpoint: Endpoint) -> None:
    endpoint.status = 503
    endpoint.may_answer.clear()
    tokens = EndpointTokens(ClientCredentials(endpoint.url, *ME))
    waiting = [asyncio.create_task(tokens.token()) for _ in range(5)]
    await asyncio.sleep(0)
    endpoint.may_answer.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in failures} == {NoTokenException}
    assert len(endpoint.asked) == 1
    endpoint.status = 200
    assert await tokens.token() == "token-2", "it is asked again by who comes next"


@pytest.mark.asyncio
async def test_a_token_is_used_until_it_expires_while_it_cannot_be_renewed(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    tokens = EndpointTokens(ClientCredentials(endpoint.url, *ME), clock)
    assert await tokens.token() == "token-1"
    endpoint.status = 500
    clock.now += 99.0
    assert await tokens.token() == "token-1"
    assert "could not be renewed" in caplog.text
    clock.now += 1.0
    with pytest.raises(NoTokenException, match="gives no token: 500"):
        await tokens.token()


@pytest.mark.parametrize("answer", [{"access_token": "t"}, {"access_token": "t", "expires_in": None}])
@pytest.mark.asyncio
async def test_a_token_of_an_unknown_life_is_asked_for_again_after_a_second(
    endpoint: Endpoint, answer: dict[str, object]
) -> None:
    endpoint.answer, clock = json.dumps(answer).encode(), Clock()
    tokens = EndpointTokens(ClientCredentials(endpoint.url, *ME), clock)
    for seconds, asked in ((0.0, 1), (0.9, 1), (0.2, 2)):
        clock.now += seconds
        assert await tokens.token() == "t"
        assert len(endpoint.asked) == asked


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b"{}",
        b"[1]",
        b"3",
        b"\xff",
        b'{"access_token": null}',
        b'{"access_token": 5}',
        b'{"access_token": ""}',
        b'{"access_token": "two words"}',
        b'{"access_token": "a\\u0001b"}',
        b'{"access_token": "t", "expires_in": "soon"}',
        b'{"access_token": "t", "expires_in": [1]}',
        b"[" * 100_000,
        b'"' + b"x" * 300_000,
    ],
)
@pytest.mark.asyncio
async def test_an_answer_of_no_use_is_a_broker_that_cannot_be_reached(endpoint: Endpoint, answer: bytes) -> None:
    endpoint.answer = answer
    with pytest.raises(NoTokenException, match="gives no token") as missing:
        await EndpointTokens(ClientCredentials(endpoint.url, *ME)).token()
    assert isinstance(missing.value, KafkaConnectionError)
    assert len(str(missing.value)) < 500


@pytest.mark.asyncio
async def test_a_refusal_says_what_to_look_at_and_never_the_secret(endpoint: Endpoint) -> None:
    endpoint.status, endpoint.answer = 401, b'{"error": "invalid_client", "error_description": "no such client"}'
    with pytest.raises(NoTokenException) as missing:
        await EndpointTokens(ClientCredentials(endpoint.url, "me", "hunter2")).token()
    assert "401 Unauthorized, invalid_client no such client; look at KAFKA_SASL_OAUTH_CLIENT_ID" in str(missing.value)
    assert "hunter2" not in str(missing.value) + repr(ClientCredentials(endpoint.url, "me", "hunter2"))


@pytest.mark.asyncio
async def test_the_secret_is_taken_to_nobody_else(endpoint: Endpoint) -> None:
    other = Endpoint()
    with serving(other):
        endpoint.status, endpoint.elsewhere = 302, other.url
        with pytest.raises(NoTokenException, match="302"):
            await EndpointTokens(ClientCredentials(endpoint.url, *ME)).token()
    assert not other.asked


@pytest.mark.asyncio
async def test_an_endpoint_that_is_away_is_a_broker_that_cannot_be_reached() -> None:
    with pytest.raises(NoTokenException, match="gives no token"):
        await EndpointTokens(ClientCredentials("http://127.0.0.1:1/token", *ME)).token()


@pytest.mark.asyncio
async def test_what_is_no_http_is_a_broker_that_cannot_be_reached() -> None:
    class Rude(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(b"SSH-2.0\r\n")

    server = socketserver.TCPServer(("127.0.0.1", 0), Rude)
    with serving(server), pytest.raises(NoTokenException, match="gives no token"):
        await EndpointTokens(ClientCredentials(f"http://127.0.0.1:{server.server_address[1]}", *ME)).token()


@pytest.mark.asyncio
async def test_an_endpoint_that_does_not_answer_is_waited_for_a_while_and_asked_anew(endpoint: Endpoint) -> None:
    endpoint.may_answer.clear()
    tokens = EndpointTokens(ClientCredentials(endpoint.url, *ME), timeout_seconds=0.2)
    begun = time.monotonic()
    with pytest.raises(NoTokenException, match="gives no token"):
        await tokens.token()
    assert time.monotonic() - begun < 2.0
    endpoint.may_answer.set()
    patient = EndpointTokens(ClientCredentials(endpoint.url, *ME))
    assert (await patient.token()).startswith("token-")


@pytest.mark.asyncio
async def test_who_stops_waiting_leaves_the_others_waiting(endpoint: Endpoint) -> None:
    endpoint.may_answer.clear()
    tokens = EndpointTokens(ClientCredentials(endpoint.url, *ME))
    impatient, patient = asyncio.create_task(tokens.token()), asyncio.create_task(tokens.token())
    await asyncio.sleep(0)
    impatient.cancel()
    endpoint.may_answer.set()
    assert await patient == "token-1"
    assert impatient.cancelled()
