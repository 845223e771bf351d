"""The store's contract, for a folder and for the general implementation behind S3."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import LocalStore

from utcloud.assets.store import FolderStore, ObjectStore, RemoteStore, blob_key, open_store

KEY = blob_key("ab" + "0" * 62)


@pytest.fixture(params=["folder", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    root = tmp_path / "store"
    root.mkdir()
    return FolderStore(root) if request.param == "folder" else RemoteStore(LocalStore(prefix=root))


async def _read(store: ObjectStore, key: str, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.stream(key, offset)])


@pytest.mark.parametrize("size", [0, 1, 3 * 2**20 + 7])
async def test_what_is_put_comes_back(store: ObjectStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    await store.put_file(KEY, path)
    assert path.read_bytes() == content
    found = await store.stat(KEY)
    assert found is not None
    assert (found.key, found.size) == (KEY, size)
    assert abs(found.modified - datetime.now(UTC)) < timedelta(seconds=10)
    assert await _read(store, KEY) == content
    assert await _read(store, KEY, size // 2) == content[size // 2 :]
    assert await _read(store, KEY, size) == b""


async def test_what_is_not_there(store: ObjectStore) -> None:
    assert await store.stat(KEY) is None
    with pytest.raises(FileNotFoundError):
        await _read(store, KEY)
    await store.delete(KEY)


async def test_lists_and_deletes(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    keys = {blob_key(f"{number:064x}") for number in range(5)}
    for key in keys:
        await store.put_file(key, path)
    assert {found.key async for found in store.list("blobs")} == keys
    for key in keys:
        await store.delete(key)
    assert [found async for found in store.list("blobs")] == []


async def test_a_folder_keeps_by_link_closed_and_new(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    path = tmp_path / "file"
    path.touch(mode=0o600)
    path.write_bytes(b"x" * 100)
    os.utime(path, (0, 0))
    await store.put_file(KEY, path)
    kept = store.local_path(KEY)
    assert kept is not None
    assert kept.stat().st_ino == path.stat().st_ino
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_mtime > 1000
    os.utime(kept, (0, 0))
    await store.put_file(KEY, path)
    assert kept.stat().st_mtime > 1000
    path.unlink()
    assert kept.read_bytes() == b"x" * 100
    assert [entry.name for entry in kept.parent.iterdir()] == [kept.name]
    assert store.local_root == str(tmp_path / "store")


async def test_a_half_written_object_is_replaced(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    target = tmp_path / "store" / KEY
    target.parent.mkdir(parents=True)
    target.write_bytes(b"half")
    path = tmp_path / "file"
    path.write_bytes(b"whole")
    await store.put_file(KEY, path)
    assert target.read_bytes() == b"whole"
