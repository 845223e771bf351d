"""Placement: gives replicas their nodes and chips, all replicas of a workload together or none."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from utcloud.billing import meters
from utcloud.common.errors import InsufficientFunds
from utcloud.common.ids import new_id, new_secret
from utcloud.db import Tx
from utcloud.resources import capacity
from utcloud.resources import service as resources
from utcloud.workloads.models import Attempt, Replica, Subtask, Workload
from utcloud.workloads.schemas import State
from utcloud.workloads.states import move

_PURPOSE = {"notebook": "notebook", "task": "training"}


async def place(tx: Tx, now: datetime, workload: Workload, *, fee_ppm: int) -> bool:
    """Reserve for all of the workload's pending replicas, or leave them waiting with the reason; True when placed.

    Raises InsufficientFunds when the wallet cannot hold the start; then the caller rolls back.
    """
    rows = (
        await tx.execute(
            select(Replica, Subtask)
            .join(Subtask, Subtask.id == Replica.subtask_id)
            .where(Replica.workload_id == workload.id, Replica.state == State.PENDING)
            .order_by(Replica.id)
        )
    ).all()
    if not rows:
        return True
    attempt_ids = [new_id("at") for _ in rows]
    outcome = await capacity.reserve(
        tx,
        now,
        [
            capacity.Demand(
                attempt_id=attempt_id,
                spec_id=subtask.spec_id,
                pool_id=workload.pool_id,
                purpose=_PURPOSE[workload.kind],
                site_id=replica.site_id,
            )
            for attempt_id, (replica, subtask) in zip(attempt_ids, rows, strict=True)
        ],
    )
    if isinstance(outcome, capacity.Shortage):
        ahead = await _ahead_of(tx, workload, rows[0][0])
        place_in_line = f"; {ahead} waiting before you" if ahead else "; you are first in line"
        for replica, _ in rows:
            await move(tx, now, replica, State.PENDING, outcome.detail + place_in_line)
        return False
    for (replica, subtask), grant in zip(rows, outcome, strict=True):
        await _assign(tx, now, workload, replica, subtask, grant, fee_ppm)
    for site_id in {grant.site_id for grant in outcome}:
        await resources.bump(tx, site_id)
    return True


async def _assign(
    tx: Tx, now: datetime, workload: Workload, replica: Replica, subtask: Subtask, grant: capacity.Grant, fee_ppm: int
) -> None:
    replica.attempts += 1
    replica.attempt_id = grant.attempt_id
    replica.site_id, replica.node_id = grant.site_id, grant.node_id
    tx.add(
        Attempt(
            id=grant.attempt_id,
            replica_id=replica.id,
            workload_id=workload.id,
            number=replica.attempts,
            site_id=grant.site_id,
            node_id=grant.node_id,
            price=grant.price,
            resources=grant.resources,
            devices=grant.chip_uids,
            token=new_secret(),
            created_at=now,
        )
    )
    await meters.open(
        tx,
        meters.Opening(
            attempt_id=grant.attempt_id,
            payer_id=workload.owner_id,
            payee_id=grant.miner_id,
            price=grant.price,
            fee_ppm=fee_ppm,
            labels={
                "workload_id": workload.id,
                "workload": workload.name,
                "workload_kind": workload.kind,
                "subtask": subtask.name,
                "replica": f"{subtask.name}-{replica.index}",
                "replica_id": replica.id,
                "attempt": replica.attempts,
                "spec": workload.facts["spec"],
                "simulated": grant.simulated,
            },
        ),
    )
    await move(tx, now, replica, State.ASSIGNED, f"placed on {grant.node_name}")


async def _ahead_of(tx: Tx, workload: Workload, replica: Replica) -> int:
    query = (
        select(func.count(func.distinct(Replica.workload_id)))
        .join(Workload, Workload.id == Replica.workload_id)
        .where(
            Replica.state == State.PENDING,
            Workload.pool_id == workload.pool_id,
            Replica.workload_id != workload.id,
            Replica.queued_at < replica.queued_at,
        )
    )
    return (await tx.scalar(query)) or 0


async def waiting_workloads(tx: Tx) -> Sequence[str]:
    """Ids of workloads with pending replicas, those that wait longest first."""
    query = (
        select(Replica.workload_id)
        .where(Replica.state == State.PENDING)
        .group_by(Replica.workload_id)
        .order_by(func.min(Replica.queued_at), Replica.workload_id)
    )
    return (await tx.scalars(query)).all()


async def place_waiting(tx: Tx, now: datetime, workload_id: str, *, fee_ppm: int) -> None:
    """Try a waiting workload again. A wallet that became too low is said, and nothing is reserved."""
    workload = await tx.get(Workload, workload_id)
    if workload is None:
        return
    try:
        async with tx.begin_nested():
            await place(tx, now, workload, fee_ppm=fee_ppm)
    except InsufficientFunds as problem:
        pending = await tx.scalars(
            select(Replica).where(Replica.workload_id == workload_id, Replica.state == State.PENDING)
        )
        for replica in pending.all():
            await move(tx, now, replica, State.PENDING, problem.detail)
