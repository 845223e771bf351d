"""Sites, nodes, resources, specifications and pools as their users meet them."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select

from tests.resources.conftest import People
from tests.resources.support import CHIP, chip, heard, node
from tests.support.web import Person, person, problem
from utcloud.accounts.models import AuditEvent, Group, GroupMember
from utcloud.accounts.schemas import Role
from utcloud.common.errors import Problem
from utcloud.protocol import NodeReport
from utcloud.resources import capacity, service
from utcloud.resources.models import Site

Json = dict[str, Any]


async def ok(call: Any, status: int = 200) -> Any:
    response: httpx.Response = await call
    assert response.status_code == status, response.text
    return response.json() if response.content else None


async def join(people: People, miner: Person, *nodes: NodeReport) -> str:
    """The miner makes a site, whose agent reports ``nodes``."""
    site = await ok(miner.client.post("/sites", json={"name": f"at-{miner.user.username}"}), 201)
    async with people.db.write() as tx:
        found = await service.site_for_token(tx, site["token"])
        assert found
        await heard(tx, people.clock.now(), found.id, *nodes)
    ident: str = site["id"]
    return ident


async def make_spec(miner: Person, name: str = "small", **more: Any) -> Json:
    body = {"name": name, "price": "1.5", "items": [{"resource": CHIP, "quantity": "1"}], **more}
    made: Json = await ok(miner.client.post("/specs", json=body), 201)
    return made


async def test_a_site_joins_with_its_token_which_is_shown_once(people: People) -> None:
    made = await ok(people.mina.client.post("/sites", json={"name": "attic"}), 201)
    assert made["token"].startswith("utcs_")
    assert not made["connected"]
    (listed,) = (await ok(people.mina.client.get("/sites")))["items"]
    assert "token" not in listed
    async with people.db.write() as tx:
        assert await service.site_for_token(tx, "utcs_wrong") is None
        assert await service.site_for_token(tx, "") is None
        site = await service.site_for_token(tx, made["token"])
        assert site
        assert made["token"] not in site.token_hash
        again, none = await service.ensure_site(tx, people.mina.id, "attic")
        assert (again.id, none) == (site.id, None)
        _, renewed = await service.ensure_site(tx, people.mina.id, "attic", renew_token=True)
        assert renewed
        assert await service.site_for_token(tx, made["token"]) is None
    problem(await people.boris.client.post("/sites", json={"name": "attic"}), 409, "name_taken", "name")


async def test_bump_raises_the_revision_that_the_session_sees(people: People) -> None:
    site_id = await join(people, people.mina)
    with people.db.listening(f"site:{site_id}") as woken:
        async with people.db.write() as tx:
            site = await tx.get_one(Site, site_id)
            await service.bump(tx, site_id)
            await service.bump(tx, site_id)
            assert site.revision == 2
        assert woken.is_set()


async def test_a_removed_site_is_out_and_its_name_is_free(people: People) -> None:
    made = await ok(people.mina.client.post("/sites", json={"name": "attic"}), 201)
    await ok(people.mina.client.delete(f"/sites/{made['id']}"), 204)
    problem(await people.mina.client.get(f"/sites/{made['id']}"), 404)
    async with people.db.write() as tx:
        assert await service.site_for_token(tx, made["token"]) is None
    await ok(people.mina.client.post("/sites", json={"name": "attic"}), 201)


async def test_custom_resource(people: People) -> None:
    await join(people, people.mina, node(chips=3, simulated=True), node("plain"))
    nodes = (await ok(people.mina.client.get("/nodes")))["items"]
    with_chips, plain = (next(one["id"] for one in nodes if one["name"] == name) for name in ("node-1", "plain"))
    post = people.mina.client.post
    body = {"name": "TPU1684X", "system_resource": CHIP, "node_ids": [with_chips]}
    made = await ok(post("/custom-resources", json=body), 201)
    assert made["usage"]["capacity"] == 3
    assert made["simulated"]
    assert [one["id"] for one in made["nodes"]] == [with_chips]
    (system,) = (await ok(people.mina.client.get("/system-resources", params={"search": "SOPHGO"})))["items"]
    assert system["custom_names"] == ["TPU1684X"]
    for change, status, field in (
        ({}, 409, "name"),
        ({"name": CHIP}, 422, "name"),  # a slash
        ({"name": "cpu"}, 409, "name"),
        ({"name": "Memory"}, 409, "name"),
        ({"name": "X" * 10_000}, 422, "name"),
        ({"name": "Y", "system_resource": "nvidia.com/gpu"}, 422, "system_resource"),
        ({"name": "Y", "node_ids": ["nd_none"]}, 422, "node_ids.0"),
        ({"name": "Y", "node_ids": [with_chips, plain]}, 422, "node_ids.1"),
    ):
        problem(await post("/custom-resources", json={**body, **change}), status, field=field)
    spec = await make_spec(people.mina, items=[{"resource": "TPU1684X", "quantity": "1"}])
    assert spec["simulated"]
    refused = problem(await people.mina.client.delete(f"/custom-resources/{made['id']}"), 409, "in_use")
    assert "small" in refused["detail"]
    changed = await ok(people.mina.client.patch(f"/custom-resources/{made['id']}", json={"node_ids": []}))
    assert changed["nodes"] == []
    assert changed["used_by_specs"] == ["small"]
    async with people.db.read() as tx:
        assert {"TPU1684X", CHIP} <= await service.simulated_names(tx)


async def test_spec_with_price_items_and_fit(people: People) -> None:
    await join(people, people.mina, node("big", chips=3), node("small", cpu=250))
    items = [
        {"resource": CHIP, "quantity": "1"},
        {"resource": "memory", "quantity": "1GB"},
        {"resource": "cpu", "quantity": "0.5"},
    ]
    made = await make_spec(people.mina, "0.5CPU-1GB-1TPU", items=items)
    assert made["price"] == "1.5"
    assert [(one["resource"], one["value"], one["text"]) for one in made["items"]] == [
        ("cpu", 500, "0.5"),
        ("memory", 10**9, "1GB"),
        (CHIP, 1, "1"),
    ]
    assert made["fit"] == {"now": 1, "at_best": 1, "never": 1}
    assert [pool["name"] for pool in made["pools"]] == ["default"]
    pools = (await ok(people.rita.client.get("/pools")))["items"]
    assert [(one["name"], one["free_now"], one["price"]) for one in pools[0]["notebook_specs"]] == [
        ("0.5CPU-1GB-1TPU", 3, "1.5")
    ]
    assert [one["name"] for one in pools[0]["training_specs"]] == ["0.5CPU-1GB-1TPU"]
    changed = await ok(people.mina.client.patch(f"/specs/{made['id']}", json={"price": "0.000001"}))
    assert changed["price"] == "0.000001"
    assert changed["name"] == made["name"]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"price": "-1"}, 422, "price"),
        ({"price": "1.0000001"}, 422, "price"),
        ({"price": "1e3"}, 422, "price"),
        ({"price": "9999999999"}, 422, "price"),
        ({"price": 1.5}, 422, "price"),
        ({"name": ""}, 422, "name"),
        ({"name": "x" * 10_000}, 422, "name"),
        ({"items": []}, 422, "items"),
        ({"items": [{"resource": "TPU", "quantity": "1"}]}, 422, "items.0.resource"),
        ({"items": [{"resource": "cpu", "quantity": "0"}]}, 422, "items.0.quantity"),
        ({"items": [{"resource": "cpu", "quantity": "-1"}]}, 422, "items.0.quantity"),
        ({"items": [{"resource": "cpu", "quantity": "NaN"}]}, 422, "items.0.quantity"),
        ({"items": [{"resource": "cpu", "quantity": "1"}] * 2}, 422, "items.1.resource"),
        ({"items": [{"resource": CHIP, "quantity": "0.5"}]}, 422, "items.0.quantity"),
        ({"items": [{"resource": CHIP, "quantity": "4"}]}, 409, "items"),
        ({"items": [{"resource": "memory", "quantity": "999TB"}]}, 409, "items"),
        ({"pool_ids": ["pool_none"]}, 422, "pool_ids.0"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
async def test_bad_specs_name_the_field_and_the_cure(people: People, change: Json, status: int, field: str) -> None:
    await join(people, people.mina, node(chips=3))
    body = {"name": "small", "price": "1.5", "items": [{"resource": CHIP, "quantity": "1"}], **change}
    refused = problem(await people.mina.client.post("/specs", json=body), status, field=field)
    if status == 409:
        assert refused["code"] == "never_fits"
        assert "node-1" in refused["cure"]
        assert any(character.isdigit() for character in refused["detail"])
    assert (await ok(people.mina.client.get("/specs")))["items"] == []


async def test_unknown_resources_are_answered_with_what_exists(people: People) -> None:
    await join(people, people.mina, node(chips=1))
    body = {"name": "x", "price": "1", "items": [{"resource": "TPU1684", "quantity": "1"}]}
    refused = problem(await people.mina.client.post("/specs", json=body), 422)
    assert f"cpu, disk, memory, shared-memory, {CHIP}" in refused["cure"]


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


async def test_another_miners_things_are_not_found(people: People) -> None:
    site_id = await join(people, people.mina, node(chips=1))
    spec = await make_spec(people.mina)
    body = {"name": "TPU", "system_resource": CHIP}
    custom = await ok(people.mina.client.post("/custom-resources", json=body), 201)
    (one,) = (await ok(people.mina.client.get("/nodes")))["items"]
    (pool,) = (await ok(people.mina.client.get("/pools")))["items"]
    paths = [
        f"/sites/{site_id}",
        f"/nodes/{one['id']}",
        f"/specs/{spec['id']}",
        f"/custom-resources/{custom['id']}",
        f"/pools/{pool['id']}",
    ]
    for path in paths:
        problem(await people.boris.client.get(path), 404, "not_found")
        if not path.startswith("/nodes"):
            problem(await people.boris.client.delete(path), 404, "not_found")
        assert (await people.oscar.client.get(path)).status_code == 200
    for path in paths[2:]:
        problem(await people.boris.client.patch(path, json={"description": "mine"}), 404, "not_found")
    for path in ("/sites", "/nodes", "/specs", "/custom-resources", "/system-resources", "/pools"):
        listed = (await ok(people.boris.client.get(path)))["items"]
        assert listed == [], path
        assert (await ok(people.oscar.client.get(path)))["items"], path
    grab = {"name": "grab", "node_ids": [one["id"]]}
    problem(await people.boris.client.post("/pools", json=grab), 422, field="node_ids.0")
    offer = {"name": "grab", "notebook_spec_ids": [spec["id"]]}
    problem(await people.boris.client.post("/pools", json=offer), 422, field="notebook_spec_ids.0")


async def test_a_renter_sees_no_hardware(people: People) -> None:
    await join(people, people.mina, node(chips=1))
    for path in ("/sites", "/nodes", "/specs", "/custom-resources", "/system-resources"):
        problem(await people.rita.client.get(path), 403, "forbidden")
    problem(await people.rita.client.post("/sites", json={"name": "x"}), 403)
    problem(await people.rita.client.post("/pools", json={"name": "x"}), 403)
    (pool,) = (await ok(people.rita.client.get("/pools")))["items"]
    problem(await people.rita.client.patch(f"/pools/{pool['id']}", json={"name": "x"}), 403)
    problem(await people.rita.client.delete(f"/pools/{pool['id']}"), 403)


async def test_every_change_is_in_the_audit_trail(people: People) -> None:
    site_id = await join(people, people.mina, node(chips=1))
    spec = await make_spec(people.mina)
    await ok(people.mina.client.patch(f"/specs/{spec['id']}", json={"price": "2"}))
    pool = await ok(people.mina.client.post("/pools", json={"name": "lab"}), 201)
    await ok(people.mina.client.patch(f"/pools/{pool['id']}", json={"open_to_all": True}))
    await ok(people.mina.client.delete(f"/pools/{pool['id']}"), 204)
    body = {"name": "TPU", "system_resource": CHIP}
    custom = await ok(people.mina.client.post("/custom-resources", json=body), 201)
    await ok(people.mina.client.delete(f"/custom-resources/{custom['id']}"), 204)
    await ok(people.mina.client.delete(f"/sites/{site_id}"), 204)
    async with people.db.read() as tx:
        events = (await tx.scalars(select(AuditEvent).where(AuditEvent.actor_id == people.mina.id))).all()
    actions = [event.action for event in sorted(events, key=lambda one: one.id) if "." in event.action]
    for action in (
        "site.create",
        "spec.create",
        "spec.update",
        "pool.create",
        "pool.update",
        "pool.delete",
        "custom_resource.create",
        "custom_resource.delete",
        "site.delete",
    ):
        assert actions.count(action) == 1, actions
    assert "utcs_" not in json.dumps([event.detail for event in events])


async def test_lists_page_search_and_sort_with_few_queries(people: People) -> None:
    many = [node(f"n{number:03}").model_copy(update={"chips": [chip(f"u{number}")]}) for number in range(60)]
    await join(people, people.mina, *many)
    await make_spec(people.mina)
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    names: list[str] = []
    cursor = None
    while True:
        params: dict[str, str] = {"limit": "25", "sort": "-name"} | ({"cursor": cursor} if cursor else {})
        event.listen(people.db.engine.sync_engine, "before_cursor_execute", note)
        page = await ok(people.mina.client.get("/nodes", params=params))
        event.remove(people.db.engine.sync_engine, "before_cursor_execute", note)
        names += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == [f"n{number:03}" for number in reversed(range(60))]
    assert count <= 3 * 14
    found = await ok(people.mina.client.get("/nodes", params={"search": "N00"}))
    assert len(found["items"]) == 10
    assert (await ok(people.mina.client.get("/nodes", params={"search": "%"})))["items"] == []
    problem(await people.mina.client.get("/nodes", params={"cursor": "zzz"}), 422, field="cursor")
    problem(await people.mina.client.get("/nodes", params={"limit": 0}), 422)
