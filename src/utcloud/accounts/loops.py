"""The background work of accounts."""

import asyncio

from utcloud.accounts import service
from utcloud.common.clock import Clock
from utcloud.db import Database


async def forget_expired(db: Database, clock: Clock, *, every_s: float = 600) -> None:
    """Remove ended sessions and old login failures, again and again."""
    while True:
        async with db.write() as tx:
            await service.forget_expired(tx, clock.now())
        await asyncio.sleep(every_s)
