"""Uploads that resume: the rules of tus 1.0.0 (https://tus.io/protocols/resumable-upload).

The bytes lie in ``<folder>/<upload id>``. How many there are is the file's own size: what arrived before a cut, or
before the server was killed, is not lost. Who writes holds the file's lock, so that two writers cannot mix.
"""

import asyncio
import contextlib
import fcntl
import os
from base64 import b64decode
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, func, select, update

from utcloud.accounts.auth import Actor
from utcloud.assets.models import Asset, AssetVersion, Upload
from utcloud.assets.paths import clean_path
from utcloud.assets.schemas import VersionStatus
from utcloud.assets.service import storage
from utcloud.assets.service.common import changeable
from utcloud.assets.unpack import Refused, require_disk
from utcloud.common.errors import Conflict, Invalid, NotFound, Problem, TooLarge
from utcloud.common.ids import new_id
from utcloud.common.settings import Settings
from utcloud.db import Database, Tx
from utcloud.db.database import take_turns

LIFETIME = timedelta(hours=24)
"""An upload is forgotten when no bytes came for this long."""
_BUFFER = 4 * 2**20
SILENCE_S = 60
"""So long a stream of bytes may pause."""
_LOOK_EVERY = 64 * 2**20
_LOOK_EVERY_S = 2.0
"""Bytes, or seconds, after which a stream looks whether its upload is still there and the disk has room."""


class Locked(Problem):
    """Another request writes to the upload."""

    status, code, title = 423, "locked", "Locked"


class UnsupportedMediaType(Problem):
    """The bytes did not come as tus wants them."""

    status, code, title = 415, "unsupported_media_type", "Wrong content type"


class PreconditionFailed(Problem):
    """The client speaks another version of tus."""

    status, code, title = 412, "precondition_failed", "Another version of the protocol"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the ``Upload-Metadata`` of a new upload says."""

    version_id: str
    path: str
    is_archive: bool


def folder(settings: Settings) -> Path:
    """Where uploads under way lie: on the disk of the home folder."""
    path = settings.home / "uploads"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def parse_metadata(header: str) -> Wish:
    """Read ``Upload-Metadata``: ``version_id``, ``path`` (or ``filename``) and ``archive`` (``true``)."""
    values: dict[str, str] = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            values[key] = b64decode(value.strip(), validate=True).decode()
        except ValueError:
            raise Invalid(
                f"The value of {key[:40]!r} in Upload-Metadata is not Base64 of UTF-8.",
                field="Upload-Metadata",
                cure="Send `version_id <Base64>,path <Base64>`.",
            ) from None
    for key in ("version_id", "path"):
        if not (values.get(key) or (key == "path" and values.get("filename"))):
            raise Invalid(
                f"Upload-Metadata does not say the {key}.",
                field="Upload-Metadata",
                cure="Send `version_id <Base64>,path <Base64>`.",
            )
    if not values["version_id"].isprintable():
        raise NotFound.of("version", "", field="version_id")
    archive = values.get("archive", "")
    if archive.lower() not in ("", "true", "false"):
        raise Invalid(
            "The value of `archive` is neither true nor false.", field="archive", cure="Send true or leave it out."
        )
    path = clean_path(values.get("path") or values["filename"])
    return Wish(values["version_id"], path, archive.lower() == "true")


async def create(tx: Tx, now: datetime, actor: Actor, settings: Settings, wish: Wish, length: int) -> Upload:
    """Begin an upload of ``length`` bytes into a draft that the actor may change."""
    if length > settings.max_upload_bytes:
        raise TooLarge(
            f"The file has {length} bytes; at most {settings.max_upload_bytes} are allowed.",
            field="Upload-Length",
            cure="Split it.",
        )
    await take_turns(tx, storage.TURNS)  # each must see what the others have reserved
    version = await _own_draft(tx, actor, wish.version_id)
    await _make_room(tx, settings, actor, version, wish, length)
    upload = Upload(
        id=new_id("upl"),
        version_id=version.id,
        user_id=actor.id,
        path=wish.path,
        is_archive=wish.is_archive,
        length=length,
        offset=0,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    tx.add(upload)
    await tx.flush()
    (folder(settings) / upload.id).touch(mode=0o600)
    return upload


async def _own_draft(tx: Tx, actor: Actor, version_id: str) -> AssetVersion:
    """The draft, locked, so that it is not published meanwhile."""
    version = await tx.scalar(
        select(AssetVersion)
        .join(Asset, Asset.id == AssetVersion.asset_id)
        .where(AssetVersion.id == version_id, changeable(actor))
        .with_for_update(of=AssetVersion)
    )
    if version is None:
        raise NotFound.of("version", version_id, field="version_id")
    if version.status != VersionStatus.DRAFT:
        raise Conflict(
            f"Version {version.number} is {version.status} and takes no more files.",
            field="version_id",
            cure="Make a new version and upload into it.",
        )
    return version


async def _make_room(tx: Tx, settings: Settings, actor: Actor, version: AssetVersion, wish: Wish, length: int) -> None:
    same = await tx.scalar(select(Upload).where(Upload.version_id == version.id, Upload.path == wish.path).limit(1))
    if same is not None and (same.length == 0 or _size_of(folder(settings) / same.id)):
        raise Conflict(
            f"There is an upload of {wish.path!r} in this version already.",
            field="path",
            cure="Resume it, or delete it first.",
            code="duplicate_path",
        )
    if same is not None:  # its answer was lost on the way: nobody can ever write to it
        await tx.delete(same)
        await tx.flush()
    row = await tx.execute(
        select(func.count(), func.coalesce(func.sum(Upload.length), 0)).where(Upload.version_id == version.id)
    )
    count, size = row.one()
    if count >= settings.max_version_files:
        raise Conflict(
            f"The version has {count} files already, and at most {settings.max_version_files} are allowed.",
            cure="Pack small files together.",
        )
    if size + length > settings.max_version_bytes:
        raise TooLarge(
            f"The version would be larger than {settings.max_version_bytes} bytes.",
            field="Upload-Length",
            cure="Split it into several versions.",
        )
    asset = await tx.get_one(Asset, version.asset_id)
    await storage.require(tx, settings, actor, asset.owner_id, more_bytes=length, more_files=1)
    outstanding = await tx.scalar(select(func.coalesce(func.sum(Upload.length - Upload.offset), 0)))
    _require_disk(settings, int(outstanding or 0) + length)


def _require_disk(settings: Settings, size: int) -> None:
    try:
        require_disk(folder(settings), size)
    except Refused as refused:
        raise TooLarge(
            str(refused), field="Upload-Length", cure="Try again when the operator has made room."
        ) from refused


async def get(tx: Tx, now: datetime, actor: Actor, upload_id: str) -> Upload:
    """One's own upload that has not expired."""
    upload = await tx.get(Upload, upload_id)
    if upload is None or upload.user_id != actor.id or upload.expires_at <= now:
        raise NotFound.of("upload", upload_id)
    return upload


