"""Settling: what of a meter's amount is not in the journal yet goes there, split between miner and platform."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select

from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.accounts.service import out_of_standing
from utcloud.billing import facts, journal, orders
from utcloud.billing.limits import Limited, Limits
from utcloud.billing.models import Account, Meter
from utcloud.billing.solvency import amount
from utcloud.common.money import format_unc
from utcloud.db import Tx
from utcloud.db.bulk import among, update_rows


class Settled(facts.Metered, Limited, Protocol):
    """What settling needs of a meter, or of a row of ``COLUMNS``."""

    @property
    def settled_fee(self) -> int: ...
    @property
    def waived(self) -> int: ...
    @property
    def settlements(self) -> int: ...
    @property
    def note(self) -> str: ...


_AGREED = ("id", "attempt_id", "wallet_id", "payer_id", "group_id", "payee_id", "order_id", "price", "fee_ppm")
_STATE = (
    *("started_at", "witnessed_until", "ended_at", "silent_ms"),
    *("settled", "settled_fee", "waived", "credited", "settlements", "note"),
)
COLUMNS = [getattr(Meter, name) for name in _AGREED + _STATE]


@dataclass(slots=True)
class _Books:
    """The accounts that a round of settling touches, with balances that follow what is being drafted."""

    fee: Account
    issuance: Account
    miners: dict[str, list[str]]
    """By payee, the accounts where his part goes and from which it comes back, in this order."""
    balances: dict[str, int]

    def lines(self, wallet_id: str, payee_id: str, paid: int, fee: int) -> list[tuple[str, int]]:
        """Move ``paid`` out of the wallet: ``fee`` to the platform, the rest to the miner.

        Negative amounts go back; what the miner or the platform no longer has, the issuance pays.
        """
        lines = [(wallet_id, -paid)]
        issued = 0
        for accounts, part in ((self.miners[payee_id], paid - fee), ([self.fee.id], fee)):
            for ident in accounts:
                possible = max(part, -self.balances[ident])
                part -= possible
                if possible:
                    lines.append((ident, possible))
            issued += part
        if issued:
            lines.append((self.issuance.id, issued))
        for ident, part in lines:
            self.balances[ident] = self.balances.get(ident, 0) + part
        return lines


async def _books(tx: Tx, meters: Sequence[Settled]) -> _Books:
    wallet_ids = {meter.wallet_id for meter in meters}
    query = select(Account.id, Account.balance).where(among(tx, Account.id.expression, wallet_ids))
    balances = {ident: balance for ident, balance in await tx.execute(query)}  # noqa: C416 - mypy knows rows
    payees = {meter.payee_id for meter in meters}
    earnings = await journal.accounts(tx, "earnings", payees)
    suspended = await out_of_standing(tx, payees)
    held = await _held(tx, payees, suspended)
    fee = await journal.account(tx, "fee", journal.PLATFORM)
    issuance = await journal.account(tx, "issuance", journal.PLATFORM)
    balances |= {one.id: one.balance for one in (*earnings.values(), *held.values(), fee)}
    miners = {payee: [earnings[payee].id, *([held[payee].id] if payee in held else [])] for payee in payees}
    for payee in suspended:
        miners[payee].reverse()
    return _Books(fee, issuance, miners, balances)


async def _held(tx: Tx, payees: Collection[str], suspended: Collection[str]) -> dict[str, Account]:
    """The accounts of what is held: of those who may not have work, and of those of whom something still is."""
    known = select(Account.owner_id).where(Account.kind == "held", Account.owner_id.in_(payees))
    return await journal.accounts(tx, "held", {*await tx.scalars(known), *suspended})


async def settle_many(tx: Tx, meters: Sequence[Settled], now: datetime, *, final: bool = False) -> None:
    """Put what ``meters`` have accrued and not settled yet into the journal, in a few statements.

    Never takes more than the wallet's balance, nor more than the order's maxima and the caps on the wallet allow. What
    is missing stays due while a meter is open; when it is ``final``, it is written down as ``waived``, and why. When
    the end turns out to lie before what was settled, the difference goes back by a reversal. Changes the rows, not the
    objects: refresh those.
    """
    if not meters:
        return
    await journal.lock(tx)
    books = await _books(tx, meters)
    terms = await orders.terms(tx, [order_id for order_id in {meter.order_id for meter in meters} if order_id])
    limits = await Limits.of(tx, [meter for meter in meters if amount(meter) > meter.settled + meter.waived])
    drafts: list[journal.Draft] = []
    changes: list[dict[str, Any]] = []
    for meter in meters:
        due, waived = amount(meter) - meter.settled - meter.waived, meter.waived
        if due < 0:  # what was never taken need not go back
            waived -= min(waived, -due)
            due = amount(meter) - meter.settled - waived
        note, allowed = meter.note, due
        if due > 0:
            allowed, why = await limits.allowed(tx, meter, due)
        paid = min(allowed, books.balances[meter.wallet_id])
        if final and due > paid:
            waived += due - paid
            reason = why if paid == allowed and why else "the wallet was empty"
            note = joined(note, f"{format_unc(due - paid)} UNC are waived: {reason}")
        limits.took(meter, paid)
        settled = meter.settled + paid
        settled_fee = (settled - meter.credited) * meter.fee_ppm // 1_000_000
        if paid:
            drafts.append(
                journal.Draft(
                    "charge" if paid > 0 else "reversal",
                    f"{meter.id}:{meter.settlements}",
                    books.lines(meter.wallet_id, meter.payee_id, paid, settled_fee - meter.settled_fee),
                    now,
                    facts.of_meter(
                        meter,
                        terms.get(meter.order_id),
                        was=meter.settled - meter.credited,
                        settled=settled,
                        waived=waived,
                        credited=meter.credited,
                    ),
                    cause_type="meter",
                    cause_id=meter.id,
                )
            )
        changes.append(
            {
                "id": meter.id,
                "settled": settled,
                "settled_fee": settled_fee,
                "waived": waived,
                "note": note,
                "settlements": meter.settlements + bool(paid),
                "settled_at": now,
            }
        )
    if drafts:
        await journal.write(tx, drafts)
    await update_rows(tx, Meter, changes)


def joined(note: str, line: str) -> str:
    """The last few notes of a meter, the newest at the end."""
    return "; ".join([*filter(None, note.split("; ")), line][-5:])


async def credit(
    tx: Tx, meter: Meter, given: int, now: datetime, reason: str, *, by: Actor | None = None, key: str | None = None
) -> None:
    """Give ``given`` micro-UNC of what ``meter`` took back, from miner and platform as they got it, with the reason.

    ``by`` is the operator who does so by hand. ``key``: the entry's, where it is not the one credit of a fault.
    """
    await journal.lock(tx)
    books = await _books(tx, [meter])
    credited = meter.credited + given
    settled_fee = (meter.settled - credited) * meter.fee_ppm // 1_000_000
    lines = books.lines(meter.wallet_id, meter.payee_id, -given, settled_fee - meter.settled_fee)
    note = reason
    if any(ident == books.issuance.id for ident, _ in lines):
        note += "; the platform pays what the miner no longer has"
    told = facts.of_meter(
        meter,
        (await orders.terms(tx, [meter.order_id])).get(meter.order_id),
        was=meter.settled - meter.credited,
        settled=meter.settled,
        waived=meter.waived,
        credited=credited,
    )
    await journal.post(
        tx,
        "credit" if by else "reversal",
        key or f"{meter.id}:credit",
        lines,
        at=now,
        facts=told,
        cause_type="meter",
        cause_id=meter.id,
        note=note,
        actor=by or SYSTEM,
    )
    meter.credited, meter.settled_fee = credited, settled_fee
    await tx.flush()
