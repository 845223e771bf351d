"""Pools: their nodes, what they offer, to whom."""

from typing import Any

import pytest

from tests.resources.steps import Json, join, make_spec, ok
from tests.support.factories import CHIP, GroupFactory, GroupMemberFactory, node_report
from tests.support.fixtures import People
from tests.support.web import person, problem
from utcloud.accounts.schemas import Role
from utcloud.common.errors import Problem
from utcloud.resources import capacity, service
from utcloud.resources.service.common import node_users

pytestmark = pytest.mark.postgres


async def test_pools_move_nodes_and_bind_groups(people: People) -> None:
    await join(people, people.mina, node_report(chips=1), node_report("node-2"))
    spec = await make_spec(people.mina)
    first, second = ((await ok(people.mina.client.get("/nodes")))["items"])[:2]
    async with people.db.write() as tx:
        tx.add(GroupFactory.build(id="grp_lab", name="lab"))
        await tx.flush()
        tx.add(GroupMemberFactory.build(group_id="grp_lab", user_id=people.rita.id))
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
    site_id = await join(people, people.mina, node_report(chips=1))
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


async def test_a_group_sees_its_pools_and_no_others(people: People) -> None:
    await join(people, people.mina, node_report(chips=1))
    async with people.db.write() as tx:
        tx.add_all(GroupFactory.build(id=f"grp_{name}", name=name) for name in ("red", "blue", "grey"))
        await tx.flush()
        tx.add(GroupMemberFactory.build(group_id="grp_red", user_id=people.rita.id))
    for name, groups in (("for-red", ["grp_red"]), ("for-both", ["grp_red", "grp_blue"]), ("for-blue", ["grp_blue"])):
        body = {"name": name, "group_ids": groups, "description": name}
        await ok(people.mina.client.post("/pools", json=body), 201)
    shut = await ok(people.mina.client.post("/pools", json={"name": "for-nobody"}), 201)
    async with person(people.app, "sam", Role.RENTER, groups=["grp_blue"]) as sam:
        seen = {}
        for one in (people.rita, sam):
            listed = (await ok(one.client.get("/pools")))["items"]
            seen[one.user.username] = {pool["name"]: pool["id"] for pool in listed}
            for pool in listed:
                assert (pool["nodes"], pool["arriving"], pool["groups"], pool["usage"]) == ([], [], [], [])
                assert (pool["miner_id"], pool["miner_name"]) == (people.mina.id, "mina")
        assert list(seen["rita"]) == ["default", "for-both", "for-red"]
        assert list(seen["sam"]) == ["default", "for-blue", "for-both"]
        for name, ident in (*seen["sam"].items(), ("for-nobody", shut["id"])):
            status = 200 if name in seen["rita"] else 404
            assert (await people.rita.client.get(f"/pools/{ident}")).status_code == status
        await ok(people.mina.client.patch(f"/pools/{seen['sam']['for-blue']}", json={"group_ids": ["grp_red"]}))
        assert "for-blue" in {one["name"] for one in (await ok(people.rita.client.get("/pools")))["items"]}
        assert "for-blue" not in {one["name"] for one in (await ok(sam.client.get("/pools")))["items"]}
    bound = (await ok(people.mina.client.get("/pools", params={"group_id": "grp_red", "sort": "-name"})))["items"]
    assert [one["name"] for one in bound] == ["for-red", "for-both", "for-blue"]
    hidden = (await ok(people.rita.client.get("/pools", params={"group_id": "grp_blue"})))["items"]
    assert [one["name"] for one in hidden] == ["for-both"], "a filter shows no more than one may see"


async def test_what_never_fits_in_a_pool_is_told_apart_from_what_waits(people: People) -> None:
    await join(people, people.mina, node_report("small", chips=1), node_report("big", chips=3))
    spec = await make_spec(people.mina, items=[{"resource": CHIP, "quantity": "2"}])
    small = (await ok(people.mina.client.get("/nodes", params={"search": "small"})))["items"][0]["id"]
    body = {"name": "tight", "open_to_all": True, "node_ids": [small], "notebook_spec_ids": [spec["id"]]}
    await ok(people.mina.client.post("/pools", json=body), 201)
    listed = {one["name"]: one for one in (await ok(people.rita.client.get("/pools")))["items"]}
    assert [(one["free_now"], one["at_best"]) for one in listed["default"]["notebook_specs"]] == [(1, 1)]
    assert [(one["free_now"], one["at_best"]) for one in listed["tight"]["notebook_specs"]] == [(0, 0)]
    async with people.db.write() as tx:
        demand = capacity.Demand("at_1", spec["id"], listed["default"]["id"])
        assert isinstance(await capacity.reserve(tx, people.clock.now(), [demand]), list)
    again = {one["name"]: one for one in (await ok(people.rita.client.get("/pools")))["items"]}
    assert [(one["free_now"], one["at_best"]) for one in again["default"]["notebook_specs"]] == [(0, 1)]


async def test_a_busy_node_is_asked_about_before_it_moves(people: People) -> None:
    await join(people, people.mina, node_report(chips=2), node_report("node-2"))
    spec = await make_spec(people.mina)
    default = (await ok(people.mina.client.get("/pools")))["items"][0]
    busy, idle = (one["id"] for one in (await ok(people.mina.client.get("/nodes")))["items"])
    lab = await ok(people.mina.client.post("/pools", json={"name": "lab"}), 201)
    async with people.db.write() as tx:
        demands = [capacity.Demand(f"at_{number}", spec["id"], default["id"]) for number in (1, 2)]
        assert isinstance(await capacity.reserve(tx, people.clock.now(), demands), list)

    async def by(_tx: Any, node_ids: Any) -> dict[str, list[str]]:
        return {one: ["lab-group", "alice"] for one in node_ids}

    url, wish = f"/pools/{lab['id']}", {"node_ids": [busy, idle]}
    node_users.append(by)
    try:
        refused = problem(await people.mina.client.patch(url, json=wish), 409, "node_busy", "node_ids")
    finally:
        node_users.remove(by)
    assert "node-1 (2 replicas of lab-group, alice)" in refused["detail"]
    assert (await ok(people.mina.client.get(url)))["nodes"] == [], "the idle one stayed, too"
    problem(await people.mina.client.patch(url, json={**wish, "when_busy": "drain"}), 422, field="reason")
    problem(await people.mina.client.patch(url, json={**wish, "when_busy": "force"}), 422, field="when_busy")
    late = {**wish, "when_busy": "drain", "reason": "x", "grace_minutes": 10_081}
    problem(await people.mina.client.patch(url, json=late), 422, field="grace_minutes")
    moved = await ok(people.mina.client.patch(url, json={**wish, "when_busy": "wait"}))
    assert ([one["name"] for one in moved["nodes"]], [one["name"] for one in moved["arriving"]]) == (
        ["node-2"],
        ["node-1"],
    )
    refused = problem(await people.mina.client.delete(url), 409, "in_use")
    assert "node-1" in refused["detail"]
    async with people.db.write() as tx:
        for number in (1, 2):
            await capacity.release(tx, f"at_{number}")
        for node_id in await service.waiting_to_move(tx):
            await service.arrive(tx, node_id)
    moved = await ok(people.mina.client.get(url))
    assert (len(moved["nodes"]), moved["arriving"]) == (2, [])
    await ok(people.mina.client.delete(url), 204)
