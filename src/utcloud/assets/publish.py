"""Turning a draft's uploads into a version: unpack, hash, keep, write down. All may be done again after a crash."""

import asyncio
import contextlib
import errno
import shutil
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from obstore.exceptions import BaseError
from sqlalchemy import delete, insert, select

from utcloud.assets import unpack, uploads
from utcloud.assets.models import Asset, AssetVersion, Upload, VersionFile
from utcloud.assets.schemas import VersionStatus
from utcloud.assets.store import ObjectStore, blob_key
from utcloud.assets.unpack import Found, Refused, Work
from utcloud.common.settings import Settings
from utcloud.db import Database, emit

log = structlog.get_logger()
_PROGRESS_EVERY_S = 1.0
_ROWS = 5000


@dataclass(frozen=True, slots=True)
class _Source:
    """An upload whose bytes are all there."""

    path: Path
    name: str
    is_archive: bool


async def process(db: Database, store: ObjectStore, settings: Settings, version_id: str) -> None:
    """Make the version ready, or failed with a reason. A fault of the platform leaves it to be tried again."""
    async with db.read() as tx:
        version = await tx.get(AssetVersion, version_id)
        rows = (await tx.scalars(select(Upload).where(Upload.version_id == version_id).order_by(Upload.path))).all()
    if version is None or version.status != VersionStatus.PROCESSING:
        return
    root = uploads.folder(settings)
    sources = [_Source(root / row.id, row.path, row.is_archive) for row in rows]
    work_dir = root / "unpack" / version_id
    work = Work(settings.max_version_bytes, settings.max_version_files)
    try:
        found = await _watched(db, version_id, work, asyncio.to_thread(_gather, sources, work_dir, work))
        await _keep(db, store, version_id, found)
        await _finish(db, version_id, found, "")
    except Refused as refused:
        await _finish(db, version_id, [], str(refused))
    except (OSError, BaseError) as error:
        if not (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            log.error("publishing", version=version_id, error=str(error))
            await _tell(db, version_id, "The platform's storage does not answer; this is tried again.")
            raise
        await _finish(db, version_id, [], "The platform's disk is full. Tell an operator, and publish again later.")
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


async def _finish(db: Database, version_id: str, found: list[Found], reason: str) -> None:
    """Write the outcome, all at once; nothing happens to a version that was deleted meanwhile."""
    async with db.write() as tx:
        version = await tx.get(AssetVersion, version_id, with_for_update=True)
        if version is None or version.status != VersionStatus.PROCESSING:
            return
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
