"""Wallets, recharges, charges and earnings as their users meet them."""

import csv
import io
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select

from tests.support.fixtures import People
from tests.support.money import begin, meter_of
from tests.support.web import Person, problem
from utcloud.accounts import service as accounts
from utcloud.accounts.models import AuditEvent
from utcloud.billing import meters
from utcloud.billing.models import Entry
from utcloud.billing.service import earnings_of
from utcloud.common.errors import Conflict

pytestmark = pytest.mark.postgres

Json = dict[str, Any]


async def ok(call: Any, status: int = 200) -> Any:
    response: httpx.Response = await call
    assert response.status_code == status, response.text
    return response.json()


async def wallet_of(who: Person) -> Json:
    wallet: Json = await ok(who.client.get("/wallets/mine"))
    return wallet


async def recharge(people: People, amount: str = "10", **more: Any) -> Json:
    wallet = await wallet_of(people.rita)
    body = {"wallet_id": wallet["id"], "amount": amount, **more}
    made: Json = await ok(people.oscar.client.post("/recharges", json=body), 201)
    return made


async def run(people: People, seconds: float = 3600, *, price: int = 1_500_000, close: bool = True, **more: Any) -> str:
    """Rita's attempt on Mina's hardware, for so long."""
    async with people.db.write() as tx:
        attempt = await begin(tx, people.rita.id, price=price, at=people.clock.now(), **more)
        (await meter_of(tx, attempt)).payee_id = people.mina.id
    people.clock.advance(seconds=seconds)
    async with people.db.write() as tx:
        await meters.witness(tx, [attempt], people.clock.now())
        if close:
            await meters.close(tx, attempt, people.clock.now())
    return attempt


async def test_a_recharge_with_a_note(people: People) -> None:
    made = await recharge(people, note="for the trial", amount="10.000001")
    assert (made["amount"], made["note"], made["owner_name"], made["actor_name"]) == (
        "10.000001",
        "for the trial",
        "rita",
        "oscar",
    )
    wallet = await wallet_of(people.rita)
    assert (wallet["balance"], wallet["available"], wallet["held"], wallet["runs_out_at"]) == (
        "10.000001",
        "10.000001",
        "0",
        None,
    )
    body = {"wallet_id": wallet["id"], "amount": "4", "kind": "deduct"}
    taken = await ok(people.oscar.client.post("/recharges", json=body), 201)
    assert taken["amount"] == "-4"
    listed = (await ok(people.rita.client.get("/recharges")))["items"]
    assert [one["amount"] for one in listed] == ["-4", "10.000001"]
    async with people.db.read() as tx:
        actions = (await tx.scalars(select(AuditEvent.action).where(AuditEvent.object_id == wallet["id"]))).all()
    assert sorted(actions) == ["wallet.deduct", "wallet.recharge"]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"amount": "0"}, 422, "amount"),
        ({"amount": "-1"}, 422, "amount"),
        ({"amount": "0.0000001"}, 422, "amount"),
        ({"amount": "99999999999"}, 422, "amount"),
        ({"amount": 1.5}, 422, "amount"),
        ({"amount": "1000000000"}, 422, "amount"),  # with what is there, too much for one wallet
        ({"wallet_id": "acc_none"}, 404, "wallet_id"),
        ({"kind": "gift"}, 422, "kind"),
        ({"note": "x" * 10_000}, 422, "note"),
        ({"kind": "deduct", "amount": "10.000001"}, 409, "amount"),
    ],
)
async def test_bad_recharges_name_the_field_and_change_nothing(
    people: People, change: Json, status: int, field: str
) -> None:
    await recharge(people)
    body = {"wallet_id": (await wallet_of(people.rita))["id"], "amount": "1", **change}
    problem(await people.oscar.client.post("/recharges", json=body), status, field=field)
    assert (await wallet_of(people.rita))["balance"] == "10"


async def test_the_same_key_recharges_once(people: People) -> None:
    wallet = await wallet_of(people.rita)
    body = {"wallet_id": wallet["id"], "amount": "3"}
    headers = {"Idempotency-Key": "two clicks"}
    first = await ok(people.oscar.client.post("/recharges", json=body, headers=headers), 201)
    again = await ok(people.oscar.client.post("/recharges", json=body, headers=headers), 201)
    assert first == again
    assert (await wallet_of(people.rita))["balance"] == "3"
    other = {**body, "amount": "4"}
    problem(await people.oscar.client.post("/recharges", json=other, headers=headers), 409, "idempotency_key_reused")
    async with people.db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(AuditEvent).where(AuditEvent.object_type == "wallet"))


