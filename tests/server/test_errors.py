"""Errors of the database, as a caller hears of them."""

import asyncio

import httpx
from fastapi import FastAPI
from sqlalchemy import select, text

from tests.billing.support import UNC, fund
from utcloud.billing.models import Account
from utcloud.db import Database
from utcloud.server import errors


async def test_transactions_in_each_others_way_are_told_to_try_again(db: Database) -> None:
    if db.is_sqlite:  # which has one writer at a time
        return
    async with db.write() as tx:
        for owner in ("rita", "boris"):
            await fund(tx, owner, UNC)
    app, both = FastAPI(), asyncio.Barrier(2)
    errors.install(app)

    @app.post("/{first}/{second}")
    async def lock(first: str, second: str) -> None:
        async with db.write() as tx:
            for owner in (first, second):
                await tx.execute(select(Account).where(Account.owner_id == owner).with_for_update())
                await both.wait() if owner == first else None

    @app.post("/wrong")
    async def wrong() -> None:
        async with db.write() as tx:
            await tx.execute(text("SELECT nothing FROM nowhere"))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = await asyncio.gather(client.post("/rita/boris"), client.post("/boris/rita"))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        refused = next(answer for answer in answers if answer.status_code == 409).json()
        assert refused["code"] == "conflict"
        assert "nothing of yours was done" in refused["detail"]
        assert (await client.post("/wrong")).status_code == 500
