"""Holds every request's body to its allowance: bytes that are declared, bytes that come, and time.

The first middleware, in front of everything. It reads nothing by itself: the body is counted while the app reads it, so
a request that is refused before (401, 404) costs no more than its head. Starlette's own limit (``max_body_size``) has
one number for all, no bound on time, and leaves an unread body to the connection; hence this.
"""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utcloud.common import bodies
from utcloud.common.errors import Problem, TooLarge
from utcloud.server.errors import from_problem

DRAINED = 256 * 2**10
DRAINED_S = 1.0
LINGER_S = 0.5
"""After an answer that did not wait for the body, so much of it is thrown away for so long, and then nothing more is
read for a while, before the connection is closed: to a client, or an edge, that is still sending, a connection closed
at once is an error of the network that hides the answer. Go's and nginx's servers do the same."""


class TooSlow(Problem):
    """The body did not come in time."""

    status, code, title = 408, "too_slow", "The request took too long"


class Encoded(Problem):
    """The body is compressed, and nothing here unpacks what strangers pack."""

    status, code, title = 415, "unsupported_media_type", "Wrong content type"


class Bodies:
    """ASGI middleware; requests without a body pass as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        body = _Body(headers, bodies.begin(scope), receive, send)
        if headers.get("content-encoding", "identity").lower() != "identity":
            await from_problem(_encoded())(scope, receive, body.send)
            return
        try:
            await self.app(scope, body.receive, body.send)
        except Problem as problem:
            if problem is not body.refusal:
                raise
        if body.refusal and not body.started:
            await from_problem(body.refusal)(scope, receive, body.answer)


class _Body:
    """The body of one request on its way in, and the answer on its way out."""

    def __init__(self, headers: Headers, allowance: bodies.Allowance, receive: Receive, send: Send) -> None:
        declared = headers.get("content-length", "")
        self._declared = int(declared) if declared.isascii() and declared.isdigit() else None
        self._waits_for_us = headers.get("expect", "").lower() == "100-continue"
        self._allowance, self._receive, self._send = allowance, receive, send
        self._began = asyncio.get_running_loop().time()
        self._got = 0
        self._ended = self._closes = False
        self.started = False
        """The answer has begun."""
        self.refusal: Problem | None = None
        """Why the rest of the body is not read."""

    async def receive(self) -> Message:
        """The next piece of the body; raises a Problem, again and again, once it was too much or too slow."""
        if self._ended:
            return await self._receive()
        most = self._allowance.most
        if self.refusal is None and (self._declared or 0) > most:
            self.refusal = _too_large(most)
        if self.refusal:
            raise self.refusal
        self._waits_for_us = False
        try:
            async with asyncio.timeout_at(self._began + self._allowance.grace_s + self._got / bodies.SLOWEST):
                message = await self._next()
        except TimeoutError:
            self.refusal = _too_slow()
            raise self.refusal from None
        if self._got > most:
            self.refusal = _too_large(most)
            raise self.refusal
        return message

    async def _next(self) -> Message:
        message = await self._receive()
        self._got += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass the app's answer on; what it makes of a body that was refused is not it."""
        if self.refusal is None or self.started:
            await self.answer(message)

    async def answer(self, message: Message) -> None:
        """Send; a connection on which more of the body may come is closed after the answer, once that can be read."""
        if message["type"] == "http.response.start":
            self.started = True
            await self._take_what_came()
            if not self._ended:
                self._closes = True
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        elif self._closes and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _take_what_came(self) -> None:
        """A small body that the app did not ask for has mostly come with its head; then the connection can stay."""
        if not self._ended and not self._waits_for_us and (self._declared or DRAINED) < bodies.OPEN:
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    while not self._ended:
                        await self._next()

    async def _drain(self) -> None:
        """Throw a bounded part of the rest away. Whoever waits for ``100 Continue`` sends none."""
        enough = self._got + DRAINED
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAINED_S):
                while not self._ended and not self._waits_for_us:
                    if self._got >= enough:
                        await asyncio.sleep(LINGER_S)
                        return
                    await self._next()


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body has more than {_size(most)}.", field="body", cure="Send less at once.")


def _size(most: int) -> str:
    return f"{most >> 20} MiB" if most >= 2**20 else f"{most >> 10} KiB"


def _too_slow() -> TooSlow:
    return TooSlow("The body did not come in time.", field="body", cure="Send it again, over a better connection.")


def _encoded() -> Encoded:
    return Encoded("The body is compressed.", field="Content-Encoding", cure="Send it as it is, uncompressed.")
