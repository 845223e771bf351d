"""Takes a report in: quickly when it says what the last one said, else whole."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.orm.attributes import set_committed_value

from utcloud.common.clock import to_ms
from utcloud.db import Tx, emit
from utcloud.protocol import SILENT_AFTER_S, SiteReport
from utcloud.resources.capacity import CAPACITY_SIGNAL, is_heard
from utcloud.resources.models import Node, Site, Telemetry
from utcloud.resources.reports.incoming import Incoming
from utcloud.resources.reports.sense import clean, measurements
from utcloud.resources.reports.store import store
from utcloud.resources.revisions import not_heard

_MOST_OFFSET_MS = 10**13
_sites, _telemetry = (cast(Table, model.__table__) for model in (Site, Telemetry))
"""Tables instead of classes: a statement of these spares the ORM's part, most of its time."""
_SAME = (
    update(_sites)
    .where(
        _sites.c.token_hash == bindparam("token"),
        _sites.c.report_digest == bindparam("digest"),
        _sites.c.removed_at.is_(None),
    )
    .values(last_seen_at=bindparam("now"), clock_offset_ms=bindparam("offset"))
    .returning(_sites.c.id, _sites.c.revision)
)
_SAME_AND_HEARD = _SAME.where(_sites.c.last_seen_at >= bindparam("heard_since"))
_MEASURE = (
    update(_telemetry)
    .where(_telemetry.c.site_id == bindparam("site"))
    .values(chips=bindparam("measured"), measured_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A site that said nothing new."""

    site_id: str
    revision: int


async def unchanged(tx: Tx, now: datetime, token_hash: str, incoming: Incoming) -> Heard | None:
    """Note the sign of life of a site that says what it said last; None for any other."""
    values = {
        "token": token_hash,
        "digest": "".join(incoming.digest()),
        "now": now,
        "offset": _offset(now, incoming.report),
    }
    heard_since = now - timedelta(seconds=SILENT_AFTER_S)
    row = (await tx.execute(_SAME_AND_HEARD, {**values, "heard_since": heard_since})).one_or_none()
    if row is None:
        row = (await tx.execute(_SAME, values)).one_or_none()
        if row is None:
            return None
        await _welcome(tx, now, row.id)
    await _measure(tx, now, row.id, incoming.report)
    return Heard(row.id, row.revision)


async def _welcome(tx: Tx, now: datetime, site_id: str) -> None:
    """The site had been silent, and is as it was."""
    back = update(Node).where(Node.site_id == site_id, Node.gone.is_(False)).values(ready_since=now)
    await tx.execute(back.execution_options(synchronize_session=False))
    emit(tx, CAPACITY_SIGNAL)
    emit(tx, "ui:miners")


async def apply(tx: Tx, now: datetime, site: Site, report: SiteReport | Incoming) -> bool:
    """Take in what is said of the nodes; return whether anything but the sign of life was new.

    Nodes that are described as before are not looked at again.
    """
    incoming = Incoming(report) if isinstance(report, SiteReport) else report
    report = incoming.report
    seen = {
        "last_seen_at": now,
        "clock_offset_ms": _offset(now, report),
        "agent_version": clean(report.agent_version, 50),
    }
    nodes, rest = incoming.digest()
    heard = is_heard(site.last_seen_at, now)
    changed = site.report_digest[:32] != nodes
    if changed:
        await tx.refresh(site, with_for_update={"key_share": True})
        taken = await store(tx, now, site, incoming, back=not heard)
        nodes = nodes if taken else not_heard()
        emit(tx, CAPACITY_SIGNAL)
        emit(tx, "ui:miners")
    elif not heard:
        await _welcome(tx, now, site.id)
    await _note(tx, site, {**seen, "report_digest": nodes + rest})
    await _measure(tx, now, site.id, report)
    return changed or not heard


def _offset(now: datetime, report: SiteReport) -> int:
    return max(-_MOST_OFFSET_MS, min(to_ms(report.sent_at) - to_ms(now), _MOST_OFFSET_MS))


async def _note(tx: Tx, site: Site, values: dict[str, Any]) -> None:
    await tx.execute(
        update(Site).where(Site.id == site.id).values(**values).execution_options(synchronize_session=False)
    )
    for name, value in values.items():
        set_committed_value(site, name, value)


async def _measure(tx: Tx, now: datetime, site_id: str, report: SiteReport) -> None:
    """Keep what the chips measure; pages look for it by themselves, so nobody is told."""
    measured = measurements(report.nodes)
    if not measured:
        return
    values = {"site": site_id, "measured": measured, "now": now}
    if (await tx.execute(_MEASURE, values)).rowcount:  # type: ignore[attr-defined]
        return
    if not await tx.scalar(select(_telemetry.c.site_id).where(_telemetry.c.site_id == site_id)):
        await tx.execute(insert(_telemetry), {"site_id": site_id, "chips": measured, "measured_at": now})
