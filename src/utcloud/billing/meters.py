"""Meters: what turns an attempt's witnessed interval into journal entries, exactly and once.

All functions run inside the caller's transaction. The order of locks is: rows of other rooms, meters, the journal.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from utcloud.billing import journal
from utcloud.billing.models import Account, Meter
from utcloud.billing.solvency import amount, outstanding
from utcloud.common.errors import InsufficientFunds
from utcloud.common.ids import new_id
from utcloud.common.money import amount_for, format_unc
from utcloud.db import Tx, emit

HOLD_MS = 60_000
"""A new meter holds back what it costs in this time, so that a graceful stop is always paid for."""


def fee_ppm(percent: float) -> int:
    """The platform's share as millionths: 5.0 percent → 50 000."""
    return round(percent * 10_000)


def hold_for(price: int) -> int:
    """The hold of a meter at ``price`` micro-UNC per hour: at least 1 micro-UNC unless it is free."""
    return max(amount_for(price, HOLD_MS), 1) if price else 0


async def open(  # noqa: A001 - the word of the trade
    tx: Tx,
    *,
    attempt_id: str,
    payer_id: str,
    payee_id: str,
    price: int,
    fee_ppm: int,
    labels: dict[str, Any],
    hold: int | None = None,
) -> Meter:
    """Make the meter of an attempt and hold back ``hold`` micro-UNC (``hold_for(price)`` unless given).

    ``labels``: see ``models.Meter.labels``. An attempt that has its meter keeps it. Raises InsufficientFunds when the
    payer's wallet has less available than the hold.
    """
    await journal.lock(tx)
    known = await tx.scalar(select(Meter).where(Meter.attempt_id == attempt_id))
    if known:
        return known
    hold = hold_for(price) if hold is None else hold
    wallet = await journal.account(tx, "wallet", payer_id)
    await _require(tx, wallet, price, hold)
    meter = Meter(
        id=new_id("mtr"),
        attempt_id=attempt_id,
        wallet_id=wallet.id,
        payer_id=payer_id,
        payee_id=payee_id,
        workload_id=str(labels.get("workload_id", "")),
        price=price,
        fee_ppm=fee_ppm,
        hold=hold,
        labels=labels,
    )
    tx.add(meter)
    await tx.flush()
    emit(tx, "billing")
    return meter


async def require_start(tx: Tx, payer_id: str, prices: Sequence[int]) -> None:
    """Raise InsufficientFunds when the payer's wallet cannot hold the start of attempts at ``prices`` per hour."""
    wallet = await journal.account(tx, "wallet", payer_id)
    await _require(tx, wallet, sum(prices), sum(hold_for(price) for price in prices))


async def _require(tx: Tx, wallet: Account, price: int, hold: int) -> None:
    meters = await open_meters(tx, [wallet.id])
    accrued, held = sum(map(outstanding, meters)), sum(meter.hold for meter in meters)
    available = max(wallet.balance - accrued - held, 0)
    if available >= hold:
        return
    detail = (
        f"The wallet has {format_unc(available)} UNC available; starting at {format_unc(price)} UNC per hour "
        f"needs at least {format_unc(hold)} UNC."
    )
    if meters:
        detail += (
            f" Of its balance of {format_unc(wallet.balance)} UNC, what runs now has used {format_unc(accrued)} UNC "
            f"and holds {format_unc(held)} UNC back."
        )
    raise InsufficientFunds(detail, cure=f"Ask for a recharge of at least {format_unc(hold - available)} UNC.")


async def total(tx: Tx, attempt_ids: Iterable[str]) -> int:
    """What some attempts cost so far together, in micro-UNC."""
    meters = await tx.scalars(select(Meter).where(Meter.attempt_id.in_(list(attempt_ids))))
    return sum(amount(meter) - meter.waived for meter in meters)


async def open_meters(tx: Tx, wallet_ids: Iterable[str]) -> list[Meter]:
    """The meters that are not closed, of some wallets."""
    query = select(Meter).where(Meter.wallet_id.in_(list(wallet_ids)), Meter.closed.is_(False))
    return list(await tx.scalars(query.execution_options(populate_existing=True)))


async def start(tx: Tx, attempt_id: str, started_at: datetime) -> None:
    """The attempt's container was seen to run since ``started_at``, by the engine's clock. The first word holds."""
    await tx.execute(
        update(Meter)
        .where(Meter.attempt_id == attempt_id, Meter.started_at.is_(None), Meter.closed.is_(False))
        .values(started_at=started_at, witnessed_until=started_at)
        .execution_options(synchronize_session=False)
    )
    emit(tx, "billing")


async def witness(tx: Tx, attempt_ids: Iterable[str], until: datetime) -> None:
    """The attempts were seen to run until ``until``. Never moves backwards, nor before the start."""
    idents = sorted(attempt_ids)
    if not idents:
        return
    await tx.execute(
        update(Meter)
        .where(
            Meter.attempt_id.in_(idents),
            Meter.closed.is_(False),
            Meter.ended_at.is_(None),
            Meter.witnessed_until < until,  # null, so false, before the start
        )
        .values(witnessed_until=until)
        .execution_options(synchronize_session=False)
    )


async def close(tx: Tx, attempt_id: str, ended_at: datetime | None, *, now: datetime | None = None) -> None:
    """The attempt has ended at ``ended_at``, or None: when it was last witnessed. Settles it and gives back the hold.

    Closing again changes nothing. What never started costs nothing; an end before the start counts as the start.
    ``now`` is the entry's moment in the journal, ``ended_at`` unless given.
    """
    query = select(Meter).where(Meter.attempt_id == attempt_id).with_for_update()
    meter = (await tx.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if meter is None or meter.closed:
        return
    if meter.started_at:
        meter.ended_at = max(ended_at or meter.witnessed_until or meter.started_at, meter.started_at)
        meter.witnessed_until = meter.ended_at
        await settle(tx, meter, now or meter.ended_at, final=True)
    meter.closed = True
    meter.hold = 0
    await tx.flush()
    emit(tx, "billing")


async def settle(tx: Tx, meter: Meter, now: datetime, *, final: bool = False) -> None:
    """Put what ``meter`` has accrued and not settled yet into the journal, split between miner and platform.

    Never takes more than the wallet's balance. What is missing stays due while the meter is open; when it is
    ``final``, it is written down as ``waived``. When the end turns out to lie before what was settled, the
    difference goes back by a reversal.
    """
    await journal.lock(tx)
    wallet = (
        await tx.scalars(select(Account).where(Account.id == meter.wallet_id).execution_options(populate_existing=True))
    ).one()
    due = outstanding(meter)
    paid = min(due, wallet.balance)
    meter.settled_at = now
    if final:
        meter.waived += due - paid
    if paid == 0:
        await tx.flush()
        return
    settled = meter.settled + paid
    settled_fee = settled * meter.fee_ppm // 1_000_000
    fee = settled_fee - meter.settled_fee
    lines = [(wallet.id, -paid)]
    if paid != fee:
        lines.append(((await journal.account(tx, "earnings", meter.payee_id)).id, paid - fee))
    if fee:
        lines.append(((await journal.account(tx, "fee", journal.PLATFORM)).id, fee))
    await journal.post(
        tx,
        "charge" if paid > 0 else "reversal",
        f"{meter.id}:{meter.settlements}",
        lines,
        at=now,
        cause_type="meter",
        cause_id=meter.id,
    )
    meter.settled = settled
    meter.settled_fee = settled_fee
    meter.settlements += 1
    await tx.flush()
