"""The state machine. ``move`` performs every transition and writes its timeline event in the same transaction."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

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
    before = State(replica.state)
    if before == to and replica.reason == reason:
        return
    if before != to:
        if to not in _ALLOWED[before]:
            raise IllegalTransitionError(f"replica {replica.id}: {before} → {to}")
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
    await _follow(tx, now, replica.workload_id)


async def _follow(tx: Tx, now: datetime, workload_id: str) -> None:
    """Let the workload's state and reason follow from its replicas'."""
    await tx.flush()
    workload = await tx.get_one(Workload, workload_id)
    replicas = (
        await tx.execute(
            select(Replica.state, Replica.reason).where(Replica.workload_id == workload_id).order_by(Replica.id)
        )
    ).all()
    workload.state = combined(State(state) for state, _ in replicas)
    workload.reason = next((reason for state, reason in replicas if state == workload.state and reason), "")
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
