"""Algorithms, datasets and models: three kinds of one thing."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.assets.models import Asset, AssetVersion, Image, Upload
from utcloud.assets.schemas import (
    AssetCreate,
    AssetDetail,
    AssetKind,
    AssetOut,
    AssetSort,
    AssetUpdate,
    VersionOut,
    VersionStatus,
    Visibility,
)
from utcloud.assets.service.common import (
    InUseCheck,
    announce,
    flush_name,
    in_use,
    may_change,
    own_asset,
    refuse_in_use,
    visible,
    visible_asset,
)
from utcloud.common.errors import Conflict, Forbidden, Invalid
from utcloud.common.ids import new_id
from utcloud.db import Tx, paginate

asset_in_use_checks: list[InUseCheck] = []
version_in_use_checks: list[InUseCheck] = []
"""Rooms above add theirs, so that a refusal to delete can name what stands in the way."""

_ready = (AssetVersion.asset_id == Asset.id, AssetVersion.status == VersionStatus.READY)
_versions = select(func.count()).where(*_ready).correlate(Asset).scalar_subquery()
_latest = select(AssetVersion.size).where(*_ready).order_by(AssetVersion.number.desc()).limit(1)
_size = func.coalesce(_latest.correlate(Asset).scalar_subquery(), 0)
_owner = select(User.username).where(User.id == Asset.owner_id).correlate(Asset).scalar_subquery()
_PREFIX = {AssetKind.ALGORITHM: "alg", AssetKind.DATASET: "dat", AssetKind.MODEL: "mod"}


async def list_assets(
    tx: Tx,
    actor: Actor,
    kind: AssetKind,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    visibility: Visibility | None = None,
    mine: bool | None = None,
    sort: AssetSort = AssetSort.NEWEST,
) -> tuple[list[AssetOut], str | None]:
    """One page of what the actor sees."""
    query = select(Asset).where(Asset.kind == kind, visible(actor))
    if search:
        query = query.where(
            or_(*(field.icontains(search, autoescape=True) for field in (Asset.name, Asset.description)))
        )
    if visibility:
        query = query.where(Asset.visibility == visibility)
    if mine is not None:
        query = query.where((Asset.owner_id == actor.id) if mine else (Asset.owner_id != actor.id))
    assets, next_cursor = await paginate(
        tx,
        query,
        Asset.id,
        limit=limit,
        cursor=cursor,
        sort=sort,
        columns={"name": Asset.name, "versions": _versions, "size": _size, "owner_name": _owner},
    )
    return await _out(tx, actor, assets), next_cursor


async def asset_out(tx: Tx, actor: Actor, asset: Asset) -> AssetOut:
    """What the API says of one asset."""
    return (await _out(tx, actor, [asset]))[0]


async def asset_detail(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str) -> AssetDetail:
    """One asset with its versions, newest first; drafts only for those who may change it."""
    asset = await visible_asset(tx, actor, kind, asset_id)
    query = select(AssetVersion).where(AssetVersion.asset_id == asset.id).order_by(AssetVersion.number.desc())
    if not may_change(actor, asset):
        query = query.where(AssetVersion.status == VersionStatus.READY)
    versions = [VersionOut.model_validate(version) for version in await tx.scalars(query)]
    return AssetDetail(**(await asset_out(tx, actor, asset)).model_dump(), all_versions=versions)


async def create_asset(tx: Tx, actor: Actor, kind: AssetKind, body: AssetCreate, now: datetime) -> Asset:
    """Add an asset without versions."""
    actor.require_renter()
    group_id = await _check_sharing(tx, actor, body.visibility, body.group_id)
    asset = Asset(
        id=new_id(_PREFIX[kind]),
        kind=kind,
        owner_id=actor.id,
        name=body.name,
        description=body.description,
        visibility=body.visibility,
        group_id=group_id,
        created_at=now,
    )
    tx.add(asset)
    await flush_name(tx, kind, body.name)
    audit.record(tx, actor, f"{kind}.create", kind, asset.id, asset.name, {"visibility": body.visibility})
    await announce(tx, asset)
    return asset


async def update_asset(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, body: AssetUpdate) -> Asset:
    """Change what ``body`` names; leave the rest."""
    asset = await own_asset(tx, actor, kind, asset_id)
    changes = body.model_dump(mode="json", exclude_none=True)
    before = {field: getattr(asset, field) for field in changes}
    await announce(tx, asset)
    if body.visibility is not None or body.group_id is not None:
        visibility = body.visibility or Visibility(asset.visibility)
        kept = asset.group_id if visibility == Visibility.GROUP else None
        asset.group_id = await _check_sharing(tx, actor, visibility, body.group_id or kept)
        asset.visibility = visibility
    if body.description is not None:
        asset.description = body.description
    if body.name is not None:
        asset.name = body.name
        await flush_name(tx, kind, body.name)
    audit.record(tx, actor, f"{kind}.update", kind, asset.id, asset.name, {"before": before, "after": changes})
    await announce(tx, asset)
    return asset


async def delete_asset(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str) -> list[str]:
    """Remove an asset with all its versions; their content goes when the garbage is collected.

    Returns the ids of the uploads into them, whose files are the caller's to remove once this is committed.
    """
    asset = await own_asset(tx, actor, kind, asset_id)
    what = f"The {kind} {asset.name!r}"
    await refuse_in_use(tx, asset.id, what, asset_in_use_checks)
    await announce(tx, asset)
    # Locked, so that no upload begins between the look and the end. In the order in which deleting locks them.
    await tx.execute(select(Asset.id).where(Asset.id == asset.id).with_for_update())
    versions = select(AssetVersion.id).where(AssetVersion.asset_id == asset.id).order_by(AssetVersion.id)
    version_ids = list(await tx.scalars(versions.with_for_update()))
    uploads = list(await tx.scalars(select(Upload.id).where(Upload.version_id.in_(version_ids))))
    try:
        await tx.execute(delete(Asset).where(Asset.id == asset.id))
    except IntegrityError:
        raise in_use(what) from None
    audit.record(tx, actor, f"{kind}.delete", kind, asset.id, asset.name)
    return uploads


async def _check_sharing(tx: Tx, actor: Actor, visibility: Visibility, group_id: str | None) -> str | None:
    """The group to share with, or None; raises when the actor may not share so."""
    if visibility == Visibility.PRESET and not actor.is_operator:
        raise Forbidden("Only an operator may make an asset preset.", field="visibility", cure="Share it with a group.")
    if visibility != Visibility.GROUP:
        if group_id is not None:
            raise Invalid(
                "A group is given, but the visibility is not 'group'.",
                field="group_id",
                cure="Leave the group out, or set visibility to 'group'.",
            )
        return None
    if group_id is None:
        raise Invalid("No group is given to share with.", field="group_id", cure="Choose one of your groups.")
    if group_id not in await accounts.group_ids_of(tx, actor.id):
        raise Invalid(
            f"You are in no group {group_id[:80]!r}.", field="group_id", cure="Choose one of your own groups."
        )
    return group_id


async def _out(tx: Tx, actor: Actor, assets: Sequence[Asset]) -> list[AssetOut]:
    ids = [asset.id for asset in assets]
    ready = AssetVersion.status == VersionStatus.READY
    counted = await tx.execute(
        select(AssetVersion.asset_id, func.count()).where(AssetVersion.asset_id.in_(ids), ready).group_by("asset_id")
    )
    counts = {asset_id: count for asset_id, count in counted}  # noqa: C416 - mypy knows rows, not dict(rows)
    newest = (
        select(AssetVersion.asset_id, func.max(AssetVersion.number).label("number"))
        .where(AssetVersion.asset_id.in_(ids), ready)
        .group_by(AssetVersion.asset_id)
        .subquery()
    )
    versions = await tx.scalars(
        select(AssetVersion).join(
            newest, (AssetVersion.asset_id == newest.c.asset_id) & (AssetVersion.number == newest.c.number)
        )
    )
    latest = {version.asset_id: VersionOut.model_validate(version) for version in versions}
    names = await accounts.usernames(tx, [asset.owner_id for asset in assets])
    groups = await accounts.group_refs(tx, [asset.group_id for asset in assets if asset.group_id])
    return [
        AssetOut(
            id=asset.id,
            name=asset.name,
            description=asset.description,
            visibility=Visibility(asset.visibility),
            group=groups.get(asset.group_id or ""),
            owner_id=asset.owner_id,
            owner_name=names.get(asset.owner_id, ""),
            mine=asset.owner_id == actor.id,
            can_change=may_change(actor, asset),
            versions=counts.get(asset.id, 0),
            latest=latest.get(asset.id),
            created_at=asset.created_at,
        )
        for asset in assets
    ]


async def _refuse_owner(tx: Tx, _actor: Actor, user: User) -> None:
    """A user who still owns assets or images cannot be deleted."""
    rows = await tx.execute(select(Asset.kind, func.count()).where(Asset.owner_id == user.id).group_by(Asset.kind))
    owned = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in rows]
    images = await tx.scalar(select(func.count()).select_from(Image).where(Image.owner_id == user.id))
    if images:
        owned.append(f"{images} image{'s' if images > 1 else ''}")
    if owned:
        raise Conflict(
            f"The user {user.username!r} owns {' and '.join(owned)}.",
            cure="Delete them first, or freeze the user instead.",
            code="in_use",
        )


accounts.on_delete_checks.append(_refuse_owner)
