"""Specifications: named bundles of resources with a price."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.service import usernames
from utcloud.common.errors import Conflict, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.money import MAX_MICRO, format_unc
from utcloud.common.quantity import BASIC, MEMORY, SHARED_MEMORY, format_quantity, parse_quantity
from utcloud.db import Tx, emit, paginate
from utcloud.resources import capacity
from utcloud.resources.capacity import CAPACITY_SIGNAL, Names, NodeState
from utcloud.resources.models import CustomResource, Pool, PoolSpec, Spec, SpecItem
from utcloud.resources.schemas import (
    PoolRef,
    Purpose,
    SpecCreate,
    SpecItemIn,
    SpecOut,
    SpecPreview,
    SpecSort,
    SpecUpdate,
)
from utcloud.resources.service import prices
from utcloud.resources.service.attention import never_fitting
from utcloud.resources.service.common import (
    basic_first,
    changed,
    check_ids,
    flush_name,
    in_use,
    name_taken,
    nodes_of,
    on_price_change,
    quantities,
    refuse_in_use,
    simulated_on,
    some,
    spec_in_use_checks,
    spec_use_counts,
    visible,
    visible_nodes,
)
from utcloud.resources.service.fit import Fits
from utcloud.resources.service.pools import default_pool


@dataclass(frozen=True, slots=True)
class SpecFilter:
    """Which specifications are wanted. ``resource``: those that name it, as it is or by a name of the miner's own.

    ``never_fits``: those that a pool offers though none of its nodes can hold them.
    """

    search: str | None = None
    pool_id: str | None = None
    resource: str | None = None
    miner_id: str | None = None
    never_fits: bool | None = None
    sort: SpecSort = SpecSort.NEWEST


def _filtered(actor: Actor, wanted: SpecFilter) -> Select[Any]:
    query = select(Spec).where(visible(actor, Spec.miner_id))
    if wanted.search:
        columns = (Spec.name, Spec.description)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if wanted.pool_id:
        query = query.where(Spec.id.in_(select(PoolSpec.spec_id).where(PoolSpec.pool_id == wanted.pool_id)))
    if wanted.resource:
        query = query.where(Spec.id.in_(select(SpecItem.spec_id).where(SpecItem.resource == wanted.resource)))
    if wanted.miner_id:
        query = query.where(Spec.miner_id == wanted.miner_id)
    return query


async def list_specs(
    tx: Tx, now: datetime, actor: Actor, wanted: SpecFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[SpecOut], str | None]:
    """One page of specifications."""
    query = _filtered(actor, wanted)
    if wanted.never_fits is not None:
        never = Spec.id.in_(await _never_fitting(tx, now, actor))
        query = query.where(never if wanted.never_fits else ~never)
    columns = {"name": Spec.name, "price": Spec.price}
    specs, after = await paginate(tx, query, Spec.id, limit=limit, cursor=cursor, sort=wanted.sort, columns=columns)
    return await _specs_out(tx, now, specs), after


async def _never_fitting(tx: Tx, now: datetime, actor: Actor) -> set[str]:
    """The ids of those that a pool offers though none of its nodes, and it has some, can hold them when it is empty."""
    inside: dict[str, list[NodeState]] = defaultdict(list)
    for node in await capacity.load(tx, now, visible_nodes(actor)):
        inside[node.pool_id].append(node)
    offers = await tx.execute(
        select(PoolSpec.pool_id, Spec.id)
        .join(Spec, Spec.id == PoolSpec.spec_id)
        .where(visible(actor, Spec.miner_id))
        .distinct()
    )
    return {offer.id for offer in await never_fitting(tx, inside, offers.all())}


async def get_spec(tx: Tx, now: datetime, actor: Actor, spec_id: str) -> SpecOut:
    return (await _specs_out(tx, now, [await _get(tx, actor, spec_id)]))[0]


async def preview_spec(tx: Tx, now: datetime, actor: Actor, given: list[SpecItemIn]) -> SpecPreview:
    """On how many of the actor's nodes a bundle fits, and what the unit prices suggest for it."""
    actor.require_miner()
    nodes, names, items = await _read_items(tx, now, actor, given)
    takes = capacity.takes(items)
    shortage = capacity.never_fits(nodes, names, takes, 1, "your hardware")
    unit_prices = (await prices.prices_of(tx, [actor.id]))[actor.id]
    lines, missing = prices.quote(names, actor.id, unit_prices, items)
    return SpecPreview(
        fit=Fits({actor.id: nodes}, names).nodes(actor.id, takes),
        detail=shortage.detail if shortage else "",
        suggested_price=None if missing else sum(line.amount for line in lines),
        lines=lines,
        missing=missing,
    )


