"""Orders as pages and files show them, explained to the micro-UNC, and their ratings."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select, true

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.billing import sums
from utcloud.billing.models import Entry, Meter, Order
from utcloud.billing.order_schemas import (
    AttemptLine,
    EntryOut,
    OrderDetail,
    OrderOut,
    OrderSort,
    RatingCreate,
    RatingsOut,
    ReplicaLine,
    SubtaskLine,
)
from utcloud.billing.service.charges import charges_out
from utcloud.billing.service.common import managed_groups, owner_names
from utcloud.billing.service.entries import entries_out
from utcloud.billing.solvency import MS_PER_HOUR, elapsed_ms
from utcloud.common.errors import Conflict, Forbidden, NotFound
from utcloud.common.money import format_unc
from utcloud.db import Tx, emit, paginate

RATE_FOR = timedelta(days=30)
"""So long after its end an order can be rated, and so long after that the rating can be changed."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are wanted. ``role`` ``payer``: ordered by the actor; ``payee``: on his hardware."""

    role: str | None = None
    state: str | None = None
    workload_id: str | None = None
    spec_id: str | None = None
    pool_id: str | None = None
    wallet_id: str | None = None
    owner_id: str | None = None
    miner_id: str | None = None
    rated: bool | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def _visible(actor: Actor) -> Any:
    if actor.is_operator:
        return true()
    return or_(Order.owner_id == actor.id, Order.miner_id == actor.id, Order.group_id.in_(managed_groups(actor.id)))


