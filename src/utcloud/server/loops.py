"""Starts the rooms' background loops. A loop that fails is logged and begun again; it never takes the server along."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI

from utcloud.accounts import loops as accounts
from utcloud.assets import loops as assets
from utcloud.billing import anchors
from utcloud.billing import loops as billing
from utcloud.billing.meters import fee_ppm
from utcloud.billing.outbox import loops as outbox
from utcloud.edge.caddy import Pusher, Renewer
from utcloud.server import first_password
from utcloud.workloads import loops as workloads
from utcloud.workloads.nodes import Watch

log = structlog.get_logger()
Loop = Callable[[], Awaitable[None]]


def start(app: FastAPI) -> list[asyncio.Task[None]]:
    """Run every room's loops as tasks until they are cancelled."""
    return [asyncio.create_task(_keep_running(name, loop), name=name) for name, loop in _loops(app).items()]


def _loops(app: FastAPI) -> dict[str, Loop]:
    settings, db, clock, store = app.state.settings, app.state.db, app.state.clock, app.state.store
    watch = Watch(clock.now())

    async def stop(attempt_ids: list[str], reason: str) -> None:
        await workloads.stop_dry(db, clock, attempt_ids, reason)

    certificate: dict[str, Loop] = {"certificate": Renewer(settings, clock).run} if settings.tls_cert else {}
    return certificate | {
        "place": lambda: workloads.place_loop(db, clock, fee_ppm=fee_ppm(settings.platform_fee_percent)),
        "nodes": lambda: workloads.nodes_loop(db, clock, watch),
        "pages": lambda: workloads.pages_loop(db, clock),
        "solvency": lambda: billing.watch_solvency(db, clock, stop),
        "uptime": lambda: billing.keep_uptime(db, clock),
        "settle": lambda: billing.settle_hourly(db, clock),
        "heads": lambda: anchors.keep(db, clock, anchors.file_of(settings)),
        "outbox": lambda: outbox.deliver(db, clock, settings),
        "edge": Pusher(db, settings, clock).run,
        "sessions": lambda: accounts.forget_expired(db, clock),
        "versions": lambda: assets.process_versions(db, clock, store, settings),
        "uploads": lambda: assets.expire_uploads(db, clock, settings),
        "password": lambda: first_password.drop_when_changed(db, settings),
        "garbage": lambda: assets.collect_garbage(db, clock, store),
    }


async def _keep_running(name: str, loop: Loop) -> None:
    delay = 0.2
    while True:
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a loop must outlive whatever its database or its peer does
            log.error("loop failed", loop=name, exc_info=error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 10)
