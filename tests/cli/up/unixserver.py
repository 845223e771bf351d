"""A small HTTP server on a unix socket, answering from a table."""

import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

Answers = dict[tuple[str, str], tuple[int, Any]]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(path: Path, answers: Answers) -> Iterator[list[tuple[str, str]]]:
    """Answer {(method, path without query): (status, body)} on the socket; yield the requests that came.

    A body that is no str is sent as JSON. Anything not in the table is 404.
    """
    seen: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            key = (self.command, self.path.partition("?")[0])
            seen.append((self.command, self.path))
            while self.headers.get("Transfer-Encoding") == "chunked":
                size = int(self.rfile.readline(), 16)
                self.rfile.read(size + 2)
                if not size:
                    break
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers.get(key, (404, {"message": "no such thing"}))
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            pass

    with _Server(str(path), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield seen
        server.shutdown()
