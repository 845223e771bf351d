"""Meters: the formula, exactly, however and whenever it is settled."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.support.factories import NOW
from tests.support.lanes import examples
from tests.support.money import UNC, balances, begin, fund, meter_of
from utcloud.billing import loops, meters
from utcloud.billing.funds import hold_for
from utcloud.billing.models import Entry, Meter
from utcloud.billing.solvency import Use, amount, outlook
from utcloud.billing.sums import use_of
from utcloud.common.errors import InsufficientFunds
from utcloud.common.ids import new_id
from utcloud.common.money import amount_for
from utcloud.db import Database

pytestmark = pytest.mark.postgres


def after(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


async def test_a_notebook_is_billed_to_the_micro_unc(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", 10 * UNC)
        attempt = await begin(tx, "rita", price=1_500_000)
        await meters.witness(tx, [attempt], after(seconds=100))
        await meters.close(tx, attempt, after(seconds=123, milliseconds=457))
        cost = 1_500_000 * 123_457 // 3_600_000
        fee = cost * 5 // 100
        assert await balances(tx) == {
            "wallet:rita": 10 * UNC - cost,
            "earnings:usr_miner": cost - fee,
            "fee:platform": fee,
            "issuance:platform": -10 * UNC,
        }
        assert await meters.total(tx, [attempt]) == cost


async def test_closing_again_changes_nothing(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita")
        await meters.close(tx, attempt, after(minutes=6))
        once = await balances(tx)
        await meters.close(tx, attempt, after(minutes=60))
        await meters.witness(tx, [attempt], after(minutes=60))
        await meters.start(tx, attempt, after(minutes=59))
        assert await balances(tx) == once
        assert once["wallet:rita"] == 900_000
        meter = await meter_of(tx, attempt)
        assert (meter.hold, meter.closed, meter.ended_at) == (0, True, after(minutes=6))


async def test_what_never_started_costs_nothing_and_gives_back_its_hold(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita", at=None)
        assert (await meter_of(tx, attempt)).hold == UNC // 60
        await meters.witness(tx, [attempt], after(minutes=60))
        await meters.close(tx, attempt, after(minutes=60))
        meter = await meter_of(tx, attempt)
        assert (meter.hold, meter.closed, meter.settled, meter.ended_at) == (0, True, 0, None)
        assert (await balances(tx))["wallet:rita"] == UNC
        await meters.close(tx, "at_unknown", NOW)


async def test_an_end_before_the_start_is_the_start(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita")
        await meters.close(tx, attempt, after(hours=-1))
        meter = await meter_of(tx, attempt)
        assert (meter.ended_at, meter.settled, meter.waived) == (NOW, 0, 0)


async def test_only_witnessed_time_counts_and_it_never_runs_backwards(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita")
        for until, seen in ((after(seconds=20), 20), (after(seconds=10), 20), (after(hours=-1), 20)):
            await meters.witness(tx, [attempt, "at_other"], until)
            assert (await meter_of(tx, attempt)).witnessed_until == after(seconds=seen)
        await meters.start(tx, attempt, after(seconds=-50))
        assert (await meter_of(tx, attempt)).started_at == NOW
        await meters.close(tx, attempt, None)
        assert (await meter_of(tx, attempt)).ended_at == after(seconds=20)


async def test_a_start_needs_its_hold_and_says_so_with_numbers(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", 30_000)
        first = await begin(tx, "rita", at=None)
        with pytest.raises(InsufficientFunds) as caught:
            await begin(tx, "rita")
        assert "0.013334 UNC available" in caught.value.detail
        assert "at 1 UNC per hour needs at least 0.016666 UNC" in caught.value.detail
        assert caught.value.cure == "Ask for a recharge of at least 0.003332 UNC."
        with pytest.raises(InsufficientFunds):
            await meters.require_start(tx, NOW, "rita", "rita", [UNC])
        with pytest.raises(InsufficientFunds):
            await meters.require_start(tx, NOW, "nobody", "nobody", [1])
        await meters.require_start(tx, NOW, "nobody", "nobody", [0])
        await meters.close(tx, first, None)
        await begin(tx, "rita")


async def test_opening_again_keeps_the_meter(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        for _ in range(2):
            await meters.open(tx, meters.Opening("at_1", "rita", "m", UNC, 0, {"workload_id": "nb"}))
        assert await tx.scalar(select(func.count()).select_from(Meter)) == 1
        assert (await meter_of(tx, "at_1")).workload_id == "nb"


async def test_groups_open_together_each_all_or_none(db: Database) -> None:
    def opening(attempt: str, payer: str, price: int = UNC) -> meters.Opening:
        return meters.Opening(attempt, payer, "m", price, 0, {"workload_id": attempt})

    hold = hold_for(UNC)
    async with db.write() as tx:
        await fund(tx, "rita", 3 * hold)
        await fund(tx, "boris", hold)
        groups = [
            [opening("a1", "rita"), opening("a2", "rita")],
            [opening("b1", "rita"), opening("b2", "rita")],  # one hold is left
            [opening("c1", "rita")],
            [],
            [opening("d1", "boris"), opening("d2", "boris")],
            [opening("e1", "boris")],
            [opening("a1", "rita")],  # has its meter
        ]
        refusals = await meters.open_many(tx, groups[:6])
        assert [refusal is None for refusal in refusals] == [True, False, True, True, False, True]
        assert "0.016666 UNC available; starting at 2 UNC per hour" in str(refusals[1])
        assert await meters.open_many(tx, groups[6:]) == [None]
        assert sorted(await tx.scalars(select(Meter.attempt_id))) == ["a1", "a2", "c1", "e1"]


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(price=st.integers(0, 10**13), seconds=st.integers(0, 10**7), millis=st.integers(0, 999))
async def test_sums_in_sql_are_the_formula(db: Database, price: int, seconds: int, millis: int) -> None:
    async with db.write() as tx:
        payer = new_id("usr")
        wallet = await fund(tx, payer, 10**13)
        attempt = await begin(tx, payer, price=price)
        await meters.witness(tx, [attempt], after(seconds=seconds, milliseconds=millis))
        found = (await use_of(tx, [wallet.id], NOW))[wallet.id]
        assert found.accrued == amount_for(price, seconds * 1000 + millis)
        assert found.held == hold_for(price)


async def test_what_the_wallet_cannot_pay_is_waived_at_the_end_and_never_charged(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", 100_000)
        attempt = await begin(tx, "rita")
        await meters.witness(tx, [attempt], after(minutes=30))
        meter = await meter_of(tx, attempt)
        await meters.settle(tx, meter, after(minutes=30))
        assert (meter.settled, meter.waived) == (100_000, 0)
        await fund(tx, "rita", 50_000)
        await meters.close(tx, attempt, after(minutes=30))
        meter = await meter_of(tx, attempt)
        assert (meter.settled, meter.waived) == (150_000, 350_000)
        await fund(tx, "rita", UNC)
        assert (await balances(tx))["wallet:rita"] == UNC
        assert await meters.total(tx, [attempt]) == 150_000


async def test_an_end_before_what_was_settled_goes_back(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita", fee_ppm=333_333)
        await meters.witness(tx, [attempt], after(minutes=30))
        await meters.settle(tx, await meter_of(tx, attempt), after(minutes=30))
        await meters.close(tx, attempt, after(minutes=29, milliseconds=1))
        found = await balances(tx)
        cost = amount_for(UNC, 29 * 60_000 + 1)
        fee = cost * 333_333 // 1_000_000
        assert found["wallet:rita"] == UNC - cost
        assert found["fee:platform"] == fee
        assert found["earnings:usr_miner"] == cost - fee
        kinds = (await tx.scalars(select(Entry.kind).order_by(Entry.id))).all()
        assert sorted(kinds) == ["charge", "recharge", "reversal"]


async def test_open_meters_are_settled_once_an_hour_and_after_downtime(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", 10 * UNC)
        attempt = await begin(tx, "rita")
        await begin(tx, "rita", at=after(minutes=30))
        await begin(tx, "rita", at=None)
        await meters.witness(tx, [attempt], after(minutes=59))
    assert await loops.settle_due(db, after(minutes=59)) == 0
    assert await loops.settle_due(db, after(minutes=61)) == 1
    assert await loops.settle_due(db, after(minutes=62)) == 0
    async with db.write() as tx:
        assert (await meter_of(tx, attempt)).settled == amount_for(UNC, 59 * 60_000)
        await meters.witness(tx, [attempt], after(hours=5))
    assert await loops.settle_due(db, after(hours=5)) == 2
    async with db.write() as tx:
        await meters.close(tx, attempt, after(hours=5, seconds=1))
        assert (await balances(tx))["wallet:rita"] == 10 * UNC - amount_for(UNC, 5 * 3_600_000 + 1000)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    price=st.integers(0, 10**10),
    fee_ppm=st.integers(0, 1_000_000),
    steps=st.lists(st.integers(0, 7_200_000), min_size=1, max_size=6),
    early=st.integers(0, 10_000),
)
async def test_the_sum_is_the_formula_whenever_it_is_settled(
    db: Database, price: int, fee_ppm: int, steps: list[int], early: int
) -> None:
    async with db.write() as tx:
        before = await balances(tx)
        await fund(tx, "rita", 10**12)
        attempt = await begin(tx, "rita", price=price, fee_ppm=fee_ppm)
        until = 0
        for step in steps:
            until += step
            await meters.witness(tx, [attempt], after(milliseconds=until))
            await meters.settle(tx, await meter_of(tx, attempt), NOW)
            await balances(tx)
        end = max(until - early, 0)
        await meters.close(tx, attempt, after(milliseconds=end))
        found = await balances(tx)
        cost = price * end // 3_600_000
        fee = cost * fee_ppm // 1_000_000

        def moved(name: str) -> int:
            return found.get(name, 0) - before.get(name, 0)

        assert moved("wallet:rita") == 10**12 - cost
        assert moved("fee:platform") == fee
        assert moved("earnings:usr_miner") == cost - fee


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    balance=st.integers(0, 5_000),
    runs=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 7_200_000), st.booleans()), min_size=1, max_size=5),
)
async def test_a_wallet_never_goes_below_zero_and_nothing_is_lost(
    db: Database, balance: int, runs: list[tuple[int, int, bool]]
) -> None:
    async with db.write() as tx:
        wallet = await fund(tx, "rita", balance)
        have = (await balances(tx))["wallet:rita"]
        before = (await balances(tx)).get("earnings:usr_miner", 0) + (await balances(tx)).get("fee:platform", 0)
        attempts = []
        for price, ms, settle in runs:
            try:
                attempt = await begin(tx, "rita", price=price)
            except InsufficientFunds:
                continue
            attempts.append(attempt)
            await meters.witness(tx, [attempt], after(milliseconds=ms))
            if settle:
                await meters.settle(tx, await meter_of(tx, attempt), NOW)
        state = outlook(wallet.balance, (await use_of(tx, [wallet.id], NOW)).get(wallet.id, Use()), NOW)
        assert state.available >= 0
        for attempt in attempts:
            await meters.close(tx, attempt, None)
        found = await balances(tx)
        closed = [await meter_of(tx, attempt) for attempt in attempts]
        assert all(amount(meter) == meter.settled + meter.waived for meter in closed)
        assert have - found["wallet:rita"] == sum(meter.settled for meter in closed)
        earned = found.get("earnings:usr_miner", 0) + found.get("fee:platform", 0)
        assert earned - before == sum(meter.settled for meter in closed)
        if any(meter.waived for meter in closed):
            assert found["wallet:rita"] == 0
