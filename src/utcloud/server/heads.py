"""Holds every request's head to its size, as it comes in.

The edge takes heads of up to 1 MiB, since a replica's page can make its owner's browser send so many cookies. It hands
none of these on; so whoever comes here with so much is no browser. What lies beyond is thrown away while it is parsed,
and the request is answered 431.
"""

from asyncio import AbstractEventLoop
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from utcloud.common.errors import Problem
from utcloud.server.errors import from_problem

MOST_BYTES = 64 * 2**10
MOST_FIELDS = 100


class HeadTooLarge(Problem):
    """The head has too many bytes or fields."""

    status, code, title = 431, "head_too_large", "Request header fields too large"


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, for ``uvicorn.run(http=…)``."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._whole_app = self.app
        self._bytes = self._fields = 0

    def on_message_begin(self) -> None:
        self._bytes = self._fields = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._bytes += len(url)
        if self._is_too_large():
            self.url = b"/"
        else:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._bytes += len(name) + len(value)
        self._fields += 1
        if not self._is_too_large():
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.app = _refuse if self._is_too_large() else self._whole_app
        super().on_headers_complete()

    def _is_too_large(self) -> bool:
        return self._bytes > MOST_BYTES or self._fields > MOST_FIELDS


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    problem = HeadTooLarge(
        "The request's head is larger than is allowed.",
        cure="Send fewer and shorter header fields, and a short address.",
    )
    answer = from_problem(problem)
    answer.headers["connection"] = "close"  # whatever body comes after it is not read
    await answer(scope, receive, send)
