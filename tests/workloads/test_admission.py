"""What is refused is refused at once, in words, and leaves nothing behind."""

from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from tests.support.factories import GB, ImageFactory
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict, Forbidden, InsufficientFunds, Invalid, NotFound, Problem
from utcloud.common.ids import new_id
from utcloud.resources.models import PoolSpec
from utcloud.workloads.models import Workload
from utcloud.workloads.schemas import NotebookCreate

pytestmark = pytest.mark.postgres


async def count(world: Scenario) -> int:
    async with world.db.read() as tx:
        return (await tx.scalar(select(func.count()).select_from(Workload))) or 0


async def refused(world: Scenario, kind: type[Problem], actor: Actor | None = None, **fields: Any) -> Problem:
    before = await count(world)
    with pytest.raises(kind) as caught:
        await world.create("refused", actor=actor, **fields)
    assert await count(world) == before
    assert await world.claims() == {}
    return caught.value


async def test_a_spec_that_no_node_can_ever_hold_names_the_largest(world: Scenario) -> None:
    async with world.db.write() as tx:
        huge = await world.add_spec(tx, "3TPU1684X", {"TPU1684X": 3})
    problem = await refused(world, Conflict, spec_id=huge)
    assert problem.code == "never_fits"
    assert problem.field == "spec_id"
    assert "needs 3 TPU1684X on one node" in problem.detail
    assert "the largest node of pool 'lab' has 2" in problem.detail


async def test_more_tasks_than_the_pool_can_ever_hold(world: Scenario) -> None:
    problem = await refused(world, Conflict, tasks=4)
    assert (problem.code, problem.field) == ("never_fits", "tasks")
    assert "holds 3 at most" in problem.detail


async def test_memory_counts_as_well(world: Scenario) -> None:
    async with world.db.write() as tx:
        huge = await world.add_spec(tx, "1TB", {"memory": 1000 * GB})
    assert "memory on one node" in (await refused(world, Conflict, spec_id=huge)).detail


@pytest.mark.parametrize("field", ["pool_id", "spec_id", "image_id", "algorithm_id", "dataset_id"])
async def test_what_does_not_exist_is_named(world: Scenario, field: str) -> None:
    unknown: dict[str, Any] = {field: "xx_nothing"}
    problem = await refused(world, Problem, **unknown)
    assert problem.status in (404, 422)
    assert problem.field == field
    assert problem.cure


async def test_a_spec_that_the_pool_does_not_offer_for_notebooks(world: Scenario) -> None:
    async with world.db.write() as tx:
        offered = (await tx.scalars(select(PoolSpec).where(PoolSpec.spec_id == world.spec_id))).one()
        offered.purpose = "training"
    assert (await refused(world, Problem)).field == "spec_id"


async def test_an_image_without_jupyterlab(world: Scenario) -> None:
    async with world.db.write() as tx:
        plain = ImageFactory.build(
            id=new_id("im"), owner_id=world.miner.id, name="plain", reference="localhost/plain", jupyter=False
        )
        tx.add(plain)
    assert (await refused(world, Invalid, image_id=plain.id)).field == "image_id"


async def test_a_name_is_taken_once_by_each(world: Scenario) -> None:
    await world.create("mine")
    with pytest.raises(Conflict, match="'mine'") as caught:
        await world.create("mine")
    assert caught.value.field == "name"
    await world.create("mine", actor=world.other)
    assert await count(world) == 2


async def test_a_miner_does_not_rent(world: Scenario) -> None:
    await refused(world, Forbidden, actor=world.miner)


async def test_an_empty_wallet_is_told_what_it_needs(world: Scenario) -> None:
    async with world.db.write() as tx:
        await world.recharge(tx, world.renter, -100_000_000 + 24_999)
    problem = await refused(world, InsufficientFunds)
    assert "has 0.024999 UNC available" in problem.detail
    assert "needs at least 0.025 UNC" in problem.detail
    assert problem.cure == "Ask for a recharge of at least 0.000001 UNC."
    async with world.db.write() as tx:
        await world.recharge(tx, world.renter, 1)
    await world.create("just enough")


async def test_each_task_is_held_for(world: Scenario) -> None:
    async with world.db.write() as tx:
        await world.recharge(tx, world.renter, -100_000_000 + 49_999)
    await refused(world, InsufficientFunds, tasks=2)
    await world.create("one", tasks=1)


async def test_what_is_not_started_costs_and_takes_nothing(world: Scenario) -> None:
    ident = await world.create(start=False)
    assert await world.states(ident) == ["stopped"]
    assert await world.claims() == {}
    assert (await world.desired()).replicas == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 10_000},
        {"name": "two\nlines"},
        {"tasks": 0},
        {"tasks": -1},
        {"tasks": 10**9},
        {"algorithm_version": 0},
        {"unknown": "field"},
    ],
)
def test_shapes_are_checked_before_any_rule(fields: dict[str, Any]) -> None:
    good = {"name": "n", "image_id": "i", "pool_id": "p", "spec_id": "s"}
    NotebookCreate.model_validate(good)
    with pytest.raises(ValidationError):
        NotebookCreate.model_validate(good | fields)


async def test_another_tenants_notebook_does_not_exist(world: Scenario) -> None:
    ident = await world.create()
    with pytest.raises(NotFound):
        await world.remove(ident, actor=world.other)
    assert await count(world) == 1


async def test_a_running_notebook_is_not_deleted(world: Scenario) -> None:
    ident = await world.create()
    with pytest.raises(Conflict) as caught:
        await world.remove(ident)
    assert caught.value.code == "in_use"
    assert "Stop it first" in (caught.value.cure or "")
    await world.run(ident)
    await world.stop(ident)
    with pytest.raises(Conflict) as caught:
        await world.remove(ident)
    assert "stopping" in caught.value.detail
    assert "Wait until it has stopped" in (caught.value.cure or "")
