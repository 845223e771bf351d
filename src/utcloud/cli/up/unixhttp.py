"""HTTP over a unix socket, for the container engine's API and for asking whether our processes answer."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def request(
    path: Path, method: str, url: str, body: bytes | IO[bytes] | None = None, *, timeout: float = 10
) -> Iterator[http.client.HTTPResponse]:
    """Send one request; `timeout` seconds is the longest silence. Raises OSError when nobody answers."""
    connection = _Connection(path, timeout)
    try:
        headers = {"Content-Type": "application/x-tar"} if body else {}
        connection.request(method, url, body=body, headers=headers)
        yield connection.getresponse()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{path}: {error!r}") from error
    finally:
        connection.close()


def answers(path: Path, url: str) -> bool:
    """Whether GET `url` on the socket is answered with 200."""
    try:
        with request(path, "GET", url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def get_json(path: Path, url: str) -> Any:
    """The JSON answer to GET `url`, or None unless the status is 200."""
    with request(path, "GET", url, timeout=30) as response:
        return json.load(response) if response.status == 200 else None
