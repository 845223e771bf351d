"""What pages read of workloads: a few queries a page, however long it is."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.assets.models import Asset, Image
from utcloud.billing import meters
from utcloud.billing import service as billing
from utcloud.common.paging import decode_cursor, encode_cursor
from utcloud.db import Tx
from utcloud.resources import service as resources
from utcloud.resources.models import Chip, ChipClaim, Node, Site, Spec, SpecItem
from utcloud.resources.schemas import NodeStatus
from utcloud.workloads.models import Attempt, Replica, Subtask, TimelineEvent, Workload
from utcloud.workloads.notebooks import own
from utcloud.workloads.schemas import (
    MinerOverviewOut,
    NotebookDetail,
    NotebookOut,
    OverviewOut,
    ReplicaOut,
    State,
    TimelineEventOut,
    UsageOut,
    WorkOut,
)
from utcloud.workloads.states import ACTIVE

Row = dict[str, Any]


async def notebooks(
    tx: Tx, actor: Actor, *, limit: int, cursor: str | None, search: str, states: Sequence[State]
) -> tuple[list[Row], str | None]:
    """One page of the actor's notebooks, newest first, as plain data in ``NotebookOut``'s shape."""
    query = _workload_rows().where(Workload.owner_id == actor.id, Workload.kind == "notebook")
    if search:
        query = query.where(Workload.name.icontains(search, autoescape=True))
    if states:
        query = query.where(Workload.state.in_(states))
    if cursor is not None:
        (after,) = decode_cursor(cursor, 1)
        query = query.where(Workload.id < str(after))
    rows = (await tx.execute(query.order_by(Workload.id.desc()).limit(limit + 1))).mappings().all()
    more, rows = len(rows) > limit, rows[:limit]
    items = await _with_replicas(tx, rows, actor.username)
    return items, encode_cursor(rows[-1]["id"]) if more else None


async def notebook(tx: Tx, actor: Actor, ident: str) -> NotebookOut:
    """One of the actor's notebooks."""
    workload = await own(tx, actor, ident)
    rows = (await tx.execute(_workload_rows().where(Workload.id == workload.id))).mappings().all()
    return NotebookOut.model_validate((await _with_replicas(tx, rows, actor.username))[0])


async def notebook_detail(tx: Tx, actor: Actor, ident: str) -> NotebookDetail:
    """The same with its timeline, its cost and the end of its last log."""
    base = await notebook(tx, actor, ident)
    names = {replica.id: replica.subtask for replica in base.replicas}
    events = await tx.scalars(
        select(TimelineEvent).where(TimelineEvent.workload_id == ident).order_by(TimelineEvent.id.desc()).limit(200)
    )
    attempts = (await tx.execute(select(Attempt.id, Attempt.log_tail).where(Attempt.workload_id == ident))).all()
    log_tail = await tx.scalar(
        select(Attempt.log_tail)
        .where(Attempt.workload_id == ident, Attempt.done.is_(True), Attempt.log_tail != "")
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    return NotebookDetail(
        **base.model_dump(exclude={"price"}),
        price=base.price,
        cost=await meters.total(tx, [attempt_id for attempt_id, _ in attempts]),
        log_tail=log_tail or "",
        timeline=[
            TimelineEventOut(
                at=event.at,
                replica_id=event.replica_id,
                subtask=names.get(event.replica_id, ""),
                attempt=event.attempt,
                from_state=State(event.from_state),
                to_state=State(event.to_state),
                reason=event.reason,
            )
            for event in reversed(events.all())
        ],
    )


def _workload_rows() -> Select[*tuple[Any, ...]]:
    return select(
        Workload.id,
        Workload.name,
        Workload.description,
        Workload.owner_id,
        Workload.state,
        Workload.reason,
        Workload.facts,
        Workload.created_at,
        Workload.changed_at,
    )


async def _with_replicas(tx: Tx, rows: Iterable[Any], owner_name: str) -> list[Row]:
    rows = list(rows)
    found = (
        await tx.execute(
            select(
                Replica.workload_id,
                Replica.id,
                Subtask.name.label("subtask"),
                Subtask.spec_id,
                Replica.index,
                Replica.state,
                Replica.reason,
                Replica.attempts,
                Replica.node_id,
                Attempt.started_at,
                Attempt.ended_at,
            )
            .join(Subtask, Subtask.id == Replica.subtask_id)
            .outerjoin(Attempt, Attempt.id == Replica.attempt_id)
            .where(Replica.workload_id.in_([row["id"] for row in rows]))
            .order_by(Replica.id)
        )
    ).all()
    specs = await _specs(tx, {one.spec_id for one in found})
    nodes = await _node_names(tx, {one.node_id for one in found if one.node_id})
    replicas: dict[str, list[Row]] = defaultdict(list)
    spec_of: dict[str, tuple[int, bool]] = {}
    for one in found:
        spec_of[one.workload_id] = specs[one.spec_id]
        pending = one.state == State.PENDING
        replicas[one.workload_id].append(
            {
                "id": one.id,
                "subtask": one.subtask,
                "index": one.index,
                "state": one.state,
                "reason": one.reason,
                "node": nodes.get(one.node_id, ""),
                "attempt": one.attempts,
                "started_at": None if pending else one.started_at,
                "ended_at": None if pending else one.ended_at,
                "can_open": one.state == State.RUNNING,
            }
        )
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "description": row["description"],
            "owner_id": row["owner_id"],
            "owner_name": owner_name,
            "state": row["state"],
            "reason": row["reason"],
            "algorithm": row["facts"]["algorithm"],
            "dataset": row["facts"]["dataset"],
            "image": row["facts"]["image"],
            "pool": row["facts"]["pool"],
            "spec": row["facts"]["spec"],
            "price": spec_of[row["id"]][0],
            "simulated": spec_of[row["id"]][1],
            "replicas": replicas[row["id"]],
            "created_at": row["created_at"],
            "changed_at": row["changed_at"],
        }
        for row in rows
    ]


