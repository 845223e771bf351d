"""Orders, caps, group wallets, prices and the journal over HTTP."""

import json
from typing import Any

import httpx
import pytest

from tests.support.factories import CHIP, GroupFactory, GroupMemberFactory
from tests.support.fixtures import People
from tests.support.money import UNC, fund
from tests.support.scenario import add_spec
from tests.support.web import problem
from utcloud.accounts import service as accounts
from utcloud.accounts.models import User
from utcloud.billing import meters, orders
from utcloud.billing.service.recharges import MOST_ISSUED
from utcloud.billing.verify import verified
from utcloud.common.errors import Conflict
from utcloud.common.money import MICRO
from utcloud.resources import service as resources

pytestmark = pytest.mark.postgres

Json = dict[str, Any]


async def ok(response: httpx.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json()


async def ok_of(people: People, path: str, **params: str) -> Any:
    return await ok(await people.rita.client.get(path, params=params))


async def an_order(people: People, *, hours: float = 1) -> str:
    """Rita ran something on Mina's hardware; the order's id."""
    now = people.clock.now()
    wallet = (await ok(await people.rita.client.get("/wallets/mine")))["id"]
    await ok(await people.oscar.client.post("/recharges", json={"wallet_id": wallet, "amount": "100"}), 201)
    wish = orders.Wish(
        workload_id="nb_1",
        workload_kind="notebook",
        workload="lab",
        owner_id=people.rita.id,
        miner_id=people.mina.id,
        pool_id="pool_1",
        pool="pool",
        spec_id="spec_1",
        spec="small",
        replicas=1,
        unit_price=UNC,
        fee_ppm=50_000,
    )
    async with people.db.write() as tx:
        order = await orders.place(tx, now, wish)
        of: dict[str, Any] = {"order_id": order.id, "spec_id": "spec_1"}
        opening = meters.Opening("at_1", people.rita.id, people.mina.id, UNC, 50_000, {"workload_id": "nb_1"}, **of)
        await meters.open(tx, opening, now)
        await meters.start(tx, "at_1", now)
    people.clock.advance(hours=hours)
    async with people.db.write() as tx:
        await meters.close(tx, "at_1", people.clock.now())
        await orders.settle(tx, people.clock.now(), order.id, "stopped by its owner")
    return order.id


async def test_an_order_over_http(people: People) -> None:
    ident = await an_order(people)
    listed = (await ok_of(people, "/orders"))["items"]
    assert [(one["id"], one["cost"], one["state"]) for one in listed] == [(ident, "1", "settled")]
    told = await ok_of(people, f"/orders/{ident}")
    (attempt,) = told["subtasks"][0]["replicas"][0]["attempts"]
    assert attempt["formula"] == "1 UNC/h × 3600000 ms ÷ 3600000 ms = 1 UNC"
    assert (attempt["paid"], attempt["miner_share"], attempt["platform_fee"]) == ("1", "0.95", "0.05")
    (entry,) = (await ok_of(people, f"/orders/{ident}/entries"))["items"]
    assert [(one["account"], one["amount"]) for one in entry["postings"]] == [
        ("wallet", "-1"),
        ("fee", "0.05"),
        ("earnings", "0.95"),
    ]
    problem(await people.boris.client.get(f"/orders/{ident}"), 404)
    problem(await people.boris.client.post(f"/orders/{ident}/rating", json={"stars": 5}), 404)
    for stars in (0, 6, 2.5, "5"):
        problem(await people.rita.client.post(f"/orders/{ident}/rating", json={"stars": stars}), 422, field="stars")
    rated = await ok(await people.rita.client.post(f"/orders/{ident}/rating", json={"stars": 4, "comment": "good"}))
    assert (rated["stars"], rated["comment"]) == (4, "good")
    assert (await ok(await people.mina.client.get("/ratings", params={"miner_id": people.mina.id})))["average"] == 4.0
    seen = (await ok(await people.mina.client.get("/orders", params={"role": "payee", "rated": "true"})))["items"]
    assert [one["id"] for one in seen] == [ident]
    file = await people.rita.client.get("/orders", params={"format": "csv", "sort": "-cost"})
    assert file.text.splitlines()[0].startswith("id,state,")
    assert len(file.text.splitlines()) == 2


async def test_sorted_pages_leave_nothing_out(people: People) -> None:
    ident = await an_order(people)
    for sort in ("-created_at", "created_at", "-cost", "cost", "unit_price", "-unit_price"):
        assert [one["id"] for one in (await ok_of(people, "/orders", sort=sort))["items"]] == [ident]
    problem(await people.rita.client.get("/orders", params={"sort": "name"}), 422, field="sort")


async def test_the_journal_is_checked_over_http_by_operators_alone(people: People) -> None:
    await an_order(people)
    problem(await people.mina.client.get("/journal/verification"), 403)
    problem(await people.rita.client.get("/journal/entries"), 403)
    lines = (await people.oscar.client.get("/journal/verification")).text.splitlines()
    last = json.loads(lines[-1])
    assert (last["done"], last["ok"], last["checked"]) == (True, True, 2)
    entries = (await ok(await people.oscar.client.get("/journal/entries")))["items"]
    assert [one["seq"] for one in entries] == [2, 1]
    assert entries[0]["hash"] == last["head"]


async def team(people: People, role: str) -> str:
    async with people.db.write() as tx:
        group = GroupFactory.build(name="team")
        tx.add(group)
        await tx.flush()
        tx.add(GroupMemberFactory.build(group_id=group.id, user_id=people.rita.id, role=role))
        return group.id


async def wallet_of(people: People, owner_id: str) -> Json:
    found = (await ok(await people.oscar.client.get("/wallets")))["items"]
    return next(one for one in found if one["owner_id"] == owner_id)


async def test_a_manager_recharges_the_groups_wallet_from_his_own(people: People) -> None:
    group = await team(people, "manager")
    shared, own = await wallet_of(people, group), await wallet_of(people, people.rita.id)
    assert (shared["owner"], shared["owner_name"], own["owner"]) == ("group", "team", "user")
    await ok(await people.oscar.client.post("/recharges", json={"wallet_id": own["id"], "amount": "10"}), 201)
    body = {"wallet_id": shared["id"], "amount": "4", "note": "for all"}
    made = await ok(await people.rita.client.post("/recharges", json=body, headers={"Idempotency-Key": "k"}), 201)
    again = await ok(await people.rita.client.post("/recharges", json=body, headers={"Idempotency-Key": "k"}), 201)
    assert made["id"] == again["id"]
    assert made["amount"] == "4"
    assert (await wallet_of(people, people.rita.id))["balance"] == "6"
    assert (await wallet_of(people, group))["balance"] == "4"
    problem(await people.rita.client.post("/recharges", json={**body, "amount": "6.000001"}), 409, "insufficient_funds")
    problem(await people.rita.client.post("/recharges", json={**body, "kind": "deduct"}), 403)
    both = (await ok(await people.rita.client.get("/wallets", params={"sort": "-balance"})))["items"]
    assert [one["id"] for one in both] == [own["id"], shared["id"]]
    notes = [one["note"] for one in (await ok(await people.rita.client.get("/recharges")))["items"]]
    assert notes == ["for all", "to the group team", ""]


async def test_a_plain_member_sees_the_groups_wallet_and_changes_nothing(people: People) -> None:
    group = await team(people, "member")
    shared = await wallet_of(people, group)
    path = f"/wallets/{shared['id']}"
    await ok(await people.rita.client.get(path))
    problem(await people.rita.client.post("/recharges", json={"wallet_id": shared["id"], "amount": "1"}), 403)
    problem(await people.rita.client.put(f"{path}/caps", json={"daily": "1"}), 403)
    problem(await people.rita.client.patch(path, json={"low_balance": "1"}), 403)
    limits = {"user_id": people.rita.id, "total": "3"}
    (cap,) = (await ok(await people.oscar.client.put(f"{path}/caps", json=limits)))["items"]
    assert (cap["user_name"], cap["total"]["left"], cap["daily"]) == ("rita", "3", None)
    problem(await people.oscar.client.put(f"{path}/caps", json={"user_id": people.mina.id}), 422, field="user_id")
    assert len((await ok(await people.rita.client.get(f"{path}/caps")))["items"]) == 1


async def test_a_group_whose_wallet_has_records_is_not_deleted(people: People) -> None:
    group = await team(people, "member")
    shared = await wallet_of(people, group)
    await ok(await people.oscar.client.post("/recharges", json={"wallet_id": shared["id"], "amount": "1"}), 201)
    async with people.db.write() as tx:
        with pytest.raises(Conflict, match="its wallet"):
            await accounts.delete_group(tx, people.oscar.actor, group)


NO_AMOUNTS: tuple[Any, ...] = ("-1", "1e30", "NaN", "Infinity", "0.0000001", "1,5", "", "0", None, True, 1.5, [], {})


async def test_no_amount_that_is_none(people: People) -> None:
    wallet = await wallet_of(people, people.rita.id)
    for amount in NO_AMOUNTS:
        body = {"wallet_id": wallet["id"], "amount": amount}
        problem(await people.oscar.client.post("/recharges", json=body), 422, field="amount")
        if amount is not None and amount != "0":
            answer = await people.rita.client.put(f"/wallets/{wallet['id']}/caps", json={"daily": amount})
            problem(answer, 422, field="daily")


async def test_more_than_64_bits_hold_is_never_issued(people: People) -> None:
    async with people.db.write() as tx:
        await fund(tx, "whale", MOST_ISSUED - MICRO)
    wallet = await wallet_of(people, people.rita.id)
    body = {"wallet_id": wallet["id"], "amount": "1.000001"}
    refused = problem(await people.oscar.client.post("/recharges", json=body), 422, field="amount")
    assert "9000000000000 UNC" in refused["detail"]
    await ok(await people.oscar.client.post("/recharges", json={**body, "amount": "1"}), 201)
    assert (await verified(people.db)).fault is None


async def test_anothers_wallet_and_anothers_key(people: People) -> None:
    wallet, foreign = (
        await wallet_of(people, people.rita.id),
        (await ok(await people.oscar.client.get("/wallets/mine"))),
    )
    for path in ("", "/caps"):
        problem(await people.rita.client.get(f"/wallets/{foreign['id']}{path}"), 404)
    problem(await people.rita.client.put(f"/wallets/{foreign['id']}/caps", json={}), 404)
    problem(await people.rita.client.get("/charges", params={"wallet_id": foreign["id"]}), 404)
    key = {"Idempotency-Key": "the same"}
    body = {"wallet_id": wallet["id"], "amount": "1"}
    first = await ok(await people.oscar.client.post("/recharges", json=body, headers=key), 201)
    async with people.db.write() as tx:
        (await tx.get_one(User, people.mina.id)).is_operator = True
    other = await ok(await people.mina.client.post("/recharges", json=body, headers=key), 201)
    assert first["id"] != other["id"], "a key is its user's own"
    problem(
        await people.oscar.client.post("/recharges", json={**body, "amount": "2"}, headers=key),
        409,
        "idempotency_key_reused",
    )
    assert (await wallet_of(people, people.rita.id))["balance"] == "2"


async def test_the_history_of_a_price(people: People) -> None:
    async with people.db.write() as tx:
        spec = await add_spec(tx, people.mina.actor, {CHIP: 1}, price=UNC)
        (await resources.default_pool(tx, people.mina.id)).open_to_all = False
    path = f"/specs/{spec}"
    assert [one["price"] for one in (await ok(await people.mina.client.get(f"{path}/prices")))["items"]] == ["1"]
    await ok(await people.mina.client.patch(path, json={"price": "2"}))
    await ok(await people.mina.client.patch(path, json={"price": "2"}))
    await ok(await people.mina.client.patch(path, json={"price": "0.5"}))
    found = (await ok(await people.mina.client.get(f"{path}/prices")))["items"]
    assert [(one["price"], one["by"]) for one in found] == [("0.5", "mina"), ("2", "mina"), ("1", "")]
    problem(await people.boris.client.get(f"{path}/prices"), 404)
    file = await people.mina.client.get(f"{path}/prices", params={"format": "csv"})
    assert [line.split(",")[0] for line in file.text.split()] == ["price", "0.5", "2", "1"]
    problem(await people.rita.client.get(f"{path}/prices"), 404)
    async with people.db.write() as tx:
        (await resources.default_pool(tx, people.mina.id)).open_to_all = True
    assert len((await ok(await people.rita.client.get(f"{path}/prices")))["items"]) == 3
