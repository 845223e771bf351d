"""A real Caddy, a real upstream with a WebSocket, and a server that has the edge's routes."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from starlette.responses import StreamingResponse

from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import caddy
from utcloud.edge.routes import router


class MovableClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


def _hasty(config: str) -> str:
    """The configuration with a tenth of its patience, so that tests need not wait for its end."""
    for patient in ('"try_duration": "10s"', '"grace_period": "2s"'):
        assert patient in config
        config = config.replace(patient, patient.replace('s"', '00ms"'))
    return config


class Caddy:
    """A Caddy process with the base configuration."""

    def __init__(self, settings: Settings, web_dist: Path) -> None:
        self.settings = settings
        self._file = settings.home / "caddy.json"
        internal = free_port() if settings.domain else None
        config = caddy.base_config(settings, web_dist, internal_port=internal)
        if settings.domain:
            config["apps"]["http"] |= {"http_port": free_port(), "https_port": settings.port}
            config["apps"]["http"]["servers"]["edge"]["listen"] = [f"127.0.0.1:{settings.port}"]
        self._file.write_text(_hasty(json.dumps(config)))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *caddy.command(self._file),
            env={**os.environ, **caddy.environment(self.settings)},
            stderr=(self.settings.home / "caddy.log").open("ab"),
        )
        async with asyncio.timeout(20):
            while not await _listens(self.settings.port):
                assert self._process.returncode is None, (self.settings.home / "caddy.log").read_text()
                await asyncio.sleep(0.02)

    async def reload(self) -> None:
        """Load the configuration anew, as an upgrade does."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.settings.edge_admin_socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as admin:
            headers = {"Cache-Control": "must-revalidate"}
            answer = await admin.post("/load", json=json.loads(self._file.read_text()), headers=headers)
        assert answer.status_code == 200, answer.text

    async def stop(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 15)

    async def kill(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def client(self, host: str) -> httpx.AsyncClient:
        """A client that talks to ``host`` through this Caddy. With a domain it trusts any certificate."""
        headers = {"Host": f"{host}:{self.settings.port}"}
        if self.settings.domain:
            return httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{self.settings.port}",
                headers=headers,
                timeout=15,
                verify=False,
                event_hooks={"request": [lambda request: _name(request, host)]},
            )
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.settings.port}", headers=headers, timeout=15)


async def _name(request: httpx.Request, host: str) -> None:
    request.extensions["sni_hostname"] = host


class Upstream:
    """A replica's page: says what it received, and has a WebSocket that echoes."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.address = self.second = ""
        """Two places at which it listens: no two routes have one."""
        self.seen: list[dict[str, str]] = []
        self.cookies: list[str | None] = []

        @self.app.websocket("/ws")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            self.seen.append(dict(websocket.headers))
            with contextlib.suppress(Exception):
                while True:
                    await websocket.send_text(await websocket.receive_text())

        @self.app.api_route("/{path:path}", methods=["GET", "POST"])
        async def page(request: Request, path: str) -> Response:
            self.seen.append(dict(request.headers))
            return Response(f"page {path}", headers={"X-Upstream": "yes"})


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def own_address() -> str:
    """An address of this machine that is not loopback: what a container's looks like to the edge."""
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family == socket.AF_INET and not entry.address.startswith("127."):
                return str(entry.address)
    pytest.skip("this machine has no address but loopback")


@asynccontextmanager
async def serving(app: Any, **config: Any) -> AsyncIterator[uvicorn.Server]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="websockets-sansio", **config))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        task.cancel()  # uvicorn itself would see only at its next tick, a tenth of a second later, that it is to end
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.force_exit = True
        await server.shutdown()


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="utcloud-edge-", dir="/tmp"))  # a socket's path must be short
    (path / "run" / "serve").mkdir(parents=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, port=free_port(), bind=["127.0.0.1"], max_upload_bytes=100_000)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def web_dist(home: Path) -> Path:
    root = home / "dist"
    for end in ("admin", "console"):
        (root / end / "assets").mkdir(parents=True)
        (root / end / "index.html").write_text(f"<html>{end}</html>")
        (root / end / "assets" / "index-1a2b3c4d.js").write_text("let a = 1;\n" * 500)
    return root


@pytest.fixture
async def server(db: Database, settings: Settings, clock: MovableClock) -> AsyncIterator[FastAPI]:
    """The edge's own routes and a few that stand for the API's, on the server's socket."""
    app = FastAPI()
    app.state.settings, app.state.db, app.state.clock = settings, db, clock
    app.include_router(router)

    @app.get("/api/v1/events")
    async def events() -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            for number in range(1000):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    @app.post("/api/v1/uploads")
    @app.post("/api/v1/things")
    @app.post("/api/v1/agent/reports")
    async def take(request: Request) -> int:
        return len(await request.body())

    @app.get("/api/v1/list")
    async def answer() -> str:
        return "x" * 5000

    @app.get("/metrics")
    async def metrics() -> str:
        return "secret figures"

    async with serving(app, uds=str(settings.server_socket)):
        yield app


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with another_upstream() as page:
        yield page


@asynccontextmanager
async def another_upstream() -> AsyncIterator[Upstream]:
    page = Upstream()
    address = own_address()
    async with serving(page.app, host=address, port=0) as server, serving(page.app, host=address, port=0) as other:
        page.address, page.second = (
            f"{address}:{one.servers[0].sockets[0].getsockname()[1]}" for one in (server, other)
        )
        yield page


@pytest.fixture
def own_address_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upstream stands for a container, and has only this machine's own address to listen at."""
    monkeypatch.setattr("utcloud.common.addresses.is_own", lambda _: False)


@pytest.fixture
async def edge(settings: Settings, web_dist: Path) -> AsyncIterator[Caddy]:
    process = Caddy(settings, web_dist)
    await process.start()
    yield process
    await process.kill()


@pytest.fixture
async def pusher(
    db: Database, settings: Settings, clock: MovableClock, request: pytest.FixtureRequest
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(caddy.Pusher(db, settings, clock, poll_s=getattr(request, "param", 0.2)).run())
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.001)
