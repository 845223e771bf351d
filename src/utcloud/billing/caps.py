"""Spending caps: the most that may be spent from a wallet in a UTC day, a UTC month, or ever.

What was spent in a time is computed from the meters by the formula at both ends of it, not from the journal: it does
not depend on when something was settled.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, func, or_, select

from utcloud.billing import sums
from utcloud.billing.models import Cap, Meter
from utcloud.billing.solvency import Use, used_up_at
from utcloud.common.errors import Forbidden
from utcloud.common.money import format_unc
from utcloud.db import Tx

EACH = "*"
"""Stands for each member of a group who has no cap of his own."""
EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Before the first meter."""


@dataclass(frozen=True, slots=True)
class Room:
    """One cap, and how far it is used up. Amounts in micro-UNC."""

    wallet_id: str
    user_id: str
    """The member whom it binds; empty: all together; ``EACH``: any that is not in ``others``."""
    period: str
    """daily, monthly or total."""
    limit: int
    spent: int
    """In this period, what runs counted until now."""
    use: Use
    """Of the open meters that it binds."""
    renews_at: datetime | None
    level: str = "keeper"
    others: frozenset[str] = frozenset()

    def binds(self, payer_id: str) -> bool:
        """Whether it is a cap on what ``payer_id`` spends."""
        return self.user_id in ("", payer_id) or (self.user_id == EACH and payer_id not in self.others)

    def taken(self, payer_id: str, more: Use) -> list["Room"]:
        """The rooms that it becomes when ``payer_id`` takes ``more``."""
        if not self.binds(payer_id):
            return [self]
        mine = replace(self, use=self.use + more)
        if self.user_id != EACH:
            return [mine]
        return [replace(mine, user_id=payer_id, others=frozenset()), replace(self, others=self.others | {payer_id})]

    @property
    def left(self) -> int:
        """What a new task could count on."""
        return max(self.limit - self.spent - self.use.held, 0)

    def reached_at(self, now: datetime) -> datetime | None:
        """When it is used up if all goes on as it does; None when it is not before it begins anew."""
        moment = used_up_at(self.limit - self.spent, self.use, now)
        return None if moment is None or (self.renews_at and moment >= self.renews_at) else moment

    @property
    def words(self) -> str:
        return whose(self.user_id, self.period, self.limit)

    @property
    def renewal(self) -> str:
        return f"; it begins anew on {self.renews_at:%Y-%m-%d at %H:%M} UTC" if self.renews_at else ""


def whose(user_id: str, period: str, limit: int) -> str:
    """A cap in words, for him whom it binds."""
    name = "limit" if period == "total" else f"{period} cap"
    owner = "your" if user_id else "the wallet's"
    return f"{owner} {name} of {format_unc(limit)} UNC"


def begin_of(period: str, now: datetime) -> datetime:
    """The moment at which the period that contains ``now`` began."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if period == "daily" else midnight.replace(day=1) if period == "monthly" else EVER


def end_of(period: str, now: datetime) -> datetime | None:
    if period == "daily":
        return begin_of("daily", now) + timedelta(days=1)
    if period == "monthly":
        return (begin_of("monthly", now) + timedelta(days=32)).replace(day=1)
    return None


async def rooms(tx: Tx, now: datetime, wallet_ids: Iterable[str] | None = None) -> list[Room]:
    """The caps of some wallets (None: of all with open meters) and how far they are used up, in a few statements."""
    query = select(Cap)
    if wallet_ids is None:
        query = query.where(Cap.wallet_id.in_(select(Meter.wallet_id).where(Meter.closed.is_(False))))
    else:
        query = query.where(Cap.wallet_id.in_(list(wallet_ids)))
    found = list(await tx.scalars(query.execution_options(populate_existing=True)))
    return await rooms_of(tx, now, found) if found else []


async def rooms_of(tx: Tx, now: datetime, found: Sequence[Cap]) -> list[Room]:
    """How far some caps are used up; caps of no amount leave no trace."""
    capped = {cap.wallet_id for cap in found}
    uses: dict[tuple[str, str], Use] = defaultdict(Use)
    rows = await tx.execute(
        select(Meter.wallet_id, Meter.payer_id, *sums.columns(now))
        .where(Meter.wallet_id.in_(capped), Meter.closed.is_(False))
        .group_by(Meter.wallet_id, Meter.payer_id)
    )
    for wallet_id, payer_id, *rest in rows:
        one = sums.use(rest)
        uses[wallet_id, payer_id] = one
        uses[wallet_id, ""] += one
    made: list[Room] = []
    for period in ("daily", "monthly", "total"):
        own = [cap for cap in found if getattr(cap, period) is not None]
        if not own:
            continue
        spent: dict[tuple[str, str], int] = defaultdict(int)
        for wallet_id, payer_id, total in await tx.execute(_spent({cap.wallet_id for cap in own}, period, now)):
            spent[wallet_id, payer_id] += int(total)
            spent[wallet_id, ""] += int(total)
        for cap in own:
            room = Room(
                wallet_id=cap.wallet_id,
                user_id=cap.user_id,
                period=period,
                limit=getattr(cap, period),
                spent=spent[cap.wallet_id, cap.user_id],
                use=uses[cap.wallet_id, cap.user_id],
                renews_at=end_of(period, now),
                level=cap.level,
            )
            if cap.user_id == EACH:
                exempt = exempt_from(cap, own)
                known = {user_id for key in (spent, uses) for wallet_id, user_id in key if wallet_id == cap.wallet_id}
                for user_id in known - exempt - {"", EACH}:
                    mine = (cap.wallet_id, user_id)
                    made.append(replace(room, user_id=user_id, spent=spent[mine], use=uses[mine]))
                room = replace(room, others=exempt | known)
            made.append(room)
    return made


def exempt_from(cap: Cap, others: Iterable[Cap]) -> frozenset[str]:
    """The members who have a cap of their own in the place of ``cap`` for each. ``others`` limit the same period."""
    own = (one for one in others if one.wallet_id == cap.wallet_id and one.level == cap.level)
    return frozenset(one.user_id for one in own if one.user_id not in ("", EACH))


def _spent(wallet_ids: Iterable[str], period: str, now: datetime) -> Select[str, str, int]:
    begin = begin_of(period, now)
    return (
        select(Meter.wallet_id, Meter.payer_id, func.sum(sums.cost_since(begin, now)))
        .where(
            Meter.wallet_id.in_(list(wallet_ids)),
            Meter.started_at.is_not(None),
            or_(Meter.ended_at.is_(None), Meter.ended_at >= begin),
        )
        .group_by(Meter.wallet_id, Meter.payer_id)
    )


def refusal(rooms_: Iterable[Room], payer_id: str, hold: int) -> Forbidden | None:
    """Why a start that holds ``hold`` back is refused to ``payer_id`` by one of a wallet's caps, or None."""
    for room in rooms_:
        if room.binds(payer_id) and room.left < hold:
            held = f" and {format_unc(room.use.held)} UNC are held by what runs" if room.use.held else ""
            return Forbidden(
                f"Of {room.words}, {format_unc(max(room.spent, 0))} UNC are spent{held}; a start needs "
                f"{format_unc(hold)} UNC{room.renewal}.",
                cure="Wait, pay from another wallet, or ask for a higher cap.",
                code="cap_reached",
            )
    return None
