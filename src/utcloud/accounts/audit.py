"""The audit trail: who did what to what, from where. Written in the same transaction as the change."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import AuditEvent
from utcloud.common.ids import new_id
from utcloud.db import Tx, paginate


def record(
    tx: Tx,
    actor: Actor,
    action: str,
    object_type: str,
    object_id: str = "",
    object_name: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note that ``actor`` did ``action`` (``group.create``) to an object. ``detail`` must hold no secrets."""
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
            detail=dict(detail or {}),
        )
    )


async def list_events(
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    actor_id: str | None = None,
    action: str | None = None,
    object_type: str | None = None,
    object_id: str | None = None,
) -> tuple[list[AuditEvent], str | None]:
    """One page of events, newest first: an operator sees all, others what they did themselves."""
    query = select(AuditEvent)
    if not actor.is_operator:
        query = query.where(AuditEvent.actor_id == actor.id)
    wanted = {
        AuditEvent.actor_id: actor_id,
        AuditEvent.action: action,
        AuditEvent.object_type: object_type,
        AuditEvent.object_id: object_id,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    return await paginate(tx, query, AuditEvent.id, limit=limit, cursor=cursor)
