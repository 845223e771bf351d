"""Assets, versions, sharing and images, over HTTP with real files."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select, update

from tests.assets.helpers import draft, make, publish_files, published, upload
from tests.assets.test_unpack import make_tar, make_zip
from tests.support.clock import FakeClock
from tests.support.stores import FailingStore, LyingStore, SlowStore
from tests.support.web import Person, person, problem
from utcloud.accounts.auth import Actor
from utcloud.accounts.schemas import Role
from utcloud.assets import loops, publish, service, uploads
from utcloud.assets.models import AssetVersion, Image, Upload, VersionFile
from utcloud.assets.store import FolderStore, blob_key, verified
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.settings import Settings
from utcloud.db import Database, Tx

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("processing")]


async def test_from_upload_to_download(alice: Person, store: FolderStore, settings: Settings, db: Database) -> None:
    files = {"infer.py": b"print(1)\n", "models/net.onnx": os.urandom(100_000), "empty": b""}
    asset = await make(alice.client, description="A net")
    assert (asset["latest"], asset["versions"], asset["mine"]) == (None, 0, True)
    version = await publish_files(alice.client, asset, files)
    assert (version["status"], version["files"], version["size"]) == ("ready", 3, 100_009)
    assert version["reason"] == ""
    url = f"/algorithms/{asset['id']}"
    listed = (await alice.client.get(f"{url}/versions/1/files")).json()["items"]
    assert [file["path"] for file in listed] == ["empty", "infer.py", "models/net.onnx"]
    for path, content in files.items():
        answer = await alice.client.get(f"{url}/versions/1/files/content", params={"path": path})
        assert answer.content == content
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("none", "models", "../infer.py"):
        problem(await alice.client.get(f"{url}/versions/1/files/content", params={"path": path}), 404, None, "path")
    detail = (await alice.client.get(url)).json()
    assert (detail["latest"]["number"], detail["versions"], len(detail["all_versions"])) == (1, 1, 1)
    assert list(uploads.folder(settings).glob("upl_*")) == []
    assert not list(uploads.folder(settings).glob("unpack/*"))
    async with db.read() as tx:
        manifest = await service.manifest(tx, version["id"])
        assert {file.path: file.sha256 for file in manifest.files} == {
            path: hashlib.sha256(content).hexdigest() for path, content in files.items()
        }
        assert list(await tx.scalars(select(Upload))) == []


@pytest.mark.parametrize("kind", ["algorithm", "dataset", "model"])
async def test_archives_are_unpacked_as_they_are(alice: Person, kind: str) -> None:
    asset = await make(alice.client, kind=kind)
    version = await draft(alice.client, asset, kind)
    await upload(alice.client, version, "code.zip", make_zip({"net/infer.py": b"1", "net/a": b"2"}), archive=True)
    await upload(alice.client, version, "data.bin", make_tar({"data/x": b"3"}, "w:gz"), archive=True)
    await upload(alice.client, version, "plain.zip", make_zip({"inside": b"4"}))
    assert (await published(alice.client, asset, version, kind))["status"] == "ready"
    url = f"/{kind}s/{asset['id']}/versions/1/files"
    listed = (await alice.client.get(url)).json()["items"]
    assert [file["path"] for file in listed] == ["data/x", "net/a", "net/infer.py", "plain.zip"]
    page = (await alice.client.get(url, params={"limit": 3})).json()
    rest = (await alice.client.get(url, params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [file["path"] for file in page["items"] + rest["items"]] == [file["path"] for file in listed]
    assert rest["next_cursor"] is None
    found = (await alice.client.get(url, params={"search": "NET/"})).json()["items"]
    assert [file["path"] for file in found] == ["net/a", "net/infer.py"]


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"a.zip": make_zip({"../x": b""})}, "climbs"),
        ({"a.zip": b"nonsense" * 100}, "not an archive"),
        ({"a.zip": make_zip({"x": b"1"}), "b.zip": make_zip({"x": b"2"})}, "same path 'x'"),
        ({"a.zip": make_zip({"x": b"1"}), "b.zip": make_zip({"x/y": b"2"})}, "'x'"),
        ({"a.zip": make_zip({str(number): b"" for number in range(2001)})}, "2000 files"),
    ],
    ids=["climbs", "nonsense", "twice", "folder", "many"],
)
async def test_bad_archives_fail_with_the_reason_and_leave_nothing(
    alice: Person, settings: Settings, db: Database, files: dict[str, bytes], word: str
) -> None:
    asset = await make(alice.client)
    version = await draft(alice.client, asset)
    for path, content in files.items():
        await upload(alice.client, version, path, content, archive=True)
    outcome = await published(alice.client, asset, version)
    assert outcome["status"] == "failed"
    assert word in outcome["reason"]
    root = uploads.folder(settings)
    for _ in range(100):
        if not list(root.glob("upl_*")):
            break
        await asyncio.sleep(0.02)
    assert list(root.glob("upl_*")) == []
    assert not list(root.glob("unpack/*"))
    async with db.read() as tx:
        assert list(await tx.scalars(select(VersionFile))) == []
    again = await publish_files(alice.client, asset, {"x": b"1"})
    assert (again["number"], again["status"]) == (2, "ready")


async def test_publishing_says_what_is_missing(alice: Person) -> None:
    asset = await make(alice.client)
    version = await draft(alice.client, asset)
    url = f"/algorithms/{asset['id']}/versions/1/publish"
    problem(await alice.client.post(url), 409, "empty")
    await upload(alice.client, version, "done.txt", b"x")
    headers = {
        "Upload-Length": "10",
        "Upload-Metadata": "version_id dmVy,path aGFsZi5iaW4=".replace("dmVy", _base64(version["id"])),
    }
    assert (await alice.client.post("/uploads", headers=headers)).status_code == 201
    assert "half.bin" in problem(await alice.client.post(url), 409, "unfinished")["detail"]
    problem(await alice.client.post(f"/algorithms/{asset['id']}/versions/2/publish"), 404)
    problem(await alice.client.post(f"/algorithms/{asset['id']}/versions/{'9' * 30}/publish"), 422)


def _base64(text: str) -> str:
    from base64 import b64encode

    return b64encode(text.encode()).decode()


async def test_two_clicks_publish_once(alice: Person) -> None:
    asset = await make(alice.client)
    version = await draft(alice.client, asset)
    await upload(alice.client, version, "a", b"x")
    url = f"/algorithms/{asset['id']}/versions/1/publish"
    answers = await asyncio.gather(*(alice.client.post(url) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    await asyncio.sleep(0.3)
    problem(await alice.client.post(url), 409)
    assert (await alice.client.get(f"/algorithms/{asset['id']}/versions/1/files")).json()["items"][0]["path"] == "a"


async def test_two_clicks_make_two_drafts_with_their_own_numbers(alice: Person) -> None:
    asset = await make(alice.client)
    made = await asyncio.gather(*(draft(alice.client, asset) for _ in range(5)))
    assert sorted(version["number"] for version in made) == [1, 2, 3, 4, 5]


async def test_a_failing_store_is_tried_again(
    app: FastAPI, alice: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path
) -> None:
    failing = FailingStore(tmp_path / "other", failures=1)
    version_id = await _processing_version(alice, db)
    with pytest.raises(OSError, match="Input/output"):
        await publish.process(db, clock, failing, settings, version_id)
    async with db.read() as tx:
        version = await tx.get_one(AssetVersion, version_id)
    assert (version.status, version.reason) == (
        "processing",
        "The platform's storage does not answer; this is tried again.",
    )
    await publish.process(db, clock, failing, settings, version_id)
    async with db.read() as tx:
        assert (await tx.get_one(AssetVersion, version_id)).status == "ready"


async def test_what_a_killed_server_left_is_finished(
    alice: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path
) -> None:
    """The work is called off in the middle, again and again; in the end all is as if it never had been."""
    version_id = await _processing_version(alice, db)
    slow = SlowStore(tmp_path / "other", delay_s=0.05)
    for pause in (0.0, 0.02, 0.07, 0.12):
        task = asyncio.create_task(publish.process(db, clock, slow, settings, version_id))
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await publish.process(db, clock, slow, settings, version_id)
    async with db.read() as tx:
        assert (await tx.get_one(AssetVersion, version_id)).status == "ready"
        files = list(await tx.scalars(select(VersionFile)))
    assert [file.path for file in files] == ["a", "b", "in/c"]
    for file in files:
        assert (tmp_path / "other" / blob_key(file.sha256)).stat().st_size == file.size


async def test_a_version_deleted_while_it_is_published_stays_away(
    alice: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path
) -> None:
    version_id = await _processing_version(alice, db)
    slow = SlowStore(tmp_path / "other", delay_s=0.1)
    task = asyncio.create_task(publish.process(db, clock, slow, settings, version_id))
    await asyncio.sleep(0.15)
    asset = (await alice.client.get("/algorithms")).json()["items"][0]
    assert (await alice.client.delete(f"/algorithms/{asset['id']}")).status_code == 204
    await task
    async with db.read() as tx:
        assert list(await tx.scalars(select(VersionFile))) == []


async def _processing_version(alice: Person, db: Database) -> str:
    """A version as a server leaves it that was killed after the request to publish; the loop does not see it."""
    asset = await make(alice.client)
    version = await draft(alice.client, asset)
    await upload(alice.client, version, "a", b"first")
    await upload(alice.client, version, "b", b"second")
    await upload(alice.client, version, "c.zip", make_zip({"in/c": b"third"}), archive=True)
    async with db.write() as tx:
        await tx.execute(update(AssetVersion).where(AssetVersion.id == version["id"]).values(status="processing"))
    return str(version["id"])


async def test_garbage_is_collected_and_nothing_else(
    alice: Person, db: Database, store: FolderStore, settings: Settings
) -> None:
    one = await make(alice.client, "one")
    two = await make(alice.client, "two")
    await publish_files(alice.client, one, {"shared": b"shared", "own": b"own"})
    await publish_files(alice.client, two, {"shared": b"shared"})
    assert await loops.collect_garbage_once(db, store, timedelta(0)) == 0
    assert (await alice.client.delete(f"/algorithms/{one['id']}")).status_code == 204
    assert await loops.collect_garbage_once(db, store) == 0, "within the grace"
    assert await loops.collect_garbage_once(db, store, timedelta(0)) == 1
    assert await store.stat(blob_key(hashlib.sha256(b"own").hexdigest())) is None
    shared = await alice.client.get(f"/algorithms/{two['id']}/versions/1/files/content", params={"path": "shared"})
    assert shared.content == b"shared"


async def _orphan(store: FolderStore, tmp_path: Path, content: bytes) -> str:
    """A blob that nothing refers to, of yesterday; its key."""
    (tmp_path / "orphan").write_bytes(content)
    key = blob_key(hashlib.sha256(content).hexdigest())
    await store.put_file(key, tmp_path / "orphan")
    (tmp_path / "orphan").unlink()
    yesterday = time.time() - 86400
    os.utime(store.local_path(key) or "", (yesterday, yesterday))
    return key


async def test_garbage_is_collected_though_versions_wait_for_their_turn(
    alice: Person, bob: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path
) -> None:
    """The attacker's: a line of drafts published one after another kept everybody's garbage."""
    store = FolderStore(tmp_path / "other")
    lost = await _orphan(store, tmp_path, b"lost")
    again = await _orphan(store, tmp_path, b"first")
    version_id = await _processing_version(alice, db)
    assert await loops.collect_garbage_once(db, store) == 2
    assert await store.stat(lost) is None
    await publish.process(db, clock, store, settings, version_id)
    assert await store.stat(again) is not None, "publishing it later puts it there anew"


async def test_what_is_being_published_is_no_garbage_however_long_it_takes(
    alice: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path / "other")
    version_id = await _processing_version(alice, db)
    lost = await _orphan(store, tmp_path, b"lost")
    real, removed = publish._finish, []

    async def finish(*arguments: Any) -> None:
        yesterday = time.time() - 86400
        async for blob in store.list("blobs"):
            os.utime(store.local_path(blob.key) or "", (yesterday, yesterday))
        removed.append(await loops.collect_garbage_once(db, store))
        await real(*arguments)

    monkeypatch.setattr(publish, "_finish", finish)
    await publish.process(db, clock, store, settings, version_id)
    assert removed == [1]
    assert await store.stat(lost) is None
    async with db.read() as tx:
        files = list(await tx.scalars(select(VersionFile)))
    assert len(files) == 3
    for file in files:
        assert await store.stat(blob_key(file.sha256)) is not None
    async with db.write() as tx:
        await tx.execute(delete(AssetVersion))
    assert await loops.collect_garbage_once(db, store) == 3, "nothing is claimed any more"


async def test_what_is_finished_while_the_collector_looks_is_no_garbage(
    alice: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before the collector asked what is used, and has ended when the collector comes to its blob."""
    store = FolderStore(tmp_path / "other")
    version_id = await _processing_version(alice, db)
    real, go_on, task = publish._finish, asyncio.Event(), asyncio.Event()

    async def finish(*arguments: Any) -> None:
        yesterday = time.time() - 86400
        async for blob in store.list("blobs"):
            os.utime(store.local_path(blob.key) or "", (yesterday, yesterday))
        task.set()
        await go_on.wait()
        await real(*arguments)

    monkeypatch.setattr(publish, "_finish", finish)
    publishing = asyncio.create_task(publish.process(db, clock, store, settings, version_id))
    await task.wait()
    removal = store.claims.removal

    @contextlib.asynccontextmanager
    async def late(key: str) -> AsyncIterator[bool]:
        go_on.set()
        await publishing
        async with removal(key) as is_free:
            yield is_free

    monkeypatch.setattr(store.claims, "removal", late)
    await _orphan(store, tmp_path, b"0, for the collector to stop at")
    assert await loops.collect_garbage_once(db, store) == 1
    assert publishing.done()
    async with db.read() as tx:
        for file in await tx.scalars(select(VersionFile)):
            assert await store.stat(blob_key(file.sha256)) is not None


