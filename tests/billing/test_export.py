"""Files of lists: the same rows and sums as pages, statements and the journal; flat memory however long they are."""

import csv
import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from tests.billing.test_routes import ok, recharge, run, wallet_of
from tests.support.factories import GroupFactory, GroupMemberFactory
from tests.support.fixtures import People
from tests.support.money import meter_of
from tests.support.web import Person, problem
from utcloud.accounts.models import GroupMember
from utcloud.billing import meters, orders
from utcloud.common import export
from utcloud.common.money import Unc

pytestmark = pytest.mark.postgres

Json = dict[str, Any]
LISTS = ["/charges", "/charges?role=payer", "/recharges", "/orders", "/notices", "/wallets?mine=true", "/statements"]


def total(rows: list[Json], key: str = "amount") -> Decimal:
    return sum((Decimal(row[key]) for row in rows), Decimal(0))


async def pages(who: Person, path: str) -> list[Json]:
    """All rows of a list, three at a time."""
    rows: list[Json] = []
    start, cursor = f"{path}{'&' if '?' in path else '?'}limit=3", ""
    while True:
        page = await ok(who.client.get(start + cursor))
        rows += page["items"]
        if page["next_cursor"] is None:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


async def lines(who: Person, path: str) -> list[Json]:
    answer = await who.client.get(f"{path}{'&' if '?' in path else '?'}format=jsonl")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def table(who: Person, path: str) -> list[Json]:
    answer = await who.client.get(f"{path}{'&' if '?' in path else '?'}format=csv")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


async def group_wallet(people: People, role: str = "manager") -> Json:
    """The wallet of a group in which Rita is."""
    async with people.db.write() as tx:
        tx.add(GroupFactory.build(id="grp_1", name="physics"))
        await tx.flush()
        tx.add(GroupMemberFactory.build(group_id="grp_1", user_id=people.rita.id, role=role))
    (wallet,) = (await ok(people.oscar.client.get("/wallets", params={"owner": "group"})))["items"]
    await ok(people.oscar.client.post("/recharges", json={"wallet_id": wallet["id"], "amount": "50"}), 201)
    return dict(wallet)


async def history(people: People) -> Json:
    """Two months of own and group money: use, a fault's credit, a wallet that ran dry, a deduction, what runs now."""
    group = await group_wallet(people)
    await recharge(people, "20", note="first")
    for number in range(4):
        await run(people, 1234.567 + number, price=1_500_001, spec=f"s{number % 2}", workload_id=f"nb_{number % 3}")
    await lost(people)
    people.clock.advance(days=35)
    await recharge(people, "1.000001", kind="deduct")
    for number in range(3):
        await run_for_group(people, 777.777 + number)
    await run(people, 36_000, price=3_000_000, spec="s1", workload_id="nb_9")  # more than is there: waived
    await recharge(people, "5")
    await run(people, 300, price=2_000_003, spec="s0", close=False)
    return group


async def run_for_group(people: People, seconds: float, payer: str | None = None) -> None:
    async with people.db.write() as tx:
        labels = {"workload": "shared", "spec": "s0", "attempt": 1}
        opening = meters.Opening(
            f"at_{people.clock.now().timestamp():.0f}", payer or people.rita.id, people.mina.id, 1_000_003, 50_000,
            {**labels, "workload_id": "nb_g"}, group_id="grp_1",
        )  # fmt: skip
        await meters.open(tx, opening)
        await meters.start(tx, opening.attempt_id, people.clock.now())
    people.clock.advance(seconds=seconds)
    async with people.db.write() as tx:
        await meters.close(tx, opening.attempt_id, people.clock.now(), now=people.clock.now())


async def lost(people: People) -> None:
    """An order of which the node was lost: its last hour goes back."""
    async with people.db.write() as tx:
        wish = orders.Wish(
            workload_id="nb_l", workload_kind="notebook", workload="lost", owner_id=people.rita.id,
            miner_id=people.mina.id, pool_id="pool_1", pool="p", spec_id="spec_1", spec="s0", replicas=1,
            unit_price=1_000_000, fee_ppm=50_000,
        )  # fmt: skip
        order = await orders.place(tx, people.clock.now(), wish)
        labels = {"workload": "lost", "workload_id": "nb_l", "spec": "s0", "attempt": 1}
        opening = meters.Opening(
            "at_lost", people.rita.id, people.mina.id, 1_000_000, 50_000, labels, order_id=order.id
        )
        await meters.open(tx, opening)
        await meters.start(tx, "at_lost", people.clock.now())
    people.clock.advance(hours=2)
    async with people.db.write() as tx:
        await meters.witness(tx, ["at_lost"], people.clock.now())
        await meters.close(tx, "at_lost", people.clock.now(), cause="node_lost")
        await orders.settle(tx, people.clock.now(), order.id, "its node was lost")


