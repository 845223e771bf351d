"""System resources, as nodes report them, and custom resources: a miner's own names for them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, or_, select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.service import usernames
from utcloud.common.errors import Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.paging import decode_cursor, encode_cursor
from utcloud.common.quantity import BASIC, SHARED_MEMORY
from utcloud.db import Tx, emit, paginate
from utcloud.resources import capacity
from utcloud.resources.capacity import CAPACITY_SIGNAL, NodeState
from utcloud.resources.models import CustomResource, Node, NodeResource, Spec, SpecItem, UnitPrice
from utcloud.resources.schemas import (
    CustomResourceCreate,
    CustomResourceOut,
    CustomResourceSort,
    CustomResourceUpdate,
    NodeRef,
    SystemResourceOut,
    SystemResourceSort,
)
from utcloud.resources.service.common import (
    changed,
    check_ids,
    flush_name,
    in_use,
    name_taken,
    nodes_of,
    some,
    usage,
    usages,
    visible,
    visible_nodes,
)


async def list_system_resources(
    tx: Tx,
    now: datetime,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    sort: SystemResourceSort = SystemResourceSort.NAME,
) -> tuple[list[SystemResourceOut], str | None]:
    """One page of the system resources on the actor's nodes, by name."""
    nodes = await capacity.load(tx, now, visible_nodes(actor))
    back = sort is SystemResourceSort.NAME_DESC
    uses = sorted(usages(nodes), key=lambda use: use.resource, reverse=back)
    uses = [use for use in uses if (search or "").lower() in use.resource.lower()]
    if cursor is not None:
        after = str(decode_cursor(cursor, 1)[0])
        uses = [use for use in uses if (use.resource < after if back else use.resource > after)]
    more, uses = len(uses) > limit, uses[:limit]
    customs: dict[str, set[str]] = defaultdict(set)
    for custom in await tx.scalars(select(CustomResource).where(visible(actor, CustomResource.miner_id))):
        customs[custom.system_resource].add(custom.name)
    items = [
        SystemResourceOut(
            name=use.resource,
            unit=use.unit,
            nodes=[NodeRef(id=node.id, name=node.name) for node in nodes if use.resource in node.capacity],
            usage=use,
            simulated=use.simulated,
            custom_names=sorted(customs[use.resource]),
        )
        for use in uses
    ]
    return items, encode_cursor(items[-1].name) if more else None


async def simulated_names(tx: Tx) -> set[str]:
    """All names, system and custom, behind which there is something simulated."""
    system = set(await tx.scalars(select(NodeResource.name).where(NodeResource.simulated.is_(True)).distinct()))
    custom = select(CustomResource.name).where(CustomResource.system_resource.in_(system))
    return system | (set(await tx.scalars(custom)) if system else set())


@dataclass(frozen=True, slots=True)
class CustomResourceFilter:
    """Which custom resources are wanted."""

    search: str | None = None
    system_resource: str | None = None
    miner_id: str | None = None
    sort: CustomResourceSort = CustomResourceSort.NAME


async def list_custom_resources(
    tx: Tx, now: datetime, actor: Actor, wanted: CustomResourceFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[CustomResourceOut], str | None]:
    """One page of custom resources."""
    query = select(CustomResource).where(visible(actor, CustomResource.miner_id))
    if wanted.search:
        columns = (CustomResource.name, CustomResource.system_resource, CustomResource.description)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if wanted.system_resource:
        query = query.where(CustomResource.system_resource == wanted.system_resource)
    if wanted.miner_id:
        query = query.where(CustomResource.miner_id == wanted.miner_id)
    by = {"name": CustomResource.name}
    customs, after = await paginate(
        tx, query, CustomResource.id, limit=limit, cursor=cursor, sort=wanted.sort, columns=by
    )
    return await _customs_out(tx, now, customs), after


async def get_custom_resource(tx: Tx, now: datetime, actor: Actor, ident: str) -> CustomResourceOut:
    return (await _customs_out(tx, now, [await _get(tx, actor, ident)]))[0]


async def create_custom_resource(tx: Tx, now: datetime, actor: Actor, body: CustomResourceCreate) -> CustomResourceOut:
    """Give a system resource a name of the miner's own, on all nodes that have it or on chosen ones."""
    actor.require_miner()
    nodes = await capacity.load(tx, now, nodes_of(actor.id))
    there = {name for node in nodes for name in node.capacity}
    if body.name.lower() in (*BASIC, SHARED_MEMORY) or body.name in there:
        raise name_taken("system resource", body.name)
    rows = await tx.execute(
        select(CustomResource.name, CustomResource.system_resource).where(CustomResource.miner_id == actor.id)
    )
    mine = {row.name: row.system_resource for row in rows}
    if body.name in mine:
        raise name_taken("custom resource", body.name)
    _refuse_unknown(body, there, mine)
    node_ids = _choose_nodes(body.node_ids, nodes, body.system_resource)
    custom = CustomResource(
        id=new_id("cr"),
        miner_id=actor.id,
        name=body.name,
        system_resource=body.system_resource,
        node_ids=node_ids,
        description=body.description,
    )
    tx.add(custom)
    await flush_name(tx, "custom resource", body.name)
    detail = {"system_resource": custom.system_resource, "node_ids": node_ids}
    audit.record(tx, actor, "custom_resource.create", "custom_resource", custom.id, custom.name, detail)
    changed(tx)
    return (await _customs_out(tx, now, [custom]))[0]


