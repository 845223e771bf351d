"""Sites, nodes, resources, specifications and pools as their users meet them."""

import json
from typing import Any

from sqlalchemy import event, select

from tests.resources.steps import join, make_spec, ok
from tests.support.factories import CHIP, chip_report, node_report
from tests.support.fixtures import People
from tests.support.web import problem
from utcloud.accounts.models import AuditEvent
from utcloud.resources import service
from utcloud.resources.models import Site


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


async def test_another_miners_things_are_not_found(people: People) -> None:
    site_id = await join(people, people.mina, node_report(chips=1))
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
    await join(people, people.mina, node_report(chips=1))
    for path in ("/sites", "/nodes", "/specs", "/custom-resources", "/system-resources"):
        problem(await people.rita.client.get(path), 403, "forbidden")
    problem(await people.rita.client.post("/sites", json={"name": "x"}), 403)
    problem(await people.rita.client.post("/pools", json={"name": "x"}), 403)
    (pool,) = (await ok(people.rita.client.get("/pools")))["items"]
    problem(await people.rita.client.patch(f"/pools/{pool['id']}", json={"name": "x"}), 403)
    problem(await people.rita.client.delete(f"/pools/{pool['id']}"), 403)


async def test_every_change_is_in_the_audit_trail(people: People) -> None:
    site_id = await join(people, people.mina, node_report(chips=1))
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
    many = [
        node_report(f"n{number:03}").model_copy(update={"chips": [chip_report(f"u{number}")]}) for number in range(60)
    ]
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
