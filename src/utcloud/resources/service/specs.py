"""Specifications: named bundles of resources with a price."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.money import format_unc
from utcloud.common.quantity import format_quantity, parse_quantity
from utcloud.db import Tx, emit, paginate
from utcloud.resources import capacity
from utcloud.resources.capacity import CAPACITY_SIGNAL, Names, NodeState
from utcloud.resources.models import CustomResource, Pool, PoolSpec, Spec, SpecItem
from utcloud.resources.schemas import PoolRef, Purpose, SpecCreate, SpecFit, SpecItemIn, SpecOut, SpecUpdate
from utcloud.resources.service.common import (
    changed,
    check_ids,
    flush_name,
    in_use,
    is_simulated,
    name_taken,
    nodes_of,
    on_price_change,
    quantities,
    refuse_in_use,
    some,
    spec_in_use_checks,
    visible,
)
from utcloud.resources.service.names import BASIC
from utcloud.resources.service.pools import default_pool


async def list_specs(
    tx: Tx, now: datetime, actor: Actor, *, limit: int, cursor: str | None = None, search: str | None = None
) -> tuple[list[SpecOut], str | None]:
    """One page of specifications, newest first."""
    query = select(Spec).where(visible(actor, Spec.miner_id))
    if search:
        query = query.where(Spec.name.icontains(search, autoescape=True))
    specs, after = await paginate(tx, query, Spec.id, limit=limit, cursor=cursor)
    return await _specs_out(tx, now, specs), after


async def get_spec(tx: Tx, now: datetime, actor: Actor, spec_id: str) -> SpecOut:
    return (await _specs_out(tx, now, [await _get(tx, actor, spec_id)]))[0]


async def create_spec(tx: Tx, now: datetime, actor: Actor, body: SpecCreate) -> SpecOut:
    """Make a specification and offer it, for notebooks and for training, in the default pool or in ``pool_ids``."""
    actor.require_miner()
    nodes = await capacity.load(tx, now, nodes_of(actor.id))
    names = await capacity.names_of(tx, [actor.id])
    customs = set(await tx.scalars(select(CustomResource.name).where(CustomResource.miner_id == actor.id)))
    items = _parse_items(body.items, names, actor.id, nodes, customs)
    if nodes:
        _refuse_what_never_fits(nodes, names, items)
    if await tx.scalar(select(Spec.id).where(Spec.miner_id == actor.id, Spec.name == body.name)):
        raise name_taken("specification", body.name)
    spec = Spec(id=new_id("spec"), miner_id=actor.id, name=body.name, description=body.description, price=body.price)
    tx.add(spec)
    await flush_name(tx, "specification", body.name)
    tx.add_all(SpecItem(spec_id=spec.id, resource=name, quantity=quantity) for name, quantity in items.items())
    pool_ids = await _pools_for(tx, actor, body.pool_ids)
    tx.add_all(
        PoolSpec(pool_id=pool_id, spec_id=spec.id, purpose=purpose) for pool_id in pool_ids for purpose in Purpose
    )
    await tx.flush()
    detail = {"price": format_unc(spec.price), "items": items, "pool_ids": pool_ids}
    audit.record(tx, actor, "spec.create", "spec", spec.id, spec.name, detail)
    changed(tx)
    return (await _specs_out(tx, now, [spec]))[0]


async def update_spec(tx: Tx, now: datetime, actor: Actor, spec_id: str, body: SpecUpdate) -> SpecOut:
    """Change price or description. A new price holds for attempts that start from now on."""
    spec = await _get(tx, actor, spec_id)
    detail: dict[str, str] = {}
    if body.price is not None and body.price != spec.price:
        detail |= {"price_before": format_unc(spec.price), "price": format_unc(body.price)}
        old_price, spec.price = spec.price, body.price
        for hook in on_price_change:
            await hook(tx, actor, spec, old_price)
    if body.description is not None:
        detail["description"] = body.description
        spec.description = body.description
    await tx.flush()
    audit.record(tx, actor, "spec.update", "spec", spec.id, spec.name, detail)
    changed(tx)
    return (await _specs_out(tx, now, [spec]))[0]


async def delete_spec(tx: Tx, actor: Actor, spec_id: str) -> None:
    """Refused while a pool offers it or work refers to it."""
    spec = await _get(tx, actor, spec_id)
    what = f"Specification {spec.name!r}"
    offered = select(Pool.name).join(PoolSpec, PoolSpec.pool_id == Pool.id).where(PoolSpec.spec_id == spec.id)
    pools = sorted(set(await tx.scalars(offered)))
    if pools:
        by = f"{len(pools)} pool{'s' if len(pools) > 1 else ''} ({some(pools)})"
        raise in_use(what, by, "Take it out of these pools first.")
    await refuse_in_use(tx, spec.id, what, spec_in_use_checks)
    audit.record(tx, actor, "spec.delete", "spec", spec.id, spec.name)
    await tx.delete(spec)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise in_use(what, "notebooks or tasks", "Delete these first.") from error
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)


async def _get(tx: Tx, actor: Actor, spec_id: str) -> Spec:
    spec = await tx.scalar(select(Spec).where(Spec.id == spec_id, visible(actor, Spec.miner_id)))
    if spec is None:
        raise NotFound.of("specification", spec_id)
    return spec


def _parse_items(
    given: list[SpecItemIn], names: Names, miner_id: str, nodes: Sequence[NodeState], customs: set[str]
) -> dict[str, int]:
    known = customs | {name for node in nodes for name in node.capacity} | set(BASIC)
    items: dict[str, int] = {}
    for number, item in enumerate(given):
        if item.resource not in known:
            raise Invalid(
                f"There is no resource {item.resource[:80]!r}.",
                field=f"items.{number}.resource",
                cure=f"Choose one of: {', '.join(sorted(known))}.",
            )
        if item.resource in items:
            raise Invalid(
                f"{item.resource} is named twice.",
                field=f"items.{number}.resource",
                cure="Name each resource once, with the whole quantity.",
            )
        try:
            items[item.resource] = parse_quantity(names.system(miner_id, item.resource), item.quantity)
        except ValueError as error:
            text = str(error)
            raise Invalid(
                f"{item.quantity!r} is not a quantity of {item.resource}.",
                field=f"items.{number}.quantity",
                cure=f"{text[0].upper()}{text[1:]}.",
            ) from error
    return items


def _refuse_what_never_fits(nodes: Sequence[NodeState], names: Names, items: dict[str, int]) -> None:
    shortage = capacity.never_fits(nodes, names, items, 1, "your nodes")
    if shortage is None:
        return
    largest = max(nodes, key=lambda node: (node.chips_total, node.capacity.get("cpu", 0), node.name))
    has = ", ".join(
        f"{format_quantity(name, amount) if amount else 0} {'CPU' if name == 'cpu' else name}"
        for name, amount in largest.capacity.items()
    )
    raise Conflict(
        f"None of your nodes can ever hold it: it {shortage.detail}.",
        code="never_fits",
        field="items",
        cure=f"Ask for less: the largest node, {largest.name}, has {has}.",
    )


async def _pools_for(tx: Tx, actor: Actor, pool_ids: list[str] | None) -> list[str]:
    if pool_ids is None:
        return [(await default_pool(tx, actor.id)).id]
    return check_ids("pool_ids", "pool", pool_ids, await tx.scalars(select(Pool.id).where(Pool.miner_id == actor.id)))


async def _specs_out(tx: Tx, now: datetime, specs: Sequence[Spec]) -> list[SpecOut]:
    miners = {spec.miner_id for spec in specs}
    spec_ids = [spec.id for spec in specs]
    nodes = await capacity.load(tx, now, nodes_of(*miners))
    names = await capacity.names_of(tx, miners)
    items = await capacity.items_of(tx, spec_ids)
    pools: dict[str, dict[str, str]] = defaultdict(dict)
    for spec_id, pool_id, pool in await tx.execute(
        select(PoolSpec.spec_id, Pool.id, Pool.name)
        .join(Pool, Pool.id == PoolSpec.pool_id)
        .where(PoolSpec.spec_id.in_(spec_ids))
        .order_by(Pool.name)
    ):
        pools[spec_id][pool_id] = pool
    return [
        SpecOut(
            id=spec.id,
            name=spec.name,
            description=spec.description,
            price=spec.price,
            items=quantities(names, spec.miner_id, items[spec.id]),
            fit=_fit([node for node in nodes if node.miner_id == spec.miner_id], names, items[spec.id]),
            pools=[PoolRef(id=pool_id, name=name) for pool_id, name in pools[spec.id].items()],
            simulated=is_simulated(names, nodes, spec.miner_id, items[spec.id]),
            miner_id=spec.miner_id,
            created_at=spec.created_at,
        )
        for spec in specs
    ]


def _fit(nodes: Sequence[NodeState], names: Names, items: dict[str, int]) -> SpecFit:
    needs = [(node, names.on(node, items)) for node in nodes]
    at_best = sum(node.at_best(need) > 0 for node, need in needs)
    now = sum(node.ready and node.room_for(need) > 0 for node, need in needs)
    return SpecFit(now=now, at_best=at_best, never=len(nodes) - at_best)
