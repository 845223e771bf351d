"""A frozen user's work is stopped or kept, as chosen; nothing of his begins."""

import pytest

from tests.support.scenario import Scenario
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.schemas import Running
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
