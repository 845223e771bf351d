"""Takes a report in: quickly when it says what the last one said, else whole."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from utcloud.accounts.models import User
from utcloud.accounts.service import in_standing
from utcloud.common.clock import to_ms
from utcloud.common.texts import clean
from utcloud.db import Tx, emit
from utcloud.db.upsert import put_rows
from utcloud.protocol import SiteReport
from utcloud.resources.capacity import CAPACITY_SIGNAL, is_heard
from utcloud.resources.models import Chip, Node, Site, Telemetry
from utcloud.resources.reports.incoming import Incoming
from utcloud.resources.reports.sense import measurements
from utcloud.resources.reports.store import store
from utcloud.resources.revisions import not_heard
from utcloud.resources.service.agents import agents_heard, engine_networks

_MOST_OFFSET_MS = 10**13
_NOTICED_MS = 250
"""A clock's offset that moved by less is not written again."""

_sites = cast(Table, Site.__table__)
"""A table instead of a class: a statement of it spares the ORM's part, most of its time."""
_KNOWN = (
    select(
        _sites.c.id,
        _sites.c.token_hash,
        _sites.c.report_digest,
        _sites.c.revision,
        _sites.c.last_seen_at,
        _sites.c.clock_offset_ms,
    )
    .where(
        _sites.c.token_hash.in_(bindparam("tokens", expanding=True)),
        _sites.c.removed_at.is_(None),
        _sites.c.miner_id.in_(select(User.id).where(in_standing())),
    )
    .order_by(_sites.c.id)
    .with_for_update(key_share=True, skip_locked=True)
)
_SEEN = update(_sites).where(_sites.c.id.in_(bindparam("ids", expanding=True))).values(last_seen_at=bindparam("now"))
_OFFSET = update(_sites).where(_sites.c.id == bindparam("site")).values(clock_offset_ms=bindparam("offset"))


@dataclass(frozen=True, slots=True)
class Heard:
    """A site that said nothing new."""

    site_id: str
    revision: int


async def unchanged(tx: Tx, now: datetime, said: dict[str, tuple[Incoming, str]]) -> dict[str, Heard]:
    """Note the sign of life of those sites that say what they said last. ``said`` and the answer are by the hash of
    their token, with the report's mark.

    A site that somebody just changes is passed over: it is to be looked at anew.
    """
    rows = (await tx.execute(_KNOWN, {"tokens": list(said)})).all()
    same = [row for row in rows if row.report_digest == said[row.token_hash][1]]
    if not same:
        return {}
    connection = await tx.connection()
    await connection.execute(_SEEN, {"ids": [row.id for row in same], "now": now})
    offsets = {row.id: (_offset(now, said[row.token_hash][0].report), row.clock_offset_ms) for row in same}
    moved = [{"site": site, "offset": new} for site, (new, old) in offsets.items() if abs(new - old) >= _NOTICED_MS]
    if moved:
        await connection.execute(_OFFSET, moved)
    await _welcome(tx, now, [row.id for row in same if not is_heard(row.last_seen_at, now)])
    await _measure(tx, now, {row.id: said[row.token_hash][0].report for row in same})
    return {row.token_hash: Heard(row.id, row.revision) for row in same}


async def _welcome(tx: Tx, now: datetime, site_ids: Collection[str]) -> None:
    """These sites had been silent, and are as they were."""
    if not site_ids:
        return
    back = update(Node).where(Node.site_id.in_(site_ids), Node.gone.is_(False)).values(ready_since=now)
    await tx.execute(back.execution_options(synchronize_session=False))
    emit(tx, CAPACITY_SIGNAL)
    emit(tx, "ui:miners")


async def note_alive(tx: Tx, now: datetime, site: Site) -> None:
    """It was heard, and nothing of what it says of its nodes counts."""
    await _note(tx, site, {"last_seen_at": now, "report_digest": not_heard()})


async def apply(tx: Tx, now: datetime, site: Site, report: SiteReport | Incoming) -> bool:
    """Take in what is said of the nodes; return whether anything but the sign of life was new.

    Nodes that are described as before are not looked at again.
    """
    incoming = Incoming(report) if isinstance(report, SiteReport) else report
    report = incoming.report
    seen: dict[str, Any] = {
        "last_seen_at": now,
        "clock_offset_ms": _offset(now, report),
        "agent_version": clean(report.agent_version, 50),
        **agents_heard(site, clean(report.agent_id, 64), now),
    }
    if site.local and (networks := engine_networks(report.networks)) != site.engine_networks:
        seen["engine_networks"] = networks
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
        await _welcome(tx, now, [site.id])
    await _note(tx, site, {**seen, "report_digest": nodes + rest})
    await _measure(tx, now, {site.id: report})
    return changed or not heard


def _offset(now: datetime, report: SiteReport) -> int:
    return max(-_MOST_OFFSET_MS, min(to_ms(report.sent_at) - to_ms(now), _MOST_OFFSET_MS))


async def _note(tx: Tx, site: Site, values: dict[str, Any]) -> None:
    await tx.execute(
        update(Site).where(Site.id == site.id).values(**values).execution_options(synchronize_session=False)
    )
    for name, value in values.items():
        set_committed_value(site, name, value)


async def _measure(tx: Tx, now: datetime, said: dict[str, SiteReport]) -> None:
    """Keep what the chips measure; pages look for it by themselves, so nobody is told."""
    found = {site_id: measured for site_id, report in said.items() if (measured := measurements(report.nodes))}
    known = await _chips_of(tx, {site_id: set(measured) for site_id, measured in found.items()})
    rows = [
        {
            "site_id": site_id,
            "chips": {uid: values for uid, values in measured.items() if uid in known[site_id]},
            "measured_at": now,
        }
        for site_id, measured in found.items()
    ]
    await put_rows(tx, Telemetry, rows)


_MOST_SITES = 10_000
_chips: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
"""What was found last, by site: the uids that it measures, and those of them that are its chips."""


async def _chips_of(tx: Tx, measured: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """The chips that each site has, of those that it measures. They are looked for when it measures others than before,
    or not all of them were its own."""
    wanted = {site_id: frozenset(uids) for site_id, uids in measured.items()}
    asked = {site_id: uids for site_id, uids in wanted.items() if _chips.get(site_id) != (uids, uids)}
    if asked:
        own: dict[str, set[str]] = defaultdict(set)
        query = select(Node.site_id, Chip.uid).join(Node, Node.id == Chip.node_id).where(Node.site_id.in_(asked))
        for site_id, uid in await tx.execute(query):
            own[site_id].add(uid)
        while len(_chips) + len(asked) > _MOST_SITES and _chips:
            del _chips[next(iter(_chips))]
        for site_id, uids in asked.items():
            _chips[site_id] = (uids, uids & own[site_id])
    return {site_id: _chips[site_id][1] for site_id in measured}
