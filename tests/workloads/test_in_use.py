"""What is in use is not deleted, and it is told by whom."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.factories import AssetFactory, AssetVersionFactory, GroupFactory, PoolFactory
from tests.support.scenario import Scenario
from tests.support.web import Person, make_app, person, problem
from utcloud.accounts.routes import router as accounts
from utcloud.accounts.schemas import Role
from utcloud.assets.models import Image
from utcloud.assets.routes import router as assets
from utcloud.common.settings import Settings
from utcloud.resources.models import Node, PoolGroup, UnitPrice
from utcloud.resources.routes import router as resources
from utcloud.resources.service import default_pool
from utcloud.server.wiring import wire
from utcloud.workloads import in_use
from utcloud.workloads.models import Workload

pytestmark = pytest.mark.postgres


@pytest.fixture
async def operator(world: Scenario) -> AsyncIterator[Person]:
    wire()
    app = make_app(world.db, FakeClock(world.now), Settings(), resources, accounts, assets)
    async with person(app, "oscar", Role.OPERATOR) as oscar:
        yield oscar


async def refused(answer: httpx.Response) -> str:
    detail: str = problem(answer, 409, "in_use")["detail"]
    return detail


async def test_deleting_is_refused_with_whose_work_is_in_the_way(world: Scenario, operator: Person) -> None:
    await world.create("first")
    await world.create("second", actor=world.other)
    client = operator.client
    assert "1 pool (lab)" in await refused(await client.delete(f"/specs/{world.spec_id}"))
    await client.patch(f"/specs/{world.spec_id}", json={"pool_ids": []})
    assert "2 notebooks (of other, renter)" in await refused(await client.delete(f"/specs/{world.spec_id}"))
    spec = (await client.get(f"/specs/{world.spec_id}")).json()
    assert spec["used_by"] == 2
    assert "2 notebooks (of other, renter)" in await refused(await client.delete(f"/images/{world.image_id}"))
    custom = (await client.get("/custom-resources")).json()["items"][0]["id"]
    assert "1 specification (0.5CPU-1GB-1TPU1684X)" in await refused(await client.delete(f"/custom-resources/{custom}"))


async def test_an_assets_owner_is_told_names_of_his_own_notebooks_only(world: Scenario) -> None:
    made = [await world.create("mine"), await world.create("a-secret", actor=world.other)]
    async with world.db.write() as tx:
        tx.add(AssetFactory.build(id="alg_1", owner_id=world.renter.id, name="shared"))
        await tx.flush()
        tx.add(AssetVersionFactory.build(id="ver_1", asset_id="alg_1", number=1, status="ready"))
        await tx.flush()
        for ident in made:
            (await tx.get_one(Workload, ident)).algorithm_version_id = "ver_1"
        await tx.flush()
        for told in (await in_use.of_asset(tx, "alg_1"), await in_use.of_version(tx, "ver_1")):
            assert told == "1 notebook ('mine') and 1 notebook (of other)"


async def test_a_miner_is_deleted_when_he_has_given_up_all(world: Scenario, operator: Person) -> None:
    url = f"/users/{world.miner.id}"
    async with world.db.write() as tx:
        (await tx.get_one(Image, world.image_id)).owner_id = operator.user.id
    told = await refused(await operator.client.delete(url))
    for part in ("1 site (site)", "1 specification (0.5CPU-1GB-1TPU1684X)", "1 custom resource (TPU1684X)"):
        assert part in told
    mia = (await operator.client.post("/users", json={"username": "mia", "roles": ["miner"]})).json()
    async with world.db.write() as tx:
        await default_pool(tx, mia["id"])
        tx.add(UnitPrice(miner_id=mia["id"], resource="cpu", price=1))
    assert (await operator.client.delete(f"/users/{mia['id']}")).status_code == 204


async def test_a_pool_and_a_group_in_use_stay(world: Scenario, operator: Person) -> None:
    first = await world.create("first")
    await world.create("second", actor=world.other)
    async with world.db.write() as tx:
        tx.add(GroupFactory.build(id="grp_1", name="red"))
        pool = PoolFactory.build(id="po_2", miner_id=world.miner.id, name="for-red")
        tx.add(pool)
        await tx.flush()
        tx.add(PoolGroup(pool_id=pool.id, group_id="grp_1"))
        workload = await tx.get_one(Workload, first)
        workload.pool_id, workload.group_id = pool.id, "grp_1"
    assert "1 notebook (of renter)" in await refused(await operator.client.delete("/pools/po_2"))
    assert "1 pool ('for-red')" in await refused(await operator.client.delete("/groups/grp_1"))


async def test_who_is_on_a_node_that_would_move(world: Scenario, operator: Person) -> None:
    first = await world.create("first")
    await world.create("second", actor=world.other)
    await world.create("third", actor=world.other)
    async with world.db.write() as tx:
        tx.add_all(
            [
                GroupFactory.build(id="grp_1", name="red"),
                PoolFactory.build(id="po_2", miner_id=world.miner.id, name="lab-2"),
            ]
        )
        await tx.flush()
        (await tx.get_one(Workload, first)).group_id = "grp_1"
        nodes = list(await tx.scalars(select(Node.id).order_by(Node.name)))
    answer = await operator.client.patch("/pools/po_2", json={"node_ids": nodes})
    detail = problem(answer, 409, "node_busy", "node_ids")["detail"]
    assert "node-a (" in detail
    assert "node-b (" in detail
    assert "red" in detail
    assert "other" in detail
    assert "renter" not in detail, "the group in whose name it runs stands for its members"
