"""Meters: what turns an attempt's witnessed interval into journal entries, exactly and once.

All functions run inside the caller's transaction. The order of locks is: rows of other rooms, meters, the journal.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from utcloud.billing import journal
from utcloud.billing.models import Account, Meter
from utcloud.billing.solvency import amount, outstanding
from utcloud.billing.sums import Use, use_of
from utcloud.common.errors import Forbidden, InsufficientFunds
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


@dataclass(frozen=True, slots=True)
class Opening:
    """A meter that is to be made, for one attempt."""

    attempt_id: str
    payer_id: str
    payee_id: str
    """The miner."""
    price: int
    """micro-UNC per hour."""
    fee_ppm: int
    labels: dict[str, Any]
    """See ``models.Meter.labels``."""
    hold: int | None = None
    """micro-UNC to hold back; ``hold_for(price)`` unless given."""

    @property
    def held(self) -> int:
        return hold_for(self.price) if self.hold is None else self.hold


Refusal = InsufficientFunds | Forbidden


async def open_many(tx: Tx, groups: Sequence[Sequence[Opening]]) -> list[Refusal | None]:
    """Make the meters of many attempts in a few statements: all of a group (a workload's), or none of it.

    Answers for each group why it was refused, or None. An attempt that has its meter keeps it. Groups are looked at in
    order: what one holds back is no longer there for the next.
    """
    await journal.lock(tx)
    wanted = [opening for group in groups for opening in group]
    query = select(Meter.attempt_id).where(Meter.attempt_id.in_([opening.attempt_id for opening in wanted]))
    known = set(await tx.scalars(query))
    wallets = await journal.accounts(tx, "wallet", {opening.payer_id for opening in wanted})
    use = await use_of(tx, [wallet.id for wallet in wallets.values()])
    refusals: list[Refusal | None] = []
    made: list[dict[str, Any]] = []
    for group in groups:
        new = [opening for opening in group if opening.attempt_id not in known]
        refusal = _refusal(new, wallets, use)
        refusals.append(refusal)
        if refusal is None:
            made += [_row(opening, wallets[opening.payer_id]) for opening in new]
    if made:
        await tx.execute(insert(Meter), made)
        emit(tx, "billing")
    return refusals


def _refusal(group: Sequence[Opening], wallets: dict[str, Account], use: dict[str, Use]) -> Refusal | None:
    """Why ``group`` cannot be paid for; else None, and its holds are noted in ``use``."""
    by_payer: dict[str, list[Opening]] = defaultdict(list)
    for opening in group:
        by_payer[opening.payer_id].append(opening)
    for payer_id, own in by_payer.items():
        wallet = wallets[payer_id]
        problem = _shortage(
            wallet, use.get(wallet.id, Use()), sum(one.price for one in own), sum(one.held for one in own)
        )
        if problem:
            return problem
    for payer_id, own in by_payer.items():
        ident = wallets[payer_id].id
        before = use.get(ident, Use())
        use[ident] = replace(
            before, meters=before.meters + len(own), held=before.held + sum(opening.held for opening in own)
        )
    return None


def _row(opening: Opening, wallet: Account) -> dict[str, Any]:
    return {
        "id": new_id("mtr"),
        "attempt_id": opening.attempt_id,
        "wallet_id": wallet.id,
        "payer_id": opening.payer_id,
        "payee_id": opening.payee_id,
        "workload_id": str(opening.labels.get("workload_id", "")),
        "price": opening.price,
        "fee_ppm": opening.fee_ppm,
        "hold": opening.held,
        "labels": opening.labels,
    }


async def open(tx: Tx, opening: Opening) -> Meter:  # noqa: A001 - the word of the trade
    """Make the meter of one attempt. Raises InsufficientFunds when the wallet has less available than the hold."""
    (refusal,) = await open_many(tx, [[opening]])
    if refusal:
        raise refusal
    return (await tx.scalars(select(Meter).where(Meter.attempt_id == opening.attempt_id))).one()


async def require_start(tx: Tx, payer_id: str, prices: Sequence[int]) -> None:
    """Raise InsufficientFunds when the payer's wallet cannot hold the start of attempts at ``prices`` per hour."""
    wallet = await journal.account(tx, "wallet", payer_id)
    use = (await use_of(tx, [wallet.id])).get(wallet.id, Use())
    if refusal := _shortage(wallet, use, sum(prices), sum(hold_for(price) for price in prices)):
        raise refusal


def _shortage(wallet: Account, use: Use, price: int, hold: int) -> InsufficientFunds | None:
    available = max(wallet.balance - use.accrued - use.held, 0)
    if available >= hold:
        return None
    detail = (
        f"The wallet has {format_unc(available)} UNC available; starting at {format_unc(price)} UNC per hour "
        f"needs at least {format_unc(hold)} UNC."
    )
    if use.meters:
        detail += (
            f" Of its balance of {format_unc(wallet.balance)} UNC, what runs now has used "
            f"{format_unc(use.accrued)} UNC and holds {format_unc(use.held)} UNC back."
        )
    return InsufficientFunds(detail, cure=f"Ask for a recharge of at least {format_unc(hold - available)} UNC.")


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
