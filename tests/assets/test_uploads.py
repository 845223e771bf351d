"""tus: by the book with plain requests, and with the tuspy client against a real server."""

import asyncio
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.assets.helpers import draft, make, metadata, published, upload
from tests.support.clock import FakeClock
from tests.support.web import Person, problem
from utcloud.assets import unpack, uploads
from utcloud.assets.models import Upload
from utcloud.common.settings import Settings
from utcloud.db import Database

BYTES = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


async def _begin(client: httpx.AsyncClient, version: dict[str, Any], length: int, path: str = "big.bin") -> str:
    answer = await client.post(
        "/uploads",
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(length),
            "Upload-Metadata": metadata(version_id=version["id"], path=path),
        },
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-offset"] == "0"
    location: str = answer.headers["location"]
    return location.removeprefix("/api/v1")


async def _send(client: httpx.AsyncClient, url: str, offset: int, content: Any, **headers: str) -> httpx.Response:
    return await client.patch(url, headers=BYTES | {"Upload-Offset": str(offset)} | headers, content=content)


@pytest.fixture
async def version(alice: Person) -> dict[str, Any]:
    return await draft(alice.client, await make(alice.client))


async def test_the_server_says_what_it_can(alice: Person) -> None:
    answer = await alice.client.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-max-size"] == "2000000000"
    assert answer.headers["tus-extension"] == "creation,creation-with-upload,termination,expiration"


async def test_an_upload_in_pieces(alice: Person, version: dict[str, Any], clock: FakeClock) -> None:
    url = await _begin(alice.client, version, 10)
    first = await _send(alice.client, url, 0, b"01234")
    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    assert first.headers["tus-resumable"] == "1.0.0"
    assert first.headers["upload-expires"] == "Fri, 02 Jan 2026 12:00:00 GMT"
    head = await alice.client.head(url)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("5", "10")
    assert head.headers["cache-control"] == "no-store"
    problem(await _send(alice.client, url, 4, b"x"), 409, "wrong_offset", "Upload-Offset")
    problem(await _send(alice.client, url, 6, b"x"), 409, "wrong_offset", "Upload-Offset")
    assert (await _send(alice.client, url, 5, b"56789")).headers["upload-offset"] == "10"


async def test_wrong_requests_are_refused_and_change_nothing(alice: Person, version: dict[str, Any]) -> None:
    url = await _begin(alice.client, version, 10)
    problem(await _send(alice.client, url, 0, b"x", **{"Content-Type": "text/plain"}), 415, None, "Content-Type")
    problem(await _send(alice.client, url, 0, b"x", **{"Tus-Resumable": "0.2.1"}), 412, None, "Tus-Resumable")
    problem(await _send(alice.client, url, 0, b"x" * 11), 413, "too_large")

    async def endless() -> Any:
        while True:
            yield b"xxxx"

    problem(await _send(alice.client, url, 0, endless()), 413, "too_large")
    assert int((await alice.client.head(url)).headers["upload-offset"]) <= 10
    problem(await alice.client.patch(url, headers=BYTES, content=b"x"), 422, None, "Upload-Offset")
    problem(await _send(alice.client, url, -1, b"x"), 422, None, "Upload-Offset")
    problem(await _send(alice.client, "/uploads/upl_none", 0, b"x"), 404)


@pytest.mark.parametrize(
    ("values", "length", "status", "field"),
    [
        ({"path": "a"}, "1", 422, "Upload-Metadata"),
        ({"version_id": "here"}, "1", 422, "Upload-Metadata"),
        ({"version_id": "ver_none", "path": "a"}, "1", 404, "version_id"),
        ({"version_id": "\0", "path": "a"}, "1", 404, "version_id"),
        ({"version_id": "here", "path": "../a"}, "1", 422, "path"),
        ({"version_id": "here", "path": "a" * 5000}, "1", 422, "path"),
        ({"version_id": "here", "path": "a", "archive": "maybe"}, "1", 422, "archive"),
        ({"version_id": "here", "path": "a"}, "2000000001", 413, "Upload-Length"),
        ({"version_id": "here", "path": "a"}, "-1", 422, "Upload-Length"),
        ({"version_id": "here", "path": "a"}, "x", 422, "Upload-Length"),
        ({"version_id": "here", "path": "a"}, "9" * 30, 422, "Upload-Length"),
    ],
)
async def test_bad_creations_name_the_field(
    alice: Person, version: dict[str, Any], values: dict[str, str], length: str, status: int, field: str
) -> None:
    values = {key: version["id"] if value == "here" else value for key, value in values.items()}
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": length, "Upload-Metadata": metadata(**values)}
    problem(await alice.client.post("/uploads", headers=headers), status, None, field)


