"""Makes the tables say what a site reported of its nodes."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select

from utcloud.common.ids import new_id
from utcloud.common.texts import clean
from utcloud.db import Tx
from utcloud.resources.models import Chip, ChipClaim, Node, NodeResource, Site
from utcloud.resources.reports.incoming import Incoming
from utcloud.resources.reports.sense import Seen, sensible
from utcloud.resources.service.pools import default_pool

_BATCH = 500
MOST_NODES = 2000
"""So many nodes a site has at most, those counted that are gone."""
MOST_CHIPS = 1024
"""Of so many chips of a node those that are there no more are remembered."""
_MOST_FLAGS = 50


async def store(tx: Tx, now: datetime, site: Site, incoming: Incoming, *, back: bool) -> bool:
    """Make the tables say what is reported; False when a chip was not taken over and should be tried again.

    Nodes that their miner removed are passed over. ``back``: the site had not been heard for a while.
    """
    seen = sensible(incoming.report.nodes, incoming.flags)
    nodes = {node.name: node for node in await tx.scalars(select(Node).where(Node.site_id == site.id))}
    for name in [name for name, node in nodes.items() if node.removed_at]:
        seen.pop(name, None)
        del nodes[name]
    await _make_room(tx, site, nodes, seen)
    await _add_nodes(tx, site, nodes, seen)
    uids = [uid for one in seen.values() for uid in one.chips]
    there = await _chips(tx, site, [node.id for node in nodes.values()], uids)
    clear = _flag_foreign(nodes, seen, there, site)
    await _flag_serials(tx, site, seen)
    for name, node in nodes.items():
        if name in seen:
            _update_node(node, seen[name], now, back=back)
        elif not node.gone:
            node.gone, node.ready, node.ready_since = True, False, now
            node.reason = "its agent no longer names it"
    await _store_resources(tx, nodes, seen)
    _store_chips(tx, site, nodes, seen, there)
    await _forget_chips(tx, nodes, seen, there)
    await tx.flush()
    return clear


node_history: list[Callable[[], ColumnElement[bool]]] = []
"""Say of a ``Node`` that something refers to it, so that it cannot be forgotten. Rooms above add theirs."""


async def _make_room(tx: Tx, site: Site, nodes: dict[str, Node], seen: dict[str, Seen]) -> None:
    """Forget nodes that are not named and had no work, when there would be too many; leave out those beyond that."""
    new = [name for name in seen if name not in nodes]
    removed = await tx.scalar(select(func.count()).where(Node.site_id == site.id, Node.removed_at.is_not(None)))
    count = len(nodes) + (removed or 0)
    if count + len(new) <= MOST_NODES:
        return
    forgotten = delete(Node).where(
        Node.site_id == site.id,
        Node.removed_at.is_(None),
        Node.name.not_in(list(seen)),
        *(~refers() for refers in node_history),
    )
    for name in await tx.scalars(forgotten.returning(Node.name).execution_options(synchronize_session=False)):
        tx.expunge(nodes.pop(name))
        count -= 1
    beyond = new[max(MOST_NODES - count, 0) :]
    for name in beyond:
        del seen[name]
    if beyond and seen:
        first = next(iter(seen.values()))
        first.flags.append(f"{len(beyond)} nodes were left out: a site has {MOST_NODES} at most, with those of old")


async def _add_nodes(tx: Tx, site: Site, nodes: dict[str, Node], seen: dict[str, Seen]) -> None:
    new = [name for name in seen if name not in nodes]
    if not new:
        return
    pool = await default_pool(tx, site.miner_id)
    for name in new:
        nodes[name] = Node(id=new_id("nd"), site_id=site.id, pool_id=pool.id, name=name, gone=True)
    tx.add_all(nodes[name] for name in new)
    await tx.flush()


def _update_node(node: Node, seen: Seen, now: datetime, *, back: bool) -> None:
    report = seen.report
    if node.gone or node.ready != report.ready or back or node.ready_since is None:
        node.ready_since = now
    node.gone = False
    node.ready = report.ready
    node.reason = clean(report.reason, 500)
    node.flags = [clean(flag, 300) for flag in dict.fromkeys(seen.flags)][:_MOST_FLAGS]
    node.advice = [clean(advice, 300) for advice in dict.fromkeys(report.warnings)]
    node.hostname = clean(report.hostname, 253)
    node.ip = clean(report.ip, 64)
    node.os = clean(report.os, 200)
    node.kernel = clean(report.kernel, 200)
    node.architecture = clean(report.architecture, 50)
    node.engine = clean(report.engine, 200)
    node.labels = seen.labels


@dataclass(slots=True)
class _Standing:
    """A chip that the tables know, and where it stands."""

    chip: Chip
    site_id: str
    node: str
    node_gone: bool
    claimed: bool


async def _chips(tx: Tx, site: Site, node_ids: list[str], uids: list[str]) -> dict[str, _Standing]:
    """The chips of these nodes and those of the site's miner with these uids, by uid."""
    query = (
        select(Chip, Node.site_id, Node.name, Node.gone, ChipClaim.attempt_id)
        .join(Node, Node.id == Chip.node_id)
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.miner_id == site.miner_id)
    )
    found: dict[str, _Standing] = {}
    for column, values in ((Chip.node_id, node_ids), (Chip.uid, uids)):
        for batch in _batches(values):
            for chip, site_id, node, gone, attempt_id in await tx.execute(query.where(column.in_(batch))):
                found[chip.uid] = _Standing(chip, site_id, node, gone, attempt_id is not None)
    return found


