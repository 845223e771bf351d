"""Specifications: what they hold, where they fit, what they may cost."""

import csv
import io
import json
from typing import Any

import pytest

from tests.resources.steps import Json, join, make_spec, ok
from tests.support.factories import CHIP, node_report
from tests.support.fixtures import People
from tests.support.web import problem
from utcloud.accounts.auth import Actor
from utcloud.resources import capacity
from utcloud.resources.models import Spec
from utcloud.resources.service.common import on_price_change


async def test_spec_with_price_items_and_fit(people: People) -> None:
    await join(people, people.mina, node_report("big", chips=3), node_report("small", cpu=250))
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
    await join(people, people.mina, node_report(chips=3))
    body = {"name": "small", "price": "1.5", "items": [{"resource": CHIP, "quantity": "1"}], **change}
    refused = problem(await people.mina.client.post("/specs", json=body), status, field=field)
    if status == 409:
        assert refused["code"] == "never_fits"
        assert "node-1" in refused["cure"]
        assert any(character.isdigit() for character in refused["detail"])
    assert (await ok(people.mina.client.get("/specs")))["items"] == []


async def test_unknown_resources_are_answered_with_what_exists(people: People) -> None:
    await join(people, people.mina, node_report(chips=1))
    body = {"name": "x", "price": "1", "items": [{"resource": "TPU1684", "quantity": "1"}]}
    refused = problem(await people.mina.client.post("/specs", json=body), 422)
    assert f"cpu, disk, memory, shared-memory, {CHIP}" in refused["cure"]


@pytest.mark.parametrize(
    ("resource", "quantity", "cure"),
    [
        ("memory", "1e400", "such as 1GB"),
        ("memory", "1e3", "such as 1GB"),
        ("memory", "Infinity", "such as 1GB"),
        ("memory", "-1GB", "such as 1GB"),
        ("memory", "0.1B", "such as 1GB"),
        ("memory", "1 parsec", "such as 1GB"),
        ("memory", "1XB", "Unknown unit XB"),
        ("memory", "9999999999999TB", "more memory than any machine has"),
        ("memory", "١GB", "such as 1GB"),
        ("memory", "1GB\u0000", "such as 1GB"),
        ("cpu", "0.0001", "such as 0.5"),
        ("cpu", "2GB", "in cores"),
        (CHIP, "1GB", "whole pieces"),
        (CHIP, "0.5", "It is given whole: its driver has no partitions"),
        (CHIP, "1/2", "such as 1"),
        (CHIP, "", "such as 1"),
    ],
)
async def test_what_is_no_quantity_is_answered_with_one(
    people: People, resource: str, quantity: str, cure: str
) -> None:
    await join(people, people.mina, node_report(chips=3))
    items = [{"resource": "cpu" if resource != "cpu" else CHIP, "quantity": "1"}]
    items.append({"resource": resource, "quantity": quantity})
    body = {"name": "small", "price": "1.5", "items": items}
    for path in ("/specs", "/specs/preview"):
        sent = body if path == "/specs" else {"items": items}
        refused = problem(await people.mina.client.post(path, json=sent), 422, field="items.1.quantity")
        assert cure in refused["cure"], refused


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"name": "x", "price": NaN, "items": [{"resource": "cpu", "quantity": "1"}]}', "price"),
        ('{"name": "x", "price": Infinity, "items": [{"resource": "cpu", "quantity": "1"}]}', "price"),
        ('{"name": "x", "price": 1e400, "items": [{"resource": "cpu", "quantity": "1"}]}', "price"),
        ('{"name": "x", "price": "NaN", "items": [{"resource": "cpu", "quantity": "1"}]}', "price"),
        ('{"name": "x", "price": "1", "items": [{"resource": "cpu", "quantity": 1e400}]}', "items.0.quantity"),
        ('{"name": "x", "price": "1", "items": [{"resource": "cpu", "quantity": NaN}]}', "items.0.quantity"),
    ],
)
async def test_numbers_that_json_does_not_know_are_refused(people: People, body: str, field: str) -> None:
    await join(people, people.mina, node_report(chips=3))
    sent = await people.mina.client.post("/specs", content=body, headers={"Content-Type": "application/json"})
    assert sent.status_code == 422, sent.text
    assert sent.json()["field"] in (field, "body")
    assert (await ok(people.mina.client.get("/specs")))["items"] == []


