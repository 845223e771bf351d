"""Who issues machine hours, and who gives back: over HTTP, as operators, miners and renters meet it."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.billing.test_order_routes import an_order, ok
from tests.support.fixtures import People
from tests.support.web import Person, problem
from utcloud.accounts.models import AuditEvent, Group, GroupMember
from utcloud.accounts.service import actor_of
from utcloud.billing import journal
from utcloud.billing.models import BillingEvent, Entry, Order
from utcloud.billing.verify import verified
from utcloud.common.ids import new_id
from utcloud.resources import service as resources
from utcloud.resources.models import PoolGroup

pytestmark = pytest.mark.postgres
Json = dict[str, Any]


async def wallet(people: People, owner_id: str) -> str:
    async with people.db.write() as tx:
        return (await journal.account(tx, "wallet", owner_id)).id


async def give(who: Person, wallet_id: str, amount: str = "1", **more: Any) -> httpx.Response:
    return await who.client.post("/recharges", json={"wallet_id": wallet_id, "amount": amount, **more})


def let_miners(people: People, per_day: int = 1000) -> None:
    settings = people.app.state.settings
    update = {"recharge_by": "miners", "miner_recharge_per_day": per_day * 10**6}
    people.app.state.settings = settings.model_copy(update=update)


async def bound_group(people: People, *members: Person) -> str:
    """A group to which Mina's pool is bound."""
    async with people.db.write() as tx:
        group = Group(id=new_id("grp"), name="team")
        tx.add(group)
        await tx.flush()
        tx.add_all(GroupMember(group_id=group.id, user_id=one.id, role="member") for one in members)
        pool = await resources.default_pool(tx, people.mina.id)
        tx.add(PoolGroup(pool_id=pool.id, group_id=group.id))
        return group.id


# Recharges


async def test_by_default_operators_alone_put_machine_hours_into_wallets(people: People) -> None:
    group = await bound_group(people, people.rita)
    for owner in (people.mina.id, people.rita.id, group):
        for kind in ("recharge", "deduct"):
            refused = await give(people.mina, await wallet(people, owner), kind=kind)
            problem(refused, 403 if owner == people.mina.id else 404)  # others' are not seen
        await ok(await give(people.oscar, await wallet(people, owner)), 201)
        await ok(await give(people.oscar, await wallet(people, owner), kind="deduct"), 201)
    assert (await verified(people.db)).fault is None


async def test_where_miners_may_they_issue_only_to_their_own_customers(people: People) -> None:
    let_miners(people)
    problem(await give(people.mina, await wallet(people, people.rita.id)), 404)
    group = await bound_group(people, people.rita, people.mina)
    await ok(await give(people.mina, await wallet(people, people.rita.id)), 201)
    await ok(await give(people.mina, await wallet(people, group)), 201)
    problem(await give(people.mina, await wallet(people, people.mina.id)), 403, "forbidden")
    problem(await give(people.boris, await wallet(people, people.rita.id)), 404)
    for owner in (people.rita.id, group):
        problem(await give(people.mina, await wallet(people, owner), "0.5", kind="deduct"), 403, "forbidden")


async def test_a_miner_issues_so_much_a_day(people: People) -> None:
    let_miners(people, per_day=10)
    await bound_group(people, people.rita)
    target = await wallet(people, people.rita.id)
    await ok(await give(people.mina, target, "9"), 201)
    refused = problem(await give(people.mina, target, "1.000001"), 403, "day_limit", "amount")
    assert "1 UNC are left today" in refused["detail"]
    await ok(await give(people.mina, target, "1"), 201)
    problem(await give(people.mina, target, "0.000001"), 403, "day_limit")
    await ok(await give(people.oscar, target, "100"), 201)
    people.clock.advance(hours=24)
    await ok(await give(people.mina, target, "10"), 201)


async def test_the_same_key_again_is_no_second_recharge_of_the_day(people: People) -> None:
    let_miners(people, per_day=10)
    await bound_group(people, people.rita)
    body = {"wallet_id": await wallet(people, people.rita.id), "amount": "10"}
    made = [
        await ok(await people.mina.client.post("/recharges", json=body, headers={"Idempotency-Key": "k"}), 201)
        for _ in range(2)
    ]
    assert made[0]["id"] == made[1]["id"]


