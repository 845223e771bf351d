"""Sums and statements equal the journal, whichever way one looks."""

import base64
import re
import zlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.billing.test_routes import ok, recharge, run, wallet_of
from tests.support.fixtures import People
from tests.support.money import meter_of
from tests.support.web import problem
from utcloud.billing import meters
from utcloud.billing.schemas import StatementLineOut, StatementOut
from utcloud.billing.statement_pdf import _FONT_FILE, render

pytestmark = pytest.mark.postgres

Json = dict[str, Any]
HEAD = f"7:{'5f' * 32}"


def total(items: list[Json]) -> Decimal:
    return sum((Decimal(item["amount"]) for item in items), Decimal(0))


async def some_days(people: People) -> None:
    """Recharged; on two days and with two specifications used, and something that still runs."""
    await recharge(people, "100", note="first grant")
    await run(people, 3600, spec="small", workload_id="nb_1", workload="lab")
    await run(people, 1800, spec="large", price=3_000_001, workload_id="nb_2", workload="实验")
    people.clock.advance(days=1)
    await run(people, 7200, spec="small", workload_id="nb_1", workload="lab")
    await run(people, 600, spec="large", price=3_000_001, workload_id="nb_2", workload="实验", close=False)


@pytest.mark.parametrize("by", ["day", "spec", "node", "renter", "miner", "workload"])
async def test_every_way_of_summing_gives_what_left_the_wallet(people: People, by: str) -> None:
    await some_days(people)
    wallet = await wallet_of(people.rita)
    sums = await ok(people.rita.client.get("/analytics/charges", params={"by": by}))
    spent = Decimal(100) - Decimal(wallet["balance"]) + Decimal(wallet["accrued"])
    assert Decimal(sums["total"]) == total(sums["items"]) == spent
    assert sum(Decimal(item["accrued"]) for item in sums["items"]) == Decimal(wallet["accrued"]) > 0


async def test_sums_by_day_have_no_holes_and_name_the_days(people: People) -> None:
    await some_days(people)
    days = (await ok(people.rita.client.get("/analytics/charges")))["items"]
    today = people.clock.now().date().isoformat()
    assert days[-1]["key"] == days[-1]["label"] == today
    assert len(days) == 30
    assert [item["amount"] for item in days[-2:]] == ["3", "3.5"]


async def test_sums_by_spec_and_workload_name_them(people: People) -> None:
    await some_days(people)
    specs = (await ok(people.rita.client.get("/analytics/charges", params={"by": "spec"})))["items"]
    assert {item["label"]: item["amount"] for item in specs} == {"small": "4.5", "large": "2"}
    works = (await ok(people.rita.client.get("/analytics/charges", params={"by": "workload"})))["items"]
    assert [(item["key"], item["label"]) for item in works] == [("nb_1", "lab"), ("nb_2", "实验")]


async def test_a_miner_sees_what_he_earned_and_a_renter_may_not_ask(people: People) -> None:
    await some_days(people)
    earned = await ok(people.mina.client.get("/earnings"))
    sums = await ok(people.mina.client.get("/analytics/charges", params={"by": "renter", "role": "payee"}))
    assert Decimal(sums["total"]) == Decimal(earned["balance"]) + Decimal(earned["accrued"])
    assert [item["label"] for item in sums["items"]] == ["rita"]
    problem(await people.rita.client.get("/analytics/charges", params={"role": "payee"}), 403)
    others = await ok(people.boris.client.get("/analytics/charges", params={"by": "renter", "role": "payee"}))
    assert (others["total"], others["items"]) == ("0", [])


