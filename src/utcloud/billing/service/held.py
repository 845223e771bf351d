"""What miners earned while they may not have work: it is held until an operator decides, who gives the reason.

The journal says all of it: what is held was posted to an account of kind ``held``, and both decisions are entries of
their own. Released, it goes to the miner's earnings; returned, to the wallets that paid, each for the meters it paid.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.service import get_user, out_of_standing, usernames
from utcloud.billing import facts, journal, orders
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.billing.schemas import HeldDecision, HeldOut
from utcloud.billing.settling import credit
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.ids import new_id
from utcloud.common.money import format_unc
from utcloud.db import Tx, emit, paginate


async def list_held(tx: Tx, actor: Actor, *, limit: int, cursor: str | None = None) -> tuple[list[HeldOut], str | None]:
    """One page of the miners of whose earnings something is held."""
    actor.require_operator()
    query = select(Account).where(Account.kind == "held", Account.balance > 0)
    found, after = await paginate(tx, query, Account.id, limit=limit, cursor=cursor)
    owners = [one.owner_id for one in found]
    names, out = await usernames(tx, owners), await out_of_standing(tx, owners)
    return [
        HeldOut(
            miner_id=one.owner_id,
            miner_name=names.get(one.owner_id, ""),
            amount=one.balance,
            suspended=one.owner_id in out,
        )
        for one in found
    ], after


async def decide_held(tx: Tx, now: datetime, actor: Actor, miner_id: str, body: HeldDecision) -> HeldOut:
    """Release what is held of a miner's earnings, or return it to those who paid."""
    actor.require_operator()
    miner = await get_user(tx, miner_id)
    await journal.lock(tx)
    held = await tx.scalar(
        select(Account)
        .where(Account.kind == "held", Account.owner_id == miner.id)
        .execution_options(populate_existing=True)
    )
    if held is None or held.balance <= 0:
        raise Conflict(f"Nothing is held of what {miner.username} earned.", code="nothing_held")
    amount = held.balance
    if body.to == "miner":
        await _release(tx, now, actor, held, body.reason)
    else:
        await _return(tx, now, held, body.reason)
    detail = {"amount": format_unc(amount), "to": body.to, "reason": body.reason}
    audit.record(tx, actor, "earnings.decide", "user", miner.id, miner.username, detail)
    emit(tx, "billing")
    emit(tx, "ui:miners")
    emit(tx, f"ui:{miner.id}")
    await tx.refresh(held)
    return HeldOut(
        miner_id=miner.id,
        miner_name=miner.username,
        amount=held.balance,
        suspended=bool(await out_of_standing(tx, [miner.id])),
    )


async def _release(tx: Tx, now: datetime, actor: Actor, held: Account, reason: str) -> None:
    earnings = await journal.account(tx, "earnings", held.owner_id)
    lines = [(held.id, -held.balance), (earnings.id, held.balance)]
    await journal.post(
        tx,
        "reversal",
        f"held:{new_id('key')}",
        lines,
        at=now,
        facts=facts.of_release(held.owner_id, held.balance),
        cause_type="held",
        cause_id=held.owner_id,
        actor=actor,
        note=f"what was held is released: {reason}",
    )


async def _return(tx: Tx, now: datetime, held: Account, reason: str) -> None:
    """Give back what each meter paid since something was held of it, the platform's fee too."""
    open_ = select(Meter.id).where(Meter.payee_id == held.owner_id, Meter.closed.is_(False)).limit(1)
    if await tx.scalar(open_):
        raise Conflict(
            "Work on this miner's hardware has not ended yet.",
            cure="Wait until it has: a suspended site's work ends within a minute or two.",
            code="still_running",
        )
    released = select(func.max(Entry.seq)).where(Entry.cause_type == "held", Entry.cause_id == held.owner_id)
    since = await tx.scalar(released) or 0
    kept, paid = aliased(Posting), aliased(Posting)
    rows = await tx.execute(
        select(Entry.cause_id, -func.sum(paid.amount))
        .join(kept, kept.entry_id == Entry.id)
        .join(paid, paid.entry_id == Entry.id)
        .join(Account, Account.id == paid.account_id)
        .where(kept.account_id == held.id, Account.kind == "wallet", Entry.cause_type == "meter", Entry.seq > since)
        .group_by(Entry.cause_id)
        .order_by(Entry.cause_id)
    )
    concerned = set()
    for meter_id, amount in rows.all():
        meter = await tx.get(Meter, meter_id, populate_existing=True)
        if meter is None:
            raise NotFound.of("charge", meter_id)
        given = min(int(amount), meter.settled - meter.credited)
        if given > 0:
            note = f"credit: what was held of its miner's earnings is returned: {reason}"
            await credit(tx, meter, given, now, note, key=f"{meter.id}:returned:{meter.settlements}")
            concerned.add(meter.order_id)
    await orders.refresh(tx, sorted(concerned - {""}))
