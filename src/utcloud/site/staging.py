"""Bringing files to a new folder: all of them, or no folder at all."""

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Event

import structlog

from utcloud.protocol import FileEntry, Manifest
from utcloud.site.errors import CannotRun, ServerAway, ServerRefused
from utcloud.site.link import Link

_CHUNK = 16 * 2**20
_PIECE = 2**20
_DOWNLOADS = 4
_NO_FAST_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_MB = 10**6
_MOST_READ = 100_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
log = structlog.get_logger()


@dataclass(slots=True)
class Progress:
    """How far a copy is, in bytes. Written by a thread, read by the agent."""

    total: int = 0
    done: int = 0
    cancelled: Event = field(default_factory=Event)

    def text(self) -> str:
        if self.total < _MB:
            return "copying the files"
        return f"copying the files: {self.done // _MB} of {self.total // _MB} MB"


@dataclass(frozen=True, slots=True)
class Content:
    """A manifest and the subfolder it goes to."""

    manifest: Manifest
    folder: str = ""


Mark = tuple[str, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Blobs:
    """A folder with ``blobs/<two digits>/<sha256>``. What is not ``ours`` may be changed by others at any time."""

    folder: Path
    ours: bool

    def open(self, sha256: str) -> int:
        """Open a file of it to read, and nothing else. Raises OSError.

        Nothing below the folder may be a link, and the file is of the folder's owner: root reads for the server's user
        what that user could read as well.
        """
        place = os.open(self.folder, _FOLDER)
        try:
            owner = os.fstat(place).st_uid
            for name in ("blobs", sha256[:2]):
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=place)
                os.close(place)
                place = inner
            file = os.open(sha256, _FILE, dir_fd=place)
        finally:
            os.close(place)
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != owner:
            os.close(file)
            raise OSError(errno.EPERM, f"{sha256} is no file of the owner of {self.folder}")
        return file


class BlobCache:
    """Where a file's content is found on this machine: in the server's store, or downloaded and verified."""

    def __init__(self, folder: Path, link: Link):
        self._folder = folder
        self._link = link
        self._slots = asyncio.Semaphore(_DOWNLOADS)
        self._locks: dict[str, asyncio.Lock] = {}
        self._read: set[Mark] = set()
        """Files of the store whose content is what it should be, as they were then."""

    async def locate(self, entry: FileEntry, store: Path | None, progress: Progress) -> Blobs:
        """Return a folder of blobs that has this content. The store's may have changed when it is opened.

        Raises CannotRun with cause ``files`` when what arrives is not what was promised, ServerAway when it must wait.
        """
        if store:
            kept = Blobs(store, ours=False)
            if await asyncio.to_thread(self._has, kept, entry):
                return kept
        cached = self._folder / "blobs" / entry.sha256[:2] / entry.sha256
        async with self._locks.setdefault(entry.sha256, asyncio.Lock()), self._slots:
            if _size(cached) != entry.size:
                await self._download(entry, cached, progress)
            os.utime(cached)
        self._locks.pop(entry.sha256, None)
        return Blobs(self._folder, ours=True)

    def is_known(self, mark: Mark) -> bool:
        """Whether the content of a file that is open was read, and it has not changed since."""
        return mark in self._read

    def remember(self, mark: Mark) -> None:
        """The file's content is what it should be."""
        if len(self._read) >= _MOST_READ:
            self._read.clear()
        self._read.add(mark)

    def _has(self, kept: Blobs, entry: FileEntry) -> bool:
        """Whether a file of the store has this content. What was read once is not read again until it changes."""
        try:
            handle = kept.open(entry.sha256)
        except OSError:
            return False
        try:
            mark = _mark(handle, entry)
            if os.fstat(handle).st_size != entry.size:
                return False
            if self.is_known(mark):
                return True
            with open(handle, "rb", buffering=0, closefd=False) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != entry.sha256:
                log.error("a file of the store has another content than its name says", sha256=entry.sha256)
                return False
            if _mark(handle, entry) != mark:
                return False
            self.remember(mark)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True

    async def _download(self, entry: FileEntry, target: Path, progress: Progress) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
        digest, size = hashlib.sha256(), 0
        try:
            with fresh.open("wb") as file:
                async for chunk in self._link.blob(entry.sha256):
                    digest.update(chunk)
                    size += len(chunk)
                    if size > entry.size:
                        break
                    file.write(chunk)
            if size != entry.size or digest.hexdigest() != entry.sha256:
                raise CannotRun("files", f"The file {entry.path!r} arrived with another content than was published.")
            fresh.replace(target)
        except ServerRefused as refused:
            raise CannotRun("files", f"The server does not give the file {entry.path!r}: {refused.detail}") from refused
        except OSError as error:
            raise CannotRun("files", f"The file {entry.path!r} cannot be kept here: {error.strerror}.") from error
        finally:
            fresh.unlink(missing_ok=True)

    def trim(self, least_free: float = 0.1) -> None:
        """When the disk is nearly full, forget downloads, the least recently used first."""
        files = [path for path in self._folder.glob("blobs/??/*") if path.is_file()]
        for path in sorted(files, key=lambda one: one.stat().st_mtime):
            usage = shutil.disk_usage(self._folder)
            if usage.free >= usage.total * least_free:
                return
            path.unlink(missing_ok=True)