async def received(settings: Settings, upload: Upload) -> int:
    """How many bytes have arrived."""
    return await asyncio.to_thread(_size_of, folder(settings) / upload.id)


async def append(
    db: Database,
    now: datetime,
    actor: Actor,
    settings: Settings,
    upload_id: str,
    offset: int,
    content_length: int | None,
    chunks: AsyncIterator[bytes],
) -> Upload:
    """Write what arrives at ``offset``; return the upload with its new offset and expiry.

    What arrived stays, however the stream ends. Raises Conflict for a wrong offset, TooLarge for more than was
    announced, Locked when another request writes, NotFound also when the upload is deleted meanwhile.
    """
    async with db.read() as tx:
        upload = await get(tx, now, actor, upload_id)
        version = await tx.get_one(AssetVersion, upload.version_id)
    if version.status != VersionStatus.DRAFT:
        raise Conflict(f"Version {version.number} is {version.status} and takes no more files.")
    path = folder(settings) / upload.id
    with _locked(path) as file:
        size = os.fstat(file).st_size
        if offset != size:
            raise Conflict(
                f"The upload has {size} bytes, and these would begin at {offset}.",
                field="Upload-Offset",
                cure="Ask with HEAD where to go on.",
                code="wrong_offset",
            )
        if content_length is not None and offset + content_length > upload.length:
            raise _too_much(upload)
        try:
            await _write(db, settings, file, size, upload, chunks)
        finally:
            size = os.fstat(file).st_size
            async with db.write() as tx:
                changed = update(Upload).where(Upload.id == upload.id).values(offset=size, expires_at=now + LIFETIME)
                kept = await tx.scalar(changed.returning(Upload.id)) is not None
            if not kept:  # it was deleted while its bytes came
                path.unlink(missing_ok=True)
    if not kept:
        raise NotFound.of("upload", upload.id)
    upload.offset, upload.expires_at = size, now + LIFETIME
    return upload


