"""Specifications: what they hold, where they fit, what they may cost."""

import pytest

from tests.resources.conftest import People
from tests.resources.steps import Json, join, make_spec, ok
from tests.resources.support import CHIP, node
from tests.support.web import problem


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