@pytest.mark.parametrize("path", LISTS)
async def test_a_page_json_lines_and_csv_say_the_same(people: People, path: str) -> None:
    await history(people)
    rows = await pages(people.rita, path)
    assert rows == await lines(people.rita, path) and rows
    for row, cells in zip(rows, await table(people.rita, path), strict=True):
        for key, value in row.items():
            if isinstance(value, str):
                assert cells[key] == value
            elif value is None:
                assert cells[key] == ""


async def test_all_sums_are_the_journals(people: People) -> None:
    group = await history(people)
    rita, mina, oscar = people.rita, people.mina, people.oscar
    journal = await lines(oscar, "/journal/entries")
    moved: dict[tuple[str, str], Decimal] = {}
    for entry in journal:
        assert total(entry["postings"]) == 0
        for posting in entry["postings"]:
            key = (posting["account"], posting["owner_name"])
            moved[key] = moved.get(key, Decimal(0)) + Decimal(posting["amount"])
    own = await wallet_of(rita)
    theirs = await ok(rita.client.get(f"/wallets/{group['id']}"))
    assert moved["wallet", "rita"] == Decimal(own["balance"])
    assert moved["wallet", "physics"] == Decimal(theirs["balance"])
    charges = await table(rita, "/charges?role=payer")
    paid = total(charges, "paid")
    assert paid == total(await pages(rita, "/charges?role=payer"), "paid")
    assert total(charges, "credited") > 0 and total(charges, "waived") > 0
    accrued = Decimal(own["accrued"]) + Decimal(theirs["accrued"])
    used = -sum(
        (Decimal(line["amount"]) for entry in journal if entry["cause_type"] == "meter" for line in entry["postings"]
         if line["account"] == "wallet"), Decimal(0),
    )  # fmt: skip
    assert paid == used + accrued
    ever = {"since": (people.clock.now() - timedelta(days=90)).isoformat()}
    for by in ("day", "spec", "workload", "miner"):
        sums = await ok(rita.client.get("/analytics/charges", params={"by": by, **ever}))
        assert Decimal(sums["total"]) == total(sums["items"]) == paid, by
    parts = [
        Decimal((await ok(rita.client.get("/analytics/charges", params={"wallet_id": ident, **ever})))["total"])
        for ident in (own["id"], group["id"])
    ]
    assert sum(parts) == paid and all(parts)
    put_in = await table(rita, f"/recharges?wallet_id={own['id']}")
    assert total(put_in) - (parts[0] - Decimal(own["accrued"])) == Decimal(own["balance"])
    earned = await ok(mina.client.get("/earnings"))
    assert moved["earnings", "mina"] == Decimal(earned["balance"])
    shares = total(await table(mina, "/charges?role=payee"), "miner_share")
    assert shares == Decimal(earned["balance"]) + Decimal(earned["accrued"])
    for by in ("day", "spec", "renter", "node", "workload"):
        sums = await ok(mina.client.get("/analytics/charges", params={"by": by, "role": "payee", **ever}))
        assert Decimal(sums["total"]) == total(sums["items"]) == shares, by


async def test_a_statement_is_the_sum_of_its_bookings_month_by_month(people: People) -> None:
    group = await history(people)
    for who, query in ((people.rita, ""), (people.rita, f"wallet_id={group['id']}&"), (people.mina, "role=payee&")):
        months = (await ok(who.client.get(f"/statements?{query}")))["items"]
        closing = Decimal(0)
        for one in reversed(months):
            statement = await ok(who.client.get(f"/statements/{one['month']}?{query}"))
            path = f"/statements/{one['month']}/entries?{query.rstrip('&')}"
            booked = await table(who, path)
            assert booked and await pages(who, path) == await lines(who, path)
            assert Decimal(statement["opening"]) == closing
            closing += total(booked)
            assert Decimal(statement["closing"]) == closing == Decimal(one["closing"])
            assert total(statement["lines"]) == total(booked)
            since, until = statement["since"], statement["until"]
            assert all(since <= row["at"] < until for row in booked)
    assert len(months) == 2


async def test_every_period_is_cut_without_a_gap_and_without_an_overlap(people: People) -> None:
    await history(people)
    middle = (people.clock.now() - timedelta(days=10)).isoformat().replace("+00:00", "Z")
    for who, path in (
        (people.rita, "/charges"),
        (people.rita, "/recharges"),
        (people.rita, "/orders"),
        (people.rita, "/notices"),
        (people.oscar, "/journal/entries"),
    ):
        before, after = await table(who, f"{path}?until={middle}"), await table(who, f"{path}?since={middle}")
        assert after + before == await table(who, path)
        both = path in ("/recharges", "/journal/entries")  # the others began on one side of it
        assert (before and after) if both else (before or after), path


