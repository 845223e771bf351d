"""The audit trail: who did what to what, from where. Written in the same transaction as the change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, Select, or_, select

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import AuditEvent
from utcloud.accounts.schemas import AuditEventOut, AuditSort
from utcloud.common.ids import new_id
from utcloud.db import Tx, paginate

Owner = Callable[[str], str | ScalarSelect[str]]
owners: dict[str, Owner] = {"user": lambda user_id: user_id}
"""By object type: the user to whom the object of this id belongs, or the query for him. Rooms above add theirs."""

_SECRET = {"password", "password_hash", "secret", "token", "code", "url"}


def record(
    tx: Tx,
    actor: Actor,
    action: str,
    object_type: str,
    object_id: str = "",
    object_name: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note that ``actor`` did ``action`` (``group.create``) to an object. Record a deletion before it is carried out.

    ``detail`` must hold no secrets; what is called one is left out all the same.
    """
    owner = owners.get(object_type)
    tx.add(
        AuditEvent(
            id=new_id("evt"),
            actor_id=actor.id or None,
            actor_name=actor.username,
            ip=actor.ip,
            action=action,
            object_type=object_type,
            object_id=object_id,
            object_name=object_name[:255],
            owner_id=owner(object_id) if owner and object_id else None,
            detail={key: value for key, value in (detail or {}).items() if key not in _SECRET},
        )
    )


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events are wanted. ``actor`` and ``search`` are parts of names, in any case."""

    since: datetime | None = None
    until: datetime | None = None
    actor_id: str | None = None
    actor: str | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    ip: str | None = None
    search: str | None = None

    def on(self, query: Select[tuple[AuditEvent]]) -> Select[tuple[AuditEvent]]:
        """``query`` narrowed to these."""
        for column, value in (
            (AuditEvent.actor_id, self.actor_id),
            (AuditEvent.action, self.action),
            (AuditEvent.object_type, self.object_type),
            (AuditEvent.object_id, self.object_id),
            (AuditEvent.ip, self.ip),
        ):
            if value is not None:
                query = query.where(column == value)
        if self.since is not None:
            query = query.where(AuditEvent.at >= self.since)
        if self.until is not None:
            query = query.where(AuditEvent.at < self.until)
        if self.actor:
            query = query.where(AuditEvent.actor_name.icontains(self.actor, autoescape=True))
        if self.search:
            fields = (AuditEvent.object_name, AuditEvent.actor_name, AuditEvent.action)
            query = query.where(or_(*(field.icontains(self.search, autoescape=True) for field in fields)))
        return query


def event_out(actor: Actor, event: AuditEvent) -> AuditEventOut:
    """What the API says of an event. From where somebody else did it is an operator's to know."""
    shown = AuditEventOut.model_validate(event)
    if actor.is_operator or event.actor_id in (None, actor.id):
        return shown
    return shown.model_copy(update={"ip": ""})


async def list_events(
    tx: Tx,
    actor: Actor,
    wanted: AuditFilter,
    *,
    limit: int,
    cursor: str | None = None,
    sort: AuditSort = AuditSort.NEWEST,
) -> tuple[list[AuditEvent], str | None]:
    """One page of events: an operator sees all, others what they did, and what was done to what is theirs."""
    query = wanted.on(select(AuditEvent))
    if not actor.is_operator:
        query = query.where(or_(AuditEvent.actor_id == actor.id, AuditEvent.owner_id == actor.id))
        if wanted.ip is not None:
            query = query.where(or_(AuditEvent.actor_id == actor.id, AuditEvent.actor_id.is_(None)))
    columns = {"at": AuditEvent.at}
    return await paginate(tx, query, AuditEvent.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