def _refuse_unknown(body: CustomResourceCreate, there: set[str], mine: dict[str, str]) -> None:
    """A custom resource names what nodes have: never itself, never another name."""
    system = body.system_resource
    if system in there:
        return
    if system == body.name:
        raise Invalid(
            f"{system!r} would name itself.",
            field="system_resource",
            cure=f"Choose one of: {some(sorted(there), 20)}." if there else "Join a server first.",
        )
    if system in mine:
        raise Invalid(
            f"{system!r} is a custom resource, a name of your own for {mine[system]}.",
            field="system_resource",
            cure=f"Name what it stands for: {mine[system]}.",
        )
    raise Invalid(
        f"None of your nodes has a system resource {system[:80]!r}.",
        field="system_resource",
        cure=f"Choose one of: {some(sorted(there), 20)}." if there else "Join a server first.",
    )


async def update_custom_resource(
    tx: Tx, now: datetime, actor: Actor, ident: str, body: CustomResourceUpdate
) -> CustomResourceOut:
    """Change on which nodes the name holds. What runs keeps what it has."""
    custom = await _get(tx, actor, ident)
    if body.node_ids is not None:
        nodes = await capacity.load(tx, now, nodes_of(custom.miner_id))
        custom.node_ids = _choose_nodes(body.node_ids, nodes, custom.system_resource, kept=custom.node_ids)
        emit(tx, CAPACITY_SIGNAL)
    if body.description is not None:
        custom.description = body.description
    await tx.flush()
    detail = body.model_dump(exclude_none=True)
    audit.record(tx, actor, "custom_resource.update", "custom_resource", custom.id, custom.name, detail)
    changed(tx)
    return (await _customs_out(tx, now, [custom]))[0]


async def delete_custom_resource(tx: Tx, actor: Actor, ident: str) -> None:
    """Refused while a specification uses the name."""
    custom = await _get(tx, actor, ident)
    used = (await _used_by(tx, [custom])).get((custom.miner_id, custom.name), [])
    if used:
        by = f"{len(used)} specification{'s' if len(used) > 1 else ''} ({some(used)})"
        raise in_use(f"Custom resource {custom.name!r}", by, "Delete these specifications first.")
    audit.record(tx, actor, "custom_resource.delete", "custom_resource", custom.id, custom.name)
    await tx.execute(delete(UnitPrice).where(UnitPrice.miner_id == custom.miner_id, UnitPrice.resource == custom.name))
    await tx.delete(custom)
    await tx.flush()
    changed(tx)


async def _get(tx: Tx, actor: Actor, ident: str) -> CustomResource:
    custom = await tx.scalar(
        select(CustomResource).where(CustomResource.id == ident, visible(actor, CustomResource.miner_id))
    )
    if custom is None:
        raise NotFound.of("custom resource", ident)
    return custom


def _choose_nodes(given: list[str], nodes: Sequence[NodeState], system: str, kept: Sequence[str] = ()) -> list[str]:
    """Those that are ``kept`` may stay though they are gone: they may come back."""
    by_id = {node.id: node for node in nodes}
    chosen = check_ids("node_ids", "node", given, [*by_id, *kept])
    for number, ident in enumerate(chosen):
        if ident in by_id and system not in by_id[ident].capacity:
            raise Invalid(
                f"Node {by_id[ident].name} has no {system}.",
                field=f"node_ids.{number}",
                cure="Leave it out; no node at all means all nodes that have it.",
            )
    return chosen


async def _used_by(tx: Tx, customs: Sequence[CustomResource]) -> dict[tuple[str, str], list[str]]:
    """(miner, name) → names of the specifications that use it."""
    rows = await tx.execute(
        select(Spec.miner_id, SpecItem.resource, Spec.name)
        .join(Spec, Spec.id == SpecItem.spec_id)
        .where(SpecItem.resource.in_({custom.name for custom in customs}))
        .order_by(Spec.name)
    )
    used: dict[tuple[str, str], list[str]] = defaultdict(list)
    for miner_id, resource, spec in rows:
        used[miner_id, resource].append(spec)
    return used


async def _customs_out(tx: Tx, now: datetime, customs: Sequence[CustomResource]) -> list[CustomResourceOut]:
    miners = {custom.miner_id for custom in customs}
    there: dict[tuple[str, str], list[NodeState]] = defaultdict(list)
    for node in await capacity.load(tx, now, nodes_of(*miners)):
        for name in node.capacity:
            there[node.miner_id, name].append(node)
    used = await _used_by(tx, customs)
    users = await usernames(tx, miners)
    chosen_ids = {ident for custom in customs for ident in custom.node_ids}
    names = {row.id: row.name for row in await tx.execute(select(Node.id, Node.name).where(Node.id.in_(chosen_ids)))}
    found = []
    for custom in customs:
        system, chosen = custom.system_resource, set(custom.node_ids)
        nodes = [node for node in there[custom.miner_id, system] if not chosen or node.id in chosen]
        use = usage(
            custom.name,
            system,
            sum(node.capacity[system] for node in nodes),
            sum(node.allocated.get(system, 0) for node in nodes),
            sum(node.free[system] for node in nodes),
            simulated=any(system in node.simulated for node in nodes),
        )
        found.append(
            CustomResourceOut(
                id=custom.id,
                name=custom.name,
                system_resource=system,
                description=custom.description,
                nodes=sorted(
                    (NodeRef(id=ident, name=names[ident]) for ident in chosen if ident in names),
                    key=lambda node: (node.name, node.id),
                ),
                usage=use,
                simulated=use.simulated,
                used_by_specs=used.get((custom.miner_id, custom.name), []),
                miner_id=custom.miner_id,
                miner_name=users.get(custom.miner_id, ""),
                created_at=custom.created_at,
            )
        )
    return found
