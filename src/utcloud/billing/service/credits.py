"""Credits by hand: an operator gives back what was paid for an order, because of what no machine can know."""

from datetime import datetime

from sqlalchemy import select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.billing import events, journal, orders
from utcloud.billing.models import Account, Meter, Order
from utcloud.billing.order_schemas import CreditCreate, OrderOut
from utcloud.billing.service.orders import order_out, visible_order
from utcloud.billing.settling import credit, joined
from utcloud.common.errors import Conflict, Invalid
from utcloud.common.money import format_unc
from utcloud.db import Tx, emit


async def credit_order(tx: Tx, now: datetime, actor: Actor, order_id: str, body: CreditCreate) -> OrderOut:
    """Give ``amount`` of what was paid for an order back to the wallet that paid, from its last attempt on.

    Miner and platform give back their shares of it; what the miner no longer has, the platform pays.
    """
    actor.require_operator()
    reason = " ".join(body.reason.split())
    if not reason:
        raise Invalid("Say why: renter and miner will read it.", field="reason", cure="Write a reason.")
    order = await visible_order(tx, actor, order_id)
    query = select(Meter).where(Meter.order_id == order.id).order_by(Meter.id.desc()).with_for_update()
    found = list(await tx.scalars(query.execution_options(populate_existing=True)))
    if order.state == "open":
        raise Conflict("The order has not ended yet.", cure="Credit it when it has.", code="not_ended")
    paid = sum(meter.settled - meter.credited for meter in found)
    if body.amount > paid:
        raise Conflict(
            f"Only {format_unc(paid)} UNC were paid for this order.",
            field="amount",
            cure=f"Give back at most {format_unc(paid)} UNC.",
            code="more_than_paid",
        )
    left = body.amount
    for meter in found:
        given = min(left, meter.settled - meter.credited)
        if given:
            key = f"{meter.id}:credit:{meter.credited}"
            await credit(tx, meter, given, now, f"credit by {actor.username}: {reason}", by=actor, key=key)
            meter.note = joined(meter.note, f"{format_unc(given)} UNC were credited by an operator")
            left -= given
    await tx.flush()
    await orders.refresh(tx, [order.id])
    await _tell(tx, now, actor, order, body.amount, reason)
    return await order_out(tx, await tx.get_one(Order, order.id, populate_existing=True))


async def _tell(tx: Tx, now: datetime, actor: Actor, order: Order, amount: int, reason: str) -> None:
    detail = {"amount": format_unc(amount), "reason": reason}
    audit.record(tx, actor, "order.credit", "order", order.id, order.workload, detail)
    earnings = await journal.account(tx, "earnings", order.miner_id)
    for account, renter in ((await tx.get_one(Account, order.wallet_id), order.owner_id), (earnings, None)):
        events.record(
            tx,
            "credited",
            account,
            at=now,
            user_id=renter,
            object_id=order.id,
            workload=order.workload,
            by=actor.username,
            **detail,
        )
    for user_id in (order.owner_id, order.miner_id):
        emit(tx, f"ui:{user_id}")
    emit(tx, "ui:miners")
    emit(tx, "billing")
