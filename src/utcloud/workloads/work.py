"""The work on a miner's hardware, page by page: whose, where, since when, at which cost; never the renter's files."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, String, case, func, literal, or_, select, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, User
from utcloud.billing import sums
from utcloud.billing.models import Meter
from utcloud.common.clock import from_ms
from utcloud.db import Tx, page_of
from utcloud.resources.models import Chip, ChipClaim, Node, Pool, Spec
from utcloud.workloads.models import Attempt, Replica, Subtask, Workload
from utcloud.workloads.schemas import Kind, State, WorkOut, WorkSort
from utcloud.workloads.states import ACTIVE


@dataclass(frozen=True, slots=True)
class WorkFilter:
    """Which replicas are wanted; without ``states``, those that have not ended."""

    search: str = ""
    states: Sequence[State] = ()
    kind: Kind | None = None
    node_id: str | None = None
    pool_id: str | None = None
    spec_id: str | None = None
    sort: WorkSort = WorkSort.NEWEST


_waits = Replica.state == State.PENDING
_placed_or_queued = func.coalesce(
    type_coerce(Attempt.started_at, BigInteger),
    type_coerce(Attempt.created_at, BigInteger),
    type_coerce(Replica.queued_at, BigInteger),
)
_since: ColumnElement[int] = case((_waits, type_coerce(Replica.queued_at, BigInteger)), else_=_placed_or_queued)
_node: ColumnElement[str] = case((_waits, literal("")), else_=func.coalesce(Node.name, ""))
_price: ColumnElement[int] = case((_waits, Spec.price), else_=func.coalesce(Attempt.price, Spec.price))
_ORDER: dict[str, ColumnElement[Any]] = {
    "since": _since,
    "owner_name": User.username.expression,
    "node": _node,
    "price": _price,
    "state": type_coerce(Replica.state, String).label("by_state"),
}
_WORK: Select[*tuple[Any, ...]] = (
    select(
        Replica.id.label("replica_id"),
        Replica.workload_id,
        Replica.state,
        Replica.reason,
        Replica.node_id,
        Workload.kind,
        Workload.pool_id,
        Pool.name.label("pool_name"),
        User.username.label("owner_name"),
        Group.name.label("group_name"),
        Subtask.spec_id,
        Spec.name.label("spec"),
        _node.label("node"),
        Attempt.id.label("attempt_id"),
        _since.label("since"),
        _price.label("price"),
        func.coalesce(sums.PAID, 0).label("cost"),
    )
    .join(Workload, Workload.id == Replica.workload_id)
    .join(Pool, Pool.id == Workload.pool_id)
    .join(User, User.id == Workload.owner_id)
    .join(Subtask, Subtask.id == Replica.subtask_id)
    .join(Spec, Spec.id == Subtask.spec_id)
    .outerjoin(Group, Group.id == Workload.group_id)
    .outerjoin(Node, Node.id == Replica.node_id)
    .outerjoin(Attempt, Attempt.id == Replica.attempt_id)
    .outerjoin(Meter, Meter.attempt_id == Replica.attempt_id)
)


async def list_work(
    tx: Tx, actor: Actor, wanted: WorkFilter, *, limit: int, cursor: str | None
) -> tuple[list[WorkOut], str | None]:
    """One page of the replicas on the actor's hardware, and of those that wait for it (an operator: on all)."""
    actor.require_miner()
    query = _chosen(actor, wanted)
    found, after = await page_of(tx, query, Replica.id, limit=limit, cursor=cursor, sort=wanted.sort, columns=_ORDER)
    rows = [row._mapping for row in found]
    chips = await _chips(tx, [row["attempt_id"] for row in rows if row["attempt_id"]])
    return [_out(row, chips) for row in rows], after


def _chosen(actor: Actor, wanted: WorkFilter) -> Select[*tuple[Any, ...]]:
    query = _WORK.where(Replica.state.in_(wanted.states or ACTIVE))
    if not actor.is_operator:
        query = query.where(Pool.miner_id == actor.id)
    if wanted.kind:
        query = query.where(Workload.kind == wanted.kind)
    if wanted.pool_id:
        query = query.where(Workload.pool_id == wanted.pool_id)
    if wanted.spec_id:
        query = query.where(Subtask.spec_id == wanted.spec_id)
    if wanted.node_id:
        query = query.where(Replica.node_id == wanted.node_id, ~_waits)
    if wanted.search:
        columns = (User.username, User.display_name, Group.name, Node.name, Pool.name, Spec.name)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    return query


async def _chips(tx: Tx, attempt_ids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    claims = await tx.execute(
        select(ChipClaim.attempt_id, Chip.model, Chip.index)
        .join(Chip, Chip.id == ChipClaim.chip_id)
        .where(ChipClaim.attempt_id.in_(attempt_ids))
        .order_by(Chip.index)
    )
    for attempt_id, model, index in claims:
        found[attempt_id].append(f"{model} #{index}")
    return found


_AS_IT_IS = (
    "replica_id",
    "workload_id",
    "state",
    "reason",
    "kind",
    "pool_id",
    "pool_name",
    "owner_name",
    "spec_id",
    "spec",
    "node",
    "price",
)


def _out(row: Any, chips: dict[str, list[str]]) -> WorkOut:
    waits = row["state"] == State.PENDING
    return WorkOut(
        **{name: row[name] for name in _AS_IT_IS},
        group_name=row["group_name"] or "",
        node_id=None if waits else row["node_id"],
        attempt_id=None if waits else row["attempt_id"],
        since=from_ms(row["since"]),
        cost=0 if waits else row["cost"],
        chips=[] if waits else chips[row["attempt_id"] or ""],
    )
