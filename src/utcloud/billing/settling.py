"""Settling: what of a meter's amount is not in the journal yet goes there, split between miner and platform."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select

from utcloud.accounts.service import out_of_standing
from utcloud.billing import journal, orders
from utcloud.billing.models import Account, Meter
from utcloud.billing.solvency import Interval, amount
from utcloud.db import Tx
from utcloud.db.bulk import among, update_rows


class Settled(Interval, Protocol):
    """What settling needs of a meter, or of a row of ``COLUMNS``."""

    @property
    def id(self) -> str: ...
    @property
    def wallet_id(self) -> str: ...
    @property
    def payee_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def fee_ppm(self) -> int: ...
    @property
    def settled(self) -> int: ...
    @property
    def settled_fee(self) -> int: ...
    @property
    def waived(self) -> int: ...
    @property
    def credited(self) -> int: ...
    @property
    def settlements(self) -> int: ...


COLUMNS = [
    getattr(Meter, name)
    for name in ("id", "wallet_id", "payee_id", "order_id", "price", "fee_ppm", "started_at", "witnessed_until")
] + [getattr(Meter, name) for name in ("ended_at", "settled", "settled_fee", "waived", "credited", "settlements")]


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

    Never takes more than the wallet's balance, nor more than the order's maximum. What is missing stays due while a
    meter is open; when it is ``final``, it is written down as ``waived``. When the end turns out to lie before what was
    settled, the difference goes back by a reversal. Changes the rows, not the objects: refresh those.
    """
    if not meters:
        return
    await journal.lock(tx)
    books = await _books(tx, meters)
    rooms = await orders.rooms(tx, [order_id for order_id in {meter.order_id for meter in meters} if order_id])
    drafts: list[journal.Draft] = []
    changes: list[dict[str, Any]] = []
    for meter in meters:
        due, waived = amount(meter) - meter.settled - meter.waived, meter.waived
        if due < 0:  # what was never taken need not go back
            waived -= min(waived, -due)
            due = amount(meter) - meter.settled - waived
        paid = min(due, books.balances[meter.wallet_id], rooms.get(meter.order_id, due))
        if final:
            waived += due - paid
        if meter.order_id in rooms:
            rooms[meter.order_id] -= paid
        settled = meter.settled + paid
        settled_fee = (settled - meter.credited) * meter.fee_ppm // 1_000_000
        if paid:
            drafts.append(
                journal.Draft(
                    "charge" if paid > 0 else "reversal",
                    f"{meter.id}:{meter.settlements}",
                    books.lines(meter.wallet_id, meter.payee_id, paid, settled_fee - meter.settled_fee),
                    now,
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
                "settlements": meter.settlements + bool(paid),
                "settled_at": now,
            }
        )
    if drafts:
        await journal.write(tx, drafts)
    await update_rows(tx, Meter, changes)


async def credit(tx: Tx, meter: Meter, given: int, now: datetime, reason: str, *, key: str | None = None) -> None:
    """Give ``given`` micro-UNC of what ``meter`` took back, from miner and platform as they got it, with the reason.

    ``key``: the entry's, where it is not the one credit of a fault.
    """
    await journal.lock(tx)
    books = await _books(tx, [meter])
    credited = meter.credited + given
    settled_fee = (meter.settled - credited) * meter.fee_ppm // 1_000_000
    lines = books.lines(meter.wallet_id, meter.payee_id, -given, settled_fee - meter.settled_fee)
    note = reason
    if any(ident == books.issuance.id for ident, _ in lines):
        note += "; the platform pays what the miner no longer has"
    await journal.post(
        tx, "reversal", key or f"{meter.id}:credit", lines, at=now, cause_type="meter", cause_id=meter.id, note=note
    )
    meter.credited, meter.settled_fee = credited, settled_fee
    await tx.flush()
