"""Pools: their nodes, what they offer, to whom."""

from typing import Any

import pytest

from tests.resources.conftest import People
from tests.resources.steps import Json, join, make_spec, ok
from tests.resources.support import node
from tests.support.web import person, problem
from utcloud.accounts.models import Group, GroupMember
from utcloud.accounts.schemas import Role
from utcloud.common.errors import Problem
from utcloud.resources import capacity, service


async def test_pools_move_nodes_and_bind_groups(people: People) -> None:
    await join(people, people.mina, node(chips=1), node("node-2"))
    spec = await make_spec(people.mina)
    first, second = ((await ok(people.mina.client.get("/nodes")))["items"])[:2]
    async with people.db.write() as tx:
        tx.add(Group(id="grp_lab", name="lab"))
        await tx.flush()
        tx.add(GroupMember(group_id="grp_lab", user_id=people.rita.id))
    body = {
        "name": "lab",
        "node_ids": [first["id"]],
        "group_ids": ["grp_lab"],
        "notebook_spec_ids": [spec["id"]],
    }
    pool = await ok(people.mina.client.post("/pools", json=body), 201)
    assert [one["name"] for one in pool["nodes"]] == ["node-1"]
    assert pool["usage"]
    seen = await ok(people.rita.client.get(f"/pools/{pool['id']}"))
    assert (seen["nodes"], seen["usage"], seen["groups"]) == ([], [], [])
    assert [one["free_now"] for one in seen["notebook_specs"]] == [1]
    async with person(people.app, "sam", Role.RENTER) as sam:
        problem(await sam.client.get(f"/pools/{pool['id']}"), 404)
        assert [one["name"] for one in (await ok(sam.client.get("/pools")))["items"]] == ["default"]
        async with people.db.read() as tx:
            with pytest.raises(Problem) as caught:
                await service.usable_pool(tx, sam.actor, pool["id"], "notebook", spec["id"])
            assert (caught.value.status, caught.value.field) == (404, "pool_id")
            with pytest.raises(Problem) as caught:
                await service.usable_pool(tx, people.rita.actor, pool["id"], "training", spec["id"])
            assert (caught.value.status, caught.value.field) == (422, "spec_id")
            found = await service.usable_pool(tx, people.rita.actor, pool["id"], "notebook", spec["id"])
            assert [one.id for one in found] == [pool["id"], spec["id"]]
    for change, status, field in (
        ({"name": "lab"}, 409, "name"),
        ({"name": "n", "node_ids": ["nd_none"]}, 422, "node_ids.0"),
        ({"name": "n", "group_ids": ["grp_none"]}, 422, "group_ids.0"),
        ({"name": "n", "training_spec_ids": ["spec_none"]}, 422, "training_spec_ids.0"),
        ({"name": " "}, 422, "name"),
    ):
        problem(await people.mina.client.post("/pools", json=change), status, field=field)
    changed = await ok(people.mina.client.patch(f"/pools/{pool['id']}", json={"node_ids": [second["id"]]}))
    assert [one["name"] for one in changed["nodes"]] == ["node-2"]
    default = (await ok(people.mina.client.get("/pools", params={"search": "default"})))["items"][0]
    assert [one["name"] for one in default["nodes"]] == ["node-1"]
    problem(await people.mina.client.patch(f"/pools/{default['id']}", json={"node_ids": []}), 422, field="node_ids")
    problem(await people.mina.client.delete(f"/pools/{default['id']}"), 409, "default_pool")
    await ok(people.mina.client.delete(f"/pools/{pool['id']}"), 204)
    default = await ok(people.mina.client.get(f"/pools/{default['id']}"))
    assert [one["name"] for one in default["nodes"]] == ["node-1", "node-2"]


async def test_what_is_in_use_is_not_deleted(people: People) -> None:
    site_id = await join(people, people.mina, node(chips=1))
    spec = await make_spec(people.mina)
    refused = problem(await people.mina.client.delete(f"/specs/{spec['id']}"), 409, "in_use")
    assert "1 pool (default)" in refused["detail"]
    (one,) = (await ok(people.mina.client.get("/nodes")))["items"]
    body = {"name": "lab", "node_ids": [one["id"]], "notebook_spec_ids": [spec["id"]]}
    pool = await ok(people.mina.client.post("/pools", json=body), 201)
    async with people.db.write() as tx:
        demand = capacity.Demand("at_1", spec["id"], pool["id"])
        assert isinstance(await capacity.reserve(tx, people.clock.now(), [demand]), list)
    refused = problem(await people.mina.client.delete(f"/pools/{pool['id']}"), 409, "in_use")
    assert "node-1 (1 replica)" in refused["detail"]
    problem(await people.mina.client.delete(f"/sites/{site_id}"), 409, "in_use")
    problem(await people.mina.client.post("/pools", json={"name": "x", "node_ids": [one["id"]]}), 409, "node_busy")
    shown = await ok(people.mina.client.get(f"/nodes/{one['id']}"))
    assert [item["in_use"] for item in shown["chips"]] == [True]

    async def by_notebooks(_tx: Any, ident: str) -> str | None:
        return "2 notebooks (a, b)" if ident == spec["id"] else None

    service.spec_in_use_checks.append(by_notebooks)
    try:
        default = (await ok(people.mina.client.get("/pools", params={"search": "default"})))["items"][0]
        for pool_id in (pool["id"], default["id"]):
            empty: Json = {"notebook_spec_ids": [], "training_spec_ids": []}
            await ok(people.mina.client.patch(f"/pools/{pool_id}", json=empty))
        refused = problem(await people.mina.client.delete(f"/specs/{spec['id']}"), 409, "in_use")
        assert "2 notebooks (a, b)" in refused["detail"]
    finally:
        service.spec_in_use_checks.remove(by_notebooks)
    await ok(people.mina.client.delete(f"/specs/{spec['id']}"), 204)
