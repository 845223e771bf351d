"""The loop that keeps the files that Caddy reads equal to the table of routes."""

import asyncio
import contextlib
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from utcloud.common import addresses
from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import service
from utcloud.edge.caddy.streams import close_streams
from utcloud.edge.models import Route

log = structlog.get_logger()
_EXPIRY = timedelta(minutes=1)
_ONCE_MORE_S = 1.0
"""After this, streams that began while the old secret was being taken away are closed too."""


class Pusher:
    """Writes each route as an empty file (see ``config``): at once when the table changed, and every ``poll_s``
    seconds whatever was lost or left over. What is open by a secret that is no more is closed. Also forgets opening
    codes that nobody used."""

    def __init__(self, db: Database, settings: Settings, clock: Clock, *, poll_s: float = 5.0) -> None:
        self._db, self._clock, self._poll_s = db, clock, poll_s
        self._root = settings.edge_routes
        self._known: set[Path] = set()
        self._expired_at: datetime | None = None
        self._settings = settings
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Push until cancelled. Changes that come together are pushed together."""
        with self._db.listening(service.SIGNAL) as woken:
            while True:
                if not woken.is_set():
                    self._known = await asyncio.to_thread(self._found)
                woken.clear()
                await self._push()
                await self._expire_codes()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), self._poll_s)

    async def _push(self) -> None:
        async with self._db.read() as tx:
            routes = {self._file(route): route for route in await service.all_routes(tx)}
        wanted = {file for file, route in routes.items() if file in self._known or _is_sound(route.upstream)}
        for file in wanted - self._known:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
        for file in self._known - wanted:
            file.unlink(missing_ok=True)
            for folder in (file.parent, file.parent.parent):
                with contextlib.suppress(OSError):  # another route's file is in it
                    folder.rmdir()
        gone, self._known = self._known - wanted, wanted
        if gone:
            task = asyncio.create_task(self._close_streams(gone))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close_streams(self, gone: set[Path]) -> None:
        """Close what is open by way of files that are gone; leave alone another replica that has the same address by
        now.
        """
        for pause in (0.0, _ONCE_MORE_S):
            await asyncio.sleep(pause)
            hosts = {file.name.rpartition("@")[0]: self._host(file) for file in self._known}
            mine = {file.name.rpartition("@")[0]: self._host(file) for file in gone}
            upstreams = [upstream for upstream, host in mine.items() if hosts.get(upstream, host) == host]
            try:
                await asyncio.to_thread(close_streams, self._settings, upstreams)
            except OSError as error:
                log.error("streams of a page that was shut cannot be closed", upstreams=upstreams, error=str(error))

    @staticmethod
    def _host(file: Path) -> str:
        return file.parent.parent.name

    def _file(self, route: Route) -> Path:
        return self._root / route.host_label / route.secret / f"{route.upstream}@{route.upstream_token}"

    def _found(self) -> set[Path]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return set(self._root.glob("*/*/*"))

    async def _expire_codes(self) -> None:
        now = self._clock.now()
        if self._expired_at is not None and now - self._expired_at < _EXPIRY:
            return
        self._expired_at = now
        async with self._db.write() as tx:
            await service.expire_codes(tx, now)


def _is_sound(upstream: str) -> bool:
    """Whether Caddy may read it, whatever brought it into the table: it is an address and port and nothing else, and
    leads neither into this machine nor where no page can be."""
    place = addresses.endpoint(upstream)
    if place is None or str(place) != upstream:
        return False
    return not (addresses.is_never(place.address) or addresses.is_own(place.address))