async def test_what_is_used_and_held_cannot_be_deducted(people: People) -> None:
    await recharge(people, "1")
    await run(people, 1200, close=False)
    wallet = await wallet_of(people.rita)
    assert (wallet["balance"], wallet["accrued"], wallet["held"], wallet["available"]) == ("1", "0.5", "0.025", "0.475")
    assert wallet["burn_per_hour"] == "1.5"
    assert wallet["runs_out_at"] == (people.clock.now() + timedelta(minutes=20)).isoformat().replace("+00:00", "Z")
    body = {"wallet_id": wallet["id"], "amount": "0.475001", "kind": "deduct"}
    refused = problem(await people.oscar.client.post("/recharges", json=body), 409, "insufficient_funds", "amount")
    assert "0.475 UNC" in refused["detail"]
    await ok(people.oscar.client.post("/recharges", json={**body, "amount": "0.475"}), 201)


async def test_charge_wallet_earnings_and_fee_agree(people: People) -> None:
    await recharge(people)
    attempt = await run(people, 100.001, workload="lab", replica="jupyter-0", spec="0.5CPU-1GB-1TPU", simulated=True)
    (charge,) = (await ok(people.rita.client.get("/charges")))["items"]
    cost = 1_500_000 * 100_001 // 3_600_000
    fee = cost * 5 // 100
    assert charge["attempt_id"] == attempt
    assert charge["amount"] == f"0.0{cost}"
    assert charge["settled"] == charge["amount"]
    assert charge["platform_fee"] == f"0.00{fee}"
    assert charge["miner_share"] == f"0.0{cost - fee}"
    assert (charge["seconds"], charge["open"], charge["simulated"]) == (100.001, False, True)
    assert (charge["payer_name"], charge["payee_name"], charge["spec"]) == ("rita", "mina", "0.5CPU-1GB-1TPU")
    wallet = await wallet_of(people.rita)
    assert wallet["balance"] == f"9.9{100_000 - cost:05}"
    earned = await ok(people.mina.client.get("/earnings"))
    assert earned["balance"] == earned["today"] == earned["this_month"] == charge["miner_share"]
    platform = await ok(people.oscar.client.get("/earnings/platform"))
    assert platform == {"fees": charge["platform_fee"], "issued": "10", "journal_sum": "0"}


async def test_what_runs_now_is_shown_by_the_same_formula(people: People) -> None:
    await recharge(people)
    await run(people, 1200, close=False)
    (charge,) = (await ok(people.rita.client.get("/charges", params={"open": True})))["items"]
    assert (charge["amount"], charge["settled"], charge["miner_share"], charge["platform_fee"]) == (
        "0.5",
        "0",
        "0.475",
        "0.025",
    )
    earned = await ok(people.mina.client.get("/earnings"))
    assert (earned["balance"], earned["accrued"], earned["today"]) == ("0", "0.475", "0.475")


async def test_today_and_this_month(people: People) -> None:
    await recharge(people, "100")
    await run(people, 3600)
    people.clock.advance(days=1)
    await run(people, 3600)
    async with people.db.read() as tx:
        found = await earnings_of(tx, people.clock.now(), people.mina.id)
        assert (found.today, found.this_month, found.balance) == (1_425_000, 2_850_000, 2_850_000)
        later = await earnings_of(tx, people.clock.now() + timedelta(days=40), people.mina.id)
        assert (later.today, later.this_month, later.balance) == (0, 0, 2_850_000)


async def test_who_sees_what(people: People) -> None:
    made = await recharge(people)
    await run(people)
    theirs = await wallet_of(people.rita)
    assert [one["owner_name"] for one in (await ok(people.rita.client.get("/wallets")))["items"]] == ["rita"]
    found = (await ok(people.oscar.client.get("/wallets", params={"search": "RIT"})))["items"]
    assert [(one["id"], one["balance"]) for one in found] == [(theirs["id"], theirs["balance"])]
    assert (await ok(people.oscar.client.get("/recharges")))["items"][0]["id"] == made["id"]
    assert (await ok(people.mina.client.get("/wallets", params={"search": "RIT"})))["items"] == [], "rents from her"
    assert (await ok(people.mina.client.get("/recharges")))["items"] == []
    problem(await people.mina.client.get(f"/wallets/{theirs['id']}"), 404, "not_found")
    oscars = await wallet_of(people.oscar)
    problem(await people.rita.client.get(f"/wallets/{oscars['id']}"), 404, "not_found")
    problem(await people.rita.client.get("/wallets/acc_none"), 404, "not_found")
    body = {"wallet_id": theirs["id"], "amount": "1000"}
    problem(await people.rita.client.post("/recharges", json=body), 403, "forbidden")
    assert (await ok(people.rita.client.get("/recharges", params={"wallet_id": oscars["id"]})))["items"] == []
    assert len((await ok(people.mina.client.get("/charges")))["items"]) == 1
    assert len((await ok(people.oscar.client.get("/charges")))["items"]) == 1
    assert (await ok(people.boris.client.get("/charges")))["items"] == []
    assert (await ok(people.boris.client.get("/charges", params={"payee_id": people.mina.id})))["items"] == []
    assert (await ok(people.rita.client.get("/charges", params={"role": "payee"})))["items"] == []
    problem(await people.rita.client.get("/earnings"), 403)
    problem(await people.boris.client.get("/earnings", params={"miner_id": people.mina.id}), 404)
    problem(await people.mina.client.get("/earnings/platform"), 403)


