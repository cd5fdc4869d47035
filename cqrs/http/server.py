"""A small HTTP server beside the service: its own thread, its own event loop, so that it answers while others work."""

import asyncio
import socket
import threading
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from cqrs.exceptions import ConfigurationException

_GRACE_SECONDS = 2.0
"""How much longer than its own limit the server may take to end before it is made to."""


class _AnnouncedServer(uvicorn.Server):
    """Say when the sockets are served."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class ThreadedServer:
    """Serve an ASGI application from a thread of its own.

    Args:
        app: The application.
        host: The address to listen on; the default answers this machine only.
        port: The port, or 0 for any free one; `url` tells which after `start()`.
        stop_timeout_seconds: How long requests in hand may take once `stop()` is called.
    """

    def __init__(
        self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, stop_timeout_seconds: float = 3.0
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._stop_timeout = stop_timeout_seconds
        self._socket: socket.socket | None = None
        self._server: _AnnouncedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Return the port listened on.

        Raises:
            RuntimeError: the server has not been started.
        """
        if self._socket is None:
            raise RuntimeError("The server has no port before start() and after stop().")
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Return the address to call, for example `http://127.0.0.1:40123`.

        Raises:
            RuntimeError: the server has not been started.
        """
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    async def start(self) -> None:
        """Listen, and return once requests are answered; harmless when already started.

        Raises:
            ConfigurationException: the address cannot be bound, or the application refuses to start.
        """
        if self._thread is not None:
            return
        self._socket = self._bind()
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="auto",
            timeout_graceful_shutdown=max(1, round(self._stop_timeout)),
        )
        self._server = server = _AnnouncedServer(config)
        self._thread = threading.Thread(target=self._serve, args=(server, self._socket), name="http", daemon=True)
        self._thread.start()
        await asyncio.to_thread(server.ready.wait)
        if not server.started:
            await self.stop()
            raise ConfigurationException([f"The HTTP server on {self._host} did not start; the log says why."])

    async def stop(self) -> None:
        """Finish the requests in hand and free the port; harmless when called again."""
        server, thread, listening = self._server, self._thread, self._socket
        self._server = self._thread = self._socket = None
        if server is None or thread is None or listening is None:
            return
        server.should_exit = True
        await asyncio.to_thread(thread.join, self._stop_timeout + _GRACE_SECONDS)
        server.force_exit = True  # of no effect once the thread has ended
        await asyncio.to_thread(thread.join, _GRACE_SECONDS)
        listening.close()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._host, self._port))
        except OSError as error:
            listening.close()
            raise ConfigurationException(
                [f"Port {self._port} on {self._host} cannot be listened on ({error}); choose another, or 0 for any."]
            ) from error
        return listening

    @staticmethod
    def _serve(server: _AnnouncedServer, listening: socket.socket) -> None:
        try:
            with suppress(SystemExit):  # so uvicorn ends when the application does not start; start() reports it
                server.run(sockets=[listening])
        finally:
            server.ready.set()
