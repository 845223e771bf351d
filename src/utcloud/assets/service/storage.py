"""What each user may keep in the store: bytes and files of all versions of his assets, and of his uploads under way.

An upload counts as large as it was announced, from its first request on, so what is let in can always be published as
it is. What an archive holds is known only when it is unpacked; too large a one becomes a draft again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, select, true

from utcloud.accounts import audit
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.assets.models import Asset, AssetVersion, StorageQuota, Upload
from utcloud.assets.schemas import StorageOut, StorageSort, StorageUpdate
from utcloud.common.errors import Conflict, Invalid, NotFound
from utcloud.common.quantity import DISK, about_bytes, parse_quantity
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit, paginate
from utcloud.db.paging import Key
from utcloud.db.upsert import insert_if_absent

TURNS = "uploads"
"""Who lets something into the store takes turns, so that two cannot pass a bound together."""
CURE = "Delete versions or uploads that you no longer need, or ask an operator for more."


@dataclass(frozen=True, slots=True)
class Room:
    """How much a user keeps, and may keep."""

    used_bytes: int
    used_files: int
    max_bytes: int
    max_files: int

    @property
    def left_bytes(self) -> int:
        return max(self.max_bytes - self.used_bytes, 0)

    @property
    def left_files(self) -> int:
        return max(self.max_files - self.used_files, 0)

    def fault(self, more_bytes: int, more_files: int) -> str:
        """Why so much more does not fit, in words; empty when it does."""
        if self.used_bytes + more_bytes > self.max_bytes:
            return (
                f"{about_bytes(self.used_bytes)} of {about_bytes(self.max_bytes)} are used, uploads under way counted, "
                f"and this needs {about_bytes(more_bytes)}"
            )
        if self.used_files + more_files > self.max_files:
            return (
                f"{self.used_files} of {self.max_files} files are used, uploads under way counted, and this needs "
                f"{more_files}"
            )
        return ""


async def room_of(tx: Tx, settings: Settings, user_id: str, *, but: str = "") -> Room:
    """What the user keeps without the version ``but``, and may keep."""
    kept = select(_sum(AssetVersion.size), _sum(AssetVersion.files)).join(Asset, Asset.id == AssetVersion.asset_id)
    coming = (
        select(_sum(Upload.length), func.count(Upload.id))
        .join(AssetVersion, AssetVersion.id == Upload.version_id)
        .join(Asset, Asset.id == AssetVersion.asset_id)
    )
    own = (Asset.owner_id == user_id, AssetVersion.id != but)
    size, files = (await tx.execute(kept.where(*own))).one()
    length, uploads = (await tx.execute(coming.where(*own))).one()
    quota = await tx.get(StorageQuota, user_id)
    max_bytes, max_files = _allowed(settings, quota)
    return Room(size + length, files + uploads, max_bytes, max_files)


async def require(tx: Tx, settings: Settings, actor: Actor, owner_id: str, *, more_bytes: int, more_files: int) -> None:
    """Raise Conflict (code ``quota_exceeded``) when so much more does not fit. Say it in one's turn (``TURNS``)."""
    room = await room_of(tx, settings, owner_id)
    if fault := room.fault(more_bytes, more_files):
        field = "Upload-Length" if room.used_bytes + more_bytes > room.max_bytes else "path"
        raise exceeded(fault, field, CURE if actor.id == owner_id else "")


def exceeded(fault: str, field: str, cure: str) -> Conflict:
    """The refusal: nothing of what there is is lost by it."""
    return Conflict(
        f"The storage quota is exceeded: {fault}.",
        field=field,
        cure=cure or "It counts for the owner: delete versions, or set the owner a higher quota.",
        code="quota_exceeded",
    )


