"""Pools: nodes, the specifications offered on them, and who may use them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, false, or_, select, true
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.accounts.schemas import GroupRef
from utcloud.accounts.service import in_standing, out_of_standing, usernames
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit, paginate
from utcloud.db.upsert import insert_if_absent
from utcloud.resources import capacity
from utcloud.resources.capacity import CAPACITY_SIGNAL, NodeState
from utcloud.resources.models import Node, Pool, PoolGroup, PoolSpec, Spec
from utcloud.resources.schemas import (
    Moving,
    NodeRef,
    PoolCreate,
    PoolLack,
    PoolOut,
    PoolSort,
    PoolSpecRef,
    PoolUpdate,
    Purpose,
)
from utcloud.resources.service.common import (
    changed,
    check_ids,
    flush_name,
    in_use,
    name_taken,
    nodes_of,
    on_groups_bound,
    pool_in_use_checks,
    quantities,
    refuse_in_use,
    simulated_on,
    some,
    usages,
    visible,
)
from utcloud.resources.service.fit import Fits
from utcloud.resources.service.moves import busy, move_nodes

DEFAULT_NAME = "default"


async def default_pool(tx: Tx, miner_id: str) -> Pool:
    """The pool that takes the miner's new nodes, open to all renters; made when it is not there."""
    query = select(Pool).where(Pool.miner_id == miner_id, Pool.is_default.is_(True))
    pool = await tx.scalar(query)
    if pool:
        return pool
    row = {"id": new_id("pool"), "miner_id": miner_id, "name": DEFAULT_NAME, "is_default": True, "open_to_all": True}
    await insert_if_absent(tx, Pool, row)
    return (await tx.scalars(query)).one()


def _open_to(actor: Actor) -> ColumnElement[bool]:
    """The pools that the actor may see: a miner his own, a renter those in which he may start work."""
    if actor.is_operator:
        return true()
    own = Pool.miner_id == actor.id if actor.is_miner else false()
    if not actor.is_renter:
        return own
    groups = select(GroupMember.group_id).where(GroupMember.user_id == actor.id)
    bound = select(PoolGroup.pool_id).where(PoolGroup.group_id.in_(groups))
    return or_(own, Pool.open_to_all.is_(True), Pool.id.in_(bound))


def _seen_by(actor: Actor, role: str | None) -> ColumnElement[bool]:
    if role == "miner":
        return visible(actor, Pool.miner_id)
    if role == "renter":  # what takes nothing new is not to be chosen
        return and_(_open_to(actor), Pool.miner_id.in_(select(User.id).where(in_standing())))
    return _open_to(actor)


async def usable_pool(tx: Tx, actor: Actor, pool_id: str, purpose: str, spec_id: str) -> tuple[Pool, Spec]:
    """The pool and the specification, if the actor may use the pool and it offers that for ``purpose``.

    Raises NotFound on ``pool_id``, or Invalid on ``spec_id`` naming what the pool offers.
    """
    pool = await tx.scalar(select(Pool).where(Pool.id == pool_id, _open_to(actor)))
    if pool is None:
        raise NotFound.of("pool", pool_id, field="pool_id")
    if await out_of_standing(tx, [pool.miner_id]):
        raise Conflict(
            f"Pool {pool.name!r} takes nothing new: its miner may not have work.",
            field="pool_id",
            cure="Choose another pool.",
            code="miner_suspended",
        )
    offered = list(
        await tx.scalars(
            select(Spec)
            .join(PoolSpec, PoolSpec.spec_id == Spec.id)
            .where(PoolSpec.pool_id == pool.id, PoolSpec.purpose == purpose)
            .order_by(Spec.name)
        )
    )
    spec = next((spec for spec in offered if spec.id == spec_id), None)
    if spec is None:
        choice = some([spec.name for spec in offered], 10)
        raise Invalid(
            f"Pool {pool.name!r} does not offer the specification {spec_id[:80]!r} for {purpose}s.",
            field="spec_id",
            cure=f"Choose one of: {choice}." if offered else "Choose another pool: this one offers none.",
        )
    return pool, spec


async def pool_ids_of(tx: Tx, actor: Actor) -> list[str]:
    """The ids of the miner's own pools; of all pools for an operator."""
    return list(await tx.scalars(select(Pool.id).where(visible(actor, Pool.miner_id))))


@dataclass(frozen=True, slots=True)
class PoolFilter:
    """Which pools are wanted. ``role`` ``miner``: one's own (an operator: all); ``renter``: those open to one."""

    role: str | None = None
    search: str | None = None
    miner_id: str | None = None
    group_id: str | None = None
    spec_id: str | None = None
    without: PoolLack | None = None
    sort: PoolSort = PoolSort.NAME


