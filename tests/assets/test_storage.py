"""What users may keep: bytes and files, of all versions and of uploads under way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from tests.assets.helpers import Json, draft, make, metadata, publish_files, published, upload
from tests.assets.test_unpack import make_zip
from tests.support.clock import FakeClock
from tests.support.web import Person, person, problem
from utcloud.accounts.models import AuditEvent
from utcloud.accounts.schemas import Role
from utcloud.assets import publish, uploads
from utcloud.assets.models import AssetVersion
from utcloud.assets.store import FolderStore
from utcloud.common.settings import Settings
from utcloud.db import Database

pytestmark = pytest.mark.postgres


@pytest.fixture
def app(app: FastAPI, settings: Settings) -> FastAPI:
    """Everybody may keep a thousand bytes and ten files."""
    app.state.settings = settings.model_copy(update={"storage_quota": "1KB", "storage_files": 10})
    return app


@pytest.fixture
async def miner(app: FastAPI) -> AsyncIterator[Person]:
    async with person(app, "mira", Role.MINER) as someone:
        yield someone


async def begin(client: httpx.AsyncClient, version: Json, length: int, path: str) -> httpx.Response:
    values = metadata(version_id=version["id"], path=path)
    return await client.post("/uploads", headers={"Upload-Length": str(length), "Upload-Metadata": values})


async def mine(client: httpx.AsyncClient) -> Json:
    answer = await client.get("/storage/mine")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def used(client: httpx.AsyncClient) -> tuple[int, int, int]:
    found = await mine(client)
    return found["used_bytes"], found["used_files"], found["uploading_bytes"]


@pytest.mark.usefixtures("processing")
async def test_all_versions_of_all_kinds_and_uploads_under_way_count(alice: Person, bob: Person) -> None:
    assert await mine(alice.client) == {
        "user_id": alice.id,
        "username": "alice",
        "used_bytes": 0,
        "used_files": 0,
        "uploading_bytes": 0,
        "max_bytes": 1000,
        "max_files": 10,
        "own_bytes": None,
        "own_files": None,
    }
    for kind in ("algorithm", "dataset", "model"):
        asset = await make(alice.client, "one", kind)
        for _ in range(2):
            assert (await publish_files(alice.client, asset, {"a": b"x" * 50}, kind))["status"] == "ready"
    assert await used(alice.client) == (300, 6, 0)
    version = await draft(alice.client, await make(alice.client, "two"))
    assert (await begin(alice.client, version, 100, "big")).status_code == 201
    assert await used(alice.client) == (400, 7, 100), "announced, and not a byte sent"
    assert (await upload(alice.client, version, "small", b"y" * 10)).status_code == 201
    assert await used(alice.client) == (410, 8, 110)
    assert await used(bob.client) == (0, 0, 0)


@pytest.mark.usefixtures("processing")
async def test_what_is_too_much_is_refused_with_numbers_and_loses_nothing(alice: Person) -> None:
    asset = await make(alice.client)
    await publish_files(alice.client, asset, {"a": b"x" * 600})
    version = await draft(alice.client, asset)
    assert (await upload(alice.client, version, "kept", b"k" * 300)).status_code == 201
    refused = problem(await begin(alice.client, version, 101, "more"), 409, "quota_exceeded", "Upload-Length")
    assert refused["detail"] == (
        "The storage quota is exceeded: 900 B of 1 KB are used, uploads under way counted, and this needs 101 B."
    )
    assert refused["cure"] == "Delete versions or uploads that you no longer need, or ask an operator for more."
    assert await used(alice.client) == (900, 2, 300)
    assert (await upload(alice.client, version, "fits", b"f" * 100)).status_code == 201, "to the last byte"
    assert (await published(alice.client, asset, version))["status"] == "ready"
    assert await used(alice.client) == (1000, 3, 0)


@pytest.mark.usefixtures("processing")
async def test_empty_files_are_bounded_too(alice: Person) -> None:
    """The review's: a hundred thousand empty files take no byte and all inodes."""
    asset = await make(alice.client)
    await publish_files(alice.client, asset, {f"f{number}": b"" for number in range(6)})
    version = await draft(alice.client, asset)
    for number in range(4):
        assert (await begin(alice.client, version, 0, f"g{number}")).status_code == 201
    refused = problem(await begin(alice.client, version, 0, "h"), 409, "quota_exceeded", "path")
    assert "10 of 10 files are used, uploads under way counted, and this needs 1." in refused["detail"]


