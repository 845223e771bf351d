"""What of a meter's amount may go into the journal: not beyond an order's maxima, nor beyond the caps on its wallet.

The watch stops work before it comes to that. Where it could not (the server was away, a site was slow), nobody pays
what came after.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import BigInteger, func, or_, select, type_coerce

from utcloud.billing import caps, sums
from utcloud.billing.funds import HOLD_MS
from utcloud.billing.models import Cap, Meter, Order
from utcloud.billing.solvency import MS_PER_HOUR, Interval, elapsed_ms
from utcloud.common.clock import from_ms, to_ms
from utcloud.common.money import amount_for, format_unc
from utcloud.db import Tx
from utcloud.db.bulk import among

GRACE = timedelta(milliseconds=HOLD_MS)
"""What a graceful stop may take: so long after an order's maximum duration, or after a cap was set, is still paid."""
PERIODS = ("daily", "monthly", "total")


class Limited(Interval, Protocol):
    """What limits need of a meter, or of a row of its columns."""

    @property
    def id(self) -> str: ...
    @property
    def wallet_id(self) -> str: ...
    @property
    def payer_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def settled(self) -> int: ...
    @property
    def credited(self) -> int: ...


def cost_until(meter: Interval, moment: datetime | None) -> int:
    """What ``meter`` had cost by ``moment``; None: all that it costs."""
    elapsed = elapsed_ms(meter)
    if moment is not None and meter.started_at is not None:
        elapsed = min(elapsed, max(to_ms(moment) - to_ms(meter.started_at), 0))
    return amount_for(meter.price, elapsed)


@dataclass(frozen=True, slots=True)
class _Maxima:
    """An order's, and how far they are used up. ``ends_at`` is when its maximum duration, with the grace, is over."""

    max_cost: int | None
    paid: int
    max_ms: int | None
    ends_at: datetime | None