async def list_storage(
    tx: Tx,
    settings: Settings,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    user_ids: Iterable[str] = (),
    sort: StorageSort = StorageSort.BIGGEST,
) -> tuple[list[StorageOut], str | None]:
    """One page of what users keep: of all for operators, of oneself for others."""
    query = select(User).where(true() if actor.is_operator else User.id == actor.id)
    if search:
        query = query.where(User.username.icontains(search, autoescape=True))
    if wanted := list(user_ids):
        query = query.where(User.id.in_(wanted))
    columns: dict[str, Key] = {"username": User.username, "used_bytes": _USED}
    users, after = await paginate(tx, query, User.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return await _out(tx, settings, users), after


async def get_storage(tx: Tx, settings: Settings, actor: Actor, user_id: str) -> StorageOut:
    """What one user keeps: oneself, or anybody for operators; to others there is none."""
    return (await _out(tx, settings, [await _subject(tx, actor, user_id)]))[0]


async def set_storage(tx: Tx, settings: Settings, actor: Actor, user_id: str, body: StorageUpdate) -> StorageOut:
    """Set what one user may keep. It only refuses what is new: less than what there is deletes nothing."""
    user = await _subject(tx, actor, user_id)
    actor.require_operator()
    max_bytes = _bytes(body.max_bytes)
    await insert_if_absent(tx, StorageQuota, {"user_id": user.id})
    quota = (await tx.scalars(select(StorageQuota).where(StorageQuota.user_id == user.id).with_for_update())).one()
    quota.max_bytes, quota.max_files = max_bytes, body.max_files
    await tx.flush()
    audit.record(tx, actor, "user.storage", "user", user.id, user.username, body.model_dump())
    emit(tx, "ui:miners")
    emit(tx, f"ui:{user.id}")
    return (await _out(tx, settings, [user]))[0]


async def _subject(tx: Tx, actor: Actor, user_id: str) -> User:
    if user_id != actor.id and not actor.is_operator:
        raise NotFound.of("user", user_id)
    return await accounts.get_user(tx, user_id)


async def _out(tx: Tx, settings: Settings, users: Iterable[User]) -> list[StorageOut]:
    users = list(users)
    ids = [user.id for user in users]
    by_owner = select(Asset.owner_id, _sum(AssetVersion.size), _sum(AssetVersion.files)).join(
        AssetVersion, AssetVersion.asset_id == Asset.id
    )
    uploads = (
        select(Asset.owner_id, _sum(Upload.length), func.count(Upload.id))
        .join(AssetVersion, AssetVersion.asset_id == Asset.id)
        .join(Upload, Upload.version_id == AssetVersion.id)
    )
    kept, coming = await _by_owner(tx, by_owner, ids), await _by_owner(tx, uploads, ids)
    quotas = {one.user_id: one for one in await tx.scalars(select(StorageQuota).where(StorageQuota.user_id.in_(ids)))}
    found = []
    for user in users:
        size, files = kept.get(user.id, (0, 0))
        length, count = coming.get(user.id, (0, 0))
        quota = quotas.get(user.id)
        max_bytes, max_files = _allowed(settings, quota)
        found.append(
            StorageOut(
                user_id=user.id,
                username=user.username,
                used_bytes=size + length,
                used_files=files + count,
                uploading_bytes=length,
                max_bytes=max_bytes,
                max_files=max_files,
                own_bytes=quota.max_bytes if quota else None,
                own_files=quota.max_files if quota else None,
            )
        )
    return found


async def _by_owner(tx: Tx, query: Select[str, int, int], ids: list[str]) -> dict[str, tuple[int, int]]:
    rows = await tx.execute(query.where(Asset.owner_id.in_(ids)).group_by(Asset.owner_id))
    return {owner: (size, files) for owner, size, files in rows}


def _allowed(settings: Settings, quota: StorageQuota | None) -> tuple[int, int]:
    own_bytes, own_files = (quota.max_bytes, quota.max_files) if quota else (None, None)
    return (
        settings.storage_quota_bytes if own_bytes is None else own_bytes,
        settings.storage_files if own_files is None else own_files,
    )


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return 0 if text.strip() == "0" else parse_quantity(DISK, text)
    except ValueError as error:
        cure = "Write a size, or 0 for nothing."
        raise Invalid(f"Not a quantity: {error}.", field="max_bytes", cure=cure) from None


def _sum(column: object) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


_USED: ColumnElement[int] = (
    select(_sum(AssetVersion.size))
    .join(Asset, Asset.id == AssetVersion.asset_id)
    .where(Asset.owner_id == User.id)
    .correlate(User)
    .scalar_subquery()
    + select(_sum(Upload.length))
    .join(AssetVersion, AssetVersion.id == Upload.version_id)
    .join(Asset, Asset.id == AssetVersion.asset_id)
    .where(Asset.owner_id == User.id)
    .correlate(User)
    .scalar_subquery()
)
