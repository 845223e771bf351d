"""Hostile bodies through a real Caddy to the real server: the refusal arrives, whoever goes on sending."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.edge.conftest import Caddy, serving
from utcloud.common.settings import Settings
from utcloud.server.app import create_app

pytestmark = pytest.mark.programs


@pytest.fixture
async def real(database_url: str, settings: Settings, edge: Caddy) -> AsyncIterator[Caddy]:
    """The edge before the whole server."""
    app = create_app(settings.model_copy(update={"database_url": database_url, "max_upload_bytes": 20 * 2**20}))
    async with serving(app, uds=str(settings.server_socket)):
        yield edge


async def answered(edge: Caddy, path: str, *headers: str) -> tuple[int, str]:
    """Send 16 MiB, and read meanwhile, as browsers and curl do: the status, and the content type."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.settings.port)
    host = f"Host: localhost:{edge.settings.port}"
    lines = [f"POST {path} HTTP/1.1", host, f"Content-Length: {16 * 2**20}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(256):
                writer.write(b"1," * 2**15)
                await writer.drain()

    sending = asyncio.create_task(send())
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        kind = next(line for line in head.lower().split("\r\n") if line.startswith("content-type:"))
        sending.cancel()
    writer.close()
    return int(head.split()[1]), kind.partition(": ")[2]


async def test_a_stranger_is_answered_and_not_cut_off(real: Caddy) -> None:
    """Where a credential is needed and missing, the edge's 413 and the server's 401 race; either is right."""
    for path, headers, statuses in (
        ("/api/v1/agent/reports", ("Authorization: Bearer utcs_wrong",), {401}),
        ("/api/v1/agent/reports", (), {401, 413}),
        ("/api/v1/auth/session", (), {413}),
        ("/api/v1/overview", ("Cookie: utcloud_session=wrong",), {401}),
    ):
        for _ in range(3):
            status, kind = await answered(real, path, *headers)
            assert status in statuses, path
            assert kind == "application/problem+json", path
    async with real.client("localhost") as anybody:
        assert (await anybody.get("/healthz")).status_code == 200


async def test_an_ended_session_is_told_to_whoever_uploads(real: Caddy) -> None:
    """Within what the edge lets through: the browser learns that it has to log in, not that the network is broken."""
    async with real.client("localhost") as browser:
        for size in (100, 50_000, 99_000):
            answer = await browser.post(
                "/api/v1/uploads", content=b"x" * size, headers={"Cookie": "utcloud_session=ended"}
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