async def _write(
    db: Database, settings: Settings, file: int, size: int, upload: Upload, chunks: AsyncIterator[bytes]
) -> None:
    """Write in large pieces, in a thread, so that a slow disk holds up nobody else.

    Nothing counts the bytes of an upload that was deleted. Whoever deletes it takes its file away, and the next piece
    is not written; the database is asked as well, for a server may have been killed between the two.
    """
    clock = asyncio.get_running_loop().time
    buffer = bytearray()
    source = aiter(chunks)
    looked, looked_at = size, clock()
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                chunk = await anext(source, None)
            if chunk is None:
                return
            if size + len(chunk) > upload.length:
                raise _too_much(upload)
            size += len(chunk)
            buffer += chunk
            if size - looked >= _LOOK_EVERY or clock() - looked_at >= _LOOK_EVERY_S:
                looked, looked_at = size, clock()
                async with db.read() as tx:
                    if await tx.get(Upload, upload.id) is None:
                        raise NotFound.of("upload", upload.id)
                _require_disk(settings, 0)
            if len(buffer) >= _BUFFER:
                full, buffer = buffer, bytearray()
                if os.fstat(file).st_nlink == 0:
                    raise NotFound.of("upload", upload.id)
                await asyncio.to_thread(_write_all, file, full)
    except TimeoutError:
        raise Problem("No bytes came for a minute.", cure="Resume the upload.", code="timeout") from None
    finally:
        _write_all(file, buffer)


def _too_much(upload: Upload) -> TooLarge:
    return TooLarge(
        f"More bytes came than the {upload.length} that were announced.",
        field="Upload-Length",
        cure="Begin a new upload with the right length.",
    )


async def terminate(db: Database, now: datetime, actor: Actor, settings: Settings, upload_id: str) -> None:
    """Give an upload up."""
    async with db.read() as tx:
        upload = await get(tx, now, actor, upload_id)
    path = folder(settings) / upload.id
    with _locked(path):
        async with db.write() as tx:
            await _own_draft(tx, actor, upload.version_id)
            await tx.execute(delete(Upload).where(Upload.id == upload.id))
        path.unlink(missing_ok=True)


async def remove_files(settings: Settings, upload_ids: Iterable[str]) -> None:
    """Remove what came of uploads whose version is gone. Streams into them end with their next piece."""
    await asyncio.to_thread(_remove, [folder(settings) / upload_id for upload_id in upload_ids])


async def settle(db: Database, settings: Settings, version_id: str) -> None:
    """Write down how far the unfinished uploads of a version are: a killed server could not."""
    async with db.read() as tx:
        rows = await tx.scalars(select(Upload).where(Upload.version_id == version_id, Upload.offset < Upload.length))
        uploads = list(rows)
    sizes = {upload.id: await received(settings, upload) for upload in uploads}
    changed = [upload for upload in uploads if sizes[upload.id] != upload.offset]
    if not changed:
        return
    async with db.write() as tx:
        for upload in changed:
            await tx.execute(update(Upload).where(Upload.id == upload.id).values(offset=sizes[upload.id]))


async def expire(db: Database, now: datetime, settings: Settings, orphan_age_s: float = 600) -> None:
    """Forget uploads into drafts that got no bytes for a day, and remove files that belong to no upload."""
    old = (
        select(Upload.id)
        .join(AssetVersion, AssetVersion.id == Upload.version_id)
        .where(Upload.expires_at <= now, AssetVersion.status == VersionStatus.DRAFT)
    )
    async with db.write() as tx:
        await tx.execute(delete(Upload).where(Upload.id.in_(old.scalar_subquery())))
    files = await asyncio.to_thread(_files_older_than, folder(settings), orphan_age_s)
    async with db.read() as tx:
        for path in files:
            if await tx.get(Upload, path.name) is None:
                path.unlink(missing_ok=True)


def _files_older_than(root: Path, age_s: float) -> list[Path]:
    """Uploads' files that were not written to of late. By the disk's clock."""
    probe = root / ".now"
    probe.touch()
    now = probe.stat().st_mtime
    return [path for path in root.glob("upl_*") if path.stat().st_mtime <= now - age_s]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write_all(file: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open ``path`` for appending, alone. The lock goes with the file, also when the server is killed."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        raise NotFound.of("upload", path.name) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                "Another request is writing to this upload.", cure="Wait a moment, then ask with HEAD."
            ) from None
        yield file
    finally:
        os.close(file)
