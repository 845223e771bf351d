"""Numbers at their bounds: what a field allows, every computation and every column must hold."""

from typing import Any

import pytest

from tests.support.fixtures import People
from tests.support.money import fund
from tests.support.scenario import add_spec
from utcloud.billing import orders
from utcloud.common.bounds import INT64
from utcloud.common.money import MAX_MICRO, format_unc
from utcloud.resources import service as resources

pytestmark = pytest.mark.postgres
DEAREST, CHEAPEST = MAX_MICRO, 1


async def offer(people: People, price: int) -> dict[str, Any]:
    """A specification of Mina's at ``price``, open to all."""
    async with people.db.write() as tx:
        spec = await add_spec(tx, people.mina.actor, {"cpu": 500}, price=price)
        pool = await resources.default_pool(tx, people.mina.id)
        pool.open_to_all = True
        return {"spec_id": spec, "pool_id": pool.id}


@pytest.mark.parametrize("price", [DEAREST, CHEAPEST])
async def test_an_estimate_at_its_bounds(people: People, price: int) -> None:
    body = await offer(people, price) | {"tasks": 1000, "hours": 100_000, "max_hours": 100_000}
    wallet = (await people.rita.client.get("/wallets/mine")).json()["id"]
    recharge = {"wallet_id": wallet, "amount": format_unc(MAX_MICRO)}
    assert (await people.oscar.client.post("/recharges", json=recharge)).status_code == 201
    for caps in ({}, {"daily": "1", "monthly": format_unc(MAX_MICRO), "total": format_unc(MAX_MICRO)}):
        put = await people.rita.client.put(f"/wallets/{wallet}/caps", json=caps)
        assert put.status_code == 200, put.text
        for more in ({}, {"max_cost": format_unc(MAX_MICRO)}, {"max_hours": None}, {"tasks": 1, "max_hours": None}):
            answer = await people.rita.client.post("/estimates", json=body | more)
            assert answer.status_code == 200, answer.text
            assert float(answer.json()["cost"]) * 10**6 <= MAX_MICRO


async def test_an_order_at_its_bounds_fits_its_columns(people: People) -> None:
    """``price × hours`` of what notebooks may ask for is a thousand times what 64 bits hold."""
    async with people.db.write() as tx:
        await fund(tx, people.rita.id, MAX_MICRO)
        wish = orders.Wish(
            workload_id="nb_1",
            workload_kind="notebook",
            workload="lab",
            owner_id=people.rita.id,
            miner_id=people.mina.id,
            pool_id="pool_1",
            pool="pool",
            spec_id="spec_1",
            spec="dear",
            replicas=32,
            unit_price=DEAREST,
            fee_ppm=50_000,
            max_ms=100_000 * 3_600_000,
        )
        order = await orders.place(tx, people.clock.now(), wish)
        assert order.estimate == MAX_MICRO
    answer = await people.rita.client.get(f"/orders/{order.id}")
    assert answer.status_code == 200, answer.text
    assert wish.price <= INT64
