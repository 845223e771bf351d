"""Placement: gives replicas their nodes and chips, all replicas of a workload together or none, in the line's order.

The line of a pool is what waits in it, those first that have waited longest. Each is tried in turn, so what is small
goes past what is too large for now. Nothing starves: what has waited for ``PATIENCE`` and still finds no place gets
what comes free on the nodes where its place comes together soonest (``Room.keep_for``), one workload of a pool at a
time.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, insert, select

from utcloud.billing import meters
from utcloud.billing.models import Order
from utcloud.common.errors import Problem
from utcloud.common.ids import new_id, new_secret
from utcloud.db import Tx, emit
from utcloud.resources import capacity
from utcloud.resources.models import Node
from utcloud.workloads.models import Attempt, Replica, Subtask, Workload
from utcloud.workloads.observed import PLACE
from utcloud.workloads.schemas import State
from utcloud.workloads.states import move_many

PATIENCE = timedelta(minutes=10)
BATCH = 100
"""So many replicas are placed in one transaction, or a few more when they belong to one workload."""
RENEWALS = 500
"""So many reasons are renewed in one transaction."""
_CANDIDATES = 10
"""So many of a pool's line, at most, are asked whether something can be kept for them."""

_PURPOSE = {"notebook": "notebook", "task": "training"}


@dataclass(frozen=True, slots=True)
class _Part:
    """A replica that waits."""

    replica_id: str
    spec_id: str
    site_id: str | None
    reason: str
    last_on: str | None
    """The node on which its last run has not ended yet, as far as anybody knows: two must not share its files."""


@dataclass(slots=True)
class _Waiting:
    """A workload in the line."""

    id: str
    kind: str
    payer_id: str
    wallet_owner: str
    pool_id: str
    since: datetime
    parts: list[_Part] = field(default_factory=list)

    def demands(self) -> list[capacity.Demand]:
        """What it asks for, each of its replicas for a new attempt."""
        return [
            capacity.Demand(new_id("at"), part.spec_id, self.pool_id, _PURPOSE[self.kind], part.site_id)
            for part in self.parts
        ]


