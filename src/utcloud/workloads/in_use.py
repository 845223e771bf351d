"""Tells the rooms below what uses their objects, so that a refusal to delete names what stands in the way."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, ScalarSelect, Select, exists, func, select, union

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, User
from utcloud.accounts.schemas import Running
from utcloud.assets.models import Asset, AssetVersion
from utcloud.billing.models import Meter
from utcloud.common.errors import Conflict
from utcloud.db import Tx
from utcloud.edge import service as edge
from utcloud.resources.models import Allocation, Node, Pool, PoolGroup
from utcloud.resources.service.common import some
from utcloud.workloads.models import Attempt, Subtask, Workload
from utcloud.workloads.states import ACTIVE


async def of_spec(tx: Tx, spec_id: str) -> str | None:
    """The notebooks that are made with a specification, and whose they are."""
    return await _of_whom(tx, Workload.id.in_(select(Subtask.workload_id).where(Subtask.spec_id == spec_id)))


async def of_pool(tx: Tx, pool_id: str) -> str | None:
    """The notebooks of a pool, and whose they are."""
    return await _of_whom(tx, Workload.pool_id == pool_id)


async def of_image(tx: Tx, image_id: str) -> str | None:
    """The notebooks that are made with an image, and whose they are."""
    return await _of_whom(tx, Workload.image_id == image_id)


async def of_version(tx: Tx, version_id: str) -> str | None:
    """The notebooks that are made with a version of an algorithm or dataset."""
    made_with = (Workload.algorithm_version_id == version_id) | (Workload.dataset_version_id == version_id)
    of_asset = select(AssetVersion.asset_id).where(AssetVersion.id == version_id)
    return await _told_to_its_owner(tx, of_asset.scalar_subquery(), made_with)


async def of_asset(tx: Tx, asset_id: str) -> str | None:
    """The notebooks that are made with any version of an asset."""
    versions = select(AssetVersion.id).where(AssetVersion.asset_id == asset_id)
    made_with = Workload.algorithm_version_id.in_(versions) | Workload.dataset_version_id.in_(versions)
    return await _told_to_its_owner(tx, asset_id, made_with)


async def of_group(tx: Tx, group_id: str) -> str | None:
    """The pools that are bound to a group, the assets that are shared with it, and what runs in its name."""
    pools = select(Pool.name).join(PoolGroup, PoolGroup.pool_id == Pool.id).where(PoolGroup.group_id == group_id)
    assets = select(Asset.name).where(Asset.group_id == group_id)
    found = [
        _list(noun, names)
        for noun, query in (("pool", pools.order_by(Pool.name)), ("asset", assets.order_by(Asset.name)))
        if (names := (await tx.scalars(query)).all())
    ]
    if use := await _named(tx, (Workload.group_id == group_id) & Workload.state.in_(ACTIVE)):
        found.append(use)
    return " and ".join(found) or None


async def count_of_specs(tx: Tx, spec_ids: Sequence[str]) -> dict[str, int]:
    """How many workloads are made with each specification."""
    query = select(Subtask.spec_id, func.count(func.distinct(Subtask.workload_id)))
    rows = await tx.execute(query.where(Subtask.spec_id.in_(spec_ids)).group_by(Subtask.spec_id))
    return dict(rows.all())


async def on_nodes(tx: Tx, node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Whose work holds something on each node: the group in whose name it runs, or else its owner."""
    held = select(Allocation.attempt_id).where(Allocation.node_id.in_(node_ids))
    rows = await tx.execute(
        select(Attempt.node_id, func.coalesce(Group.name, User.username).label("who"))
        .join(Workload, Workload.id == Attempt.workload_id)
        .join(User, User.id == Workload.owner_id)
        .outerjoin(Group, Group.id == Workload.group_id)
        .where(Attempt.id.in_(held))
        .distinct()
        .order_by("who")
    )
    found: dict[str, list[str]] = defaultdict(list)
    for node_id, who in rows:
        found[node_id].append(who)
    return found


def of_node() -> ColumnElement[bool]:
    """That some run was on a node."""
    return exists().where(Attempt.node_id == Node.id)


async def refuse_owner(tx: Tx, _actor: Actor, user: User) -> None:
    """A user who still has notebooks cannot be deleted."""
    if use := await _named(tx, Workload.owner_id == user.id):
        raise Conflict(
            f"The user {user.username!r} has {use}.",
            cure="Delete them first, or freeze the user instead.",
            code="in_use",
        )


def renters_of(miner_id: str) -> Select[str]:
    """The ids of those who have, or had, something on a miner's hardware."""
    have = select(Workload.owner_id).join(Pool, Pool.id == Workload.pool_id).where(Pool.miner_id == miner_id)
    had = select(Meter.payer_id).where(Meter.payee_id == miner_id)
    both = union(have, had).subquery()
    return select(both.c[0])


async def shut_pages(tx: Tx, _actor: Actor, user: User, _running: Running | None = None) -> None:
    """The open pages of a user close who was frozen, or whose password was changed."""
    await edge.rotate(tx, user.id)


async def _told_to_its_owner(tx: Tx, asset_id: str | ScalarSelect[str], made_with: ColumnElement[bool]) -> str | None:
    """The asset's owner reads the names of his own notebooks, and whose the others are."""
    owner = select(Asset.owner_id).where(Asset.id == asset_id).scalar_subquery()
    mine = await _named(tx, made_with & (Workload.owner_id == owner))
    others = await _of_whom(tx, made_with & (Workload.owner_id != owner))
    return " and ".join(use for use in (mine, others) if use) or None


async def _named(tx: Tx, where: ColumnElement[bool]) -> str | None:
    names = (await tx.scalars(select(Workload.name).where(where).order_by(Workload.id))).all()
    return _list("notebook", names) if names else None


async def _of_whom(tx: Tx, where: ColumnElement[bool]) -> str | None:
    """``2 notebooks (of alice, bob)``: another's names are not told."""
    query = select(User.username, func.count()).select_from(Workload).join(User, User.id == Workload.owner_id)
    owners = (await tx.execute(query.where(where).group_by(User.username).order_by(User.username))).all()
    count = sum(number for _, number in owners)
    return f"{count} notebook{'s' if count > 1 else ''} (of {some([name for name, _ in owners])})" if count else None


def _list(noun: str, names: Sequence[str]) -> str:
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({some([repr(name) for name in names])})"
