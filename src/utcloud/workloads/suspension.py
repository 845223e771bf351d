"""What becomes of work on the hardware of a miner who may not have any: one who was frozen, or is a miner no longer.

Level-triggered, like ``nodes``: each look compares sites with their miners. Nothing new is placed there (``capacity``),
what runs is stopped in good order and its renters told why; of what has not ended when the grace is over, nobody will
hear, and it ends as it was seen last. What was earned meanwhile is held (``billing``).
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select

from utcloud.accounts import audit
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import SYSTEM
from utcloud.accounts.models import User
from utcloud.billing import meters, orders
from utcloud.db import Database, Tx, emit
from utcloud.edge import service as edge
from utcloud.protocol import Phase
from utcloud.resources import capacity
from utcloud.resources import service as resources
from utcloud.resources.models import Pool, Site
from utcloud.resources.revisions import not_heard
from utcloud.workloads.models import Attempt, Replica, Workload
from utcloud.workloads.notebooks import stop_replica
from utcloud.workloads.schemas import State
from utcloud.workloads.states import ACTIVE, TURNS, move

_BATCH = 500
GRACE = timedelta(minutes=1)
"""So long the agent of a suspended site may still say how its work ended."""


async def look(db: Database, now: datetime) -> None:
    """Suspend, resume and close what is due."""
    async with db.read() as tx:
        sites, waiting = await _due(tx, now), await _waiting(tx)
    for site_id in sites:
        async with db.write(TURNS) as tx:
            await settle(tx, now, site_id)
    for miner_id, replica_ids in waiting.items():
        async with db.write(TURNS) as tx:
            why = accounts.why_out(await tx.get_one(User, miner_id))
            query = select(Replica).where(Replica.id.in_(replica_ids), Replica.state == State.PENDING)
            await _stop(tx, now, list(await tx.scalars(query)), why)


async def settle(tx: Tx, now: datetime, site_id: str) -> None:
    """Bring one site to where its miner's standing wants it."""
    site = await tx.get_one(Site, site_id, populate_existing=True)
    miner = await tx.get_one(User, site.miner_id, populate_existing=True)
    out = await resources.is_suspended(tx, site)
    if not out and site.suspended_at is not None:
        site.suspended_at, site.report_digest = None, not_heard()
        audit.record(tx, SYSTEM, "site.resume", "site", site.id, site.name)
        emit(tx, capacity.CAPACITY_SIGNAL)
    elif out and site.suspended_at is None:
        site.suspended_at = now
        why = accounts.why_out(miner)
        audit.record(tx, SYSTEM, "site.suspend", "site", site.id, site.name, {"reason": why})
        query = select(Replica).where(Replica.site_id == site.id, Replica.state.in_(ACTIVE - {State.STOPPING}))
        await _stop(tx, now, list(await tx.scalars(query)), why)
        await resources.bump(tx, site.id)
    elif out and site.suspended_at is not None and site.suspended_at + GRACE <= now:
        await _close(tx, now, site, accounts.why_out(miner))
    emit(tx, "ui:miners")


async def _due(tx: Tx, now: datetime) -> Sequence[str]:
    good = Site.miner_id.in_(select(User.id).where(accounts.in_standing()))
    unfinished = Site.id.in_(select(Attempt.site_id).where(Attempt.done.is_(False)))
    query = select(Site.id).where(
        Site.removed_at.is_(None),
        or_(
            and_(good, Site.suspended_at.is_not(None)),
            and_(~good, or_(Site.suspended_at.is_(None), and_(Site.suspended_at <= now - GRACE, unfinished))),
        ),
    )
    return list(await tx.scalars(query.order_by(Site.id)))


async def _waiting(tx: Tx) -> dict[str, list[str]]:
    """Replicas that wait in a pool that takes nothing new, by the pool's miner."""
    query = (
        select(Pool.miner_id, Replica.id)
        .join(Workload, Workload.id == Replica.workload_id)
        .join(Pool, Pool.id == Workload.pool_id)
        .where(Replica.state == State.PENDING, Pool.miner_id.not_in(select(User.id).where(accounts.in_standing())))
    )
    found: dict[str, list[str]] = defaultdict(list)
    for miner_id, replica_id in await tx.execute(query.order_by(Replica.id).limit(_BATCH)):
        found[miner_id].append(replica_id)
    return found


async def _stop(tx: Tx, now: datetime, replicas: Sequence[Replica], why: str) -> None:
    """Stop them in good order, and tell their renters."""
    for replica in replicas:
        await stop_replica(tx, now, replica, why)
        audit.record(tx, SYSTEM, "replica.stop", "replica", replica.id, "", {"reason": why})
    await orders.told_to_stop(tx, now, {replica.order_id for replica in replicas}, why)


async def _close(tx: Tx, now: datetime, site: Site, why: str) -> None:
    """End what its agent has not told the end of, as it was seen last."""
    query = (
        select(Attempt, Replica)
        .join(Replica, Replica.id == Attempt.replica_id)
        .where(Attempt.site_id == site.id, Attempt.done.is_(False))
        .order_by(Attempt.id)
    )
    for attempt, replica in (await tx.execute(query)).all():
        attempt.desired, attempt.done = Phase.STOPPED, True
        if attempt.started_at is not None and attempt.ended_at is None:
            attempt.ended_at = await meters.seen_until(tx, attempt.id) or attempt.started_at
        await meters.close(tx, attempt.id, attempt.ended_at, now=now)
        await capacity.release(tx, attempt.id)
        await edge.drop_route(tx, replica.id)
        if replica.attempt_id == attempt.id and State(replica.state) in ACTIVE - {State.PENDING}:
            await move(tx, now, replica, State.STOPPED, attempt.stop_reason or why)
    await resources.bump(tx, site.id)