async def _specs(tx: Tx, ids: set[str]) -> dict[str, tuple[int, bool]]:
    """Spec id → price in micro-UNC per hour, and whether it asks for simulated chips."""
    if not ids:
        return {}
    simulated = await resources.simulated_names(tx)
    asks = await tx.execute(select(SpecItem.spec_id, SpecItem.resource).where(SpecItem.spec_id.in_(ids)))
    simulated_specs = {spec_id for spec_id, resource in asks.all() if resource in simulated}
    prices = await tx.execute(select(Spec.id, Spec.price).where(Spec.id.in_(ids)))
    return {spec_id: (price, spec_id in simulated_specs) for spec_id, price in prices.all()}


async def _node_names(tx: Tx, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    found = await tx.execute(select(Node.id, Node.name).where(Node.id.in_(ids)))
    return {node.id: node.name for node in found.all()}


async def work(
    tx: Tx, actor: Actor, *, limit: int, cursor: str | None, search: str, states: Sequence[State]
) -> tuple[list[WorkOut], str | None]:
    """One page of the replicas on the actor's hardware (an operator: on all)."""
    actor.require_miner()
    query = (
        select(Replica, Workload.kind, Workload.facts, User.username, Node.name, Attempt.price)
        .join(Workload, Workload.id == Replica.workload_id)
        .join(User, User.id == Workload.owner_id)
        .join(Attempt, Attempt.id == Replica.attempt_id)
        .join(Node, Node.id == Replica.node_id)
        .join(Site, Site.id == Replica.site_id)
        .where(Replica.state.in_(states or ACTIVE))
    )
    if not actor.is_operator:
        query = query.where(Site.miner_id == actor.id)
    if search:
        query = query.where(
            or_(User.username.icontains(search, autoescape=True), Node.name.icontains(search, autoescape=True))
        )
    if cursor is not None:
        (after,) = decode_cursor(cursor, 1)
        query = query.where(Replica.id < str(after))
    rows = (await tx.execute(query.order_by(Replica.id.desc()).limit(limit + 1))).all()
    more, rows = len(rows) > limit, rows[:limit]
    chips: dict[str, list[str]] = defaultdict(list)
    claims = await tx.execute(
        select(ChipClaim.attempt_id, Chip.model, Chip.index)
        .join(Chip, Chip.id == ChipClaim.chip_id)
        .where(ChipClaim.attempt_id.in_([row[0].attempt_id for row in rows]))
        .order_by(Chip.index)
    )
    for attempt_id, model, index in claims.all():
        chips[attempt_id].append(f"{model} #{index}")
    since = await _since(tx, [row[0].id for row in rows])
    items = [
        WorkOut(
            replica_id=replica.id,
            workload_id=replica.workload_id,
            kind=kind,
            owner_name=owner,
            spec=facts["spec"],
            node=node,
            state=State(replica.state),
            since=since.get(replica.id, replica.queued_at),
            price=price,
            chips=chips[replica.attempt_id or ""],
        )
        for replica, kind, facts, owner, node, price in rows
    ]
    return items, encode_cursor(rows[-1][0].id) if more else None


async def _since(tx: Tx, replica_ids: list[str]) -> dict[str, datetime]:
    query = (
        select(TimelineEvent.replica_id, func.max(TimelineEvent.at))
        .where(TimelineEvent.replica_id.in_(replica_ids))
        .group_by(TimelineEvent.replica_id)
    )
    return dict((await tx.execute(query)).all())


async def overview(tx: Tx, now: datetime, actor: Actor) -> OverviewOut:
    """What a renter has: work by state, assets, machine hours."""
    counts: dict[str, dict[State, int]] = {kind: dict.fromkeys(State, 0) for kind in ("notebook", "task")}
    query = (
        select(Workload.kind, Workload.state, func.count())
        .where(Workload.owner_id == actor.id)
        .group_by(Workload.kind, Workload.state)
    )
    for kind, state, count in (await tx.execute(query)).all():
        counts[kind][State(state)] = count
    owned = await tx.execute(select(Asset.kind, func.count()).where(Asset.owner_id == actor.id).group_by(Asset.kind))
    assets = dict(owned.all())
    wallet = await billing.wallet_of(tx, now, actor.id)
    return OverviewOut(
        notebooks=counts["notebook"],
        tasks=counts["task"],
        algorithms=assets.get("algorithm", 0),
        datasets=assets.get("dataset", 0),
        images=(await tx.scalar(select(func.count()).select_from(Image))) or 0,
        available=wallet.available,
        burn_per_hour=wallet.burn_per_hour,
        runs_out_at=wallet.runs_out_at,
    )


async def miner_overview(tx: Tx, now: datetime, actor: Actor) -> MinerOverviewOut:
    """What a miner has: nodes, use, work, earnings."""
    actor.require_miner()
    nodes = await resources.count_nodes(tx, now, actor)
    usage = await resources.usage_in_sum(tx, actor)
    query = (
        select(Replica.state, func.count())
        .join(Site, Site.id == Replica.site_id)
        .where(Replica.state.in_(ACTIVE))
        .group_by(Replica.state)
    )
    waiting = select(func.count()).select_from(Replica).where(Replica.state == State.PENDING)
    if not actor.is_operator:
        query = query.where(Site.miner_id == actor.id)
        waiting = waiting.join(Workload, Workload.id == Replica.workload_id).where(
            Workload.pool_id.in_(await resources.pool_ids_of(tx, actor))
        )
    by_state = dict((await tx.execute(query)).all())
    earnings = await billing.earnings_of(tx, now, actor.id)
    return MinerOverviewOut(
        nodes_ready=nodes[NodeStatus.READY],
        nodes_total=nodes[NodeStatus.READY] + nodes[NodeStatus.NOT_READY],
        running_replicas=by_state.get(State.RUNNING, 0),
        waiting_replicas=(await tx.scalar(waiting)) or 0,
        users=(await tx.scalar(select(func.count()).select_from(User))) or 0,
        usage=[UsageOut.model_validate(one, from_attributes=True) for one in usage],
        earnings_today=earnings.today,
        earnings_month=earnings.this_month,
        simulated=any(one.simulated for one in usage),
    )


__all__ = [
    "NotebookOut",
    "ReplicaOut",
    "miner_overview",
    "notebook",
    "notebook_detail",
    "notebooks",
    "overview",
    "work",
]