async def list_pools(
    tx: Tx, now: datetime, actor: Actor, wanted: PoolFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[PoolOut], str | None]:
    """One page of pools."""
    query = select(Pool).where(_seen_by(actor, wanted.role))
    if wanted.search:
        columns = (Pool.name, Pool.description)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if wanted.miner_id:
        query = query.where(Pool.miner_id == wanted.miner_id)
    if wanted.group_id:
        bound = select(PoolGroup.pool_id).where(PoolGroup.group_id == wanted.group_id)
        query = query.where(Pool.id.in_(bound))
    if wanted.spec_id:
        query = query.where(Pool.id.in_(select(PoolSpec.pool_id).where(PoolSpec.spec_id == wanted.spec_id)))
    if wanted.without:
        query = query.where(_lacks(wanted.without))
    by = {"name": Pool.name}
    pools, after = await paginate(tx, query, Pool.id, limit=limit, cursor=cursor, sort=wanted.sort, columns=by)
    return await _pools_out(tx, now, actor, pools, as_renter=wanted.role == "renter"), after


def _lacks(what: PoolLack) -> ColumnElement[bool]:
    """That nothing can start in the pool, or nobody may. An empty default pool that offers nothing is no fault."""
    if what is PoolLack.GROUPS:
        return and_(Pool.open_to_all.is_(False), Pool.id.not_in(select(PoolGroup.pool_id)))
    offers = Pool.id.in_(select(PoolSpec.pool_id))
    empty = Pool.id.not_in(select(Node.pool_id).where(Node.gone.is_(False)))
    return and_(empty, or_(Pool.is_default.is_(False), offers))


async def get_pool(tx: Tx, now: datetime, actor: Actor, pool_id: str) -> PoolOut:
    pool = await tx.scalar(select(Pool).where(Pool.id == pool_id, _open_to(actor)))
    if pool is None:
        raise NotFound.of("pool", pool_id)
    return (await _pools_out(tx, now, actor, [pool]))[0]


async def _own(tx: Tx, actor: Actor, pool_id: str) -> Pool:
    """The pool, to be changed: his own, or any for an operator."""
    pool = await tx.scalar(select(Pool).where(Pool.id == pool_id, _open_to(actor)))
    if pool is None:
        raise NotFound.of("pool", pool_id)
    if actor.is_operator or (actor.is_miner and pool.miner_id == actor.id):
        return pool
    actor.require_miner()
    raise Forbidden("This pool is another miner's.", cure="Change one of your own pools.")


async def create_pool(tx: Tx, now: datetime, actor: Actor, body: PoolCreate) -> PoolOut:
    """Make a pool. Its nodes leave the pools that they are in; refused for nodes on which work runs."""
    actor.require_miner()
    await default_pool(tx, actor.id)
    if await tx.scalar(select(Pool.id).where(Pool.miner_id == actor.id, Pool.name == body.name)):
        raise name_taken("pool", body.name)
    pool = Pool(
        id=new_id("pool"),
        miner_id=actor.id,
        name=body.name,
        description=body.description,
        open_to_all=body.open_to_all,
        is_default=False,
    )
    tx.add(pool)
    await flush_name(tx, "pool", body.name)
    await _take_nodes(tx, now, pool, body.node_ids, body)
    await _bind_groups(tx, actor, pool, body.group_ids)
    await _offer(tx, pool, Purpose.NOTEBOOK, body.notebook_spec_ids)
    await _offer(tx, pool, Purpose.TRAINING, body.training_spec_ids)
    audit.record(tx, actor, "pool.create", "pool", pool.id, pool.name, body.model_dump(exclude_unset=True))
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)
    return (await _pools_out(tx, now, actor, [pool]))[0]


async def update_pool(tx: Tx, now: datetime, actor: Actor, pool_id: str, body: PoolUpdate) -> PoolOut:
    """Change what is given. Nodes that are left out of ``node_ids`` go to the default pool."""
    pool = await _own(tx, actor, pool_id)
    if body.name is not None and body.name != pool.name:
        same = (Pool.miner_id == pool.miner_id, Pool.name == body.name, Pool.id != pool.id)
        if await tx.scalar(select(Pool.id).where(*same)):
            raise name_taken("pool", body.name)
        pool.name = body.name
    if body.description is not None:
        pool.description = body.description
    if body.open_to_all is not None:
        pool.open_to_all = body.open_to_all
    await flush_name(tx, "pool", pool.name)
    if body.node_ids is not None:
        await _leave_nodes(tx, now, pool, body.node_ids, body)
        await _take_nodes(tx, now, pool, body.node_ids, body)
    if body.group_ids is not None:
        await _bind_groups(tx, actor, pool, body.group_ids)
    for purpose, spec_ids in (
        (Purpose.NOTEBOOK, body.notebook_spec_ids),
        (Purpose.TRAINING, body.training_spec_ids),
    ):
        if spec_ids is not None:
            await tx.execute(delete(PoolSpec).where(PoolSpec.pool_id == pool.id, PoolSpec.purpose == purpose))
            await _offer(tx, pool, purpose, spec_ids)
    detail = body.model_dump(exclude_unset=True, exclude_none=True)
    audit.record(tx, actor, "pool.update", "pool", pool.id, pool.name, detail)
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)
    return (await _pools_out(tx, now, actor, [pool]))[0]