async def test_metadata_that_is_no_base64(alice: Person) -> None:
    headers = {"Upload-Length": "1", "Upload-Metadata": "path ???"}
    problem(await alice.client.post("/uploads", headers=headers), 422, None, "Upload-Metadata")


async def test_an_empty_file_needs_no_bytes(alice: Person, version: dict[str, Any], processing: None) -> None:
    url = await _begin(alice.client, version, 0, "empty.txt")
    assert (await alice.client.head(url)).headers["upload-offset"] == "0"
    asset = (await alice.client.get("/algorithms")).json()["items"][0]
    assert (await published(alice.client, asset, version))["files"] == 1


async def test_others_have_no_part_in_it(alice: Person, bob: Person, version: dict[str, Any]) -> None:
    url = await _begin(alice.client, version, 10)
    assert (await bob.client.head(url)).status_code == 404
    problem(await _send(bob.client, url, 0, b"x"), 404)
    problem(await bob.client.delete(url), 404)
    problem(await upload(bob.client, version, "mine.txt", b"x"), 404, None, "version_id")


async def test_a_published_version_takes_nothing_more(alice: Person, version: dict[str, Any], processing: None) -> None:
    await upload(alice.client, version, "a", b"x")
    asset = (await alice.client.get("/algorithms")).json()["items"][0]
    await published(alice.client, asset, version)
    problem(await upload(alice.client, version, "b", b"x"), 409, None, "version_id")


async def test_an_upload_can_be_given_up(alice: Person, version: dict[str, Any], settings: Settings) -> None:
    url = await _begin(alice.client, version, 10)
    await _send(alice.client, url, 0, b"123")
    assert (await alice.client.delete(url)).status_code == 204
    assert (await alice.client.head(url)).status_code == 404
    assert list(uploads.folder(settings).glob("upl_*")) == []


async def test_the_same_path_twice(alice: Person, version: dict[str, Any]) -> None:
    lost = await _begin(alice.client, version, 3, "a")
    url = await _begin(alice.client, version, 3, "a")
    assert (await alice.client.head(lost)).status_code == 404, "the first, without a byte, makes room"
    await _send(alice.client, url, 0, b"1")
    problem(await upload(alice.client, version, "./a", b"x"), 409, "duplicate_path", "path")


