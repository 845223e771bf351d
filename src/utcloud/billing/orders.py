"""Orders: what is agreed at each start of a workload, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from utcloud.billing import caps, events, journal, payers, sums
from utcloud.billing.facts import Terms
from utcloud.billing.funds import hold_for, shortage
from utcloud.billing.models import Account, Meter, Order
from utcloud.billing.solvency import MS_PER_HOUR, Use
from utcloud.common.errors import Conflict, Invalid
from utcloud.common.ids import new_id
from utcloud.common.money import MAX_MICRO, amount_for, format_unc
from utcloud.db import Tx, emit
from utcloud.db.bulk import among


@dataclass(frozen=True, slots=True)
class Wish:
    """What a renter asks for at a start. Amounts in micro-UNC."""

    workload_id: str
    workload_kind: str
    workload: str
    owner_id: str
    miner_id: str
    pool_id: str
    pool: str
    spec_id: str
    spec: str
    replicas: int
    unit_price: int
    fee_ppm: int
    group_id: str | None = None
    """The group that pays; None: the renter himself."""
    fault_credit: str = "last_hour"
    max_cost: int | None = None
    max_ms: int | None = None
    simulated: bool = False
    expected_price: int | None = None
    """What the renter was shown: per hour of one replica."""

    @property
    def price(self) -> int:
        """micro-UNC per hour of all replicas."""
        return self.unit_price * self.replicas

    @property
    def hold(self) -> int:
        return hold_for(self.unit_price) * self.replicas


def estimate(price: int, max_ms: int | None, max_cost: int | None) -> int:
    """What work at ``price`` per hour comes to over ``max_ms``, else in an hour; never more than ``max_cost``, nor than
    a wallet may hold.
    """
    cost = amount_for(price, MS_PER_HOUR if max_ms is None else max_ms)
    return min(cost, MAX_MICRO if max_cost is None else max_cost)


def price_changed(spec: str, expected: int, price: int) -> Conflict:
    """What was shown is not what it costs by now; both prices are named, for programs too."""
    return Conflict(
        f"Specification {spec!r} costs {format_unc(price)} UNC per hour, not {format_unc(expected)}.",
        field="expected_price",
        cure="Order it again at this price, or choose another.",
        code="price_changed",
        members={"expected_price": format_unc(expected), "price": format_unc(price)},
    )


async def place(tx: Tx, now: datetime, wish: Wish) -> Order:
    """Make the order of a start.

    Raises Conflict when it costs not what was expected, InsufficientFunds, Forbidden for a spending cap or a wallet
    that does not pay there, or Invalid for a limit.
    """
    await journal.lock(tx)
    wallet = await journal.account(tx, "wallet", wish.group_id or wish.owner_id)
    if wish.expected_price is not None and wish.expected_price != wish.unit_price:
        raise price_changed(wish.spec, wish.expected_price, wish.unit_price)
    if refused := await payers.refusal(
        tx,
        wallet,
        payer_id=wish.owner_id,
        miner_id=wish.miner_id,
        pool_id=wish.pool_id,
        pool=wish.pool,
        price=wish.unit_price,
    ):
        raise refused
    if wish.max_cost is not None and wish.max_cost < wish.hold:
        raise Invalid(
            f"A start at {format_unc(wish.price)} UNC per hour costs at least {format_unc(wish.hold)} UNC.",
            field="max_cost",
            cure="Allow more, or choose a cheaper specification.",
        )
    use = (await sums.use_of(tx, [wallet.id], now)).get(wallet.id, Use())
    if refusal := shortage(wallet, use, wish.price, wish.hold):
        raise refusal
    rooms = await caps.rooms(tx, now, [wallet.id])
    if capped := caps.refusal(rooms, wish.owner_id, wish.hold):
        raise capped
    order = Order(
        id=new_id("or"),
        workload_id=wish.workload_id,
        workload_kind=wish.workload_kind,
        workload=wish.workload,
        owner_id=wish.owner_id,
        group_id=wish.group_id,
        wallet_id=wallet.id,
        miner_id=wish.miner_id,
        pool_id=wish.pool_id,
        pool=wish.pool,
        spec_id=wish.spec_id,
        spec=wish.spec,
        replicas=wish.replicas,
        unit_price=wish.unit_price,
        fee_ppm=wish.fee_ppm,
        fault_credit=wish.fault_credit,
        max_cost=wish.max_cost,
        max_ms=wish.max_ms,
        estimate=estimate(wish.price, wish.max_ms, wish.max_cost),
        caps=[room.words for room in rooms if room.binds(wish.owner_id)],
        simulated=wish.simulated,
        created_at=now,
    )
    tx.add(order)
    await tx.flush()
    return order


async def settle(tx: Tx, now: datetime, order_id: str, reason: str) -> None:
    """All that ``order_id`` started has ended: write down what came of it. Settling again changes nothing."""
    order = await tx.get(Order, order_id)
    if order is None or order.state != "open":
        return
    order.state, order.settled_at, order.reason = "settled", now, reason
    await tx.flush()
    await refresh(tx, [order_id])
    order = await tx.get_one(Order, order_id, populate_existing=True)
    events.record(
        tx,
        "order_settled",
        await tx.get_one(Account, order.wallet_id),
        at=now,
        user_id=order.owner_id,
        object_id=order.id,
        workload=order.workload,
        workload_id=order.workload_id,
        spec=order.spec,
        reason=reason,
        cost=format_unc(order.cost),
        credited=format_unc(order.credited),
        seconds=order.elapsed_ms / 1000,
        journal_head=journal.head_text(*await journal.head(tx)),
    )
    emit(tx, f"ui:{order.owner_id}")


async def told_to_stop(
    tx: Tx, now: datetime, order_ids: Iterable[str], reason: str, *, at: datetime | None = None
) -> None:
    """Work of these orders is stopped by others than its owners, now or ``at`` a later time: they shall hear why."""
    later = {"stops_at": at.isoformat(timespec="seconds")} if at else {}
    query = select(Order, Account).join(Account, Account.id == Order.wallet_id).where(Order.id.in_(set(order_ids)))
    for order, wallet in (await tx.execute(query)).all():
        events.record(
            tx,
            "stop_announced" if at else "workload_stopped",
            wallet,
            at=now,
            user_id=order.owner_id,
            object_id=order.workload_id,
            workload=order.workload,
            workload_kind=order.workload_kind,
            order_id=order.id,
            reason=reason,
            **later,
        )


async def refresh(tx: Tx, order_ids: Sequence[str]) -> None:
    """Bring the sums of settled orders up to date with their meters."""
    if not order_ids:
        return
    rows = await tx.execute(
        select(
            Meter.order_id,
            func.sum(sums.PAID),
            func.sum(Meter.waived),
            func.sum(Meter.credited),
            func.sum(sums.ELAPSED),
        )
        .where(Meter.order_id.in_(list(order_ids)))
        .group_by(Meter.order_id)
    )
    for order_id, cost, waived, credited, elapsed in rows.all():
        await tx.execute(
            update(Order)
            .where(Order.id == order_id, Order.state == "settled")
            .values(cost=int(cost), waived=int(waived), credited=int(credited), elapsed_ms=int(elapsed))
            .execution_options(synchronize_session=False)
        )


async def terms(tx: Tx, order_ids: Sequence[str]) -> dict[str, Terms]:
    """What orders agreed on that bounds their charges, by id."""
    query = select(Order.id, Order.fault_credit, Order.max_cost, Order.max_ms)
    rows = await tx.execute(query.where(among(tx, Order.id.expression, order_ids)))
    return {ident: Terms(credit, max_cost, max_ms) for ident, credit, max_cost, max_ms in rows}
