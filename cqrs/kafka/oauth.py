"""Tokens for OAUTHBEARER: from a file, or from a token endpoint by client credentials (RFC 6749, section 4.4)."""

import asyncio
import json
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

_log = logging.getLogger(__name__)

_EARLY = 0.2
"""The part of a token's life at whose beginning the next one is asked for."""

_SECONDS = 10.0
_SHORTEST_LIFE_SECONDS = 1.0
_LARGEST_ANSWER_BYTES = 256 * 1024
_LONGEST_WORDS = 300
_CREDENTIALS_REFUSED = (400, 401, 403)


class NoTokenException(KafkaConnectionError):  # type: ignore[misc]  # aiokafka is untyped
    """Report that there is no token at present; aiokafka takes it for a broker that cannot be reached, and goes on."""

    def __str__(self) -> str:
        """Return what it was made with."""
        return " ".join(map(str, self.args))


class FileTokens(AbstractTokenProvider):  # type: ignore[misc]
    """Read the token from a file that somebody else renews, as a projected token of Kubernetes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what the file holds now.

        Raises:
            NoTokenException: it cannot be read, is empty, or holds more than a token.
        """
        return await asyncio.to_thread(read_token, self._path)


def read_token(path: Path) -> str:
    """Return the token that stands in `path`.

    Raises:
        NoTokenException: it cannot be read, is empty, or holds more than a token.
    """
    try:
        return _checked(path.read_text("utf-8").strip())
    except OSError as error:
        raise NoTokenException(f"KAFKA_SASL_OAUTH_TOKEN_FILE cannot be read: {error}") from error
    except ValueError as error:
        raise NoTokenException(f"KAFKA_SASL_OAUTH_TOKEN_FILE, {path}: {error}") from error


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Hold what a token endpoint wants to know.

    Attributes:
        url: The token endpoint.
        client_id: Who asks.
        client_secret: The proof of it.
        scope: What is asked for, or None.
    """

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


class EndpointTokens(AbstractTokenProvider):  # type: ignore[misc]
    """Ask a token endpoint, once however many connections want a token, and again when most of its life is over.

    While the endpoint is away, a token that has not expired is used on. It serves event loops in several threads.

    Args:
        credentials: Where to ask, and as whom.
        clock: Seconds that only grow.
        timeout_seconds: How long the endpoint may take.
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = _SECONDS,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._asking: Future[_Token] | None = None
        self._token = _Token("", clock(), clock())

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a token that is good for a while.

        Raises:
            NoTokenException: the endpoint is away, or does not give one.
        """
        known = self._token
        if self._clock() < known.renew_at:
            return known.text
        try:
            return (await self._asked()).text
        except NoTokenException as error:
            if self._clock() >= known.ends_at:
                raise
            _log.warning("The token for Kafka could not be renewed, and is used until it expires: %s", error)
            return known.text

    async def _asked(self) -> "_Token":
        with self._lock:
            if self._clock() < self._token.renew_at:
                return self._token
            if self._asking is None:
                self._asking = Future()
                self._asking.set_running_or_notify_cancel()  # so that one who stops waiting does not cancel it
                # Not a thread of the loop's: these hold the end of the process up for as long as the endpoint likes.
                threading.Thread(target=self._ask_for, args=(self._asking,), daemon=True).start()
            asking = self._asking
        try:
            return await asyncio.wait_for(asyncio.wrap_future(asking), self._timeout)
        except TimeoutError:
            self._forget(asking)
            raise NoTokenException(f"{self._credentials.url} gives no token within {self._timeout:g} s") from None

    def _ask_for(self, asking: "Future[_Token]") -> None:
        asked = self._clock()
        try:
            text, life = _ask(self._credentials, self._timeout)
        except NoTokenException as error:
            self._forget(asking)
            asking.set_exception(error)
            return
        renew = asked + max(life * (1 - _EARLY), _SHORTEST_LIFE_SECONDS)
        token = self._token = _Token(text, renew, asked + max(life, _SHORTEST_LIFE_SECONDS))
        self._forget(asking)
        asking.set_result(token)

    def _forget(self, asking: "Future[_Token]") -> None:
        with self._lock:
            if self._asking is asking:
                self._asking = None


@lru_cache(maxsize=16)
def endpoint_tokens(credentials: ClientCredentials) -> EndpointTokens:
    """Return what gives tokens to every client of this process that has the same credentials."""
    return EndpointTokens(credentials)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float
    ends_at: float


class _NoRedirects(HTTPRedirectHandler):
    """Follow nobody: the client's secret is for the endpoint that the operator named."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _ask(given: ClientCredentials, seconds: float) -> tuple[str, float]:
    fields = {"grant_type": "client_credentials"} | ({"scope": given.scope} if given.scope else {})
    proof = b64encode(f"{quote(given.client_id, '')}:{quote(given.client_secret, '')}".encode()).decode()
    headers = {"Authorization": f"Basic {proof}", "Accept": "application/json"}
    request = Request(given.url, urlencode(fields).encode(), headers)  # noqa: S310 - the settings take http and https
    try:
        with build_opener(_NoRedirects).open(request, timeout=seconds) as answer:
            found = json.loads(answer.read(_LARGEST_ANSWER_BYTES))
        return _checked(found["access_token"]), max(float(found.get("expires_in") or 0), 0.0)
    except HTTPError as error:
        with error:
            raise NoTokenException(f"{given.url} gives no token: {_refusal(error)}") from error
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoTokenException(f"{given.url} gives no token: {error!r}") from error


def _refusal(error: HTTPError) -> str:
    words = f"{error.code} {error.reason}"
    try:
        said = json.loads(error.read(_LARGEST_ANSWER_BYTES))  # RFC 6749, section 5.2
        words += f", {said['error']} {said.get('error_description', '')}".rstrip()
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # what it says beside the status is not for us
    if error.code in _CREDENTIALS_REFUSED:
        return (
            f"{words[:_LONGEST_WORDS]}; look at KAFKA_SASL_OAUTH_CLIENT_ID, KAFKA_SASL_OAUTH_CLIENT_SECRET and "
            "KAFKA_SASL_OAUTH_SCOPE"
        )
    return words[:_LONGEST_WORDS]


def _checked(token: object) -> str:
    """Return `token` when it can stand in SASL's message (RFC 7628, section 3.1): visible ASCII, in one piece.

    Raises:
        ValueError: it cannot.
    """
    if not isinstance(token, str) or not token:
        raise ValueError("it holds no token")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("what it holds has characters that no token has")
    return token
