"""Turning a draft's uploads into a version: unpack, hash, keep, write down. All may be done again after a crash."""

import asyncio
import contextlib
import errno
import shutil
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from obstore.exceptions import BaseError
from sqlalchemy import delete, insert, select, update

from utcloud.assets import unpack, uploads
from utcloud.assets.models import Asset, AssetVersion, Upload, VersionFile
from utcloud.assets.schemas import VersionStatus
from utcloud.assets.service import storage
from utcloud.assets.store import ObjectStore, blob_key
from utcloud.assets.unpack import Found, OverQuota, Refused, Work
from utcloud.common.clock import Clock
from utcloud.common.quantity import about_bytes
from utcloud.common.settings import Settings
from utcloud.db import Database, Tx, emit
from utcloud.db.database import take_turns

log = structlog.get_logger()
_PROGRESS_EVERY_S = 1.0
_ROWS = 5000


@dataclass(frozen=True, slots=True)
class _Source:
    """An upload whose bytes are all there."""

    path: Path
    name: str
    is_archive: bool


async def process(db: Database, clock: Clock, store: ObjectStore, settings: Settings, version_id: str) -> None:
    """Make the version ready, or failed with a reason; a draft again when its owner's storage quota does not hold it.

    A fault of the platform leaves it to be tried again.
    """
    async with db.read() as tx:
        version = await tx.get(AssetVersion, version_id)
        room = await _room(tx, settings, version) if version else None
        rows = (await tx.scalars(select(Upload).where(Upload.version_id == version_id).order_by(Upload.path))).all()
    if version is None or room is None or version.status != VersionStatus.PROCESSING:
        return
    root = uploads.folder(settings)
    sources = [_Source(root / row.id, row.path, row.is_archive) for row in rows]
    work_dir = root / "unpack" / version_id
    work = Work(settings.max_version_bytes, settings.max_version_files, room.left_bytes, room.left_files)
    try:
        found = await _watched(db, version_id, work, asyncio.to_thread(_gather, sources, work_dir, work))
        async with store.claims.claim(blob_key(file.sha256) for file in found):
            await _keep(db, store, version_id, found)
            await _finish(db, settings, version_id, found, "")
    except OverQuota as refused:
        log.info("publishing: over the storage quota", version=version_id)
        await _back_to_draft(db, clock.now(), settings, version_id, str(refused))
        return
    except Refused as refused:
        await _finish(db, settings, version_id, [], str(refused))
    except (OSError, BaseError) as error:
        async with db.read() as tx:
            if await tx.get(AssetVersion, version_id) is None:  # deleted meanwhile, and its uploads' files with it
                return
        if not (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            log.error("publishing", version=version_id, error=str(error))
            await _tell(db, version_id, "The platform's storage does not answer; this is tried again.")
            raise
        full = "The platform's disk is full. Tell an operator, and publish again later."
        await _finish(db, settings, version_id, [], full)
    finally:
        work.cancelled.set()
        await asyncio.to_thread(shutil.rmtree, work_dir, ignore_errors=True)
    await asyncio.to_thread(_remove, [source.path for source in sources])


def _gather(sources: Iterable[_Source], work_dir: Path, work: Work) -> list[Found]:
    """All files of the version, hashed. Runs in a thread."""
    shutil.rmtree(work_dir, ignore_errors=True)
    found: list[Found] = []
    for number, source in enumerate(sources):
        if not source.path.exists():
            raise Refused(f"The upload of {source.name!r} is gone. Upload it again into a new version.")
        if source.is_archive:
            found += unpack.unpack(source.path, source.name, work_dir / str(number), work)
        else:
            found.append(unpack.take_file(source.path, source.name, work))
    refuse_clashes(file.path for file in found)
    return sorted(found, key=lambda file: file.path)


def refuse_clashes(paths: Iterable[str]) -> None:
    """Raise Refused when two files have the same path, or one has the path of another's folder."""
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise Refused(f"Two files have the same path {path!r}. Leave one of them out.")
        seen.add(path)
    for path in seen:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if (parent := "/".join(parts[:end])) in seen:
                raise Refused(f"{parent!r} is a file and, because of {path!r}, a folder too. Rename one of them.")


async def _keep(db: Database, store: ObjectStore, version_id: str, found: list[Found]) -> None:
    told = asyncio.get_running_loop().time()
    for number, file in enumerate(found):
        await store.put_file(blob_key(file.sha256), file.source)
        if asyncio.get_running_loop().time() - told > _PROGRESS_EVERY_S:
            told = asyncio.get_running_loop().time()
            await _tell(db, version_id, f"storing files: {number + 1} of {len(found)}")


async def _room(tx: Tx, settings: Settings, version: AssetVersion) -> storage.Room:
    """What is left for a version: its own uploads give way to it."""
    asset = await tx.get_one(Asset, version.asset_id)
    return await storage.room_of(tx, settings, asset.owner_id, but=version.id)


async def _back_to_draft(db: Database, now: datetime, settings: Settings, version_id: str, fault: str) -> None:
    """It may be published again once there is room: what was uploaded stays, as long as if it had come now."""
    async with db.write() as tx:
        version = await tx.get(AssetVersion, version_id, with_for_update=True)
        if version is None or version.status != VersionStatus.PROCESSING:
            return
        if not fault:  # it was given up while it was unpacked
            room = await _room(tx, settings, version)
            fault = (
                f"{about_bytes(room.used_bytes)} of {about_bytes(room.max_bytes)} and {room.used_files} of "
                f"{room.max_files} files are used, uploads under way counted, and this needs more than is left"
            )
        version.status = VersionStatus.DRAFT
        version.reason = f"The storage quota is exceeded: {fault}. {storage.CURE} Then publish it again."
        uploaded = update(Upload).where(Upload.version_id == version.id)
        await tx.execute(uploaded.values(expires_at=now + uploads.LIFETIME))
        asset = await tx.get_one(Asset, version.asset_id)
        emit(tx, f"ui:{asset.owner_id}")


async def _finish(db: Database, settings: Settings, version_id: str, found: list[Found], reason: str) -> None:
    """Write the outcome, all at once; nothing happens to a version that was deleted meanwhile.

    Raises OverQuota when meanwhile too much else came.
    """
    async with db.write() as tx:
        await take_turns(tx, storage.TURNS)
        version = await tx.get(AssetVersion, version_id, with_for_update=True)
        if version is None or version.status != VersionStatus.PROCESSING:
            return
        room = await _room(tx, settings, version)
        if found and (fault := room.fault(sum(file.size for file in found), len(found))):
            raise OverQuota(fault)
        for start in range(0, len(found), _ROWS):
            rows = [
                {
                    "version_id": version_id,
                    "path": file.path,
                    "size": file.size,
                    "sha256": file.sha256,
                    "executable": file.executable,
                }
                for file in found[start : start + _ROWS]
            ]
            await tx.execute(insert(VersionFile), rows)
        version.status = VersionStatus.FAILED if reason else VersionStatus.READY
        version.reason = reason
        version.files = len(found)
        version.size = sum(file.size for file in found)
        await tx.execute(delete(Upload).where(Upload.version_id == version_id))
        asset = await tx.get_one(Asset, version.asset_id)
        emit(tx, f"ui:{asset.owner_id}")


async def _watched(db: Database, version_id: str, work: Work, doing: Coroutine[Any, Any, list[Found]]) -> list[Found]:
    """Say how far the work is while it goes on."""
    task = asyncio.create_task(doing)
    said = ""
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_PROGRESS_EVERY_S)
            progress = f"reading files: {work.files} so far, {work.bytes // 10**6} MB"
            if not task.done() and progress != said:
                said = progress
                await _tell(db, version_id, progress)
        return task.result()
    finally:
        work.cancelled.set()
        if not task.done():
            with contextlib.suppress(unpack.Cancelled, Refused, OSError):
                await task


async def _tell(db: Database, version_id: str, progress: str) -> None:
    async with db.write() as tx:
        version = await tx.get(AssetVersion, version_id)
        if version is not None and version.status == VersionStatus.PROCESSING:
            version.reason = progress
            emit(tx, f"ui:{(await tx.get_one(Asset, version.asset_id)).owner_id}")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
