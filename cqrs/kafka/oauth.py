"""Tokens for OAUTHBEARER: from a file, or from a token endpoint by client credentials (RFC 6749, section 4.4)."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

_EARLY = 0.2
"""The part of a token's life at whose beginning the next one is asked for."""

_SECONDS = 10.0
_SHORTEST_LIFE_SECONDS = 1.0


class FileTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """Read the token from a file that somebody else renews, as a projected token of Kubernetes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Return what the file holds now.

        Raises:
            KafkaConnectionError: it cannot be read, or is empty.
        """
        try:
            token = (await asyncio.to_thread(self._path.read_text, "utf-8")).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KafkaConnectionError(f"the token file {self._path} cannot be read: {error}") from error
        if not token:
            raise KafkaConnectionError(f"the token file {self._path} is empty")
        return token


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
    client_secret: str
    scope: str | None = None


class EndpointTokens(AbstractTokenProvider):  # type: ignore[misc]
    """Ask a token endpoint, once however many connections want a token, and again when most of its life is over.

    Args:
        credentials: Where to ask, and as whom.
        clock: Seconds that only grow.
    """

    def __init__(self, credentials: ClientCredentials, clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials
        self._clock = clock
        self._token = ""
        self._good_until = clock()
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is good for a while.

        Raises:
            KafkaConnectionError: the endpoint is away, or does not give one.
        """
        async with self._asking:
            if self._clock() >= self._good_until:
                asked = self._clock()
                self._token, life = await asyncio.to_thread(self._ask)
                self._good_until = asked + max(life * (1 - _EARLY), _SHORTEST_LIFE_SECONDS)
            return self._token

    def _ask(self) -> tuple[str, float]:
        given = self._credentials
        fields = {"grant_type": "client_credentials"} | ({"scope": given.scope} if given.scope else {})
        proof = b64encode(f"{quote(given.client_id)}:{quote(given.client_secret)}".encode()).decode()
        headers = {"Authorization": f"Basic {proof}", "Accept": "application/json"}
        request = Request(given.url, urlencode(fields).encode(), headers)  # noqa: S310 - the operator names the URL
        try:
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                found = json.load(answer)
            return str(found["access_token"]), float(found.get("expires_in", 0))
        except (URLError, OSError, ValueError, KeyError, TypeError) as error:
            raise KafkaConnectionError(f"{given.url} gives no token: {error!r}") from error