async def delete_pool(tx: Tx, now: datetime, actor: Actor, pool_id: str) -> None:
    """Take a pool away; its nodes go to the default pool. Refused while work runs in it or refers to it."""
    pool = await _own(tx, actor, pool_id)
    what = f"Pool {pool.name!r}"
    if pool.is_default:
        raise Conflict(f"{what} is the default pool.", cure="It stays: new nodes come into it.", code="default_pool")
    await refuse_in_use(tx, pool.id, what, pool_in_use_checks)
    coming = list(await tx.scalars(select(Node.name).where(Node.moving_to_pool_id == pool.id).order_by(Node.name)))
    if coming:
        raise in_use(what, f"nodes that are about to move into it ({some(coming)})", "Uncordon these nodes first.")
    node_ids = list(await tx.scalars(select(Node.id).where(Node.pool_id == pool.id)))
    held = await busy(tx, node_ids)
    if held:
        raise in_use(what, f"work on {some(list(held.values()))}", "Stop what runs there first, or drain these nodes.")
    await move_nodes(tx, now, await default_pool(tx, pool.miner_id), node_ids, Moving())
    audit.record(tx, actor, "pool.delete", "pool", pool.id, pool.name)
    await tx.delete(pool)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise in_use(what, "notebooks or tasks", "Delete these first.") from error
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)


async def _take_nodes(tx: Tx, now: datetime, pool: Pool, given: list[str], how: Moving) -> None:
    """Bring nodes of the pool's miner into the pool."""
    rows = await tx.execute(select(Node.id, Node.pool_id).where(nodes_of(pool.miner_id)))
    there = {row.id: row.pool_id for row in rows}
    chosen = check_ids("node_ids", "node", given, there)
    coming = [node_id for node_id in chosen if there[node_id] != pool.id]
    await move_nodes(tx, now, pool, coming, how, field="node_ids")


async def _leave_nodes(tx: Tx, now: datetime, pool: Pool, kept: list[str], how: Moving) -> None:
    """Nodes of the pool that are not ``kept`` go to the default pool; those that are gone stay where they were."""
    query = select(Node).where(Node.pool_id == pool.id, Node.gone.is_(False), Node.id.not_in(kept))
    leaving = list(await tx.scalars(query))
    if not leaving:
        return
    if pool.is_default:
        raise Invalid(
            f"Nodes cannot leave the default pool for nowhere: {some([node.name for node in leaving])}.",
            field="node_ids",
            cure="Name them in another pool: that takes them out of this one.",
        )
    target = await default_pool(tx, pool.miner_id)
    await move_nodes(tx, now, target, [node.id for node in leaving], how, field="node_ids")


async def _bind_groups(tx: Tx, actor: Actor, pool: Pool, given: list[str]) -> None:
    """Bind the pool to these groups and no others."""
    known = await tx.scalars(select(Group.id).where(Group.id.in_(given)))
    chosen = check_ids("group_ids", "group", given, known)
    before = set(await tx.scalars(select(PoolGroup.group_id).where(PoolGroup.pool_id == pool.id)))
    await tx.execute(delete(PoolGroup).where(PoolGroup.pool_id == pool.id, PoolGroup.group_id.not_in(chosen)))
    new = [group_id for group_id in chosen if group_id not in before]
    tx.add_all(PoolGroup(pool_id=pool.id, group_id=group_id) for group_id in new)
    await tx.flush()
    for hook in on_groups_bound if new else ():
        await hook(tx, actor, pool.id, new)


async def _offer(tx: Tx, pool: Pool, purpose: Purpose, given: list[str]) -> None:
    known = await tx.scalars(select(Spec.id).where(Spec.id.in_(given), Spec.miner_id == pool.miner_id))
    chosen = check_ids(f"{purpose}_spec_ids", "specification", given, known)
    tx.add_all(PoolSpec(pool_id=pool.id, spec_id=spec_id, purpose=purpose) for spec_id in chosen)
    await tx.flush()


