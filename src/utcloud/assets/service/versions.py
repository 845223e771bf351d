"""Versions: a draft takes uploads; publishing makes it ready, and then it never changes."""

from collections import Counter
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.assets.models import Asset, AssetVersion, Upload, VersionFile
from utcloud.assets.schemas import AssetKind, VersionCreate, VersionOut, VersionStatus
from utcloud.assets.service import storage
from utcloud.assets.service.assets import version_in_use_checks
from utcloud.assets.service.common import announce, in_use, may_change, own_asset, refuse_in_use, visible_asset
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.ids import new_id
from utcloud.common.paging import decode_cursor, encode_cursor
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit
from utcloud.protocol import FileEntry, Manifest

MAX_DRAFTS = 20
_SHOWN = 5


def version_out(version: AssetVersion) -> VersionOut:
    """What the API says of one version."""
    return VersionOut.model_validate(version)


async def create_version(
    tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, body: VersionCreate, now: datetime
) -> AssetVersion:
    """Begin a draft with the next number."""
    asset = await own_asset(tx, actor, kind, asset_id, lock=True)
    mine = AssetVersion.asset_id == asset.id
    drafts = await tx.scalar(
        select(func.count()).select_from(AssetVersion).where(mine, AssetVersion.status == VersionStatus.DRAFT)
    )
    if (drafts or 0) >= MAX_DRAFTS:
        raise Conflict(f"There are {drafts} drafts already.", cure="Publish or delete drafts first.")
    number = (await tx.scalar(select(func.max(AssetVersion.number)).where(mine)) or 0) + 1
    version = AssetVersion(
        id=new_id("ver"), asset_id=asset.id, number=number, status=VersionStatus.DRAFT, note=body.note, created_at=now
    )
    tx.add(version)
    await tx.flush()
    audit.record(tx, actor, f"{kind}.version.create", kind, asset.id, asset.name, {"number": number})
    emit(tx, f"ui:{actor.id}")
    return version


async def get_version(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, number: int) -> AssetVersion:
    """A version that the actor sees: of a shared asset, only a ready one."""
    asset = await visible_asset(tx, actor, kind, asset_id)
    version = await _numbered(tx, asset, number)
    if version is None or (version.status != VersionStatus.READY and not may_change(actor, asset)):
        raise NotFound.of("version", str(number))
    return version


async def own_version(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, number: int) -> tuple[Asset, AssetVersion]:
    """A version of an asset that the actor may change, locked until the transaction ends."""
    asset = await own_asset(tx, actor, kind, asset_id)
    version = await _numbered(tx, asset, number, lock=True)
    if version is None:
        raise NotFound.of("version", str(number))
    return asset, version


async def publish_version(
    tx: Tx, settings: Settings, actor: Actor, kind: AssetKind, asset_id: str, number: int
) -> AssetVersion:
    """Take no more uploads, and let the loop make the version ready. Asking again changes nothing.

    The storage quota is looked at once more, since it may be less than it was. What is refused stays a draft with all
    that was uploaded.
    """
    asset, version = await own_version(tx, actor, kind, asset_id, number)
    if version.status == VersionStatus.PROCESSING:
        return version
    if version.status != VersionStatus.DRAFT:
        raise Conflict(f"Version {number} is {version.status} already.", cure="Make a new version.")
    uploads = list(await tx.scalars(select(Upload).where(Upload.version_id == version.id).order_by(Upload.path)))
    if not uploads:
        raise Conflict(f"Version {number} has no files.", cure="Upload files into it first.", code="empty")
    if unfinished := [upload.path for upload in uploads if upload.offset < upload.length]:
        raise Conflict(
            f"{len(unfinished)} upload{'s are' if len(unfinished) > 1 else ' is'} not finished: {_some(unfinished)}.",
            cure="Resume or delete them, then publish again.",
            code="unfinished",
        )
    counts = Counter(upload.path for upload in uploads)
    if twice := [path for path, count in counts.items() if count > 1]:
        raise Conflict(
            f"Uploaded more than once: {_some(twice)}.", cure="Delete all but one of each.", code="duplicate_path"
        )
    if fault := (await storage.room_of(tx, settings, asset.owner_id)).fault(0, 0):
        raise storage.exceeded(fault, "number", storage.CURE if actor.id == asset.owner_id else "")
    version.status, version.reason = VersionStatus.PROCESSING, "waiting for its turn"
    audit.record(tx, actor, f"{kind}.version.publish", kind, asset.id, asset.name, {"number": number})
    emit(tx, f"ui:{actor.id}")
    emit(tx, "assets")
    return version