async def test_the_session_says_who_recharges(people: People) -> None:
    assert not people.mina.user.is_operator
    assert people.oscar.user.is_operator
    for settings, miners in (("operators", False), ("miners", True)):
        chosen = people.app.state.settings.model_copy(update={"recharge_by": settings})
        assert actor_of(people.mina.user).recharges(chosen) is miners
        assert actor_of(people.oscar.user).recharges(chosen)


# Credits


async def test_an_operator_credits_an_order_and_all_hear_why(people: People) -> None:
    ident = await an_order(people)
    path = f"/orders/{ident}/credit"
    body = {"amount": "0.4", "reason": "The page never\n showed anything."}
    for who in (people.rita, people.mina):
        problem(await who.client.post(path, json=body), 403)
    problem(await people.oscar.client.post("/orders/or_none/credit", json=body), 404)
    for wrong, field in (({"amount": "0"}, "amount"), ({"reason": ""}, "reason"), ({"reason": " "}, "reason")):
        problem(await people.oscar.client.post(path, json={**body, **wrong}), 422, field=field)
    problem(await people.oscar.client.post(path, json={**body, "amount": "1.000001"}), 409, "more_than_paid", "amount")
    credited = await ok(await people.oscar.client.post(path, json=body))
    assert (credited["cost"], credited["credited"]) == ("0.6", "0.4")
    (entry, _) = (await ok(await people.rita.client.get(f"/orders/{ident}/entries")))["items"]
    assert entry["kind"] == "credit"
    assert entry["note"] == "credit by oscar: The page never showed anything."
    assert entry["actor_name"] == "oscar"
    assert {one["account"]: one["amount"] for one in entry["postings"]} == {
        "wallet": "0.4",
        "earnings": "-0.38",
        "fee": "-0.02",
    }
    (attempt,) = (await ok(await people.rita.client.get(f"/orders/{ident}")))["subtasks"][0]["replicas"][0]["attempts"]
    assert (attempt["paid"], attempt["entries"]) == ("0.6", 2)
    async with people.db.read() as tx:
        told = list(await tx.scalars(select(BillingEvent).where(BillingEvent.kind == "credited")))
        assert {one.owner_id for one in told} == {people.rita.id, people.mina.id}
        assert {one.detail["reason"] for one in told} == {"The page never showed anything."}
        audit = (await tx.scalars(select(AuditEvent).where(AuditEvent.action == "order.credit"))).one()
        assert (audit.object_id, audit.detail["amount"]) == (ident, "0.4")
    for who in (people.rita, people.mina):
        kinds = [one["kind"] for one in (await ok(await who.client.get("/notices")))["items"]]
        assert kinds[0] == "credited"
    assert (await verified(people.db)).fault is None


async def test_credits_add_up_to_what_was_paid_and_no_further(people: People) -> None:
    ident = await an_order(people)
    for _ in range(2):
        await ok(await people.oscar.client.post(f"/orders/{ident}/credit", json={"amount": "0.5", "reason": "half"}))
    problem(
        await people.oscar.client.post(f"/orders/{ident}/credit", json={"amount": "0.000001", "reason": "more"}),
        409,
        "more_than_paid",
    )
    async with people.db.read() as tx:
        keys = list(await tx.scalars(select(Entry.idempotency_key).where(Entry.kind == "credit")))
    assert len(set(keys)) == 2
    assert (await verified(people.db)).fault is None
    month = people.clock.now().strftime("%Y-%m")
    told = await ok(await people.rita.client.get(f"/statements/{month}"))
    assert [(one["kind"], one["amount"]) for one in told["lines"] if one["kind"] != "recharge"] == [
        ("charge", "-1"),
        ("credit", "1"),
    ]
    spent = await ok(await people.rita.client.get("/analytics/charges", params={"by": "day"}))
    assert spent["total"] == "0"


async def test_an_order_that_runs_is_not_credited_yet(people: People) -> None:
    ident = await an_order(people)
    async with people.db.write() as tx:
        (await tx.get_one(Order, ident)).state = "open"
    body = {"amount": "0.1", "reason": "early"}
    problem(await people.oscar.client.post(f"/orders/{ident}/credit", json=body), 409, "not_ended")