async def test_no_more_than_the_version_may_hold(
    app: FastAPI, alice: Person, version: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.state.settings = settings.model_copy(update={"max_version_bytes": 100, "max_version_files": 2})
    problem(await upload(alice.client, version, "a", b"x" * 101), 413, None, "Upload-Length")
    assert (await upload(alice.client, version, "a", b"x")).status_code == 201
    assert (await upload(alice.client, version, "b", b"x")).status_code == 201
    problem(await upload(alice.client, version, "c", b"x"), 409)
    monkeypatch.setattr(unpack, "SPARE_DISK", 2**60)
    app.state.settings = settings
    problem(await upload(alice.client, version, "c", b"x"), 413, None, "Upload-Length")


async def test_what_is_announced_and_not_sent_yet_is_taken_off_the_disk(
    alice: Person, bob: Person, version: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review's: with 25 GB free, ten uploads of 20 GB each passed, and then were sent all."""
    disk = shutil.disk_usage("/")._replace(free=unpack.SPARE_DISK + 2_500_000)
    monkeypatch.setattr("utcloud.assets.unpack.shutil.disk_usage", lambda _: disk)
    first = await _begin(alice.client, version, 2_000_000, "a")
    other = await draft(bob.client, await make(bob.client))
    for person, where in ((alice, version), (bob, other)):
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": "2000000",
            "Upload-Metadata": metadata(version_id=where["id"], path="b"),
        }
        problem(await person.client.post("/uploads", headers=headers), 413, None, "Upload-Length")
    assert (await alice.client.delete(first, headers={"Tus-Resumable": "1.0.0"})).status_code == 204
    await _begin(bob.client, other, 2_000_000, "b")


async def test_two_writers_at_once_cannot_mix(alice: Person, version: dict[str, Any], origin: str) -> None:
    url = await _begin(alice.client, version, 10)
    gate = asyncio.Event()

    async def slowly() -> Any:
        yield b"01234"
        await gate.wait()
        yield b"56789"

    async with httpx.AsyncClient(base_url=f"{origin}/api/v1", headers=alice.client.headers) as client:
        first = asyncio.create_task(_send(client, url, 0, slowly()))
        await asyncio.sleep(0.3)
        problem(await _send(client, url, 0, b"x"), 423, "locked")
        problem(await client.delete(url), 423, "locked")
        gate.set()
        assert (await first).headers["upload-offset"] == "10"


async def test_a_forgotten_upload_expires(
    alice: Person, version: dict[str, Any], db: Database, clock: FakeClock, settings: Settings
) -> None:
    kept = await _begin(alice.client, version, 10, "kept")
    lost = await _begin(alice.client, version, 10, "lost")
    orphan = uploads.folder(settings) / "upl_orphan"
    orphan.touch()
    clock.advance(hours=23)
    await _send(alice.client, kept, 0, b"1")
    clock.advance(hours=2)
    assert (await alice.client.head(lost)).status_code == 404
    await uploads.expire(db, clock.now(), settings)
    assert orphan.exists(), "it may belong to a creation that is not committed yet"
    await uploads.expire(db, clock.now(), settings, orphan_age_s=-1)
    assert [path.name for path in uploads.folder(settings).glob("upl_*")] == [kept.rsplit("/", 1)[1]]
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(Upload)) == 1


async def _delete(person: Person, version: dict[str, Any], whole_asset: bool) -> None:
    asset = f"/algorithms/{(await person.client.get('/algorithms')).json()['items'][0]['id']}"
    answer = await person.client.delete(asset if whole_asset else f"{asset}/versions/{version['number']}")
    assert answer.status_code == 204, answer.text


@pytest.mark.parametrize("whole_asset", [False, True])
async def test_what_is_deleted_leaves_no_file(
    alice: Person, version: dict[str, Any], settings: Settings, whole_asset: bool
) -> None:
    for path in ("a", "b"):
        await _send(alice.client, await _begin(alice.client, version, 10, path), 0, b"123")
    await _delete(alice, version, whole_asset)
    assert list(uploads.folder(settings).glob("upl_*")) == []


@pytest.mark.parametrize("whole_asset", [False, True])
async def test_deleted_while_it_streams_it_is_gone_at_the_end(
    alice: Person, version: dict[str, Any], settings: Settings, whole_asset: bool
) -> None:
    """The attacker's: the quota was free at once, and the bytes stayed."""
    url = await _begin(alice.client, version, 1000)

    async def chunks() -> Any:
        yield b"x"
        await _delete(alice, version, whole_asset)
        yield b"y" * 999

    problem(await _send(alice.client, url, 0, chunks()), 404)
    assert list(uploads.folder(settings).glob("upl_*")) == []


@pytest.mark.parametrize("has_file", [False, True])
async def test_deleted_while_it_streams_it_takes_no_more(
    alice: Person,
    version: dict[str, Any],
    settings: Settings,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    has_file: bool,
) -> None:
    """With its file, whose end is seen with the next piece; and with the row alone, for which the database is asked."""
    monkeypatch.setattr(uploads, "_BUFFER", 1000)
    monkeypatch.setattr(uploads, "_LOOK_EVERY_S", 0.0 if has_file else 3600.0)
    url = await _begin(alice.client, version, 10**6)
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        for number in range(1000):
            if number == 3 and has_file:
                async with db.write() as tx:
                    await tx.execute(delete(Upload))
            elif number == 3:
                await _delete(alice, version, whole_asset=False)
            sent += 1
            yield b"x" * 1000

    problem(await _send(alice.client, url, 0, chunks()), 404)
    assert 3 <= sent < 300, "cut, but for 256 KiB that are thrown away after a refusal"
    assert list(uploads.folder(settings).glob("upl_*")) == []