def _orders(actor: Actor, wanted: OrderFilter) -> Select[Order]:
    query = select(Order)
    role = wanted.role
    if role is None and not actor.is_operator and wanted.wallet_id is None:
        role = "payer" if actor.is_renter or not actor.is_miner else "payee"
    if role:
        query = query.where((Order.owner_id if role == "payer" else Order.miner_id) == actor.id)
    else:
        query = query.where(_visible(actor))
    for name in ("state", "workload_id", "spec_id", "pool_id", "wallet_id", "owner_id", "miner_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(Order, name) == value)
    if wanted.rated is not None:
        query = query.where(Order.stars.is_not(None) if wanted.rated else Order.stars.is_(None))
    if wanted.search:
        columns = (Order.workload, Order.spec, Order.pool)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if wanted.since is not None:
        query = query.where(Order.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Order.created_at < wanted.until)
    return query


async def list_orders(
    tx: Tx,
    actor: Actor,
    wanted: OrderFilter,
    *,
    limit: int,
    cursor: str | None = None,
    sort: OrderSort = OrderSort.NEWEST,
) -> tuple[list[OrderOut], str | None]:
    """One page of orders. Sorted by cost, those that are open count as nothing yet."""
    columns = {"cost": Order.cost, "unit_price": Order.unit_price}
    query = _orders(actor, wanted)
    found, after = await paginate(tx, query, Order.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return await _orders_out(tx, found), after


async def _orders_out(tx: Tx, found: Sequence[Order]) -> list[OrderOut]:
    names = await owner_names(
        tx, {ident for order in found for ident in (order.owner_id, order.miner_id, order.group_id or "")}
    )
    query = select(
        Meter.order_id, func.sum(sums.PAID), func.sum(Meter.waived), func.sum(Meter.credited), func.sum(sums.ELAPSED)
    )
    running = [order.id for order in found if order.state == "open"]
    live: dict[str, list[int]] = {}
    if running:
        rows = await tx.execute(query.where(Meter.order_id.in_(running)).group_by(Meter.order_id))
        live = {order_id: [int(value) for value in rest] for order_id, *rest in rows}
    return [_order_out(order, names, live.get(order.id)) for order in found]


async def order_out(tx: Tx, order: Order) -> OrderOut:
    """What the API says of an order."""
    return (await _orders_out(tx, [order]))[0]


def _order_out(order: Order, names: dict[str, str], live: list[int] | None) -> OrderOut:
    cost, waived, credited, elapsed = live or (order.cost, order.waived, order.credited, order.elapsed_ms)
    return OrderOut(
        id=order.id,
        state="open" if order.state == "open" else "settled",
        workload_id=order.workload_id,
        workload=order.workload,
        workload_kind=order.workload_kind,
        owner_id=order.owner_id,
        owner_name=names.get(order.owner_id, ""),
        payer="group" if order.group_id else "user",
        group_id=order.group_id,
        group_name=names.get(order.group_id or "", ""),
        wallet_id=order.wallet_id,
        miner_id=order.miner_id,
        miner_name=names.get(order.miner_id, ""),
        pool_id=order.pool_id,
        pool=order.pool,
        spec_id=order.spec_id,
        spec=order.spec,
        tasks=order.replicas,
        unit_price=order.unit_price,
        max_cost=order.max_cost,
        max_hours=None if order.max_ms is None else order.max_ms / MS_PER_HOUR,
        caps=order.caps,
        fault_credit=order.fault_credit,
        fee_percent=order.fee_ppm / 10_000,
        estimate=order.estimate,
        simulated=order.simulated,
        reason=order.reason,
        cost=cost,
        waived=waived,
        credited=credited,
        seconds=elapsed / 1000,
        stars=order.stars,
        comment=order.comment,
        rated_at=order.rated_at,
        rate_until=_rate_until(order),
        created_at=order.created_at,
        settled_at=order.settled_at,
    )


def _rate_until(order: Order) -> datetime | None:
    since = order.rated_at or order.settled_at
    return since + RATE_FOR if since else None


async def visible_order(tx: Tx, actor: Actor, order_id: str) -> Order:
    """An order that the actor may see; raises NotFound."""
    order = await tx.scalar(select(Order).where(Order.id == order_id, _visible(actor)))
    if order is None:
        raise NotFound.of("order", order_id)
    return order


async def get_order(tx: Tx, actor: Actor, order_id: str) -> OrderDetail:
    """An order with every attempt: order = Σ subtasks = Σ replicas = Σ attempts, each by the formula."""
    order = await visible_order(tx, actor, order_id)
    found = (await tx.scalars(select(Meter).where(Meter.order_id == order.id).order_by(Meter.id))).all()
    tree: dict[str, dict[str, list[AttemptLine]]] = defaultdict(lambda: defaultdict(list))
    made = await _entries_of(tx, [meter.id for meter in found])
    both = zip(await charges_out(tx, found), found, strict=True)
    for charge, meter in sorted(both, key=lambda pair: (pair[0].subtask, pair[0].replica, pair[0].attempt)):
        line = AttemptLine(**dict(charge), formula=_formula(meter, charge.amount), entries=made.get(meter.id, 0))
        tree[charge.subtask][charge.replica].append(line)
    subtasks = []
    for subtask, replicas in tree.items():
        lines = [
            ReplicaLine(replica=replica, paid=sum(one.paid for one in attempts), attempts=attempts)
            for replica, attempts in replicas.items()
        ]
        subtasks.append(SubtaskLine(subtask=subtask, paid=sum(one.paid for one in lines), replicas=lines))
    return OrderDetail(**dict(await order_out(tx, order)), subtasks=subtasks)


def _formula(meter: Meter, amount: int) -> str:
    from_, until = meter.started_at, meter.ended_at or meter.witnessed_until
    if from_ is None or until is None:
        return "it never ran: 0 UNC"
    ms = elapsed_ms(meter)
    return f"{format_unc(meter.price)} UNC/h × {ms} ms ÷ {MS_PER_HOUR} ms = {format_unc(amount)} UNC"


async def _entries_of(tx: Tx, meter_ids: Sequence[str]) -> dict[str, int]:
    query = select(Entry.cause_id, func.count()).where(Entry.cause_type == "meter", Entry.cause_id.in_(meter_ids))
    return {meter_id: count for meter_id, count in await tx.execute(query.group_by(Entry.cause_id))}  # noqa: C416


async def list_entries(
    tx: Tx, actor: Actor, order_id: str, *, limit: int, cursor: str | None = None
) -> tuple[list[EntryOut], str | None]:
    """One page of an order's journal entries, newest first."""
    order = await visible_order(tx, actor, order_id)
    meters = select(Meter.id).where(Meter.order_id == order.id)
    query = select(Entry).where(Entry.cause_type == "meter", Entry.cause_id.in_(meters))
    found, after = await paginate(tx, query, Entry.id, limit=limit, cursor=cursor)
    return await entries_out(tx, found), after


async def rate(tx: Tx, now: datetime, actor: Actor, order_id: str, body: RatingCreate) -> OrderOut:
    """The renter says what he thinks of an order that has ended; he may change it for 30 days."""
    order = await visible_order(tx, actor, order_id)
    if order.owner_id != actor.id:
        raise Forbidden("Only the renter may rate an order.")
    until = _rate_until(order)
    if until is None:
        raise Conflict("The order has not ended yet.", cure="Rate it when it has.", code="not_ended")
    if now >= until:
        raise Conflict(f"It could be rated, and changed, until {until:%Y-%m-%d %H:%M} UTC.", code="too_late")
    order.stars, order.comment, order.rated_at = body.stars, body.comment, order.rated_at or now
    await tx.flush()
    audit.record(tx, actor, "order.rate", "order", order.id, order.workload, {"stars": body.stars})
    emit(tx, f"ui:{actor.id}")
    emit(tx, "ui:miners")
    return await order_out(tx, order)


async def ratings(tx: Tx, miner_id: str | None, pool_id: str | None) -> RatingsOut:
    """What renters gave: to a miner, to a pool, or to all."""
    query = select(Order.stars, func.count()).where(Order.stars.is_not(None)).group_by(Order.stars)
    if miner_id is not None:
        query = query.where(Order.miner_id == miner_id)
    if pool_id is not None:
        query = query.where(Order.pool_id == pool_id)
    given = dict.fromkeys(range(1, 6), 0) | {int(stars or 0): count for stars, count in await tx.execute(query)}
    count = sum(given.values())
    average = round(sum(stars * number for stars, number in given.items()) / count, 2) if count else None
    return RatingsOut(average=average, count=count, stars=given)
