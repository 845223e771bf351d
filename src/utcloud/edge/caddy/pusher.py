"""The loop that keeps Caddy's replica routes equal to the table, whichever of the two was restarted."""

import asyncio
import contextlib
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog

from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import service
from utcloud.edge.caddy.config import replica_routes

log = structlog.get_logger()
_EXPIRY = timedelta(minutes=1)


class Pusher:
    """Pushes the table's routes through Caddy's admin API, at once when they changed.

    What was pushed carries its own digest as an id, so that asking whether Caddy still has it costs next to nothing;
    every ``poll_s`` seconds it is asked, since a restarted Caddy has forgotten it.
    """

    def __init__(self, db: Database, settings: Settings, clock: Clock, *, poll_s: float = 2.0) -> None:
        self._db, self._settings, self._clock, self._poll_s = db, settings, clock, poll_s
        self._trouble = ""
        self._expired_at: datetime | None = None

    async def run(self) -> None:
        """Push until cancelled. Changes that come together are pushed together; Caddy may be away meanwhile."""
        transport = httpx.AsyncHTTPTransport(
            uds=str(self._settings.edge_admin_socket),
            limits=httpx.Limits(max_keepalive_connections=0),  # Caddy renews its admin endpoint with every change
        )
        with self._db.listening(service.SIGNAL) as woken:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=10) as caddy:
                while True:
                    woken.clear()
                    wait_s = self._poll_s if await self._sync(caddy) else min(self._poll_s, 0.5)
                    await self._expire_codes()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), wait_s)

    async def _sync(self, caddy: httpx.AsyncClient) -> bool:
        """Push if Caddy has anything else than the table; return whether it is known to be equal now."""
        async with self._db.read() as tx:
            routes = await service.all_routes(tx)
        wanted = _identified(replica_routes(self._settings, routes))
        try:
            if (await caddy.get(f"/id/{wanted['@id']}/handler")).status_code == 200:
                return self._note("")
            answer = await caddy.patch("/id/replicas/handle/0", json=wanted)
        except httpx.TransportError as error:
            return self._note(f"does not answer: {type(error).__name__}")
        if answer.is_error:
            return self._note(f"refused the routes: {answer.status_code} {answer.text[:500].strip()}")
        log.info("edge routes pushed", routes=len(routes))
        return self._note("")

    def _note(self, trouble: str) -> bool:
        """Log a trouble once when it comes, and once when it has gone."""
        if trouble and trouble != self._trouble:
            log.warning("edge", trouble=trouble)
        if self._trouble and not trouble:
            log.info("edge is well again")
        self._trouble = trouble
        return not trouble

    async def _expire_codes(self) -> None:
        now = self._clock.now()
        if self._expired_at is not None and now - self._expired_at < _EXPIRY:
            return
        self._expired_at = now
        async with self._db.write() as tx:
            await service.expire_codes(tx, now)


def _identified(routes: list[dict[str, Any]]) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(routes).encode()).hexdigest()[:32]
    return {"@id": f"replicas-{digest}", "handler": "subroute", "routes": routes}
