"""Errors of the database, as a caller hears of them."""

import asyncio

import httpx
from fastapi import FastAPI
from sqlalchemy import select, text

from tests.support.factories import GroupFactory
from tests.support.money import UNC, fund
from utcloud.accounts.models import Group
from utcloud.billing.models import Account
from utcloud.db import Database
from utcloud.server import errors


async def test_transactions_in_each_others_way_are_told_to_try_again(db: Database) -> None:
    if db.is_sqlite:  # which has one writer at a time
        return
    async with db.write() as tx:
        for owner in ("rita", "boris"):
            await fund(tx, owner, UNC)
        tx.add(GroupFactory.build(id="grp_1", name="team"))
    app, both = FastAPI(), asyncio.Barrier(2)
    errors.install(app)

    @app.post("/{first}/{second}")
    async def lock(first: str, second: str) -> None:
        async with db.write() as tx:
            for owner in (first, second):
                await tx.execute(select(Account).where(Account.owner_id == owner).with_for_update())
                await both.wait() if owner == first else None

    @app.post("/gone")
    async def change_what_was_deleted_meanwhile() -> None:
        async with db.write() as tx:
            group = await tx.get_one(Group, "grp_1")
            async with db.write() as other:
                await other.delete(await other.get_one(Group, "grp_1"))
            group.name = "another"

    @app.post("/wrong")
    async def wrong() -> None:
        async with db.write() as tx:
            await tx.execute(text("SELECT nothing FROM nowhere"))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = await asyncio.gather(client.post("/rita/boris"), client.post("/boris/rita"))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        deadlocked = next(answer for answer in answers if answer.status_code == 409)
        for refused in (deadlocked, await client.post("/gone")):
            assert refused.status_code == 409
            assert refused.json()["code"] == "conflict"
            assert "nothing of yours was done" in refused.json()["detail"]
        assert (await client.post("/wrong")).status_code == 500
