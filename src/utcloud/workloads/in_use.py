"""Tells the rooms below what uses their objects, so that a refusal to delete names what stands in the way."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.accounts.schemas import Running
from utcloud.assets.models import Asset, AssetVersion
from utcloud.common.errors import Conflict
from utcloud.db import Tx
from utcloud.edge import service as edge
from utcloud.resources.models import Pool, PoolGroup
from utcloud.resources.service.common import some
from utcloud.workloads.models import Subtask, Workload
from utcloud.workloads.states import ACTIVE


async def of_spec(tx: Tx, spec_id: str) -> str | None:
    """The notebooks that are made with a specification."""
    return await _named(tx, Workload.id.in_(select(Subtask.workload_id).where(Subtask.spec_id == spec_id)))


async def of_pool(tx: Tx, pool_id: str) -> str | None:
    """The notebooks of a pool."""
    return await _named(tx, Workload.pool_id == pool_id)


async def of_image(tx: Tx, image_id: str) -> str | None:
    """The notebooks that are made with an image."""
    return await _named(tx, Workload.image_id == image_id)


async def of_version(tx: Tx, version_id: str) -> str | None:
    """The notebooks that are made with a version of an algorithm or dataset."""
    return await _named(tx, (Workload.algorithm_version_id == version_id) | (Workload.dataset_version_id == version_id))


async def of_asset(tx: Tx, asset_id: str) -> str | None:
    """The notebooks that are made with any version of an asset."""
    versions = select(AssetVersion.id).where(AssetVersion.asset_id == asset_id)
    return await _named(tx, Workload.algorithm_version_id.in_(versions) | Workload.dataset_version_id.in_(versions))


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


async def refuse_owner(tx: Tx, _actor: Actor, user: User) -> None:
    """A user who still has notebooks cannot be deleted."""
    if use := await _named(tx, Workload.owner_id == user.id):
        raise Conflict(
            f"The user {user.username!r} has {use}.",
            cure="Delete them first, or freeze the user instead.",
            code="in_use",
        )


async def shut_pages(tx: Tx, _actor: Actor, user: User, _running: Running) -> None:
    """A frozen user's open pages close."""
    await edge.rotate(tx, user.id)


async def _named(tx: Tx, where: ColumnElement[bool]) -> str | None:
    names = (await tx.scalars(select(Workload.name).where(where).order_by(Workload.id))).all()
    return _list("notebook", names) if names else None


def _list(noun: str, names: Sequence[str]) -> str:
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({some([repr(name) for name in names])})"
