"""What pages read of workloads: a few queries a page, however long it is."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, Select, bindparam, select, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.billing import meters
from utcloud.common.errors import NotFound
from utcloud.common.paging import decode_cursor, encode_cursor
from utcloud.db import Tx
from utcloud.resources.models import Node, Spec
from utcloud.workloads.models import Attempt, Replica, Subtask, TimelineEvent, Workload
from utcloud.workloads.schemas import (
    NotebookDetail,
    NotebookOut,
    ReplicaOut,
    State,
    TimelineEventOut,
)

Row = dict[str, Any]


async def notebooks(
    tx: Tx, actor: Actor, *, limit: int, cursor: str | None, search: str = "", states: Sequence[State] = ()
) -> tuple[list[Row], str | None]:
    """One page of the actor's notebooks, newest first, as plain data in ``NotebookOut``'s shape."""
    (after,) = decode_cursor(cursor, 1) if cursor is not None else [_LAST]
    values = {"owner": actor.id, "after": str(after), "limit": limit + 1}
    query = _PAGE
    if search or states:
        wanted = _SOME.where(Workload.name.icontains(search, autoescape=True)) if search else _SOME
        query = _rows_of(wanted.where(Workload.state.in_(states)) if states else wanted)
    items = _grouped((await tx.execute(query, values)).all(), actor.username)
    more = len(items) > limit
    return items[:limit], encode_cursor(items[limit - 1]["id"]) if more else None


async def notebook(tx: Tx, actor: Actor, ident: str) -> NotebookOut:
    """One of the actor's notebooks."""
    found = _grouped((await tx.execute(_ONE, {"ident": ident, "owner": actor.id})).all(), actor.username)
    if not found:
        raise NotFound.of("notebook", ident)
    return NotebookOut.model_validate(found[0])


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


_workloads, _replicas, _subtasks, _attempts, _specs, _nodes = (
    model.__table__ for model in (Workload, Replica, Subtask, Attempt, Spec, Node)
)
"""Tables instead of classes: a statement of these spares a page the ORM's loading, half of its time."""


def _rows_of(workloads: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """A row a replica of some workloads, newest workload first, with all that a page shows of it.

    Times stay milliseconds: pydantic reads them as they are.
    """
    page = workloads.subquery()
    return (
        select(
            page.c.id,
            page.c.name,
            page.c.description,
            page.c.owner_id,
            page.c.state,
            page.c.reason,
            page.c.facts,
            type_coerce(page.c.created_at, BigInteger),
            type_coerce(page.c.changed_at, BigInteger),
            _specs.c.price,
            _replicas.c.id,
            _replicas.c.index,
            _replicas.c.state,
            _replicas.c.reason,
            _replicas.c.attempts,
            _subtasks.c.name,
            _nodes.c.name,
            type_coerce(_attempts.c.started_at, BigInteger),
            type_coerce(_attempts.c.ended_at, BigInteger),
        )
        .join(_replicas, _replicas.c.workload_id == page.c.id)
        .join(_subtasks, _subtasks.c.id == _replicas.c.subtask_id)
        .join(_specs, _specs.c.id == _subtasks.c.spec_id)
        .outerjoin(_nodes, _nodes.c.id == _replicas.c.node_id)
        .outerjoin(_attempts, _attempts.c.id == _replicas.c.attempt_id)
        .order_by(page.c.id.desc(), _replicas.c.id)
    )


_LAST = "~"
"""Sorts after every id."""
_SOME = (
    select(_workloads)
    .where(
        _workloads.c.owner_id == bindparam("owner"),
        _workloads.c.kind == "notebook",
        _workloads.c.id < bindparam("after"),
    )
    .order_by(_workloads.c.id.desc())
    .limit(bindparam("limit", type_=Integer))
)
_PAGE = _rows_of(_SOME)
_ONE = _rows_of(
    select(_workloads).where(
        _workloads.c.id == bindparam("ident"),
        _workloads.c.owner_id == bindparam("owner"),
        _workloads.c.kind == "notebook",
    )
)
"""Built once: building a statement takes longer than running it."""


def _grouped(rows: Iterable[Any], owner_name: str) -> list[Row]:
    waiting, running = State.PENDING.value, State.RUNNING.value
    found: dict[str, Row] = {}
    for (
        ident,
        name,
        description,
        owner_id,
        state,
        reason,
        facts,
        created_at,
        changed_at,
        price,
        replica_id,
        index,
        replica_state,
        replica_reason,
        attempt,
        subtask,
        node,
        started_at,
        ended_at,
    ) in rows:
        if ident not in found:
            found[ident] = {
                **facts,
                "id": ident,
                "name": name,
                "description": description,
                "owner_id": owner_id,
                "owner_name": owner_name,
                "state": state,
                "reason": reason,
                "price": price,
                "replicas": [],
                "created_at": created_at,
                "changed_at": changed_at,
            }
        found[ident]["replicas"].append(
            {
                "id": replica_id,
                "subtask": subtask,
                "index": index,
                "state": replica_state,
                "reason": replica_reason,
                "node": node or "",
                "attempt": attempt,
                "started_at": None if replica_state == waiting else started_at,
                "ended_at": None if replica_state == waiting else ended_at,
                "can_open": replica_state == running,
            }
        )
    return list(found.values())


__all__ = [
    "NotebookOut",
    "ReplicaOut",
    "notebook",
    "notebook_detail",
    "notebooks",
]