async def fill(
    target: Path,
    contents: list[Content],
    cache: BlobCache,
    store: Path | None,
    progress: Progress,
    *,
    owner: int,
    free: int,
    where: str,
) -> None:
    """Make the folder ``target``, which must not exist, with these contents, of which ``owner`` is the owner.

    It appears under its name only when it is whole. Raises CannotRun with cause ``files``, when they need more than the
    ``free`` bytes of ``where`` for example, or ServerAway.
    """
    plan = [
        (PurePosixPath(content.folder) / entry.path, entry)
        for content in contents
        for entry in content.manifest.files
        if _check(content.folder, entry.path)
    ]
    progress.total = sum(entry.size for _, entry in plan)
    if progress.total > free:
        raise CannotRun(
            "files", f"The files need {progress.total // _MB} MB and {where} has {max(free, 0) // _MB} MB free."
        )
    sources = await asyncio.gather(*(cache.locate(entry, store, progress) for _, entry in plan))
    work = [(source, str(path), entry) for source, (path, entry) in zip(sources, plan, strict=True)]
    folders = [content.folder for content in contents if content.folder]
    fresh = target.with_name(f".new-{target.name}-{secrets.token_hex(4)}")
    copy = asyncio.get_running_loop().run_in_executor(None, _copy_all, fresh, work, folders, progress, owner, cache)
    try:
        await asyncio.shield(copy)
        fresh.rename(target)
    except OSError as error:
        raise CannotRun("files", f"The files cannot be copied: {error.strerror or error}.") from error
    finally:
        progress.cancelled.set()
        if not copy.done():
            await asyncio.wait([copy])
        if fresh.exists():
            await asyncio.to_thread(shutil.rmtree, fresh, True)


def remove_leftovers(folder: Path) -> None:
    """Delete what an agent that died left half made or half deleted."""
    for path in folder.glob(".new-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".old-*"):
        shutil.rmtree(path, ignore_errors=True)


def _check(folder: str, path: str) -> bool:
    """A second look at paths that the server checked already: they end up on this machine's disk."""
    for text, required in ((folder, False), (path, True)):
        parts = text.split("/")
        if not text and not required:
            continue
        if "\0" in text or text.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise CannotRun("files", f"The path {text[:200]!r} leaves its folder.")
    return True


def _copy_all(
    root: Path,
    work: list[tuple[Blobs, str, FileEntry]],
    folders: list[str],
    progress: Progress,
    owner: int,
    cache: BlobCache,
) -> None:
    made: set[str] = set()
    base = str(root)
    _make_folders(base, "", made, owner)
    for folder in folders:
        _make_folders(base, folder, made, owner)
    for source, path, entry in work:
        _make_folders(base, path.rpartition("/")[0], made, owner)
        _copy_one(source, f"{base}/{path}", entry, progress, owner, cache)


def _make_folders(base: str, path: str, made: set[str], owner: int) -> None:
    if path in made:
        return
    if path:
        _make_folders(base, path.rpartition("/")[0], made, owner)
    full = f"{base}/{path}" if path else base
    os.mkdir(full, 0o755)  # noqa: PTH102 - thousands of them
    os.chown(full, owner, owner)
    made.add(path)


def _copy_one(source: Blobs, target: str, entry: FileEntry, progress: Progress, owner: int, cache: BlobCache) -> None:
    """Copy what the open file has, which need not be what was located, and compare the copy before it is anybody's."""
    reading = source.open(entry.sha256)
    try:
        mark = _mark(reading, entry)
        digest = None if source.ours or cache.is_known(mark) else hashlib.sha256()
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copied = 0
            while copied <= entry.size and (count := _copy_some(reading, writing)) > 0:
                if progress.cancelled.is_set():
                    raise OSError(errno.ECANCELED, "cancelled")
                if digest:
                    _digest(digest, writing, copied, count)
                copied += count
                progress.done += count
            if copied != entry.size:
                raise OSError(errno.EIO, f"{entry.path} has {copied} bytes instead of {entry.size}")
            if (digest and digest.hexdigest() != entry.sha256) or _mark(reading, entry) != mark:
                raise OSError(errno.EIO, f"{entry.path} was changed in the store while it was copied")
            if digest:
                cache.remember(mark)
            os.fchown(writing, owner, owner)
            os.fchmod(writing, 0o755 if entry.executable else 0o644)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _digest(digest: "hashlib._Hash", file: int, start: int, count: int) -> None:
    """Read a piece of a file, which was just written and is in memory, into the digest."""
    end = start + count
    while start < end:
        piece = os.pread(file, min(_PIECE, end - start), start)
        if not piece:
            raise OSError(errno.EIO, "a copy is shorter than what was written")
        digest.update(piece)
        start += len(piece)


def _copy_some(reading: int, writing: int) -> int:
    """Copy the next piece inside the kernel, sharing the blocks where the file system can."""
    try:
        return os.copy_file_range(reading, writing, _CHUNK)
    except OSError as error:
        if error.errno not in _NO_FAST_COPY:
            raise
    chunk = os.read(reading, _CHUNK)
    view = memoryview(chunk)
    while view:
        view = view[os.write(writing, view) :]
    return len(chunk)


def _mark(handle: int, entry: FileEntry) -> Mark:
    """What changes when an open file's content does."""
    facts = os.fstat(handle)
    return entry.sha256, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _size(path: Path) -> int | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


__all__ = ["BlobCache", "Content", "Progress", "ServerAway", "fill", "remove_leftovers"]
