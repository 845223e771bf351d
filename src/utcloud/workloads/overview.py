"""What a renter and a miner see first: sums, and what needs attention."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, true

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Application, User
from utcloud.assets.models import Asset, Image
from utcloud.billing import by_day
from utcloud.billing import service as billing
from utcloud.db import Database, Tx
from utcloud.resources import capacity
from utcloud.resources import service as resources
from utcloud.resources.models import Pool, Site
from utcloud.resources.schemas import Attention, AttentionKind, NodeStatus, Severity
from utcloud.resources.service import attention
from utcloud.resources.service.common import usages, visible, visible_nodes
from utcloud.workloads.models import Replica, Workload
from utcloud.workloads.schemas import DayAmount, MinerOverviewOut, OverviewOut, State, UsageOut


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


async def miner_overview(db: Database, now: datetime, actor: Actor) -> MinerOverviewOut:
    """What a miner has, what it does and earns, and what needs his attention; for an operator, of all miners.

    Its two parts are read at the same time, each over a connection of its own.
    """
    actor.require_miner()
    parts: list[dict[str, Any]] = await asyncio.gather(
        *(_read(db, part, now, actor) for part in (_hardware, _work_and_earnings))
    )
    return MinerOverviewOut(**{name: value for part in parts for name, value in part.items()})


async def _read(
    db: Database, part: Callable[[Tx, datetime, Actor], Awaitable[dict[str, Any]]], now: datetime, actor: Actor
) -> dict[str, Any]:
    async with db.read() as tx:
        return await part(tx, now, actor)


async def _hardware(tx: Tx, now: datetime, actor: Actor) -> dict[str, Any]:
    nodes = await capacity.load(tx, now, visible_nodes(actor))
    usage = usages(nodes)
    status = await resources.count_nodes(tx, now, actor)
    sites = select(func.count()).select_from(Site).where(visible(actor, Site.miner_id), Site.removed_at.is_(None))
    found = [
        *await attention.attention(tx, now, actor, nodes),
        *await _waiting(tx, actor),
        *await _applications(tx, actor),
    ]
    return {
        "nodes_ready": status[NodeStatus.READY],
        "nodes_total": status[NodeStatus.READY] + status[NodeStatus.NOT_READY] + status[NodeStatus.LOST],
        "sites": (await tx.scalar(sites)) or 0,
        "usage": [UsageOut.model_validate(one, from_attributes=True) for one in usage],
        "chips_total": sum(node.chips_total for node in nodes),
        "chips_busy": sum(node.chips_busy for node in nodes),
        "simulated": any(one.simulated for one in usage),
        "waiting_replicas": sum(one.count for one in found if one.kind is AttentionKind.WORK_WAITING),
        "attention": sorted(found, key=lambda one: list(Severity).index(one.severity)),
    }


async def _work_and_earnings(tx: Tx, now: datetime, actor: Actor) -> dict[str, Any]:
    earned = await by_day.earned(tx, now, None if actor.is_operator else actor.id)
    return {
        "running_replicas": await _running(tx, actor),
        "users": (await tx.scalar(select(func.count()).select_from(User))) or 0,
        "earnings_today": earned.today,
        "earnings_month": earned.this_month,
        "earnings_by_day": [DayAmount(day=day, amount=amount) for day, amount in earned.days],
    }


async def _running(tx: Tx, actor: Actor) -> int:
    query = select(func.count()).select_from(Replica).where(Replica.state == State.RUNNING)
    if not actor.is_operator:
        query = query.where(Replica.site_id.in_(select(Site.id).where(Site.miner_id == actor.id)))
    return (await tx.scalar(query)) or 0


async def _waiting(tx: Tx, actor: Actor) -> list[Attention]:
    """The replicas that wait for a place in the actor's pools, with the reason of the one that waits longest."""
    mine: ColumnElement[bool] = true() if actor.is_operator else Pool.miner_id == actor.id
    waits = (
        select(Pool.id, Pool.name, func.count())
        .select_from(Replica)
        .join(Workload, Workload.id == Replica.workload_id)
        .join(Pool, Pool.id == Workload.pool_id)
        .where(Replica.state == State.PENDING, mine)
    )
    pools = (await tx.execute(waits.group_by(Pool.id, Pool.name).order_by(Pool.name))).all()
    if not pools:
        return []
    longest = waits.with_only_columns(Replica.reason).order_by(Replica.queued_at, Replica.id).limit(1)
    (line,) = attention.item(
        AttentionKind.WORK_WAITING,
        Severity.INFO,
        "pool",
        [(ident, name) for ident, name, _ in pools],
        await tx.scalar(longest) or "It waits for a place.",
    )
    return [line.model_copy(update={"count": sum(count for _, _, count in pools)})]


async def _applications(tx: Tx, actor: Actor) -> list[Attention]:
    """People who wait for an operator's answer."""
    if not actor.is_operator:
        return []
    query = select(Application.id, Application.username).where(Application.status == "waiting")
    rows = (await tx.execute(query.order_by(Application.id).limit(1000))).all()
    return attention.item(
        AttentionKind.APPLICATION_WAITING,
        Severity.INFO,
        "application",
        [(ident, name) for ident, name in rows],
        "They wait for your answer.",
    )
