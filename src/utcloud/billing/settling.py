"""Settling: what of a meter's amount is not in the journal yet goes there, split between miner and platform."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select

from utcloud.billing import facts, journal, orders
from utcloud.billing.models import Account, Meter
from utcloud.billing.solvency import amount
from utcloud.db import Tx
from utcloud.db.bulk import among, update_rows


class Settled(facts.Metered, Protocol):
    """What settling needs of a meter, or of a row of ``COLUMNS``."""

    @property
    def id(self) -> str: ...
    @property
    def wallet_id(self) -> str: ...
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


_NAMES = (
    *("id", "attempt_id", "wallet_id", "payer_id", "group_id", "payee_id", "order_id", "price", "fee_ppm"),
    *("started_at", "witnessed_until", "ended_at", "settled", "settled_fee", "waived", "credited", "settlements"),
)
COLUMNS = [getattr(Meter, name) for name in _NAMES]


@dataclass(slots=True)
class _Books:
    """The accounts that a round of settling touches, with balances that follow what is being drafted."""

    fee: Account
    issuance: Account
    earnings: dict[str, Account]
    balances: dict[str, int]

    def lines(self, wallet_id: str, payee_id: str, paid: int, fee: int) -> list[tuple[str, int]]:
        """Move ``paid`` out of the wallet: ``fee`` to the platform, the rest to the miner.

        Negative amounts go back; what the miner or the platform no longer has, the issuance pays.
        """
        lines = [(wallet_id, -paid)]
        issued = 0
        for ident, part in ((self.earnings[payee_id].id, paid - fee), (self.fee.id, fee)):
            possible = max(part, -self.balances[ident])
            issued += part - possible
            if possible:
                lines.append((ident, possible))
        if issued:
            lines.append((self.issuance.id, issued))
        for ident, part in lines:
            self.balances[ident] = self.balances.get(ident, 0) + part
        return lines


async def _books(tx: Tx, meters: Sequence[Settled]) -> _Books:
    wallet_ids = {meter.wallet_id for meter in meters}
    query = select(Account.id, Account.balance).where(among(tx, Account.id.expression, wallet_ids))
    balances = {ident: balance for ident, balance in await tx.execute(query)}  # noqa: C416 - mypy knows rows
    earnings = await journal.accounts(tx, "earnings", {meter.payee_id for meter in meters})
    fee = await journal.account(tx, "fee", journal.PLATFORM)
    issuance = await journal.account(tx, "issuance", journal.PLATFORM)
    balances |= {one.id: one.balance for one in (*earnings.values(), fee)}
    return _Books(fee, issuance, earnings, balances)


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
    order_ids = [order_id for order_id in {meter.order_id for meter in meters} if order_id]
    rooms, terms = await orders.rooms(tx, order_ids), await orders.terms(tx, order_ids)
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
                "settlements": meter.settlements + bool(paid),
                "settled_at": now,
            }
        )
    if drafts:
        await journal.write(tx, drafts)
    await update_rows(tx, Meter, changes)


async def credit(tx: Tx, meter: Meter, given: int, now: datetime, reason: str) -> None:
    """Give ``given`` micro-UNC of what ``meter`` took back, from miner and platform as they got it, with the reason."""
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
        "reversal",
        f"{meter.id}:credit",
        lines,
        at=now,
        facts=told,
        cause_type="meter",
        cause_id=meter.id,
        note=note,
    )
    meter.credited, meter.settled_fee = credited, settled_fee
    await tx.flush()
