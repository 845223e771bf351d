"""Asking a page as the edge would."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from utcloud.edge import probe

Page = Callable[[bytes], Awaitable[str]]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Serves a page that answers with these bytes; its address."""
    async with AsyncExitStack() as stack:

        async def serve(answer: bytes) -> str:
            async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                if answer:
                    writer.close()

            server = await asyncio.start_server(answered, "127.0.0.1", 0)
            stack.callback(server.close)
            return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield serve


asked: list[bytes] = []


async def answers(upstream: str) -> bool:
    return await probe.answering({"at_1": (upstream, "secret")}, "/api") == {"at_1"}


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found"])
async def test_a_page_that_opens_to_its_token_answers(page: Page, status: str) -> None:
    asked.clear()
    upstream = await page(f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert await answers(upstream)
    lines = asked[0].decode().split("\r\n")
    assert lines[:3] == ["GET /api HTTP/1.1", f"Host: {upstream}", "Authorization: token secret"]


NO_PAGES = [
    b"HTTP/1.1 403 Forbidden\r\n\r\n",
    b"HTTP/1.1 502 Bad\r\n\r\n",
    b"SSH-2.0 200\r\n",
    b"x" * 100_000 + b"\n",
]


@pytest.mark.parametrize("answer", NO_PAGES, ids=range(len(NO_PAGES)))
async def test_what_refuses_the_token_or_is_no_page_does_not(page: Page, answer: bytes) -> None:
    assert not await answers(await page(answer))


async def test_nobody_there_is_no_answer(page: Page) -> None:
    upstream = await page(b"")
    assert not await answers("127.0.0.1:1")
    assert not await answers("not an address")
    assert upstream


async def test_one_that_says_nothing_keeps_nobody_waiting(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE_S", 0.05)
    good, dumb = await page(b"HTTP/1.1 200 OK\r\n\r\n"), await page(b"")
    pages = {"dumb": (dumb, ""), "good": (good, "")}
    assert await probe.answering(pages, "/api") == {"good"}
