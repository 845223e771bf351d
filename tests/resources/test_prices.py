"""Unit prices, and what they suggest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.resources.steps import Json, join, make_spec, ok
from tests.support.factories import CHIP, node_report
from tests.support.fixtures import People
from tests.support.web import problem
from utcloud.accounts.models import AuditEvent
from utcloud.resources.capacity import Names
from utcloud.resources.service import prices

pytestmark = pytest.mark.postgres

PRICES = [
    {"resource": "cpu", "price": "0.1"},
    {"resource": "memory", "price": "0.05"},
    {"resource": CHIP, "price": "1"},
]


async def set_prices(people: People, given: list[Json]) -> dict[str, str | None]:
    answer = await ok(people.mina.client.put("/unit-prices", json=given))
    return {one["resource"]: one["price"] for one in answer["items"]}


async def test_unit_prices_are_of_every_resource_that_can_be_named(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    await ok(people.mina.client.post("/custom-resources", json={"name": "TPU", "system_resource": CHIP}), 201)
    listed = (await ok(people.mina.client.get("/unit-prices")))["items"]
    assert [(one["resource"], one["system_resource"], one["unit"], one["price"]) for one in listed] == [
        ("cpu", "cpu", "core", None),
        ("memory", "memory", "GB", None),
        ("disk", "disk", "GB", None),
        (CHIP, CHIP, "piece", None),
        ("TPU", CHIP, "piece", None),
    ]
    assert await set_prices(people, PRICES) == {"cpu": "0.1", "memory": "0.05", "disk": None, CHIP: "1", "TPU": None}
    after = await set_prices(people, [{"resource": "TPU", "price": "2"}, {"resource": "cpu", "price": None}])
    assert after == {"cpu": None, "memory": None, "disk": None, CHIP: None, "TPU": "2"}, "these alone hold now"
    assert (await ok(people.boris.client.get("/unit-prices")))["items"][0]["price"] is None, "each has his own"
    async with people.db.read() as tx:
        events = (await tx.scalars(select(AuditEvent).where(AuditEvent.action == "unit_price.update"))).all()
    assert [event.detail for event in sorted(events, key=lambda one: one.id)][-1] == {"TPU": "2"}


async def test_the_price_of_a_spec_is_suggested_and_may_be_overruled(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    await ok(people.mina.client.post("/custom-resources", json={"name": "TPU", "system_resource": CHIP}), 201)
    items = [
        {"resource": "cpu", "quantity": "0.5"},
        {"resource": "memory", "quantity": "1.5GB"},
        {"resource": "shared-memory", "quantity": "1GB"},
        {"resource": "TPU", "quantity": "2"},
    ]
    shown = await ok(people.mina.client.post("/specs/preview", json={"items": items}))
    assert (shown["suggested_price"], shown["missing"]) == (None, ["cpu", "memory", "TPU"])
    body = {"name": "x", "items": items}
    refused = problem(await people.mina.client.post("/specs", json=body), 422, field="price")
    assert "cpu, memory, TPU" in refused["detail"]
    await set_prices(people, PRICES)
    shown = await ok(people.mina.client.post("/specs/preview", json={"items": items}))
    assert shown["suggested_price"] == "2.125"
    assert shown["lines"] == [
        {"resource": "cpu", "text": "0.5", "unit": "core", "unit_price": "0.1", "amount": "0.05"},
        {"resource": "memory", "text": "1.5GB", "unit": "GB", "unit_price": "0.05", "amount": "0.075"},
        {"resource": "TPU", "text": "2", "unit": "piece", "unit_price": "1", "amount": "2"},
    ]
    made = await ok(people.mina.client.post("/specs", json=body), 201)
    assert (made["price"], made["suggested_price"]) == ("2.125", "2.125")
    own = await make_spec(people.mina, "own", price="9", items=items)
    assert (own["price"], own["suggested_price"]) == ("9", "2.125")
    await set_prices(people, [*PRICES, {"resource": "TPU", "price": "5"}])
    listed = (await ok(people.mina.client.get("/specs", params={"sort": "name"})))["items"]
    assert [(one["price"], one["suggested_price"]) for one in listed] == [("9", "10.125"), ("2.125", "10.125")]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([{"resource": "cpu", "price": "-1"}], "0.price"),
        ([{"resource": "cpu", "price": "NaN"}], "0.price"),
        ([{"resource": "cpu", "price": 1.5}], "0.price"),
        ([{"resource": "cpu", "price": "1e3"}], "0.price"),
        ([{"resource": "cpu", "price": "1.0000001"}], "0.price"),
        ([{"resource": "cpu", "price": "1"}, {"resource": "gpu", "price": "1"}], "1.resource"),
        ([{"resource": "cpu", "price": "1"}, {"resource": "cpu", "price": "1"}], "1.resource"),
        ([{"resource": "shared-memory", "price": "1"}], "0.resource"),
        ([{"resource": "cpu", "price": "1", "unit": "core"}], "0.unit"),
    ],
)
async def test_bad_unit_prices_change_nothing(people: People, given: list[Json], field: str) -> None:
    await join(people, people.mina, node_report(chips=3))
    before = await set_prices(people, PRICES)
    problem(await people.mina.client.put("/unit-prices", json=given), 422, field=field)
    listed = (await ok(people.mina.client.get("/unit-prices")))["items"]
    assert {one["resource"]: one["price"] for one in listed} == before


async def test_a_suggestion_beyond_every_price_is_no_price(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    await set_prices(people, [{"resource": CHIP, "price": "1000000000"}])
    items = [{"resource": CHIP, "quantity": "3"}]
    shown = await ok(people.mina.client.post("/specs/preview", json={"items": items}))
    assert shown["suggested_price"] == "3000000000"
    problem(await people.mina.client.post("/specs", json={"name": "x", "items": items}), 422, field="price")


async def test_unit_prices_are_a_miners_own(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    await set_prices(people, PRICES)
    problem(await people.rita.client.get("/unit-prices"), 403)
    problem(await people.rita.client.put("/unit-prices", json=[]), 403)
    mine = {"miner_id": people.mina.id}
    problem(await people.boris.client.get("/unit-prices", params=mine), 404)
    problem(await people.boris.client.put("/unit-prices", params=mine, json=[]), 404)
    seen = (await ok(people.oscar.client.get("/unit-prices", params=mine)))["items"]
    assert seen[0]["price"] == "0.1"
    await ok(people.oscar.client.put("/unit-prices", params=mine, json=[{"resource": "cpu", "price": "0.2"}]))
    assert (await ok(people.mina.client.get("/unit-prices")))["items"][0]["price"] == "0.2"


async def test_a_name_that_goes_takes_its_unit_price_along(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    body = {"name": "TPU", "system_resource": CHIP}
    custom = await ok(people.mina.client.post("/custom-resources", json=body), 201)
    await set_prices(people, [{"resource": "TPU", "price": "2"}])
    await ok(people.mina.client.delete(f"/custom-resources/{custom['id']}"), 204)
    assert "TPU" not in {one["resource"] for one in (await ok(people.mina.client.get("/unit-prices")))["items"]}


AMOUNT = st.integers(1, 2**53)


@given(
    items=st.dictionaries(st.sampled_from(["cpu", "memory", "disk", CHIP]), AMOUNT, min_size=1),
    unit_prices=st.dictionaries(st.sampled_from(["cpu", "memory", "disk", CHIP]), st.integers(0, 10**15)),
)
def test_a_suggestion_is_exact_and_rounded_up(items: dict[str, int], unit_prices: dict[str, int]) -> None:
    """Never less than quantity × unit price, and by less than a micro-UNC for each item more."""
    lines, missing = prices.quote(Names([]), "mina", unit_prices, items)
    assert set(missing) == items.keys() - unit_prices.keys()
    size = {"cpu": 1000, "memory": 10**9, "disk": 10**9, CHIP: 1}
    for line in lines:
        exact = items[line.resource] * unit_prices[line.resource]
        assert 0 <= line.amount * size[line.resource] - exact < size[line.resource]
    total = prices.suggested(Names([]), "mina", unit_prices, items)
    assert total == (None if missing else sum(line.amount for line in lines))