@pytest.mark.usefixtures("processing")
async def test_what_is_deleted_makes_room(alice: Person) -> None:
    asset, other = await make(alice.client), await make(alice.client, "other")
    await publish_files(alice.client, asset, {"a": b"x" * 400})
    await publish_files(alice.client, asset, {"a": b"y" * 100})
    await publish_files(alice.client, other, {"a": b"z" * 300})
    version = await draft(alice.client, other)
    begun = await begin(alice.client, version, 200, "more")
    problem(await begin(alice.client, version, 1, "again"), 409, "quota_exceeded")
    upload_url = begun.headers["location"].removeprefix("/api/v1")
    assert (await alice.client.delete(upload_url)).status_code == 204
    assert await used(alice.client) == (800, 3, 0)
    assert (await alice.client.delete(f"/algorithms/{asset['id']}/versions/1")).status_code == 204
    assert await used(alice.client) == (400, 2, 0)
    assert (await begin(alice.client, version, 600, "all")).status_code == 201
    assert (await alice.client.delete(f"/algorithms/{other['id']}")).status_code == 204, "with its draft's uploads"
    assert await used(alice.client) == (100, 1, 0)


async def test_an_upload_that_is_forgotten_makes_room(
    alice: Person, db: Database, clock: FakeClock, settings: Settings
) -> None:
    version = await draft(alice.client, await make(alice.client))
    assert (await begin(alice.client, version, 1000, "all")).status_code == 201
    clock.advance(hours=25)
    await uploads.expire(db, clock.now(), settings)
    assert await used(alice.client) == (0, 0, 0)


async def test_an_upload_begun_anew_is_not_counted_twice(alice: Person) -> None:
    version = await draft(alice.client, await make(alice.client))
    for _ in range(2):  # the first answer was lost on the way
        assert (await begin(alice.client, version, 900, "big")).status_code == 201
    assert await used(alice.client) == (900, 1, 900)


async def test_many_at_once_cannot_pass_together(alice: Person) -> None:
    """On PostgreSQL each has a transaction of its own."""
    drafts = [await draft(alice.client, await make(alice.client, f"a{number}")) for number in range(8)]
    answers = await asyncio.gather(*(begin(alice.client, version, 400, "big") for version in drafts))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 6
    assert await used(alice.client) == (800, 2, 800)


@pytest.mark.usefixtures("processing")
@pytest.mark.parametrize("files", [{"big": b"0" * 5000}, {f"f{number}": b"" for number in range(11)}])
async def test_an_archive_that_holds_too_much_is_a_draft_again_with_all_that_was_sent(
    alice: Person, operator: Person, files: dict[str, bytes]
) -> None:
    asset = await make(alice.client)
    version = await draft(alice.client, asset)
    assert (await upload(alice.client, version, "a.zip", make_zip(files), archive=True)).status_code == 201
    before = await used(alice.client)
    url = f"/algorithms/{asset['id']}/versions/1"
    assert (await alice.client.post(f"{url}/publish")).status_code == 202
    for _ in range(500):
        now = (await alice.client.get(url)).json()
        if now["status"] != "processing":
            break
        await asyncio.sleep(0.02)
    assert now["status"] == "draft"
    assert now["reason"].startswith("The storage quota is exceeded: 0 B of 1 KB and 0 of 10 files are used")
    assert "ask an operator for more" in now["reason"]
    assert await used(alice.client) == before
    await operator.client.put(f"/users/{alice.id}/storage", json={"max_bytes": "10KB", "max_files": 20})
    done = await published(alice.client, asset, version)
    assert (done["status"], done["size"], done["files"]) == ("ready", sum(map(len, files.values())), len(files))
    assert await used(alice.client) == (done["size"], done["files"], 0)


