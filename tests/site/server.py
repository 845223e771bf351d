"""A tiny real server that speaks the agent's protocol, and can be told to misbehave."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from utcloud.protocol import (
    DesiredReplica,
    DesiredState,
    FileEntry,
    Manifest,
    ObservedReplica,
    ReportAnswer,
    SiteReport,
)

TOKEN = "the-site's-token"


class SmallServer:
    """Listens on a unix socket. ``want`` publishes a desired state; ``reports`` holds all that arrived."""

    def __init__(self, socket: Path, site_id: str):
        self.socket = socket
        self.state = DesiredState(site_id=site_id, revision=1)
        self.reports: list[SiteReport] = []
        self.times: list[float] = []
        self.seen_attempts: dict[str, list[ObservedReplica]] = {}
        self.manifests: dict[str, Manifest] = {}
        self.blobs: dict[str, bytes] = {}
        self.blob_requests: list[str] = []
        self.fail_with: int | None = None
        self.headers: dict[str, str] = {}
        self.flight = 0
        self.most_in_flight = 0
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=2**26, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/api/v1/agent/desired", self._desired),
                web.post("/api/v1/agent/reports", self._report),
                web.get("/api/v1/agent/manifests/{id}", self._manifest),
                web.get("/api/v1/agent/blobs/{sha}", self._blob),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        self.socket.unlink(missing_ok=True)

    async def want(self, *replicas: DesiredReplica, drop_volumes: list[str] | None = None) -> None:
        """Make this the desired state."""
        update = {"replicas": list(replicas), "revision": self.state.revision + 1, "drop_volumes": drop_volumes or []}
        self.state = self.state.model_copy(update=update)
        async with self._changed:
            self._changed.notify_all()

    def add_files(self, version_id: str, files: dict[str, bytes]) -> Manifest:
        """Have a version whose files can be asked for."""
        entries = []
        for path, content in files.items():
            sha = hashlib.sha256(content).hexdigest()
            self.blobs[sha] = content
            entries.append(FileEntry(path=path, size=len(content), sha256=sha, executable=path.endswith(".sh")))
        self.manifests[version_id] = Manifest(version_id=version_id, files=entries)
        return self.manifests[version_id]

    def replica(self, attempt_id: str) -> ObservedReplica | None:
        """What the last report said of this attempt."""
        rows = self.reports[-1].replicas if self.reports else []
        return next((row for row in rows if row.attempt_id == attempt_id), None)

    async def until(self, true: Callable[[], bool], timeout_s: float = 20, what: str = "") -> None:
        """Wait until a report made this true."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self._changed:
                    await self._changed.wait_for(true)
        except TimeoutError:
            last = self.reports[-1].model_dump_json(indent=1) if self.reports else "no report"
            raise AssertionError(f"never came true: {what}; the last report was {last[:4000]}") from None

    async def until_phase(self, attempt_id: str, phase: str, timeout_s: float = 20) -> ObservedReplica:
        def reached() -> bool:
            row = self.replica(attempt_id)
            return row is not None and row.phase == phase

        await self.until(reached, timeout_s, f"{attempt_id} is {phase}")
        row = self.replica(attempt_id)
        assert row is not None
        return row

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.fail_with:
            return web.Response(status=self.fail_with, text="told to fail", headers=self.headers)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        return await handler(request)

    async def _desired(self, request: web.Request) -> web.Response:
        after, wait = int(request.query["after"]), float(request.query["wait"])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait), self._changed:
                await self._changed.wait_for(lambda: self.state.revision != after)
        return web.Response(text=self.state.model_dump_json(), content_type="application/json")

    async def _report(self, request: web.Request) -> web.Response:
        self.flight += 1
        self.most_in_flight = max(self.most_in_flight, self.flight)
        report = SiteReport.model_validate_json(await request.read())
        self.reports.append(report)
        self.times.append(time.monotonic())
        for row in report.replicas:
            rows = self.seen_attempts.setdefault(row.attempt_id, [])
            if not rows or rows[-1] != row:
                rows.append(row)
        async with self._changed:
            self._changed.notify_all()
        self.flight -= 1
        answer = ReportAnswer(revision=self.state.revision, server_time=datetime.now(UTC))
        return web.Response(text=answer.model_dump_json(), content_type="application/json")

    async def _manifest(self, request: web.Request) -> web.Response:
        manifest = self.manifests.get(request.match_info["id"])
        if manifest is None:
            return web.Response(status=404, text="no such version")
        return web.Response(text=manifest.model_dump_json(), content_type="application/json")

    async def _blob(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        self.blob_requests.append(sha)
        if sha not in self.blobs:
            return web.Response(status=404, text="no such blob")
        return web.Response(body=self.blobs[sha])