async def test_a_groups_money_is_its_managers_to_see_and_a_member_sees_his_own(people: People) -> None:
    group = await group_wallet(people, role="member")
    async with people.db.write() as tx:
        tx.add(GroupMemberFactory.build(group_id="grp_1", user_id=people.boris.id, role="manager"))
    await run_for_group(people, 3600)
    await run_for_group(people, 7200, payer=people.boris.id)
    month = people.clock.now().strftime("%Y-%m")
    mine = await ok(people.rita.client.get("/analytics/charges", params={"wallet_id": group["id"], "by": "renter"}))
    assert [(item["label"], item["amount"]) for item in mine["items"]] == [("rita", "1.000003")]
    all_ = await ok(people.boris.client.get("/analytics/charges", params={"wallet_id": group["id"], "by": "renter"}))
    assert [(item["label"], item["amount"]) for item in all_["items"]] == [("boris", "2.000006"), ("rita", "1.000003")]
    whole = await ok(people.boris.client.get(f"/statements/{month}", params={"wallet_id": group["id"]}))
    assert (whole["owner"], whole["owner_name"], whole["closing"]) == ("group", "physics", "46.999991")
    for path in ("/statements", f"/statements/{month}", f"/statements/{month}/entries"):
        problem(await people.rita.client.get(path, params={"wallet_id": group["id"]}), 403)
    async with people.db.write() as tx:
        await tx.delete(await tx.get_one(GroupMember, ("grp_1", people.rita.id)))
    for path in ("/analytics/charges", "/statements", f"/statements/{month}"):
        problem(await people.rita.client.get(path, params={"wallet_id": group["id"]}), 404, field="wallet_id")
    assert (await ok(people.rita.client.get("/analytics/charges")))["total"] == "1.000003"
    refused = await people.mina.client.get("/statements", params={"role": "payee", "wallet_id": group["id"]})
    problem(refused, 422, field="wallet_id")


async def test_mine_are_my_own_wallet_and_my_groups_also_for_a_miner(people: People) -> None:
    await group_wallet(people)
    await wallet_of(people.rita)
    await wallet_of(people.mina)
    mine = (await ok(people.rita.client.get("/wallets", params={"mine": True})))["items"]
    assert {wallet["owner_name"] for wallet in mine} == {"rita", "physics"}
    assert [one["owner_name"] for one in (await ok(people.mina.client.get("/wallets?mine=true")))["items"]] == ["mina"]


async def test_an_ended_meter_counts_no_longer_as_accrued(people: People) -> None:
    """A credit is in the journal at once: nothing of it is outstanding."""
    await history(people)
    async with people.db.read() as tx:
        meter = await meter_of(tx, "at_lost")
    assert meter.credited == 1_000_000 and meter.closed


class Row(BaseModel):
    number: int
    text: str
    amount: Unc


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(export.FileKind))
async def test_a_hundred_thousand_rows_are_streamed_in_flat_memory(kind: export.FileKind) -> None:
    wanted = 100_000

    async def load(limit: int, cursor: str | None) -> tuple[list[Row], str | None]:
        first = int(cursor or 0)
        rows = [Row(number=n, text="", amount=-n) for n in range(first, min(first + limit, wanted))]
        return rows, str(first + limit) if first + limit < wanted else None

    body: AsyncIterator[Any] = aiter(export.response(kind, Row, load, "rows").body_iterator)
    tracemalloc.start()
    count = 0
    async for part in body:
        count += part.count("\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == wanted + (kind is export.FileKind.CSV)
    assert peak < 4 * 2**20


async def test_cells_that_a_spreadsheet_would_run_are_texts_and_empty_ones_are_empty() -> None:
    async def load(limit: int, cursor: str | None) -> tuple[list[Row], str | None]:
        texts = ["", "=1+1", "+cmd", "-x", "@sum", "\t=1", "\r=1", "\n=1", "\uff1d1", "-1.5", "plain"]
        return [Row(number=n, text=text, amount=-1) for n, text in enumerate(texts)], None

    body = "".join([part async for part in export.response(export.FileKind.CSV, Row, load, "rows").body_iterator])  # type: ignore[misc]
    rows = list(csv.DictReader(io.StringIO(body, newline="")))
    cells = [row["text"] for row in rows]
    assert cells == ["", "'=1+1", "'+cmd", "'-x", "'@sum", "'\t=1", "'\r=1", "'\n=1", "'\uff1d1", "-1.5", "plain"]
    assert {row["amount"] for row in rows} == {"-0.000001"}