async def test_what_came_while_an_archive_was_unpacked_counts(
    alice: Person, db: Database, clock: FakeClock, store: FolderStore, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = await make(alice.client)
    version, other = await draft(alice.client, asset), await draft(alice.client, asset)
    await upload(alice.client, version, "a.zip", make_zip({"big": b"0" * 700}), archive=True)
    real = publish._keep

    async def keep(*arguments: Any) -> None:
        await real(*arguments)
        assert (await begin(alice.client, other, 400, "late")).status_code == 201

    monkeypatch.setattr(publish, "_keep", keep)
    url = f"/algorithms/{asset['id']}/versions/1"
    assert (await alice.client.post(f"{url}/publish")).status_code == 202
    clock.advance(hours=48)
    await publish.process(db, clock, store, app.state.settings, version["id"])
    now = (await alice.client.get(url)).json()
    assert (now["status"], now["size"]) == ("draft", 0)
    assert "400 B of 1 KB are used, uploads under way counted, and this needs 700 B." in now["reason"]
    await uploads.expire(db, clock.now(), app.state.settings)
    assert (await mine(alice.client))["uploading_bytes"] > 0, "what was sent stays for a day from now"


async def test_a_quota_below_what_there_is_deletes_nothing_and_refuses_the_rest(
    alice: Person, operator: Person, db: Database
) -> None:
    asset = await make(alice.client)
    version = await draft(alice.client, asset)
    await upload(alice.client, version, "a", b"x" * 200)
    set_ = await operator.client.put(f"/users/{alice.id}/storage", json={"max_bytes": "100B"})
    assert set_.status_code == 200
    assert (set_.json()["max_bytes"], set_.json()["own_bytes"], set_.json()["own_files"]) == (100, 100, None)
    url = f"/algorithms/{asset['id']}/versions/1"
    refused = problem(await alice.client.post(f"{url}/publish"), 409, "quota_exceeded", "number")
    assert "200 B of 100 B are used" in refused["detail"] and refused["cure"]
    problem(await begin(alice.client, version, 0, "b"), 409, "quota_exceeded", "Upload-Length")
    assert (await alice.client.get(url)).json()["status"] == "draft"
    assert await used(alice.client) == (200, 1, 200)
    back = await operator.client.put(f"/users/{alice.id}/storage", json={})
    assert (back.json()["max_bytes"], back.json()["own_bytes"]) == (1000, None)
    assert (await alice.client.post(f"{url}/publish")).status_code == 202
    async with db.read() as tx:
        assert (await tx.get_one(AssetVersion, version["id"])).status == "processing"
        events = list(await tx.scalars(select(AuditEvent).where(AuditEvent.action == "user.storage")))
    assert [event.detail["max_bytes"] for event in sorted(events, key=lambda one: one.id)] == ["100B", None]


async def test_what_is_put_into_anothers_preset_asset_counts_for_its_owner(
    alice: Person, operator: Person, app: FastAPI
) -> None:
    async with person(app, "ops", Role.OPERATOR, Role.RENTER) as other:
        asset = await make(operator.client, "preset", visibility="preset")
        version = await draft(other.client, asset)
        assert (await begin(other.client, version, 900, "big")).status_code == 201
        assert await used(operator.client) == (900, 1, 900)
        assert await used(other.client) == (0, 0, 0)
        refused = problem(await begin(other.client, version, 101, "more"), 409, "quota_exceeded")
        assert "owner" in refused["cure"]


async def test_operators_see_who_keeps_most_and_others_themselves_alone(
    alice: Person, bob: Person, operator: Person, miner: Person
) -> None:
    for someone, size in ((alice, 100), (bob, 300)):
        await begin(someone.client, await draft(someone.client, await make(someone.client)), size, "a")
    first = (await operator.client.get("/storage", params={"limit": 1})).json()
    assert [(one["username"], one["used_bytes"]) for one in first["items"]] == [("bob", 300)]
    rest = (await operator.client.get("/storage", params={"cursor": first["next_cursor"]})).json()["items"]
    assert (rest[0]["username"], rest[0]["used_bytes"]) == ("alice", 100)
    assert {one["username"] for one in rest} == {"alice", "admin", "mira"}
    both = await operator.client.get("/storage", params={"user_id": [alice.id, bob.id], "sort": "username"})
    assert [one["username"] for one in both.json()["items"]] == ["alice", "bob"]
    found = await operator.client.get("/storage", params={"search": "ALI", "sort": "used_bytes", "format": "csv"})
    assert found.text.splitlines()[1].startswith(f"{alice.id},alice,100,1,100,1000,10")
    for someone in (bob, miner):
        assert [one["user_id"] for one in (await someone.client.get("/storage")).json()["items"]] == [someone.id]
        assert (await someone.client.get("/storage", params={"user_id": alice.id})).json()["items"] == []
        problem(await someone.client.get(f"/users/{alice.id}/storage"), 404)
        problem(await someone.client.put(f"/users/{alice.id}/storage", json={"max_bytes": "1TB"}), 404)
        problem(await someone.client.put(f"/users/{someone.id}/storage", json={"max_bytes": "1TB"}), 403)
        assert (await someone.client.get(f"/users/{someone.id}/storage")).json()["user_id"] == someone.id
    problem(await operator.client.get("/users/usr_none/storage"), 404)


@pytest.mark.parametrize("size", ["much", "-1GB", "1 XB", ""])
async def test_a_size_that_is_none_is_named(operator: Person, alice: Person, size: str) -> None:
    url = f"/users/{alice.id}/storage"
    problem(await operator.client.put(url, json={"max_bytes": size}), 422, None, "max_bytes")
    problem(await operator.client.put(url, json={"max_files": -1}), 422, None, "max_files")
    assert (await operator.client.put(url, json={"max_bytes": "0", "max_files": 0})).json()["max_bytes"] == 0


def test_the_setting_is_a_size() -> None:
    assert Settings(storage_quota="5GB").storage_quota_bytes == 5 * 10**9
    assert Settings(storage_quota="123").storage_quota_bytes == 123
    with pytest.raises(ValueError, match="disk"):
        Settings(storage_quota="much")