async def delete_version(tx: Tx, actor: Actor, kind: AssetKind, asset_id: str, number: int) -> list[str]:
    """Remove a version that nothing uses, with its uploads; return their ids. Their files are the caller's to remove,
    once this is committed."""
    asset, version = await own_version(tx, actor, kind, asset_id, number)
    what = f"Version {number} of the {kind} {asset.name!r}"
    await refuse_in_use(tx, version.id, what, version_in_use_checks)
    uploads = list(await tx.scalars(select(Upload.id).where(Upload.version_id == version.id)))
    try:
        await tx.execute(delete(AssetVersion).where(AssetVersion.id == version.id))
    except IntegrityError:
        raise in_use(what) from None
    audit.record(tx, actor, f"{kind}.version.delete", kind, asset.id, asset.name, {"number": number})
    await announce(tx, asset)
    return uploads


async def list_files(
    tx: Tx, version: AssetVersion, *, limit: int, cursor: str | None = None, search: str | None = None
) -> tuple[list[VersionFile], str | None]:
    """One page of a version's files, by path."""
    query = select(VersionFile).where(VersionFile.version_id == version.id)
    if search:
        query = query.where(VersionFile.path.icontains(search, autoescape=True))
    if cursor is not None:
        query = query.where(VersionFile.path > str(decode_cursor(cursor, 1)[0]))
    files = list(await tx.scalars(query.order_by(VersionFile.path).limit(limit + 1)))
    return files[:limit], encode_cursor(files[limit - 1].path) if len(files) > limit else None


async def one_file(tx: Tx, version: AssetVersion, path: str) -> VersionFile:
    """The file with this path; raises NotFound."""
    file = await tx.get(VersionFile, (version.id, path)) if "\0" not in path else None
    if file is None:
        raise NotFound.of("file", path, field="path")
    return file


async def usable_version(
    tx: Tx, actor: Actor, kind: str, asset_id: str, number: int | None
) -> tuple[Asset, AssetVersion]:
    """The asset and the version to run with: the one with this number, or the newest that is ready.

    ``kind`` is ``algorithm``, ``dataset`` or ``model``. Raises NotFound, or Conflict when it is not ready, on the
    fields ``<kind>_id`` and ``<kind>_version``.
    """
    asset = await visible_asset(tx, actor, AssetKind(kind), asset_id, field=f"{kind}_id")
    if number is None:
        version = await tx.scalar(
            select(AssetVersion)
            .where(AssetVersion.asset_id == asset.id, AssetVersion.status == VersionStatus.READY)
            .order_by(AssetVersion.number.desc())
            .limit(1)
        )
        if version is None:
            raise Conflict(
                f"The {kind} {asset.name!r} has no version that is ready.",
                field=f"{kind}_id",
                cure="Upload files, publish them, and wait until the version is ready.",
                code="not_ready",
            )
        return asset, version
    version = await _numbered(tx, asset, number)
    if version is None or (version.status != VersionStatus.READY and not may_change(actor, asset)):
        raise NotFound.of("version", str(number), field=f"{kind}_version")
    if version.status != VersionStatus.READY:
        raise Conflict(
            f"Version {number} of the {kind} {asset.name!r} is {version.status}, not ready.",
            field=f"{kind}_version",
            cure="Publish it and wait until it is ready, or choose another version.",
            code="not_ready",
        )
    return asset, version


async def manifest(tx: Tx, version_id: str) -> Manifest:
    """The files of a ready version, for a site; raises NotFound."""
    version = await tx.get(AssetVersion, version_id)
    if version is None or version.status != VersionStatus.READY:
        raise NotFound.of("version", version_id)
    rows = await tx.execute(
        select(VersionFile.path, VersionFile.size, VersionFile.sha256, VersionFile.executable)
        .where(VersionFile.version_id == version_id)
        .order_by(VersionFile.path)
    )
    files = [FileEntry(path=path, size=size, sha256=sha256, executable=run) for path, size, sha256, run in rows]
    return Manifest(version_id=version_id, files=files)


async def _numbered(tx: Tx, asset: Asset, number: int, *, lock: bool = False) -> AssetVersion | None:
    query = select(AssetVersion).where(AssetVersion.asset_id == asset.id, AssetVersion.number == number)
    return (await tx.scalars(query.with_for_update() if lock else query)).one_or_none()


def _some(paths: list[str]) -> str:
    shown = ", ".join(paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown
