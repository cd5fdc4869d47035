"""The part of Confluent's REST API that clients use to register and fetch, in memory: for tests of clients."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote
from uuid import UUID


class _Handler(BaseHTTPRequestHandler):
    schemas: list[str]
    subjects: list[str]
    authorization: str | None

    def do_POST(self) -> None:
        self.subjects.append(unquote(self.path.split("/")[2]))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["schema"] not in self.schemas:
            self.schemas.append(body["schema"])
        number = self.schemas.index(body["schema"]) + 1
        self._answer(200, {"id": number, "guid": _guid(body["schema"]), "schema": body["schema"]})

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].split("/")
        found = {str(number): text for number, text in enumerate(self.schemas, 1)}
        found |= {_guid(text): text for text in self.schemas}
        text = found.get(parts[3])
        if text is None:
            self._answer(404, {"error_code": 40403, "message": "Schema not found"})
        else:
            self._answer(200, {"schema": text, "guid": _guid(text)})

    def _answer(self, status: int, body: object) -> None:
        if self.authorization is not None and self.headers["Authorization"] != self.authorization:
            status, body = 401, {"error_code": 401, "message": "Unauthorized"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        return


def _guid(schema: str) -> str:
    return str(UUID(bytes=hashlib.sha256(schema.encode()).digest()[:16]))


@contextmanager
def registry_server(
    *schemas: str, authorization: str | None = None, subjects: list[str] | None = None
) -> Iterator[str]:
    """Serve a registry that knows `schemas` from id 1 on, and yield its URL.

    It lets in only who sends the header `authorization`, where one is given, and notes in `subjects` what is registered
    under which name.
    """
    noted = [] if subjects is None else subjects
    known = {"schemas": list(schemas), "authorization": authorization, "subjects": noted}
    handler = type("Handler", (_Handler,), known)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