@dataclass(slots=True)
class _Walk:
    """What became of those in a line: grants for some, reasons by replica for others."""

    placed: list[tuple[_Waiting, list[capacity.Grant]]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    short: bool = False
    """Somebody found no place."""
    cut: bool = False
    """It is a batch's worth: there is more to be done in the next."""
    candidates: Counter[str] = field(default_factory=Counter)
    """By pool, how many have waited too long."""

    @property
    def full(self) -> bool:
        return sum(len(grants) for _, grants in self.placed) >= BATCH or len(self.reasons) >= RENEWALS


async def place(tx: Tx, now: datetime, workload: Workload, *, fee_ppm: int) -> bool:
    """Place a workload that has just come into the line, or leave it waiting with the reason; True when placed.

    It gets what those before it in the line leave. Raises InsufficientFunds (or Forbidden) when its payer may not start
    it; then the caller rolls back.
    """
    line = (await _lines(tx, [workload.pool_id]))[workload.pool_id]
    own = next((one for one in line if one.id == workload.id), None)
    if own is None:
        return True
    before = line[: line.index(own)]
    room = await _room(tx, now, [[*before, own]])
    walk = _Walk()
    if any([await _try(tx, now, room, one, walk) for one in before]):
        room.set_aside()
        emit(tx, PLACE)
    walk = _Walk()
    await _try(tx, now, room, own, walk, ahead=len(before))
    for problem in (await _assign(tx, now, room, walk.placed, fee_ppm)).values():
        raise problem
    await _say(tx, now, walk.reasons)
    return bool(walk.placed)


async def waiting_pools(tx: Tx) -> list[list[str]]:
    """Ids of the pools in which something waits, those first in which something has waited longest.

    Pools that make a batch together are in one list.
    """
    query = (
        select(Workload.pool_id, func.count())
        .join(Replica, Replica.workload_id == Workload.id)
        .where(Replica.state == State.PENDING)
        .group_by(Workload.pool_id)
        .order_by(func.min(Replica.queued_at), Workload.pool_id)
    )
    batches: list[list[str]] = []
    left = 0
    for pool_id, count in await tx.execute(query):
        if count > left:
            batches.append([])
            left = BATCH
        batches[-1].append(pool_id)
        left -= count
    return batches


async def place_lines(tx: Tx, now: datetime, pool_ids: Sequence[str], *, fee_ppm: int, refused: set[str]) -> bool:
    """Try those who wait in some pools, a batch's worth; True when there is more to be done, in another transaction.

    Those whose wallets are too low are told so, nothing is reserved for them, and they are added to ``refused``: who is
    in it is not tried.
    """
    lines = await _lines(tx, pool_ids)
    room = await _room(tx, now, lines.values())
    walk = _Walk()
    for line in lines.values():
        await _walk(tx, now, room, line, walk, refused)
    problems = await _assign(tx, now, room, walk.placed, fee_ppm)
    for one, _ in walk.placed:
        if one.id in problems:
            walk.reasons |= {part.replica_id: problems[one.id].detail for part in one.parts}
    await _say(tx, now, walk.reasons)
    refused.update(problems)
    return walk.cut or (bool(problems) and walk.short)


async def _walk(
    tx: Tx, now: datetime, room: capacity.Room, line: Sequence[_Waiting], walk: _Walk, refused: Collection[str]
) -> None:
    ahead = 0
    for one in line:
        if walk.full:
            walk.cut = True
            return
        ahead += one.id in refused or not await _try(tx, now, room, one, walk, ahead=ahead)


async def _try(tx: Tx, now: datetime, room: capacity.Room, one: _Waiting, walk: _Walk, *, ahead: int = 0) -> bool:
    """Take what ``one`` needs, or note why there is no place; True when it was taken."""
    if lost := next((part.last_on for part in one.parts if part.last_on), None):
        text = f"its last run on {lost} has not ended yet: {lost} must be heard again, or its miner remove it"
        walk.reasons |= {part.replica_id: text for part in one.parts if part.reason != text}
        return False
    demands = one.demands()
    outcome = room.take(demands)
    if not isinstance(outcome, capacity.Shortage):
        walk.placed.append((one, outcome))
        return True
    walk.short = True
    text = outcome.detail + place_in_line(ahead)
    walk.reasons |= {part.replica_id: text for part in one.parts if part.reason != text}
    if now - one.since >= PATIENCE and not room.keeps(one.pool_id) and walk.candidates[one.pool_id] < _CANDIDATES:
        walk.candidates[one.pool_id] += 1
        if await _can_pay(tx, now, room, one):
            room.keep_for(demands)
    return False


def place_in_line(ahead: int) -> str:
    """How many wait before one; a long line is said roughly, so that not everybody's reason changes with each step."""
    if ahead == 0:
        return "; you are first in line"
    if ahead <= 20:
        return f"; {ahead} waiting before you"
    rough = 10 ** (len(str(ahead - 1)) - 1)
    return f"; more than {(ahead - 1) // rough * rough} waiting before you"


async def _can_pay(tx: Tx, now: datetime, room: capacity.Room, one: _Waiting) -> bool:
    try:
        prices = [room.prices[part.spec_id] for part in one.parts]
        await meters.require_start(tx, now, one.wallet_owner, one.payer_id, prices)
    except Problem:
        return False
    return True


async def _lines(tx: Tx, pool_ids: Sequence[str]) -> dict[str, list[_Waiting]]:
    """Who waits in some pools, in order."""
    waiting: dict[str, _Waiting] = {}
    for workload_id, *about in await tx.execute(_LINE.where(Workload.pool_id.in_(pool_ids))):
        if workload_id not in waiting:
            waiting[workload_id] = _Waiting(workload_id, *about[:5])
        waiting[workload_id].parts.append(_Part(*about[5:]))
    lines: dict[str, list[_Waiting]] = {pool_id: [] for pool_id in pool_ids}
    for one in waiting.values():
        lines[one.pool_id].append(one)
    return lines


_LINE: Select[*tuple[Any, ...]] = (
    select(
        Workload.id,
        Workload.kind,
        Workload.owner_id,
        case((Workload.payer == "group", Workload.group_id), else_=Workload.owner_id),
        Workload.pool_id,
        Replica.queued_at,
        Replica.id,
        Subtask.spec_id,
        Replica.site_id,
        Replica.reason,
        Node.name,
    )
    .join(Workload, Workload.id == Replica.workload_id)
    .join(Subtask, Subtask.id == Replica.subtask_id)
    .outerjoin(Attempt, and_(Attempt.id == Replica.attempt_id, Attempt.done.is_(False)))
    .outerjoin(Node, Node.id == Attempt.node_id)
    .where(Replica.state == State.PENDING)
    .order_by(Replica.queued_at, Workload.id, Replica.id)
)


async def _room(tx: Tx, now: datetime, lines: Iterable[Sequence[_Waiting]]) -> capacity.Room:
    waiting = [one for line in lines for one in line]
    specs = {part.spec_id for one in waiting for part in one.parts}
    return await capacity.Room.open(tx, now, {one.pool_id for one in waiting}, specs)


async def _assign(
    tx: Tx, now: datetime, room: capacity.Room, placed: Sequence[tuple[_Waiting, list[capacity.Grant]]], fee_ppm: int
) -> dict[str, Problem]:
    """Write down what was taken, with attempts and meters; answer why some may not start, by workload."""
    if not placed:
        return {}
    await room.lock_sites()
    rows = await _rows(tx, [one.id for one, _ in placed])
    openings = [
        [_opening(rows[part.replica_id], grant, fee_ppm) for part, grant in zip(one.parts, grants, strict=True)]
        for one, grants in placed
    ]
    refusals = await meters.open_many(tx, openings, now)
    problems: dict[str, Problem] = {}
    attempts: list[dict[str, Any]] = []
    moves: list[tuple[Replica, State, str]] = []
    for (one, grants), refusal in zip(placed, refusals, strict=True):
        if refusal:
            problems[one.id] = refusal
            room.give_back(grants)
            continue
        for part, grant in zip(one.parts, grants, strict=True):
            attempts.append(_attempt(now, rows[part.replica_id], grant))
            moves.append((rows[part.replica_id].replica, State.ASSIGNED, f"placed on {grant.node_name}"))
    await room.write()
    if attempts:
        await tx.execute(insert(Attempt), attempts)
        for (replica, *_), attempt in zip(moves, attempts, strict=True):
            replica.attempts, replica.attempt_id = attempt["number"], attempt["id"]
            replica.site_id, replica.node_id = attempt["site_id"], attempt["node_id"]
        await move_many(tx, now, moves)
    return problems


@dataclass(frozen=True, slots=True)
class _Row:
    """A waiting replica with what it belongs to."""

    replica: Replica
    workload: Workload
    subtask: str
    spec_id: str
    order_id: str | None
    agreed_price: int | None
    agreed_fee_ppm: int | None

    def price(self, grant: capacity.Grant) -> int:
        """What was ordered holds, whatever the specification costs by now."""
        return grant.price if self.agreed_price is None else self.agreed_price


async def _rows(tx: Tx, workload_ids: Sequence[str]) -> dict[str, _Row]:
    """The waiting replicas of some workloads, by id, each with its workload, its subtask and its order."""
    query = (
        select(Replica, Workload, Subtask.name, Subtask.spec_id, Order.id, Order.unit_price, Order.fee_ppm)
        .join(Workload, Workload.id == Replica.workload_id)
        .join(Subtask, Subtask.id == Replica.subtask_id)
        .outerjoin(Order, Order.id == Replica.order_id)
        .where(Replica.workload_id.in_(workload_ids), Replica.state == State.PENDING)
    )
    return {row[0].id: _Row(*row) for row in await tx.execute(query)}


def _opening(row: _Row, grant: capacity.Grant, fee_ppm: int) -> meters.Opening:
    replica, workload, subtask = row.replica, row.workload, row.subtask
    return meters.Opening(
        attempt_id=grant.attempt_id,
        payer_id=workload.owner_id,
        group_id=workload.group_id if workload.payer == "group" else None,
        payee_id=grant.miner_id,
        order_id=row.order_id or "",
        spec_id=row.spec_id,
        node_id=grant.node_id,
        price=row.price(grant),
        fee_ppm=fee_ppm if row.agreed_fee_ppm is None else row.agreed_fee_ppm,
        labels={
            "workload_id": workload.id,
            "workload": workload.name,
            "workload_kind": workload.kind,
            "subtask": subtask,
            "replica": f"{subtask}-{replica.index}",
            "replica_id": replica.id,
            "attempt": replica.attempts + 1,
            "spec": workload.facts["spec"],
            "node": grant.node_name,
            "simulated": grant.simulated,
        },
    )


def _attempt(now: datetime, row: _Row, grant: capacity.Grant) -> dict[str, Any]:
    replica = row.replica
    return {
        "id": grant.attempt_id,
        "replica_id": replica.id,
        "workload_id": replica.workload_id,
        "number": replica.attempts + 1,
        "site_id": grant.site_id,
        "node_id": grant.node_id,
        "price": row.price(grant),
        "resources": grant.resources,
        "devices": grant.chip_uids,
        "token": new_secret(),
        "created_at": now,
    }


async def _say(tx: Tx, now: datetime, reasons: dict[str, str]) -> None:
    """Write down why replicas wait."""
    if not reasons:
        return
    replicas = await tx.scalars(select(Replica).where(Replica.id.in_(list(reasons))))
    await move_many(tx, now, [(replica, State.PENDING, reasons[replica.id]) for replica in replicas])