async def _pools_out(
    tx: Tx, now: datetime, actor: Actor, pools: Sequence[Pool], *, as_renter: bool = False
) -> list[PoolOut]:
    """Pools as the actor may see them: others' without nodes, use and groups."""
    pool_ids = [pool.id for pool in pools]
    inside: dict[str, list[NodeState]] = defaultdict(list)
    for node in await capacity.load(tx, now, Node.pool_id.in_(pool_ids)):
        inside[node.pool_id].append(node)
    offers = await _offers(tx, pools, inside)
    users = await usernames(tx, {pool.miner_id for pool in pools})
    groups: dict[str, list[GroupRef]] = defaultdict(list)
    for pool_id, group_id, name in await tx.execute(
        select(PoolGroup.pool_id, Group.id, Group.name)
        .join(Group, Group.id == PoolGroup.group_id)
        .where(PoolGroup.pool_id.in_(pool_ids))
        .order_by(Group.name)
    ):
        groups[pool_id].append(GroupRef(id=group_id, name=name))
    arriving = await _arriving(tx, pool_ids)
    found = []
    for pool in pools:
        full = not as_renter and (actor.is_operator or (actor.is_miner and pool.miner_id == actor.id))
        found.append(
            PoolOut(
                id=pool.id,
                name=pool.name,
                description=pool.description,
                is_default=pool.is_default,
                open_to_all=pool.open_to_all,
                miner_id=pool.miner_id,
                miner_name=users.get(pool.miner_id, ""),
                nodes=[NodeRef(id=node.id, name=node.name) for node in inside[pool.id]] if full else [],
                arriving=arriving[pool.id] if full else [],
                groups=groups[pool.id] if full else [],
                notebook_specs=offers[pool.id, Purpose.NOTEBOOK],
                training_specs=offers[pool.id, Purpose.TRAINING],
                usage=usages(inside[pool.id]) if full else [],
                created_at=pool.created_at,
            )
        )
    return found


async def _arriving(tx: Tx, pool_ids: Sequence[str]) -> dict[str, list[NodeRef]]:
    """The nodes that are about to move into each pool, by name."""
    found: dict[str, list[NodeRef]] = defaultdict(list)
    query = select(Node.moving_to_pool_id, Node.id, Node.name).where(Node.moving_to_pool_id.in_(pool_ids))
    for pool_id, node_id, name in await tx.execute(query.order_by(Node.name, Node.id)):
        found[pool_id or ""].append(NodeRef(id=node_id, name=name))
    return found


async def _offers(
    tx: Tx, pools: Sequence[Pool], inside: dict[str, list[NodeState]]
) -> dict[tuple[str, Purpose], list[PoolSpecRef]]:
    """What each pool offers, by name; a specification that is offered for both purposes is looked at once."""
    rows = (
        await tx.execute(
            select(PoolSpec.pool_id, PoolSpec.purpose, Spec.id, Spec.name, Spec.price, Spec.miner_id)
            .join(Spec, Spec.id == PoolSpec.spec_id)
            .where(PoolSpec.pool_id.in_([pool.id for pool in pools]))
            .order_by(Spec.name)
        )
    ).all()
    names = await capacity.names_of(tx, {pool.miner_id for pool in pools})
    miners = {row.id: row.miner_id for row in rows}
    contents = await capacity.contents_of(tx, miners)
    shown = {spec_id: quantities(names, miner_id, contents[spec_id]) for spec_id, miner_id in miners.items()}
    takes = {spec_id: capacity.takes(contents[spec_id]) for spec_id in miners}
    fits = Fits(inside, names)
    simulated = {pool_id: found for pool_id, nodes in inside.items() if (found := simulated_on(nodes))}
    refs: dict[tuple[str, str], PoolSpecRef] = {}
    offers: dict[tuple[str, Purpose], list[PoolSpecRef]] = defaultdict(list)
    for pool_id, purpose, spec_id, name, price, miner_id in rows:
        if (pool_id, spec_id) not in refs:
            free_now, at_best = fits.times(pool_id, takes[spec_id])
            refs[pool_id, spec_id] = PoolSpecRef(
                id=spec_id,
                name=name,
                price=price,
                items=shown[spec_id],
                simulated=pool_id in simulated
                and any(names.system(miner_id, one) in simulated[pool_id] for one in takes[spec_id]),
                free_now=free_now,
                at_best=at_best,
            )
        offers[pool_id, Purpose(purpose)].append(refs[pool_id, spec_id])
    return offers