async def test_a_bundle_names_32_resources_at_most(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    items = [{"resource": f"r{number}", "quantity": "1"} for number in range(33)]
    for path, body in (("/specs", {"name": "x", "price": "1", "items": items}), ("/specs/preview", {"items": items})):
        problem(await people.mina.client.post(path, json=body), 422, field="items")
    problem(await people.mina.client.post("/specs/preview", json={"items": items[:32]}), 422, field="items.0.resource")


async def test_shared_memory_lies_within_memory(people: People) -> None:
    await join(people, people.mina, node_report(chips=1, memory=4 * 10**9))
    memory, shared = {"resource": "memory", "quantity": "4GB"}, {"resource": "shared-memory", "quantity": "3GB"}
    made = await make_spec(people.mina, "shared", items=[shared, memory])
    assert [(one["resource"], one["text"]) for one in made["items"]] == [("memory", "4GB"), ("shared-memory", "3GB")]
    assert made["fit"] == {"now": 1, "at_best": 1, "never": 0}, "it takes no memory of its own"
    (pool,) = (await ok(people.rita.client.get("/pools")))["items"]
    assert [(one["free_now"], one["at_best"]) for one in pool["notebook_specs"]] == [(1, 1)]
    async with people.db.write() as tx:
        granted = await capacity.reserve(tx, people.clock.now(), [capacity.Demand("at_1", made["id"], pool["id"])])
        assert isinstance(granted, list)
        assert granted[0].resources == {"memory": 4 * 10**9}
    post = people.mina.client.post
    for items in ([shared], [shared, {**memory, "quantity": "2GB"}]):
        refused = problem(await post("/specs", json={"name": "x", "price": "1", "items": items}), 422)
        assert (refused["field"], "within memory" in refused["detail"]) == ("items.0.quantity", True)
    body = {"name": "shared-memory", "system_resource": CHIP}
    problem(await post("/custom-resources", json=body), 409, "name_taken", "name")


async def test_a_preview_says_where_it_fits_and_why_not(people: People) -> None:
    await join(people, people.mina, node_report("big", chips=3), node_report("small", cpu=250))

    async def look(**items: str) -> Json:
        body = {"items": [{"resource": name, "quantity": quantity} for name, quantity in items.items()]}
        shown: Json = await ok(people.mina.client.post("/specs/preview", json=body))
        return shown

    assert (await look(cpu="0.25"))["fit"] == {"now": 2, "at_best": 2, "never": 0}
    assert (await look(cpu="8"))["fit"] == {"now": 1, "at_best": 1, "never": 1}
    never = await look(**{CHIP: "4"})
    assert never["fit"] == {"now": 0, "at_best": 0, "never": 2}
    assert f"needs 4 {CHIP} on one node; the largest node of your hardware has 3" in never["detail"]
    spec = await make_spec(people.mina, items=[{"resource": CHIP, "quantity": "2"}])
    (pool,) = (await ok(people.mina.client.get("/pools")))["items"]
    async with people.db.write() as tx:
        demand = capacity.Demand("at_1", spec["id"], pool["id"])
        assert isinstance(await capacity.reserve(tx, people.clock.now(), [demand]), list)
    assert (await look(**{CHIP: "2"}))["fit"] == {"now": 0, "at_best": 1, "never": 1}
    people.clock.advance(seconds=31)
    assert (await look(cpu="0.25"))["fit"] == {"now": 0, "at_best": 2, "never": 0}
    assert (await ok(people.mina.client.get("/specs")))["items"][0]["name"] == "small", "nothing was made"
    problem(
        await people.rita.client.post("/specs/preview", json={"items": [{"resource": "cpu", "quantity": "1"}]}), 403
    )


async def test_a_spec_changes_its_name_price_and_pools(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    spec, other = await make_spec(people.mina), await make_spec(people.mina, "other")
    lab = await ok(people.mina.client.post("/pools", json={"name": "lab", "training_spec_ids": [spec["id"]]}), 201)
    url = f"/specs/{spec['id']}"
    problem(await people.mina.client.patch(url, json={"name": "other"}), 409, "name_taken", "name")
    problem(await people.mina.client.patch(url, json={"pool_ids": ["pool_none"]}), 422, field="pool_ids.0")
    changes: list[tuple[str, int, int]] = []

    async def note(_tx: Any, actor: Actor, changed: Spec, before: int) -> None:
        changes.append((actor.username, before, changed.price))

    on_price_change.append(note)
    try:
        body = {"name": "renamed", "price": "2", "description": "warm", "pool_ids": [lab["id"]]}
        changed = await ok(people.mina.client.patch(url, json=body))
        await ok(people.mina.client.patch(url, json={"price": "2"}))
    finally:
        on_price_change.remove(note)
    assert changes == [("mina", 1_500_000, 2_000_000)]
    assert [changed[key] for key in ("name", "price", "description")] == ["renamed", "2", "warm"]
    assert [one["name"] for one in changed["pools"]] == ["lab"]
    lab = await ok(people.mina.client.get(f"/pools/{lab['id']}"))
    assert (lab["notebook_specs"], [one["name"] for one in lab["training_specs"]]) == ([], ["renamed"]), "as it was"
    assert (await ok(people.mina.client.get(f"/specs/{other['id']}")))["name"] == "other"
    changed = await ok(people.mina.client.patch(url, json={"pool_ids": []}))
    assert changed["pools"] == []
    await ok(people.mina.client.delete(url), 204)


async def test_lists_filter_sort_page_and_come_as_files(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    body = {"name": "TPU", "system_resource": CHIP}
    await ok(people.mina.client.post("/custom-resources", json=body), 201)
    for name, price, resource in (("b", "1", CHIP), ("a", "3", "TPU"), ("c", "2", CHIP)):
        await make_spec(people.mina, name, price=price, items=[{"resource": resource, "quantity": "1"}])

    async def names(**query: Any) -> str:
        found, cursor = "", None
        while True:
            params = query | ({"cursor": cursor} if cursor else {})
            page = await ok(people.mina.client.get("/specs", params={"limit": 2, **params}))
            found += "".join(one["name"] for one in page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    assert [await names(sort=sort) for sort in ("name", "-name", "price", "-price", "created_at", "-created_at")] == [
        "abc",
        "cba",
        "bca",
        "acb",
        "bac",
        "cab",
    ]
    assert (await names(resource="TPU"), await names(search="B"), await names(pool_id="pool_none")) == ("a", "b", "")
    (pool,) = (await ok(people.mina.client.get("/pools")))["items"]
    assert await names(pool_id=pool["id"], sort="name") == "abc"
    problem(await people.mina.client.get("/specs", params={"sort": "colour"}), 422, field="sort")
    answer = await people.mina.client.get("/specs", params={"format": "csv", "sort": "name", "resource": CHIP})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["name"], row["price"]) for row in rows] == [("b", "1"), ("c", "2")]
    for path in ("/specs", "/pools", "/custom-resources", "/system-resources"):
        lines = (await people.mina.client.get(path, params={"format": "jsonl"})).text.splitlines()
        listed = (await ok(people.mina.client.get(path)))["items"]
        assert [json.loads(line)["name"] for line in lines] == [one["name"] for one in listed], path
        assert len(listed) > 0
        shown = (await people.mina.client.get(path, headers={"Accept": "text/csv"})).text
        assert listed[0]["name"] in shown
