"""A frozen user's work is stopped or kept, as chosen; nothing of his begins."""

from functools import partial

import pytest

from tests.support.scenario import Scenario
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.passwords import hash_password
from utcloud.accounts.schemas import Running
from utcloud.common.settings import Settings
from utcloud.edge import service as edge
from utcloud.server.wiring import wire

pytestmark = pytest.mark.postgres

OPERATOR = Actor("us_op", "op", is_operator=True)


async def freeze(world: Scenario, running: Running, reason: str = "") -> None:
    async with world.db.write() as tx:
        await accounts.freeze_user(tx, OPERATOR, world.renter.id, running, reason)


@pytest.fixture(autouse=True)
def _wired() -> None:
    wire()


async def test_what_runs_is_stopped_and_its_owner_reads_why(world: Scenario) -> None:
    ident = await world.create(tasks=2)
    await world.run(ident)
    await freeze(world, Running.STOP, "bill not paid")
    assert await world.states(ident) == ["stopping", "stopping"]
    assert (await world.workload(ident)).reason == "its owner's account was frozen: bill not paid"


async def test_what_runs_is_kept_and_what_waits_is_not(world: Scenario) -> None:
    runs = await world.create("runs", tasks=3)
    await world.run(runs)
    waits = await world.create("waits")
    assert await world.states(waits) == ["pending"]
    await freeze(world, Running.KEEP)
    assert await world.states(runs) == ["running"] * 3
    assert await world.states(waits) == ["stopped"]
    await freeze(world, Running.STOP)
    assert await world.states(runs) == ["stopping"] * 3


async def test_others_work_goes_on(world: Scenario) -> None:
    ident = await world.create(actor=world.other)
    await world.run(ident)
    await freeze(world, Running.STOP)
    assert await world.states(ident) == ["running"]


async def test_opened_pages_close_with_a_new_password_and_with_freezing(world: Scenario) -> None:
    """Each replica's page has another secret, and links that were given out are void; others' stay."""
    for actor in (world.renter, world.other):
        await world.run(await world.create(actor=actor))

    async def secrets() -> dict[str, str]:
        async with world.db.read() as tx:
            return {route.owner_id: route.secret for route in await edge.all_routes(tx)}

    async def link() -> str:
        async with world.db.write() as tx:
            route = next(route for route in await edge.all_routes(tx) if route.owner_id == world.renter.id)
            url, _ = await edge.issue_code(tx, world.now, Settings(), route.replica_id)
        return url.rpartition("=")[2]

    async def reset() -> None:
        async with world.db.write() as tx:
            await accounts.reset_password(tx, world.now, OPERATOR, world.renter.id, await hash_password("new password"))

    async def change() -> None:
        await accounts.change_password(world.db, world.now, world.renter, "new password", "another password")

    for closes in (reset, change, partial(freeze, world, Running.KEEP)):
        before, code = await secrets(), await link()
        await closes()
        after = await secrets()
        assert after[world.renter.id] != before[world.renter.id]
        assert after[world.other.id] == before[world.other.id]
        async with world.db.read() as tx:
            assert not await edge.is_code(tx, code)