async def test_a_user_without_a_wallet_can_be_found_and_recharged(people: People) -> None:
    found = (await ok(people.oscar.client.get("/wallets")))["items"]
    assert [one["owner_name"] for one in found] == ["rita"]
    assert found[0]["id"]


async def test_lists_filter_page_and_leave_nothing_out(people: People) -> None:
    await recharge(people, "1000")
    for number in range(7):
        await run(people, 60, workload_id=f"nb_{number % 2}")
    seen: list[str] = []
    cursor = None
    while True:
        params: dict[str, str] = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = await ok(people.rita.client.get("/charges", params=params))
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
    assert len((await ok(people.rita.client.get("/charges", params={"workload_id": "nb_1"})))["items"]) == 3
    problem(await people.rita.client.get("/charges", params={"role": "owner"}), 422, field="role")
    problem(await people.rita.client.get("/charges", params={"since": "2026-01-01T00:00:00"}), 422, field="since")


@pytest.mark.parametrize("how", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
async def test_csv_has_every_row_and_is_safe_in_a_spreadsheet(people: People, how: Json) -> None:
    await recharge(people, "1000", note="=1+1")
    for number in range(3):
        await run(people, 60, workload="=cmd()" if number == 1 else 'a,"b"')
    response = await people.rita.client.get("/charges", **how)
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["workload"] for row in rows] == ['a,"b"', "'=cmd()", 'a,"b"']
    assert {row["amount"] for row in rows} == {"0.025"}
    assert rows[0]["open"] == "false"
    assert rows[0]["started_at"].endswith("Z")
    response = await people.rita.client.get("/recharges", **how)
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert (row["note"], row["amount"]) == ("'=1+1", "1000")


async def test_records_are_found_and_sorted_as_a_whole(people: People) -> None:
    await recharge(people, "9")
    await recharge(people, "1")
    await recharge(people, "5", kind="deduct")
    body = {"wallet_id": (await wallet_of(people.boris))["id"], "amount": "2"}
    await ok(people.oscar.client.post("/recharges", json=body), 201)
    await run(people, 10, price=3_600_000, workload="long and cheap", spec="b")
    await run(people, 5, price=36_000_000, workload="short and dear", spec="c")
    await run(people, 7, price=3_600_000, close=False, workload="at work", spec="a")

    async def column(path: str, field: str, **query: Any) -> list[Any]:
        """By pages of one row."""
        found, cursor = [], None
        while True:
            page = await ok(
                people.oscar.client.get(path, params={"limit": 1, **query, **({"cursor": cursor} if cursor else {})})
            )
            found += [one[field] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    for sort, wanted in (("amount", "-5 1 2 9"), ("owner_name", "2 9 1 -5"), ("at", "9 1 -5 2")):
        assert await column("/recharges", "amount", sort=sort) == wanted.split()
        assert await column("/recharges", "amount", sort=f"-{sort}") == wanted.split()[::-1]
    for sort, by in (("paid", "0.007 0.01 0.05"), ("created_at", "0.01 0.05 0.007"), ("spec", "0.007 0.01 0.05")):
        assert await column("/charges", "paid", sort=sort) == by.split()
        assert await column("/charges", "paid", sort=f"-{sort}") == by.split()[::-1]
    assert await column("/charges", "seconds", sort="seconds") == [5, 7, 10]
    assert await column("/charges", "workload", sort="workload") == ["at work", "long and cheap", "short and dear"]
    assert await column("/charges", "payer_name", sort="payer_name") == ["rita"] * 3
    for search, count in (("SHORT", 1), ("rit", 3), ("%", 0), ("nobody", 0)):
        assert len(await column("/charges", "workload", search=search)) == count
    problem(await people.rita.client.get("/charges", params={"sort": "balance"}), 422)
    file = await people.oscar.client.get("/charges", params={"format": "csv", "sort": "-paid", "search": "and"})
    assert [row["paid"] for row in csv.DictReader(io.StringIO(file.text))] == ["0.05", "0.01"]


async def test_a_page_takes_few_queries(people: People) -> None:
    await recharge(people, "1000")
    for _ in range(20):
        await run(people, 1)
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    for path in ("/charges", "/wallets", "/recharges"):
        count = 0
        event.listen(people.db.engine.sync_engine, "before_cursor_execute", note)
        await ok(people.oscar.client.get(path))
        event.remove(people.db.engine.sync_engine, "before_cursor_execute", note)
        assert count <= 8, path


async def test_who_stands_in_the_journal_is_not_deleted(people: People) -> None:
    await recharge(people)
    async with people.db.write() as tx:
        with pytest.raises(Conflict) as caught:
            await accounts.delete_user(tx, people.oscar.actor, people.rita.id)
    assert "records of recharges" in caught.value.detail
    async with people.db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(Entry)) == 1
    assert (await wallet_of(people.rita))["balance"] == "10"
