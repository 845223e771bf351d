"""The object store: files by key, in a folder or in any S3. A file's content lies under its hash."""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import LocalStore, S3Store

_CHUNK = 2**20


def blob_key(sha256: str) -> str:
    """The key of the content with this hash (hexadecimal)."""
    return f"blobs/{sha256[:2]}/{sha256}"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What is known of an object. ``size`` in bytes."""

    key: str
    size: int
    modified: datetime


class Claims:
    """Which objects of a store a publishing is about to refer to, so that none of them is removed as garbage.

    Of this process. From others' publishing an object is safe by its age alone.
    """

    def __init__(self) -> None:
        self._claimed: Counter[str] = Counter()
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def claim(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Inside, nobody removes ``keys``; put them there, and commit what refers to them. Waits for a removal."""
        mine = Counter(keys)
        async with self._turn:
            self._claimed.update(mine)
        try:
            yield
        finally:
            self._claimed -= mine

    def held(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that are claimed now."""
        return {key for key in keys if key in self._claimed}

    @contextlib.asynccontextmanager
    async def removal(self, key: str) -> AsyncIterator[bool]:
        """Whether ``key`` may be removed, for it is not claimed; inside, it is not claimed either."""
        async with self._turn:
            yield key not in self._claimed


class ObjectStore(Protocol):
    """Where published files lie. Keys are relative, with ``/``; an object appears under its key only when it is whole.

    Errors are OSError or obstore's own; a caller may try again later.
    """

    claims: Claims

    @property
    def local_root(self) -> str | None:
        """The folder that the objects are files of, for who shares this disk; None elsewhere."""
        ...

    async def put_file(self, key: str, path: Path) -> None:
        """Keep the content of ``path`` under ``key``, and make it new. ``path`` stays, and must not change."""
        ...

    def stream(self, key: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The content from ``offset`` on, in chunks. Raises FileNotFoundError at the first one."""
        ...

    async def stat(self, key: str) -> StoredObject | None:
        """What is known of the object; None when there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """All objects whose key begins with the folder ``prefix``."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file that holds the object on this machine; None where it is not a file."""
        ...


class RemoteStore:
    """An S3 bucket, or a part of one."""

    local_root: str | None = None

    def __init__(self, store: S3Store | LocalStore) -> None:
        self._store = store
        self.claims = Claims()

    async def put_file(self, key: str, path: Path) -> None:
        await obstore.put_async(self._store, key, path)

    async def stream(self, key: str, offset: int = 0) -> AsyncIterator[bytes]:
        if offset and offset >= (await obstore.head_async(self._store, key))["size"]:
            return
        result = await obstore.get_async(self._store, key, options={"range": {"offset": offset}} if offset else None)
        async for chunk in result.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)

    async def stat(self, key: str) -> StoredObject | None:
        try:
            meta = await obstore.head_async(self._store, key)
        except FileNotFoundError:
            return None
        return StoredObject(meta["path"], meta["size"], meta["last_modified"])

    async def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        async for chunk in obstore.list(self._store, prefix=prefix):
            for meta in chunk:
                yield StoredObject(meta["path"], meta["size"], meta["last_modified"])

    def local_path(self, key: str) -> Path | None:
        return None


class FolderStore(RemoteStore):
    """A folder of this machine. On the same disk a file is kept by a link, without copying it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root
        self.local_root = str(root)
        super().__init__(LocalStore(prefix=root))

    async def put_file(self, key: str, path: Path) -> None:
        await asyncio.to_thread(self._put, self._root / key, path)

    async def stat(self, key: str) -> StoredObject | None:
        try:
            found = (self._root / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return StoredObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def local_path(self, key: str) -> Path | None:
        return self._root / key

    @staticmethod
    def _put(target: Path, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            if target.stat().st_size == path.stat().st_size:
                os.utime(target)
                return
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
        try:
            try:
                os.link(path, draft)
            except OSError:
                shutil.copyfile(path, draft)
            draft.chmod(0o600)
            os.utime(draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


async def verified(chunks: AsyncIterator[bytes], sha256: str) -> AsyncIterator[bytes]:
    """Pass ``chunks`` on; break off before the last one, with OSError, when they are not the content with this hash."""
    digest, held = hashlib.sha256(), b""
    async for chunk in chunks:
        if held:
            yield held
        digest.update(chunk)
        held = chunk
    if digest.hexdigest() != sha256:
        raise OSError(f"the store gave other bytes than it was given for {sha256}")
    if held:
        yield held


def open_store(url: str) -> ObjectStore:
    """The store at ``url``: ``s3://bucket/prefix`` (credentials from the usual ``AWS_*`` variables), or a folder."""
    if url.startswith("s3://"):
        return RemoteStore(S3Store.from_url(url))
    return FolderStore(Path(url.removeprefix("file://")))
