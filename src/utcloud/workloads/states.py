"""The state machine. ``move`` performs every transition and writes its timeline event in the same transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import select

from utcloud.billing import orders
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit
from utcloud.workloads.models import Replica, TimelineEvent, Workload
from utcloud.workloads.schemas import State

TURNS = "workloads"
"""Whoever changes workloads takes turns by this name: what was read stays true, and nobody deadlocks."""

FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED})
ACTIVE = frozenset(State) - FINAL

_ALLOWED: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.ASSIGNED, State.STOPPED, State.FAILED}),
    State.ASSIGNED: frozenset({State.STARTING, State.RUNNING, State.STOPPING, *FINAL}),
    State.STARTING: frozenset({State.RUNNING, State.STOPPING, *FINAL}),
    State.RUNNING: frozenset({State.STOPPING, *FINAL}),
    State.STOPPING: FINAL,
    **{state: frozenset({State.PENDING}) for state in FINAL},
}
_LEAST_ADVANCED_FIRST = (State.PENDING, State.ASSIGNED, State.STARTING, State.RUNNING, State.STOPPING)


class IllegalTransitionError(Exception):
    """A transition that the state machine does not know: a fault of the caller."""


async def move(tx: Tx, now: datetime, replica: Replica, to: State, reason: str = "") -> None:
    """Bring ``replica`` into state ``to``; the same again only renews the reason. Raises IllegalTransitionError."""
    await move_many(tx, now, [(replica, to, reason)])


async def move_many(tx: Tx, now: datetime, moves: Iterable[tuple[Replica, State, str]]) -> None:
    """Do what ``move`` does with many replicas, each named once: with all of them or, when it raises, with none."""
    changes = [
        (replica, State(replica.state), to, reason)
        for replica, to, reason in moves
        if replica.state != to or replica.reason != reason
    ]
    for replica, before, to, _ in changes:
        if before != to and to not in _ALLOWED[before]:
            raise IllegalTransitionError(f"replica {replica.id}: {before} → {to}")
    for replica, before, to, reason in changes:
        if before != to:
            tx.add(
                TimelineEvent(
                    id=new_id("ev"),
                    workload_id=replica.workload_id,
                    replica_id=replica.id,
                    attempt=replica.attempts,
                    from_state=before,
                    to_state=to,
                    reason=reason,
                    at=now,
                )
            )
        replica.state, replica.reason = to, reason
    if changes:
        await _follow(tx, now, {replica.workload_id for replica, *_ in changes})
    ended = {r.order_id: reason for r, before, to, reason in changes if before != to and to in FINAL and r.order_id}
    if ended:
        await _settle_orders(tx, now, ended)


async def _settle_orders(tx: Tx, now: datetime, ended: dict[str, str]) -> None:
    """An order ends with the last of its replicas, and for that one's reason."""
    query = select(Replica.order_id).where(Replica.order_id.in_(ended), Replica.state.in_(ACTIVE)).distinct()
    going_on = set(await tx.scalars(query))
    for order_id, reason in ended.items():
        if order_id not in going_on:
            await orders.settle(tx, now, order_id, reason)


async def _follow(tx: Tx, now: datetime, workload_ids: Collection[str]) -> None:
    """Let the state and the reason of workloads follow from their replicas'."""
    await tx.flush()
    workloads = await tx.scalars(select(Workload).where(Workload.id.in_(workload_ids)))
    query = select(Replica.workload_id, Replica.state, Replica.reason).order_by(Replica.id)
    replicas: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for workload_id, state, reason in await tx.execute(query.where(Replica.workload_id.in_(workload_ids))):
        replicas[workload_id].append((state, reason))
    for workload in workloads:
        own = replicas[workload.id]
        workload.state = combined(State(state) for state, _ in own)
        workload.reason = next((reason for state, reason in own if state == workload.state and reason), "")
        workload.changed_at = now
        announce(tx, workload)


def combined(states: Iterable[State]) -> State:
    """The state of a workload whose replicas are in ``states``: the least advanced one until all have ended."""
    present = set(states)
    for state in _LEAST_ADVANCED_FIRST:
        if state in present:
            return state
    return State.FAILED if State.FAILED in present else State.STOPPED if State.STOPPED in present else State.SUCCEEDED


def announce(tx: Tx, workload: Workload) -> None:
    """Tell the pages of its owner and of the miners that something changed."""
    emit(tx, f"ui:{workload.owner_id}")
    emit(tx, "ui:miners")