async def test_an_upload_that_gave_way_to_its_second_try_is_gone(
    alice: Person, version: dict[str, Any], settings: Settings
) -> None:
    """Its few bytes are not on the disk yet, so another of its path takes its place."""
    url = await _begin(alice.client, version, 1000, "a")

    async def chunks() -> Any:
        yield b"x"
        await _begin(alice.client, version, 1, "a")
        yield b"y" * 999

    problem(await _send(alice.client, url, 0, chunks()), 404)
    assert [path.stat().st_size for path in uploads.folder(settings).glob("upl_*")] == [0]


# --- a real client against a real server -----------------------------------------------------------------------------


def _client(origin: str, person: Person) -> TusClient:
    return TusClient(f"{origin}/api/v1/uploads", headers={"Authorization": f"Bearer {person.token}"})


async def test_tuspy_resumes_after_a_cut(
    alice: Person, version: dict[str, Any], origin: str, processing: None, store: Any, db: Database
) -> None:
    content = os.urandom(9 * 2**20)
    values = {"version_id": version["id"], "path": "models/net.onnx"}

    def begin() -> str:
        uploader = _client(origin, alice).uploader(
            file_stream=io.BytesIO(content), chunk_size=4 * 2**20, metadata=values
        )
        uploader.upload_chunk()  # type: ignore[no-untyped-call]
        assert uploader.offset == 4 * 2**20
        return str(uploader.url)

    url = await asyncio.to_thread(begin)
    await _cut(origin, url, alice.token, 4 * 2**20, content[4 * 2**20 : 6 * 2**20], len(content) - 4 * 2**20)

    def resume() -> int:
        uploader = _client(origin, alice).uploader(file_stream=io.BytesIO(content), chunk_size=4 * 2**20, url=url)
        began = uploader.offset
        uploader.upload()
        return int(began)

    asset = (await alice.client.get("/algorithms")).json()["items"][0]
    problem(await alice.client.post(f"/algorithms/{asset['id']}/versions/1/publish"), 409, "unfinished")
    assert await asyncio.to_thread(resume) == 6 * 2**20
    assert (await published(alice.client, asset, version))["status"] == "ready"
    shown = await alice.client.get(
        f"/algorithms/{asset['id']}/versions/1/files/content", params={"path": "models/net.onnx"}
    )
    assert shown.content == content


async def _cut(origin: str, url: str, token: str, offset: int, content: bytes, announced: int) -> None:
    """Send a part of what was announced, then hang up."""
    host, port = origin.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    path = "/" + url.split("/", 3)[3]
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n"
        f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
        f"Content-Length: {announced}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        for _ in range(100):
            answer = await client.head(f"{origin}{path}")
            if answer.headers.get("upload-offset") == str(offset + len(content)):
                return
            await asyncio.sleep(0.05)
    raise AssertionError(f"what arrived is not there: {answer.headers}")


async def test_tuspy_hears_a_refusal(alice: Person, version: dict[str, Any], origin: str) -> None:
    def begin() -> None:
        values = {"version_id": version["id"], "path": "../evil"}
        _client(origin, alice).uploader(file_stream=io.BytesIO(b"x"), metadata=values).upload()

    with pytest.raises(TusCommunicationError) as caught:
        await asyncio.to_thread(begin)
    assert caught.value.status_code == 422
    assert b"climbs" in caught.value.response_content


@pytest.mark.slow
async def test_several_hundred_megabytes_are_quick(
    alice: Person, version: dict[str, Any], origin: str, processing: None, tmp_path: Path
) -> None:
    size = 300 * 2**20
    piece = os.urandom(2**20)
    path = tmp_path / "big"
    with path.open("wb") as file:
        for number in range(size // 2**20):
            file.write(number.to_bytes(8, "big") + piece[8:])

    def send() -> None:
        values = {"version_id": version["id"], "path": "big"}
        _client(origin, alice).uploader(str(path), chunk_size=64 * 2**20, metadata=values).upload()

    began = time.monotonic()
    await asyncio.to_thread(send)
    sent = time.monotonic()
    asset = (await alice.client.get("/algorithms")).json()["items"][0]
    assert (await published(alice.client, asset, version))["size"] == size
    print(f"300 MiB: upload {sent - began:.1f} s, publish {time.monotonic() - sent:.1f} s")
    assert sent - began < 60
