"""What the rules of assets share: who sees what, what is in use, who hears of changes."""

from collections.abc import Awaitable, Callable, Iterable

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import GroupMember
from utcloud.assets.models import Asset
from utcloud.assets.schemas import AssetKind, Visibility
from utcloud.common.errors import Conflict, NotFound
from utcloud.db import Tx, emit

InUseCheck = Callable[[Tx, str], Awaitable[str | None]]
"""Takes an id; returns what uses the object, in words (``2 notebooks (lab-1, lab-2)``), or None."""


def visible(actor: Actor) -> ColumnElement[bool]:
    """One's own assets, those shared with one's groups, and preset ones."""
    my_groups = select(GroupMember.group_id).where(GroupMember.user_id == actor.id).scalar_subquery()
    return or_(
        Asset.owner_id == actor.id,
        Asset.visibility == Visibility.PRESET,
        (Asset.visibility == Visibility.GROUP) & Asset.group_id.in_(my_groups),
    )


def changeable(actor: Actor) -> ColumnElement[bool]:
    """One's own assets; for an operator also preset ones, whoever made them."""
    own = Asset.owner_id == actor.id
    return or_(own, Asset.visibility == Visibility.PRESET) if actor.is_operator else own


def may_change(actor: Actor, asset: Asset) -> bool:
    """What ``changeable`` says, of one asset."""
    return asset.owner_id == actor.id or (actor.is_operator and asset.visibility == Visibility.PRESET)


async def visible_asset(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, field: str | None = None) -> Asset:
    """The asset; raises NotFound for what the actor may not see."""
    asset = await tx.scalar(select(Asset).where(Asset.id == asset_id, Asset.kind == kind, visible(actor)))
    if asset is None:
        raise NotFound.of(kind, asset_id, field=field)
    return asset


async def own_asset(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, *, lock: bool = False) -> Asset:
    """An asset that the actor may change; raises NotFound, also for one that is only shared with the actor."""
    query = select(Asset).where(Asset.id == asset_id, Asset.kind == kind, changeable(actor))
    asset = await tx.scalar(query.with_for_update() if lock else query)
    if asset is None:
        raise NotFound(
            f"There is no {kind} {asset_id[:80]!r} of yours.",
            cure=f"Choose one of your own {kind}s; others can only read.",
        )
    return asset


async def refuse_in_use(tx: Tx, ident: str, what: str, checks: Iterable[InUseCheck]) -> None:
    """Raise a Conflict that names what uses the object."""
    if uses := [use for check in checks if (use := await check(tx, ident))]:
        raise in_use(what, " and ".join(uses))


def in_use(what: str, by: str = "notebooks or tasks") -> Conflict:
    return Conflict(f"{what} is in use by {by}.", cure="Delete what uses it first.", code="in_use")


async def flush_name(tx: Tx, noun: str, name: str) -> None:
    """Flush; a name that is taken becomes a Conflict on the field ``name``."""
    try:
        await tx.flush()
    except IntegrityError:
        raise Conflict(
            f"There is {'an' if noun[0] in 'aeiou' else 'a'} {noun} named {name!r} already.",
            field="name",
            cure="Choose another name.",
            code="name_taken",
        ) from None


async def announce(tx: Tx, asset: Asset) -> None:
    """Pages of those who see the asset shall look again."""
    emit(tx, f"ui:{asset.owner_id}")
    if asset.visibility == Visibility.PRESET:
        emit(tx, "ui:miners")
    if asset.visibility == Visibility.GROUP and asset.group_id:
        for user_id in await tx.scalars(select(GroupMember.user_id).where(GroupMember.group_id == asset.group_id)):
            emit(tx, f"ui:{user_id}")