@dataclass(slots=True)
class Limits:
    """The limits on some meters, which follow what is taken."""

    orders: dict[str, _Maxima]
    caps: dict[str, list[Cap]]
    """By wallet."""
    taken: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By order, in this round."""
    spent: dict[tuple[str, str, datetime], dict[str, int]] = field(default_factory=dict)
    """By wallet, period and its begin: what the journal has taken for the time in it, by payer and (empty) of all."""

    @classmethod
    async def of(cls, tx: Tx, meters: Sequence[Limited]) -> "Limits":
        by_wallet: dict[str, list[Cap]] = defaultdict(list)
        if not meters:
            return cls({}, by_wallet)
        wallets = among(tx, Cap.wallet_id.expression, {meter.wallet_id for meter in meters})
        for cap in await tx.scalars(select(Cap).where(wallets).execution_options(populate_existing=True)):
            by_wallet[cap.wallet_id].append(cap)
        return cls(await _maxima(tx, {meter.order_id for meter in meters if meter.order_id}), by_wallet)

    async def allowed(self, tx: Tx, meter: Limited, due: int) -> tuple[int, str]:
        """How much of ``due`` may be taken for ``meter``, and what forbids the rest."""
        most, why = due, ""
        order = self.orders.get(meter.order_id)
        if order and order.max_cost is not None:
            room = max(order.max_cost - order.paid - self.taken[meter.order_id], 0)
            if room < most:
                most, why = room, f"its maximum cost of {format_unc(order.max_cost)} UNC was reached"
        if order and order.max_ms is not None:
            room = max(cost_until(meter, order.ends_at) - meter.settled, 0)
            if room < most:
                hours = f"{order.max_ms / MS_PER_HOUR:.3f}".rstrip("0").rstrip(".")
                most, why = room, f"its maximum duration of {hours} h was over"
        for cap, period in self._binding(meter):
            room = await self._cap_allows(tx, meter, cap, period, most)
            if room < most:
                whose = caps.whose(cap.user_id, period, getattr(cap, period))
                most, why = room, f"{whose} was reached"
        return most, why

    def took(self, meter: Limited, paid: int) -> None:
        """So much was taken for ``meter``."""
        self.taken[meter.order_id] += paid
        before, after = (meter.settled - meter.credited + more for more in (0, paid))
        for (wallet_id, period, begin), spent in self.spent.items():
            if wallet_id == meter.wallet_id:
                more = _within(meter, after, begin, period) - _within(meter, before, begin, period)
                for payer in ("", meter.payer_id):
                    spent[payer] += more

    def _binding(self, meter: Limited) -> Iterator[tuple[Cap, str]]:
        own = self.caps.get(meter.wallet_id, [])
        for period in PERIODS:
            limiting = [cap for cap in own if getattr(cap, period) is not None]
            for cap in limiting:
                each = cap.user_id == caps.EACH and meter.payer_id not in caps.exempt_from(cap, limiting)
                if each or cap.user_id in ("", meter.payer_id):
                    yield cap, period

    async def _cap_allows(self, tx: Tx, meter: Limited, cap: Cap, period: str, due: int) -> int:
        """How much of ``due`` leaves ``cap`` kept in each day or month that it is for."""
        net = meter.settled - meter.credited
        before_it = max(cost_until(meter, cap.changed_at + GRACE) - net, 0)  # what came before it was set is owed
        limit, front, most = int(getattr(cap, period)), net, net + due
        payer = "" if cap.user_id == "" else meter.payer_id
        moment = _front(meter, net)
        while moment is not None and front < most:
            begin, end = caps.begin_of(period, moment), caps.end_of(period, moment)
            upto = min(cost_until(meter, end), most)
            if upto > front:
                room = max(limit - (await self._spent_in(tx, meter.wallet_id, period, begin))[payer], 0)
                if upto - front > room:
                    return max(front + room - net, min(before_it, due))
                front = upto
            moment = end
        return due

    async def _spent_in(self, tx: Tx, wallet_id: str, period: str, begin: datetime) -> dict[str, int]:
        key = (wallet_id, period, begin)
        if key not in self.spent:
            spent: dict[str, int] = defaultdict(int)
            end = caps.end_of(period, begin)
            net = Meter.settled - Meter.credited
            until = net if end is None else sums.least(net, sums.cost(sums.elapsed_at(end)))
            query = select(Meter.payer_id, func.sum(until - sums.least(net, sums.cost(sums.elapsed_at(begin)))))
            query = query.where(
                Meter.wallet_id == wallet_id,
                Meter.started_at.is_not(None),
                or_(Meter.ended_at.is_(None), Meter.ended_at >= begin),
            )
            for payer_id, total in await tx.execute(query.group_by(Meter.payer_id)):
                spent[payer_id] += int(total)
                spent[""] += int(total)
            self.spent[key] = spent
        return self.spent[key]


def _front(meter: Limited, paid: int) -> datetime | None:
    """A moment at or before that up to which ``paid`` pays for ``meter``."""
    if meter.started_at is None or not meter.price:
        return None
    return meter.started_at + timedelta(milliseconds=paid * MS_PER_HOUR // meter.price)


def _within(meter: Limited, paid: int, begin: datetime, period: str) -> int:
    """How much of ``paid`` was for the period that began at ``begin``: what is paid first is for what came first."""
    return min(paid, cost_until(meter, caps.end_of(period, begin))) - min(paid, cost_until(meter, begin))


async def _maxima(tx: Tx, order_ids: Iterable[str]) -> dict[str, _Maxima]:
    """The maxima of those orders that have some."""
    query = (
        select(
            Order.id,
            Order.max_cost,
            func.coalesce(func.sum(Meter.settled - Meter.credited), 0),
            Order.max_ms,
            func.min(type_coerce(Meter.started_at, BigInteger)),
        )
        .outerjoin(Meter, Meter.order_id == Order.id)
        .where(among(tx, Order.id.expression, order_ids), or_(Order.max_cost.is_not(None), Order.max_ms.is_not(None)))
        .group_by(Order.id, Order.max_cost, Order.max_ms)
    )
    found = {}
    for ident, max_cost, paid, max_ms, began in await tx.execute(query):
        ends_at = None if began is None or max_ms is None else from_ms(began + max_ms) + GRACE
        found[ident] = _Maxima(max_cost, int(paid), max_ms, ends_at)
    return found