async def test_a_period_that_makes_no_sense_is_refused(people: People) -> None:
    backwards = {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    problem(await people.rita.client.get("/analytics/charges", params=backwards), 422, field="until")
    ages = {"since": "2020-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    problem(await people.rita.client.get("/analytics/charges", params=ages), 422, field="since")
    problem(await people.rita.client.get("/analytics/charges", params={"by": "colour"}), 422)


async def test_a_statement_adds_up_to_the_wallet(people: People) -> None:
    await some_days(people)
    month = people.clock.now().strftime("%Y-%m")
    wallet = await wallet_of(people.rita)
    statement = await ok(people.rita.client.get(f"/statements/{month}"))
    assert statement["opening"] == "0" and statement["closing"] == wallet["balance"]
    assert Decimal(statement["opening"]) + total(statement["lines"]) == Decimal(statement["closing"])
    assert (statement["incoming"], statement["complete"]) == ("100", False)
    kinds = [(line["kind"], line["text"], line["spec"]) for line in statement["lines"]]
    assert kinds == [("recharge", "first grant", ""), ("charge", "lab", "small"), ("charge", "实验", "large")]


async def test_the_next_month_opens_with_what_this_one_closed_with(people: People) -> None:
    await some_days(people)
    this = people.clock.now().strftime("%Y-%m")
    people.clock.advance(days=31)
    then = people.clock.now().strftime("%Y-%m")
    await recharge(people, "5")
    before, after = [await ok(people.rita.client.get(f"/statements/{month}")) for month in (this, then)]
    assert before["complete"] is True
    assert before["closing"] == after["opening"]
    months = (await ok(people.rita.client.get("/statements")))["items"]
    assert [one["month"] for one in months] == [then, this]
    assert [one["closing"] for one in months] == [after["closing"], before["closing"]]


async def test_a_correction_is_shown_as_a_credit(people: People) -> None:
    await recharge(people, "10")
    attempt = await run(people, 7200, close=False)
    async with people.db.write() as tx:
        await meters.settle(tx, await meter_of(tx, attempt), people.clock.now())
    async with people.db.write() as tx:
        meter = await meter_of(tx, attempt)
        await meters.close(tx, attempt, meter.started_at, now=people.clock.now())
    month = people.clock.now().strftime("%Y-%m")
    statement = await ok(people.rita.client.get(f"/statements/{month}"))
    lines = sorted((line["kind"], line["amount"]) for line in statement["lines"])
    assert lines == [("charge", "-3"), ("credit", "3"), ("recharge", "10")]


async def test_a_miners_statement_is_of_his_earnings(people: People) -> None:
    await some_days(people)
    month = people.clock.now().strftime("%Y-%m")
    statement = await ok(people.mina.client.get(f"/statements/{month}", params={"role": "payee"}))
    assert statement["closing"] == (await ok(people.mina.client.get("/earnings")))["balance"]
    problem(await people.rita.client.get(f"/statements/{month}", params={"role": "payee"}), 403)


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_a_statement_is_a_pdf_in_both_languages(people: People, lang: str) -> None:
    await some_days(people)
    month = people.clock.now().strftime("%Y-%m")
    answer = await people.rita.client.get(f"/statements/{month}", params={"format": "pdf", "lang": lang})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="utcloud-payer-{month}.pdf"'
    assert answer.content.startswith(b"%PDF-") and answer.content.rstrip().endswith(b"%%EOF")


def pages_of(pdf: bytes) -> list[str]:
    """What each page draws: PDF operators, Latin texts readable in them as ``(text) Tj``."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    drawn = []
    for stream in streams:
        try:
            text = zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True)).decode("latin-1")
        except (ValueError, zlib.error):
            continue  # a font
        if " Tj" in text:
            drawn.append(text)
    return drawn


def says(page: str, text: str) -> bool:
    return f"({text}) Tj" in page


async def test_the_pdf_says_what_the_statement_says(people: People) -> None:
    await some_days(people)
    month = people.clock.now().strftime("%Y-%m")
    statement = await ok(people.rita.client.get(f"/statements/{month}"))
    for lang, words in (("en", ["Opening balance", "Closing balance", r"Period \(UTC\)", "Of"]), ("zh", [])):
        answer = await people.rita.client.get(f"/statements/{month}", params={"format": "pdf", "lang": lang})
        (page,) = pages_of(answer.content)
        for text in (statement["closing"], statement["incoming"], statement["outgoing"], "rita", *words):
            assert f"({text})" in page, text
        assert statement["journal_head"] in page
        for line in statement["lines"]:
            assert says(page, line["amount"]), line
        if _FONT_FILE.exists():
            assert b"/FontFile2" in answer.content  # its Chinese can be read where there is no such font


async def test_a_month_in_which_nothing_moved(people: People) -> None:
    await recharge(people, "10")
    people.clock.advance(days=62)
    month = (people.clock.now() - timedelta(days=31)).strftime("%Y-%m")
    statement = await ok(people.rita.client.get(f"/statements/{month}"))
    assert (statement["opening"], statement["closing"], statement["lines"]) == ("10", "10", [])
    answer = await people.rita.client.get(f"/statements/{month}", params={"format": "pdf"})
    (page,) = pages_of(answer.content)
    assert says(page, "10") and "Nothing moved in this month." in page


def test_a_long_month_has_all_its_lines_and_a_head_on_each_page(people: People) -> None:
    now = people.clock.now()
    lines = [
        StatementLineOut(
            at=now, kind="charge", text=f"实验 {number} with a name that needs a second line", amount=-number
        )
        for number in range(1, 501)
    ]
    statement = StatementOut(
        month="2026-01", role="payee", account_id="acc_1", owner="group", owner_name="physics", since=now, until=now,
        opening=0, incoming=0, outgoing=0, closing=0, complete=True, journal_head=HEAD, lines=lines,
    )  # fmt: skip
    drawn = pages_of(render(statement, "en", now))
    assert len(drawn) > 10
    assert all(says(page, "Amount \\(UNC\\)") for page in drawn)
    amounts = re.findall(r"\((-0\.000\d+)\) Tj", "".join(drawn))
    assert sum(map(Decimal, amounts)) == sum(Decimal(line.amount) for line in lines) / 1_000_000
    assert len(amounts) == 500
    assert all(says(page, f"Head of the journal when issued: {HEAD}") for page in drawn)


@pytest.mark.parametrize("month", ["2026", "2026-13", "26-01", "2026-1", "january"])
async def test_what_is_no_month_is_refused(people: People, month: str) -> None:
    problem(await people.rita.client.get(f"/statements/{month}"), 422, field="month")


async def test_a_month_to_come_has_no_statement(people: People) -> None:
    problem(await people.rita.client.get("/statements/2099-01"), 404, field="month")