async def test_what_is_removed_just_now_is_put_there_anew(
    alice: Person, db: Database, clock: FakeClock, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector has looked at the blob's age and is about to remove it; the publishing must not believe in it."""
    store = FolderStore(tmp_path / "other")
    version_id = await _processing_version(alice, db)
    key = await _orphan(store, tmp_path, b"first")
    remove, publishings = store.delete, []

    async def slowly(key: str) -> None:
        publishings.append(asyncio.create_task(publish.process(db, clock, store, settings, version_id)))
        await asyncio.sleep(0.5)
        await remove(key)

    monkeypatch.setattr(store, "delete", slowly)
    assert await loops.collect_garbage_once(db, store) == 1
    await asyncio.gather(*publishings)
    assert len(publishings) == 1
    async with db.read() as tx:
        assert (await tx.get_one(AssetVersion, version_id)).status == "ready"
    assert await store.stat(key) is not None


async def test_a_lying_store_is_found_out_by_the_download(tmp_path: Path) -> None:
    lying = LyingStore(tmp_path / "lies")
    truth = hashlib.sha256(b"truth").hexdigest()
    sent = []
    with pytest.raises(OSError, match="other bytes"):
        async for chunk in verified(lying.stream(blob_key(truth)), truth):
            sent.append(chunk)  # noqa: PERF401 - what came before the error counts
    assert sent == [], "the last chunk is held back, so that the download is seen to be cut"


# --- names, lists, sharing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " a", "a/b", "..", ".hidden", "a\\b", "a\nb", "x" * 10_000, None, 7, "a "])
async def test_bad_names_are_refused(alice: Person, name: Any) -> None:
    problem(await alice.client.post("/algorithms", json={"name": name}), 422, "invalid", "name")


async def test_a_name_is_taken_once_per_owner_and_kind(alice: Person, bob: Person) -> None:
    answers = await asyncio.gather(*(alice.client.post("/algorithms", json={"name": "net"}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    problem(await alice.client.post("/algorithms", json={"name": "net"}), 409, "name_taken", "name")
    await make(alice.client, "net", "dataset")
    await make(bob.client, "net")
    other = await make(alice.client, "other")
    problem(await alice.client.patch(f"/algorithms/{other['id']}", json={"name": "net"}), 409, "name_taken", "name")


async def test_another_tenants_asset_is_not_found(alice: Person, bob: Person, operator: Person) -> None:
    asset = await make(alice.client)
    await publish_files(alice.client, asset, {"a": b"secret"})
    url = f"/algorithms/{asset['id']}"
    for someone in (bob, operator):
        client = someone.client
        problem(await client.get(url), 404)
        problem(await client.patch(url, json={"name": "mine"}), 404)
        problem(await client.delete(url), 404)
        problem(await client.post(f"{url}/versions", json={}), 404)
        problem(await client.get(f"{url}/versions/1"), 404)
        problem(await client.get(f"{url}/versions/1/files"), 404)
        problem(await client.get(f"{url}/versions/1/files/content", params={"path": "a"}), 404)
        problem(await client.post(f"{url}/versions/1/publish"), 404)
        assert (await client.get("/algorithms")).json()["items"] == []
    problem(await alice.client.get(url.replace("algorithms", "datasets")), 404)


async def test_sharing_with_a_group(alice: Person, bob: Person, operator: Person, db: Database) -> None:
    group = (await operator.client.post("/groups", json={"name": "lab", "user_ids": [alice.id, bob.id]})).json()
    foreign = (await operator.client.post("/groups", json={"name": "other", "user_ids": [bob.id]})).json()
    body = {"name": "net", "visibility": "group"}
    problem(await alice.client.post("/algorithms", json=body), 422, None, "group_id")
    problem(await alice.client.post("/algorithms", json=body | {"group_id": foreign["id"]}), 422, None, "group_id")
    problem(await alice.client.post("/algorithms", json={"name": "n", "group_id": group["id"]}), 422, None, "group_id")
    problem(await alice.client.post("/algorithms", json={"name": "n", "visibility": "preset"}), 403, None, "visibility")
    asset = await make(alice.client, "net", visibility="group", group_id=group["id"])
    await publish_files(alice.client, asset, {"a": b"x"})
    await draft(alice.client, asset)
    url = f"/algorithms/{asset['id']}"
    seen = (await bob.client.get(url)).json()
    assert (seen["mine"], seen["owner_name"], seen["group"]["name"]) == (False, "alice", "lab")
    assert [version["number"] for version in seen["all_versions"]] == [1], "no drafts of others"
    problem(await bob.client.get(f"{url}/versions/2"), 404)
    problem(await bob.client.patch(url, json={"name": "mine"}), 404)
    assert (await bob.client.get("/algorithms", params={"mine": True})).json()["items"] == []
    assert len((await bob.client.get("/algorithms", params={"mine": False})).json()["items"]) == 1
    async with db.read() as tx:
        shared, version = await service.usable_version(tx, bob.actor, "algorithm", asset["id"], None)
        assert (shared.name, version.number) == ("net", 1)
    with db.listening(f"ui:{bob.id}") as woken:
        assert (await alice.client.patch(url, json={"visibility": "private"})).json()["group"] is None
        assert woken.is_set()
    problem(await bob.client.get(url), 404)


async def test_preset_is_for_operators_and_everybodys(alice: Person, operator: Person) -> None:
    asset = await make(operator.client, "demo", visibility="preset")
    await publish_files(operator.client, asset, {"a": b"x"})
    assert (await alice.client.get(f"/algorithms/{asset['id']}")).json()["latest"]["number"] == 1
    assert len((await alice.client.get("/algorithms", params={"visibility": "preset"})).json()["items"]) == 1


async def test_any_operator_keeps_a_preset_asset(app: FastAPI, alice: Person, operator: Person) -> None:
    asset = await make(operator.client, "demo", visibility="preset")
    url = f"/algorithms/{asset['id']}"
    private = await make(operator.client, "mine")
    async with person(app, "second", Role.OPERATOR) as second:
        seen = (await second.client.get(url)).json()
        assert (seen["mine"], seen["can_change"]) == (False, True)
        await publish_files(second.client, asset, {"a": b"x"})
        begun = await draft(second.client, asset)
        assert [one["number"] for one in (await operator.client.get(url)).json()["all_versions"]] == [2, 1]
        assert (await second.client.patch(url, json={"description": "For all"})).json()["description"] == "For all"
        problem(await second.client.patch(f"/algorithms/{private['id']}", json={"description": "x"}), 404)
        renter = (await alice.client.get(url)).json()
        assert (renter["can_change"], [one["number"] for one in renter["all_versions"]]) == (False, [1])
        for call in (
            alice.client.patch(url, json={"description": "x"}),
            alice.client.delete(f"{url}/versions/1"),
            alice.client.post(f"{url}/versions"),
            alice.client.delete(url),
        ):
            problem(await call, 404)
        events = (await second.client.get("/audit-events", params={"action": "algorithm.update"})).json()["items"]
        assert events[0]["detail"] == {"before": {"description": ""}, "after": {"description": "For all"}}
        assert (await second.client.delete(f"{url}/versions/{begun['number']}")).status_code == 204
        assert (await second.client.delete(url)).status_code == 204
    problem(await alice.client.get(url), 404)


async def test_lists_sort_and_come_as_files(alice: Person, operator: Person) -> None:
    for name in ("bert", "ada", "cnn"):
        await make(alice.client, name)
        await operator.client.post("/images", json={"name": name, "reference": f"x/{name}:1", "jupyter": name != "ada"})
    for url in ("/algorithms", "/images"):
        for sort, wanted in (
            ("name", "ada bert cnn"),
            ("-name", "cnn bert ada"),
            ("created_at", "bert ada cnn"),
            ("-created_at", "cnn ada bert"),
        ):
            first = (await alice.client.get(url, params={"sort": sort, "limit": 2})).json()
            rest = (await alice.client.get(url, params={"sort": sort, "cursor": first["next_cursor"]})).json()
            assert [item["name"] for item in first["items"] + rest["items"]] == wanted.split()
        problem(await alice.client.get(url, params={"sort": "colour"}), 422)
        rows = (await alice.client.get(url, params={"format": "csv", "sort": "name"})).text.splitlines()
        assert len(rows) == 4
        assert "ada" in rows[1]
    found = (await alice.client.get("/images", params={"jupyter": "false"})).json()["items"]
    assert [image["name"] for image in found] == ["ada"]


async def test_the_whole_list_sorts_by_versions_size_and_owner(alice: Person, operator: Person) -> None:
    for name, files in (("twice", [b"1", b"22"]), ("never", []), ("big", [b"x" * 1000])):
        asset = await make(alice.client, name)
        for content in files:
            await publish_files(alice.client, asset, {"a": content})
    preset = await make(operator.client, "preset")
    assert (await operator.client.patch(f"/algorithms/{preset['id']}", json={"visibility": "preset"})).is_success
    for sort, wanted in (
        ("-versions", "twice big"),
        ("-size", "big twice"),
        ("size", "never preset twice big"),
        ("owner_name", "preset twice never big"),
        ("-owner_name", "big never twice preset"),
    ):
        names: list[str] = []
        cursor = None
        while len(names) < 4:
            query: dict[str, Any] = {"sort": sort, "limit": 1, **({"cursor": cursor} if cursor else {})}
            page = (await alice.client.get("/algorithms", params=query)).json()
            names += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert cursor is None
        assert names[: len(wanted.split())] == wanted.split(), sort
        assert set(names) == {"twice", "never", "big", "preset"}


async def test_the_list_searches_and_pages(alice: Person) -> None:
    for name in ("ada", "bert", "cnn", "dart"):
        await make(alice.client, name, description=f"about {name}")
    names = [item["name"] for item in (await alice.client.get("/algorithms")).json()["items"]]
    assert names == ["dart", "cnn", "bert", "ada"]
    found = (await alice.client.get("/algorithms", params={"search": "ABOUT ada"})).json()["items"]
    assert [item["name"] for item in found] == ["ada"]
    page = (await alice.client.get("/algorithms", params={"limit": 3})).json()
    rest = (await alice.client.get("/algorithms", params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [item["name"] for item in page["items"] + rest["items"]] == names


async def test_usable_version_says_why_not(alice: Person, bob: Person, db: Database) -> None:
    asset = await make(alice.client)
    await draft(alice.client, asset)

    async def fails(actor: Actor, number: int | None, kind: type[Exception], field: str) -> None:
        async with db.read() as tx:
            with pytest.raises(kind) as caught:
                await service.usable_version(tx, actor, "algorithm", asset["id"], number)
        assert getattr(caught.value, "field", None) == field

    await fails(alice.actor, None, Conflict, "algorithm_id")
    await fails(alice.actor, 1, Conflict, "algorithm_version")
    await fails(alice.actor, 2, NotFound, "algorithm_version")
    await fails(bob.actor, None, NotFound, "algorithm_id")


async def test_what_is_in_use_stays(alice: Person, operator: Person, store: FolderStore) -> None:
    asset = await make(alice.client)
    await publish_files(alice.client, asset, {"a": b"x"})

    async def by_a_notebook(tx: Tx, ident: str) -> str | None:
        return "1 notebook ('lab')"

    hooks = (service.asset_in_use_checks, service.version_in_use_checks)
    for hook in hooks:
        hook.append(by_a_notebook)
    url = f"/algorithms/{asset['id']}"
    assert "1 notebook ('lab')" in problem(await alice.client.delete(url), 409, "in_use")["detail"]
    assert "Version 1" in problem(await alice.client.delete(f"{url}/versions/1"), 409, "in_use")["detail"]
    assert "1 algorithm" in problem(await operator.client.delete(f"/users/{alice.id}"), 409, "in_use")["detail"]
    for hook in hooks:
        hook.clear()
    assert (await alice.client.delete(f"{url}/versions/1")).status_code == 204
    problem(await alice.client.get(f"{url}/versions/1"), 404)
    assert (await alice.client.get(url)).json()["latest"] is None
    assert (await alice.client.delete(url)).status_code == 204
    assert (await operator.client.delete(f"/users/{alice.id}")).status_code == 204


async def test_every_change_is_audited(alice: Person) -> None:
    asset = await make(alice.client)
    await publish_files(alice.client, asset, {"a": b"x"})
    await alice.client.patch(f"/algorithms/{asset['id']}", json={"description": "new"})
    await alice.client.delete(f"/algorithms/{asset['id']}")
    events = (await alice.client.get("/audit-events", params={"object_id": asset["id"]})).json()["items"]
    assert [event["action"].removeprefix("algorithm.") for event in events] == [
        "delete",
        "update",
        "version.publish",
        "version.create",
        "create",
    ]


# --- images ----------------------------------------------------------------------------------------------------------


async def test_images(alice: Person, operator: Person, db: Database) -> None:
    body = {"name": "torch", "reference": "localhost/torch:1", "description": "PyTorch"}
    problem(await alice.client.post("/images", json=body), 403)
    made = (await operator.client.post("/images", json=body)).json()
    assert made["jupyter"] is True
    problem(await operator.client.post("/images", json=body | {"reference": "x:2"}), 409, "conflict", "name")
    problem(await operator.client.post("/images", json=body | {"name": "other"}), 409, "conflict", "reference")
    for reference in ("", "-v /:/host", "a b", "x" * 10_000, "--privileged"):
        problem(await operator.client.post("/images", json=body | {"reference": reference}), 422, None, "reference")
    assert [
        image["name"] for image in (await alice.client.get("/images", params={"search": "TOR"})).json()["items"]
    ] == ["torch"]
    async with db.read() as tx:
        assert (await service.usable_image(tx, alice.actor, made["id"])).name == "torch"
        with pytest.raises(NotFound):
            await service.usable_image(tx, alice.actor, "img_none")

    url = f"/images/{made['id']}"
    changed = (await operator.client.patch(url, json={"reference": "localhost/torch:2", "jupyter": False})).json()
    assert changed == made | {"reference": "localhost/torch:2", "jupyter": False}
    await operator.client.post("/images", json={"name": "other", "reference": "x:2"})
    problem(await operator.client.patch(url, json={"name": "other"}), 409, "conflict", "name")
    problem(await operator.client.patch(url, json={"reference": "x:2"}), 409, "conflict", "reference")
    problem(await operator.client.patch(url, json={"reference": "-v /:/host"}), 422, None, "reference")
    problem(await alice.client.patch(url, json={"name": "mine"}), 403)

    async def by_a_notebook(tx: Tx, ident: str) -> str | None:
        return "1 notebook ('lab')"

    service.image_in_use_checks.append(by_a_notebook)
    problem(await operator.client.delete(f"/images/{made['id']}"), 409, "in_use")
    service.image_in_use_checks.clear()
    problem(await alice.client.delete(f"/images/{made['id']}"), 403)
    assert (await operator.client.delete(f"/images/{made['id']}")).status_code == 204
    problem(await operator.client.delete(f"/images/{made['id']}"), 404)


async def test_the_preset_image_follows_its_reference(operator: Person, db: Database, clock: FakeClock) -> None:
    for reference in ("localhost/jupyter:1", "localhost/jupyter:1", "localhost/jupyter:2"):
        async with db.write() as tx:
            await service.ensure_preset_image(tx, operator.id, "jupyter", reference, "JupyterLab")
    async with db.read() as tx:
        (image,) = list(await tx.scalars(select(Image)))
    assert (image.name, image.reference, image.visibility) == ("jupyter", "localhost/jupyter:2", "preset")
    await operator.client.patch(f"/images/{image.id}", json={"name": "lab", "description": "Ours"})
    async with db.write() as tx:
        kept = await service.ensure_preset_image(tx, operator.id, "jupyter", "localhost/jupyter:2", "JupyterLab")
    assert (kept.name, kept.description) == ("lab", "Ours")
