"""Starts the rooms' background loops. A loop that fails is logged and begun again; it never takes the server along."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI

log = structlog.get_logger()
Loop = Callable[[], Awaitable[None]]


def start(app: FastAPI) -> list[asyncio.Task[None]]:
    """Run every room's loops as tasks until they are cancelled."""
    return [asyncio.create_task(_keep_running(name, loop), name=name) for name, loop in _loops(app).items()]


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
