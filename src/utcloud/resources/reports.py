"""What an agent says of its nodes goes into the tables. Nothing that it says can harm another site.

What makes no sense (duplicates, impossible numbers, a chip that already stands elsewhere) is left out and named in the
node's reason; the rest of the report holds.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm.attributes import set_committed_value

from utcloud.common.clock import to_ms
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit
from utcloud.protocol import ChipReport, NodeReport, SiteReport
from utcloud.resources.capacity import CAPACITY_SIGNAL, is_heard
from utcloud.resources.models import Chip, ChipClaim, Node, NodeResource, Site
from utcloud.resources.service.pools import default_pool

_MOST = 2**53
_MOST_INDEX = 1_000_000
_MOST_OFFSET_MS = 10**13
_BATCH = 500
_NODES = TypeAdapter(list[NodeReport])


async def apply(tx: Tx, now: datetime, site: Site, report: SiteReport) -> bool:
    """Take in ``report``; return whether anything but the sign of life was new.

    An unchanged report of a site that was heard of late writes one row.
    """
    offset = to_ms(report.sent_at) - to_ms(now)
    seen = {
        "last_seen_at": now,
        "clock_offset_ms": max(-_MOST_OFFSET_MS, min(offset, _MOST_OFFSET_MS)),
        "agent_version": _clean(report.agent_version, 50),
    }
    digest = hashlib.sha256(_NODES.dump_json(report.nodes)).hexdigest()
    heard = is_heard(site.last_seen_at, now)
    if heard and digest == site.report_digest:
        await _note(tx, site, seen)
        return False
    await tx.refresh(site, with_for_update={"key_share": True})
    clear = await _store(tx, now, site, report.nodes, back=not heard)
    await _note(tx, site, {**seen, "report_digest": digest if clear else ""})
    emit(tx, CAPACITY_SIGNAL)
    emit(tx, "ui:miners")
    return True


async def _note(tx: Tx, site: Site, values: dict[str, Any]) -> None:
    await tx.execute(
        update(Site).where(Site.id == site.id).values(**values).execution_options(synchronize_session=False)
    )
    for name, value in values.items():
        set_committed_value(site, name, value)


@dataclass(slots=True)
class _Seen:
    """A node as it was reported, without what makes no sense."""

    report: NodeReport
    resources: dict[str, tuple[int, bool]] = field(default_factory=dict)
    chips: dict[str, ChipReport] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


async def _store(tx: Tx, now: datetime, site: Site, reports: list[NodeReport], *, back: bool) -> bool:
    """Make the tables say what ``reports`` say; False when a chip was not taken over and should be tried again."""
    seen = _sensible(reports)
    nodes = {node.name: node for node in await tx.scalars(select(Node).where(Node.site_id == site.id))}
    await _add_nodes(tx, site, nodes, seen)
    there = await _chips(tx, [node.id for node in nodes.values()], [uid for one in seen.values() for uid in one.chips])
    clear = _flag_foreign(nodes, seen, there, site)
    for name, node in nodes.items():
        if name in seen:
            _update_node(node, seen[name], now, back=back)
        elif not node.gone:
            node.gone, node.ready, node.ready_since = True, False, now
            node.reason = "its agent no longer names it"
    await _store_resources(tx, nodes, seen)
    _store_chips(tx, nodes, seen, there)
    await tx.flush()
    return clear


def _sensible(reports: list[NodeReport]) -> dict[str, _Seen]:
    """Nodes by name, with each duplicate and each impossible number taken out and flagged."""
    seen: dict[str, _Seen] = {}
    uids: set[str] = set()
    for report in reports:
        name = _clean(report.name, 253)
        if name in seen:
            seen[name].flags.append("was reported twice; the first report holds")
            continue
        node = seen[name] = _Seen(report)
        for resource in report.resources:
            title = _clean(resource.name, 253)
            if title in node.resources:
                node.flags.append(f"resource {title} was reported twice; the first holds")
            elif resource.capacity > _MOST:
                node.flags.append(f"resource {title} left out: {resource.capacity} is more than any machine has")
            else:
                node.resources[title] = (resource.capacity, resource.simulated)
        for chip in report.chips:
            uid = _clean(chip.uid, 253)
            if uid in uids:
                node.flags.append(f"chip {uid} was reported twice; the first holds")
            elif chip.index > _MOST_INDEX or (chip.memory_bytes or 0) > _MOST:
                node.flags.append(f"chip {uid} left out: its index or memory is impossible")
            else:
                uids.add(uid)
                node.chips[uid] = chip
    return seen


async def _add_nodes(tx: Tx, site: Site, nodes: dict[str, Node], seen: dict[str, _Seen]) -> None:
    new = [name for name in seen if name not in nodes]
    if not new:
        return
    pool = await default_pool(tx, site.miner_id)
    for name in new:
        nodes[name] = Node(id=new_id("nd"), site_id=site.id, pool_id=pool.id, name=name, gone=True)
    tx.add_all(nodes[name] for name in new)
    await tx.flush()


def _update_node(node: Node, seen: _Seen, now: datetime, *, back: bool) -> None:
    report = seen.report
    if node.gone or node.ready != report.ready or back or node.ready_since is None:
        node.ready_since = now
    node.gone = False
    node.ready = report.ready
    node.reason = _clean("; ".join([*filter(None, [report.reason]), *dict.fromkeys(seen.flags)]), 2000)
    node.ip = _clean(report.ip, 64)
    node.os = _clean(report.os, 200)
    node.kernel = _clean(report.kernel, 200)
    node.architecture = _clean(report.architecture, 50)
    node.engine = _clean(report.engine, 200)
    node.labels = {_clean(key, 253): _clean(value, 1000) for key, value in report.labels.items()}


@dataclass(slots=True)
class _Standing:
    """A chip that the tables know, and where it stands."""

    chip: Chip
    site_id: str
    node_gone: bool
    claimed: bool


async def _chips(tx: Tx, node_ids: list[str], uids: list[str]) -> dict[str, _Standing]:
    """The chips of these nodes and those with these uids, by uid."""
    query = (
        select(Chip, Node.site_id, Node.gone, ChipClaim.attempt_id)
        .join(Node, Node.id == Chip.node_id)
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
    )
    found: dict[str, _Standing] = {}
    for column, values in ((Chip.node_id, node_ids), (Chip.uid, uids)):
        for batch in _batches(values):
            for chip, site_id, gone, attempt_id in await tx.execute(query.where(column.in_(batch))):
                found[chip.uid] = _Standing(chip, site_id, gone, attempt_id is not None)
    return found


def _flag_foreign(nodes: dict[str, Node], seen: dict[str, _Seen], there: dict[str, _Standing], site: Site) -> bool:
    """Take chips out of the report that stand on another node; True when there was none."""
    clear = True
    for name, one in seen.items():
        for uid in list(one.chips):
            standing = there.get(uid)
            if standing is None or standing.chip.node_id == nodes[name].id:
                continue
            elsewhere = standing.site_id != site.id and standing.chip.present and not standing.node_gone
            if elsewhere or standing.claimed:
                why = "stands on another node already" if elsewhere else "is still in use on another node"
                one.flags.append(f"chip {uid} left out: it {why}")
                resource = _clean(one.chips.pop(uid).resource, 253)
                one.resources[resource] = (0, False)
                clear = False
    return clear


async def _store_resources(tx: Tx, nodes: dict[str, Node], seen: dict[str, _Seen]) -> None:
    """Replace what differs. Of chips, a node has as many as were accepted, whatever it says in sum."""
    wanted: dict[tuple[str, str], tuple[int, bool]] = {}
    for name, one in seen.items():
        counts: dict[str, tuple[int, bool]] = {}
        for chip in one.chips.values():
            resource = _clean(chip.resource, 253)
            count, simulated = counts.get(resource, (0, False))
            counts[resource] = (count + 1, simulated or chip.simulated)
        for resource, value in {**one.resources, **counts}.items():
            wanted[nodes[name].id, resource] = value
    stored: dict[tuple[str, str], tuple[int, bool]] = {}
    for batch in _batches([node.id for node in nodes.values()]):
        for row in await tx.execute(
            select(NodeResource.node_id, NodeResource.name, NodeResource.capacity, NodeResource.simulated).where(
                NodeResource.node_id.in_(batch)
            )
        ):
            stored[row.node_id, row.name] = (row.capacity, row.simulated)
    for (node_id, name), value in stored.items():
        if wanted.get((node_id, name)) != value:
            await tx.execute(
                delete(NodeResource).where(NodeResource.node_id == node_id, NodeResource.name == name),
                execution_options={"synchronize_session": False},
            )
    rows = [
        {"node_id": node_id, "name": name, "capacity": capacity, "simulated": simulated}
        for (node_id, name), (capacity, simulated) in wanted.items()
        if stored.get((node_id, name)) != (capacity, simulated)
    ]
    if rows:
        await tx.execute(insert(NodeResource), rows)


def _store_chips(tx: Tx, nodes: dict[str, Node], seen: dict[str, _Seen], there: dict[str, _Standing]) -> None:
    own = {node.id for node in nodes.values()}
    named: set[str] = set()
    for name, one in seen.items():
        for uid, report in one.chips.items():
            named.add(uid)
            if uid in there:
                chip = there[uid].chip
            else:
                chip = Chip(id=new_id("chip"), uid=uid)
                tx.add(chip)
            chip.node_id = nodes[name].id
            chip.resource = _clean(report.resource, 253)
            chip.index = report.index
            chip.model = _clean(report.model, 100)
            chip.card = _clean(report.card, 100)
            chip.serial = _clean(report.serial, 100)
            chip.bus_id = _clean(report.bus_id, 100)
            chip.memory_bytes = report.memory_bytes
            chip.device_paths = [_clean(path, 255) for path in report.device_paths[:64]]
            chip.healthy = report.healthy
            chip.simulated = report.simulated
            chip.present = True
    for uid, standing in there.items():
        if uid not in named and standing.chip.node_id in own:
            standing.chip.present = False


def _clean(text: str, length: int) -> str:
    """Text that every database can hold."""
    return text.replace("\0", "")[:length]


def _batches(values: list[str]) -> Iterable[list[str]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