async def create_spec(tx: Tx, now: datetime, actor: Actor, body: SpecCreate) -> SpecOut:
    """Make a specification and offer it, for notebooks and for training, in the default pool or in ``pool_ids``."""
    actor.require_miner()
    nodes, names, items = await _read_items(tx, now, actor, body.items)
    if nodes:
        _refuse_what_never_fits(nodes, names, capacity.takes(items))
    if await tx.scalar(select(Spec.id).where(Spec.miner_id == actor.id, Spec.name == body.name)):
        raise name_taken("specification", body.name)
    price = await _suggested(tx, actor.id, names, items) if body.price is None else body.price
    spec = Spec(id=new_id("spec"), miner_id=actor.id, name=body.name, description=body.description, price=price)
    tx.add(spec)
    await flush_name(tx, "specification", body.name)
    tx.add_all(SpecItem(spec_id=spec.id, resource=name, quantity=quantity) for name, quantity in items.items())
    pool_ids = [(await default_pool(tx, actor.id)).id] if body.pool_ids is None else body.pool_ids
    await _offer_in(tx, spec, pool_ids)
    detail = {"price": format_unc(spec.price), "items": items, "pool_ids": pool_ids}
    audit.record(tx, actor, "spec.create", "spec", spec.id, spec.name, detail)
    changed(tx)
    return (await _specs_out(tx, now, [spec]))[0]


async def _suggested(tx: Tx, miner_id: str, names: Names, items: dict[str, int]) -> int:
    """The price that the unit prices suggest; raises Invalid on ``price`` when there is none."""
    lines, missing = prices.quote(names, miner_id, (await prices.prices_of(tx, [miner_id]))[miner_id], items)
    if missing:
        raise Invalid(
            f"No price was given, and there is no unit price of {some(missing)} to make one of.",
            field="price",
            cure="Write a price in UNC per hour, or set these unit prices first.",
        )
    price = sum(line.amount for line in lines)
    if price > MAX_MICRO:
        raise Invalid(
            f"The unit prices make {format_unc(price)} UNC per hour, which is more than a price may be.",
            field="price",
            cure=f"Write a price of at most {format_unc(MAX_MICRO)} UNC.",
        )
    return price


async def update_spec(tx: Tx, now: datetime, actor: Actor, spec_id: str, body: SpecUpdate) -> SpecOut:
    """Change what is given. A new price holds for attempts that start from now on."""
    spec = await _get(tx, actor, spec_id)
    detail: dict[str, Any] = {}
    if body.name is not None and body.name != spec.name:
        same = (Spec.miner_id == spec.miner_id, Spec.name == body.name)
        if await tx.scalar(select(Spec.id).where(*same)):
            raise name_taken("specification", body.name)
        detail |= {"name_before": spec.name}
        spec.name = body.name
    if body.price is not None and body.price != spec.price:
        detail |= {"price_before": format_unc(spec.price), "price": format_unc(body.price)}
        old_price, spec.price = spec.price, body.price
        for hook in on_price_change:
            await hook(tx, actor, spec, old_price)
    if body.description is not None:
        detail["description"] = body.description
        spec.description = body.description
    await flush_name(tx, "specification", spec.name)
    if body.pool_ids is not None:
        detail["pool_ids"] = body.pool_ids
        await _offer_in(tx, spec, body.pool_ids)
    audit.record(tx, actor, "spec.update", "spec", spec.id, spec.name, detail)
    changed(tx)
    return (await _specs_out(tx, now, [spec]))[0]


async def _offer_in(tx: Tx, spec: Spec, given: list[str]) -> None:
    """Offer the specification in these pools of its miner and in no other; where it is offered already, as it is."""
    mine = await tx.scalars(select(Pool.id).where(Pool.miner_id == spec.miner_id))
    chosen = check_ids("pool_ids", "pool", given, mine)
    there = set(await tx.scalars(select(PoolSpec.pool_id).where(PoolSpec.spec_id == spec.id)))
    await tx.execute(delete(PoolSpec).where(PoolSpec.spec_id == spec.id, PoolSpec.pool_id.not_in(chosen)))
    tx.add_all(
        PoolSpec(pool_id=pool_id, spec_id=spec.id, purpose=purpose)
        for pool_id in chosen
        if pool_id not in there
        for purpose in Purpose
    )
    await tx.flush()


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


