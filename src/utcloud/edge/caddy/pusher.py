"""The loop that keeps the files that Caddy reads equal to the table of routes."""

import asyncio
import contextlib
from datetime import datetime, timedelta
from pathlib import Path

from utcloud.common import addresses
from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import service
from utcloud.edge.models import Route

_EXPIRY = timedelta(minutes=1)


class Pusher:
    """Writes each route as an empty file (see ``config``): at once when the table changed, and every ``poll_s``
    seconds whatever was lost or left over. Also forgets opening codes that nobody used."""

    def __init__(self, db: Database, settings: Settings, clock: Clock, *, poll_s: float = 5.0) -> None:
        self._db, self._clock, self._poll_s = db, clock, poll_s
        self._root = settings.edge_routes
        self._known: set[Path] = set()
        self._expired_at: datetime | None = None

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
        self._known = wanted

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