def _flag_foreign(nodes: dict[str, Node], seen: dict[str, Seen], there: dict[str, _Standing], site: Site) -> bool:
    """Take chips out of the report that stand on another node; True when there was none."""
    clear = True
    for name, one in seen.items():
        for uid in list(one.chips):
            standing = there.get(uid)
            if standing is None or standing.chip.node_id == nodes[name].id:
                continue
            elsewhere = standing.site_id != site.id and standing.chip.present and not standing.node_gone
            if elsewhere or standing.claimed:
                one.flags.append(f"chip {uid} left out: it {_why_not_here(standing)}")
                resource = clean(one.chips.pop(uid).resource, 253)
                one.resources[resource] = (0, False)
                clear = False
    return clear


def _why_not_here(standing: _Standing) -> str:
    """In words, with the cure."""
    if standing.claimed:
        return f"is still in use on node {standing.node}"
    return f"stands on node {standing.node} of another site already; if it was moved here, remove that node"


async def _flag_serials(tx: Tx, site: Site, seen: dict[str, Seen]) -> None:
    """Flag serial numbers that chips on the miner's other sites have too; what other miners say is no news here."""
    holders: dict[str, list[Seen]] = defaultdict(list)
    for one in seen.values():
        for serial in {clean(chip.serial, 100) for chip in one.chips.values() if not chip.simulated} - {""}:
            holders[serial].append(one)
    query = (
        select(Chip.serial, Node.name)
        .join(Node, Node.id == Chip.node_id)
        .join(Site, Site.id == Node.site_id)
        .where(Site.miner_id == site.miner_id, Site.id != site.id, Node.gone.is_(False), Chip.present.is_(True))
        .distinct()
        .order_by(Node.name)
    )
    for batch in _batches(list(holders)):
        for serial, name in await tx.execute(query.where(Chip.serial.in_(batch))):
            for one in holders[serial]:
                one.flags.append(f"serial number {serial} is reported of {name} too")


async def _store_resources(tx: Tx, nodes: dict[str, Node], seen: dict[str, Seen]) -> None:
    """Replace what differs. Of chips, a node has as many as were accepted, whatever it says in sum."""
    wanted: dict[tuple[str, str], tuple[int, bool]] = {}
    for name, one in seen.items():
        counts: dict[str, tuple[int, bool]] = {}
        for chip in one.chips.values():
            resource = clean(chip.resource, 253)
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


def _store_chips(
    tx: Tx, site: Site, nodes: dict[str, Node], seen: dict[str, Seen], there: dict[str, _Standing]
) -> None:
    own = {node.id for node in nodes.values()}
    named: set[str] = set()
    for name, one in seen.items():
        for uid, report in one.chips.items():
            named.add(uid)
            if uid in there:
                chip = there[uid].chip
            else:
                chip = Chip(id=new_id("chip"), miner_id=site.miner_id, uid=uid)
                tx.add(chip)
            chip.node_id = nodes[name].id
            chip.resource = clean(report.resource, 253)
            chip.index = report.index
            chip.model = clean(report.model, 100)
            chip.card = clean(report.card, 100)
            chip.serial = clean(report.serial, 100)
            chip.bus_id = clean(report.bus_id, 100)
            chip.memory_bytes = report.memory_bytes
            chip.device_paths = [clean(path, 255) for path in report.device_paths[:64]]
            chip.healthy = report.healthy
            chip.simulated = report.simulated
            chip.present = True
    for uid, standing in there.items():
        if uid not in named and standing.chip.node_id in own:
            standing.chip.present = False


async def _forget_chips(tx: Tx, nodes: dict[str, Node], seen: dict[str, Seen], there: dict[str, _Standing]) -> None:
    """Of a node that has had more chips than one can have, forget those that are gone and that nobody holds."""
    gone: dict[str, list[_Standing]] = defaultdict(list)
    for standing in there.values():
        if not standing.chip.present and not standing.claimed:
            gone[standing.chip.node_id].append(standing)
    for name, node in nodes.items():
        present = len(seen[name].chips) if name in seen else 0
        if present + len(gone[node.id]) > MOST_CHIPS:
            for standing in gone[node.id]:
                await tx.delete(standing.chip)


def _batches(values: list[str]) -> Iterable[list[str]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