async def _read_items(
    tx: Tx, now: datetime, actor: Actor, given: list[SpecItemIn]
) -> tuple[list[NodeState], Names, dict[str, int]]:
    """The actor's nodes, his names, and ``given`` in base units; raises Invalid naming the item that makes no sense."""
    nodes = await capacity.load(tx, now, nodes_of(actor.id))
    names = await capacity.names_of(tx, [actor.id])
    customs = await tx.scalars(select(CustomResource.name).where(CustomResource.miner_id == actor.id))
    known = {*customs, *(name for node in nodes for name in node.capacity), *BASIC, SHARED_MEMORY}
    items: dict[str, int] = {}
    for number, item in enumerate(given):
        if item.resource not in known:
            raise Invalid(
                f"There is no resource {item.resource[:80]!r}.",
                field=f"items.{number}.resource",
                cure=f"Choose one of: {some(sorted(known), 20)}.",
            )
        if item.resource in items:
            raise Invalid(
                f"{item.resource} is named twice.",
                field=f"items.{number}.resource",
                cure="Name each resource once, with the whole quantity.",
            )
        items[item.resource] = _quantity(names.system(actor.id, item.resource), item, f"items.{number}.quantity")
    if items.get(SHARED_MEMORY, 0) > items.get(MEMORY, 0):
        number = list(items).index(SHARED_MEMORY)
        has = f"its memory is {format_quantity(MEMORY, items[MEMORY])}" if MEMORY in items else "it names no memory"
        raise Invalid(
            f"Shared memory lies within memory, and {has}.",
            field=f"items.{number}.quantity",
            cure="Ask for at least as much memory.",
        )
    return nodes, names, items


def _quantity(system: str, item: SpecItemIn, field: str) -> int:
    try:
        return parse_quantity(system, item.quantity)
    except ValueError as error:
        text = str(error)
        raise Invalid(
            f"{item.quantity!r} is not a quantity of {item.resource}.",
            field=field,
            cure=f"{text[0].upper()}{text[1:]}.",
        ) from error


def _refuse_what_never_fits(nodes: Sequence[NodeState], names: Names, items: dict[str, int]) -> None:
    shortage = capacity.never_fits(nodes, names, items, 1, "your hardware")
    if shortage is None:
        return
    largest = max(nodes, key=lambda node: (node.chips_total, node.capacity.get("cpu", 0), node.name))
    has = ", ".join(
        f"{format_quantity(name, amount) if amount else 0} {'CPU' if name == 'cpu' else name}"
        for name, amount in sorted(largest.capacity.items(), key=lambda item: basic_first(item[0]))
    )
    raise Conflict(
        f"None of your nodes can ever hold it: it {shortage.detail}.",
        code="never_fits",
        field="items",
        cure=f"Ask for less: the largest node, {largest.name}, has {has}.",
    )


async def _specs_out(tx: Tx, now: datetime, specs: Sequence[Spec]) -> list[SpecOut]:
    miners = {spec.miner_id for spec in specs}
    spec_ids = [spec.id for spec in specs]
    nodes: dict[str, list[NodeState]] = {ident: [] for ident in miners}
    for node in await capacity.load(tx, now, nodes_of(*miners)):
        nodes[node.miner_id].append(node)
    names = await capacity.names_of(tx, miners)
    fits = Fits(nodes, names)
    simulated = {ident: simulated_on(own) for ident, own in nodes.items()}
    items = await capacity.contents_of(tx, spec_ids)
    unit_prices = await prices.prices_of(tx, miners)
    users = await usernames(tx, miners)
    uses = [await count(tx, spec_ids) for count in spec_use_counts]
    pools = await _pools_of(tx, spec_ids)
    found = []
    for spec in specs:
        takes = capacity.takes(items[spec.id])
        found.append(
            SpecOut(
                id=spec.id,
                name=spec.name,
                description=spec.description,
                price=spec.price,
                suggested_price=prices.suggested(names, spec.miner_id, unit_prices[spec.miner_id], takes),
                items=quantities(names, spec.miner_id, items[spec.id]),
                fit=fits.nodes(spec.miner_id, takes),
                pools=pools[spec.id],
                used_by=sum(use.get(spec.id, 0) for use in uses),
                simulated=any(names.system(spec.miner_id, name) in simulated[spec.miner_id] for name in takes),
                miner_id=spec.miner_id,
                miner_name=users.get(spec.miner_id, ""),
                created_at=spec.created_at,
            )
        )
    return found


async def _pools_of(tx: Tx, spec_ids: Sequence[str]) -> dict[str, list[PoolRef]]:
    """The pools that offer each, by name."""
    pools: dict[str, list[PoolRef]] = defaultdict(list)
    for spec_id, pool_id, pool in await tx.execute(
        select(PoolSpec.spec_id, Pool.id, Pool.name)
        .join(Pool, Pool.id == PoolSpec.pool_id)
        .where(PoolSpec.spec_id.in_(spec_ids))
        .distinct()
        .order_by(Pool.name, Pool.id)
    ):
        pools[spec_id].append(PoolRef(id=pool_id, name=pool))
    return pools
