"""What a start would cost, and how long it could run."""

from datetime import datetime, timedelta

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import GroupMember
from utcloud.billing import caps, journal, orders, payers, sums
from utcloud.billing.funds import hold_for, shortage
from utcloud.billing.order_schemas import EstimateCreate, EstimateOut
from utcloud.billing.solvency import FAR_MS, MS_PER_HOUR, Use, outlook
from utcloud.common.clock import to_ms
from utcloud.common.errors import NotFound, Problem
from utcloud.db import Tx
from utcloud.resources import service as resources


async def estimate(tx: Tx, now: datetime, actor: Actor, body: EstimateCreate) -> EstimateOut:
    """Say what a start of ``body`` would cost; another's pool, specification or group is not found."""
    purpose = "notebook" if body.kind == "notebook" else "training"
    pool, spec = await resources.usable_pool(tx, actor, body.pool_id, purpose, body.spec_id)
    owner = actor.id
    if body.payer == "group":
        if body.group_id is None or await tx.get(GroupMember, (body.group_id, actor.id)) is None:
            raise NotFound.of("group", body.group_id or "", field="group_id")
        owner = body.group_id
    wallet = await journal.account(tx, "wallet", owner)
    use = (await sums.use_of(tx, [wallet.id], now)).get(wallet.id, Use())
    state = outlook(wallet.balance, use, now)
    rooms = [room for room in await caps.rooms(tx, now, [wallet.id]) if room.binds(actor.id)]
    price, hold = spec.price * body.tasks, hold_for(spec.price) * body.tasks
    refusal: Problem | None = await payers.refusal(
        tx, wallet, payer_id=actor.id, miner_id=spec.miner_id, pool_id=pool.id, pool=pool.name, price=spec.price
    )
    refusal = refusal or shortage(wallet, use, price, hold) or caps.refusal(rooms, actor.id, hold)
    ends: list[tuple[int, str]] = []
    if price:
        ends.append((_ms(wallet.balance - use.owed, price + use.burn), "wallet"))
        capped = [(_cap_ms(room, price + room.use.burn, now), room.words) for room in rooms]
        ends += [(ms, words) for ms, words in capped if ms is not None]
        if body.max_cost is not None:
            ends.append((_ms(body.max_cost, price), "max_cost"))
    if body.max_hours is not None:
        ends.append((round(body.max_hours * MS_PER_HOUR), "max_hours"))
    possible, ends_by = min(ends, default=(None, ""))
    wanted = round(body.hours * MS_PER_HOUR)
    counted = wanted if possible is None else min(wanted, possible)
    return EstimateOut(
        unit_price=spec.price,
        price=price,
        hold=hold,
        hours=body.hours,
        cost=orders.estimate(price, counted, body.max_cost),
        available=state.available,
        hours_possible=None if possible is None else possible / MS_PER_HOUR,
        ends_by=ends_by,
        refusal=refusal.detail if refusal else None,
        cure=refusal.cure if refusal else None,
    )


def _cap_ms(room: caps.Room, price: int, now: datetime) -> int | None:
    """How long a cap lasts at ``price`` per hour: into this period, else into the next; None: no period uses it up."""
    lasts = _ms(room.limit - room.spent, price)
    if room.renews_at is None or now + timedelta(milliseconds=lasts) < room.renews_at:
        return lasts
    next_end = caps.end_of(room.period, room.renews_at)
    again = _ms(room.limit, price)
    if next_end is None or room.renews_at + timedelta(milliseconds=again) >= next_end:
        return None
    return to_ms(room.renews_at) - to_ms(now) + again


def _ms(left: int, price: int) -> int:
    """How long ``left`` lasts at ``price`` per hour, in milliseconds: a thousand years at most."""
    return min(max(left, 0) * MS_PER_HOUR // price, FAR_MS)
