"""What pages read of workloads: a few queries a page, however long it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, bindparam, literal, select, tuple_, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.billing import meters
from utcloud.common.errors import NotFound
from utcloud.common.paging import decode_cursor, encode_cursor, not_ours
from utcloud.db import Tx
from utcloud.resources.models import Node, Spec
from utcloud.workloads.models import Attempt, Replica, Subtask, TimelineEvent, Workload
from utcloud.workloads.schemas import (
    NotebookDetail,
    NotebookOut,
    NotebookSort,
    ReplicaOut,
    State,
    TimelineEventOut,
)

Row = dict[str, Any]


async def notebooks(
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None,
    search: str = "",
    states: Sequence[State] = (),
    sort: NotebookSort = NotebookSort.NEWEST,
) -> tuple[list[Row], str | None]:
    """One page of the actor's notebooks as plain data in ``NotebookOut``'s shape."""
    by_age = sort in (NotebookSort.NEWEST, NotebookSort.OLDEST)
    order = _Order(("id",) if by_age else (sort.removeprefix("-"), "id"), sort.startswith("-"))
    after = decode_cursor(cursor, len(order.keys)) if cursor is not None else []
    if not all(isinstance(part, str) for part in after):
        raise not_ours()
    values = {"owner": actor.id, "limit": limit + 1}
    if sort == NotebookSort.NEWEST and not search and not states:
        values["after"] = after[0] if after else _LAST
        query = _PAGE
    else:
        wanted = _MINE.where(order.beyond(after)) if after else _MINE
        if search:
            wanted = wanted.where(Workload.name.icontains(search, autoescape=True))
        if states:
            wanted = wanted.where(Workload.state.in_(states))
        query = _rows_of(wanted, order)
    items = _grouped((await tx.execute(query, values)).all(), actor.username)
    if len(items) <= limit:
        return items, None
    return items[:limit], encode_cursor(*(items[limit - 1][key] for key in order.keys))


async def notebook(tx: Tx, actor: Actor, ident: str) -> NotebookOut:
    """One of the actor's notebooks."""
    found = _grouped((await tx.execute(_ONE, {"ident": ident, "owner": actor.id, "limit": 1})).all(), actor.username)
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


@dataclass(frozen=True)
class _Order:
    """In which order a page comes: by columns of workloads, the last of which is the id."""

    keys: tuple[str, ...] = ("id",)
    descending: bool = True

    def of(self, columns: Any) -> list[ColumnElement[Any]]:
        found = [columns[key] for key in self.keys]
        return [column.desc() for column in found] if self.descending else found

    def beyond(self, after: Sequence[Any]) -> ColumnElement[bool]:
        """What comes after the row with these values."""
        mine, there = tuple_(*(_workloads.c[key] for key in self.keys)), tuple_(*map(literal, after))
        return mine < there if self.descending else mine > there


def _rows_of(workloads: Select[*tuple[Any, ...]], order: _Order = _Order()) -> Select[*tuple[Any, ...]]:
    """A row a replica of the first of some workloads, with all that a page shows of it.

    Times stay milliseconds: pydantic reads them as they are.
    """
    page = workloads.order_by(*order.of(_workloads.c)).limit(bindparam("limit", type_=Integer)).subquery()
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
        .order_by(*order.of(page.c), _replicas.c.id)
    )


_LAST = "~"
"""Sorts after every id."""
_MINE = select(_workloads).where(_workloads.c.owner_id == bindparam("owner"), _workloads.c.kind == "notebook")
_PAGE = _rows_of(_MINE.where(_workloads.c.id < bindparam("after")))
_ONE = _rows_of(_MINE.where(_workloads.c.id == bindparam("ident")))
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
