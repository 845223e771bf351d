"""Uploads by REST: cut, climbing, broken and good ones."""

import io
import secrets
import zipfile
from collections.abc import Iterator

import pytest

from tests.support.api import Api, Json, Refused, wait_for
from tests.support.cloud import Cloud


def test_an_upload_cut_in_the_middle_is_resumed(cloud: Cloud) -> None:
    data = secrets.token_bytes(3_000_000)
    asset = cloud.renter.post("/algorithms", {"name": "cut"})
    version = cloud.renter.post(f"/algorithms/{asset['id']}/versions", {})
    upload = cloud.renter.begin_upload(version["id"], "big.bin", len(data))
    cloud.renter.send_chunk(upload, 0, data[:1_000_000])

    def cut() -> Iterator[bytes]:
        yield data[1_000_000:1_500_000]
        raise ConnectionError("the cable was pulled")

    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "1000000",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": "2000000",
    }
    with pytest.raises(ConnectionError):
        cloud.renter.http.patch(upload, headers=headers, content=cut())
    with pytest.raises(Refused) as caught:
        cloud.renter.post(f"/algorithms/{asset['id']}/versions/{version['number']}/publish")
    assert caught.value.status == 409, "half an upload is no version"
    offset = wait_for(lambda: _offset(cloud.renter, upload), "the server noticed the cut")
    assert 1_000_000 <= offset <= 1_500_000
    assert cloud.renter.send_chunk(upload, offset, data[offset:]) == len(data)
    assert cloud.renter.publish("algorithms", asset["id"], version["number"])["status"] == "ready"
    path = f"/algorithms/{asset['id']}/versions/{version['number']}/files/content"
    assert cloud.renter.http.get(path, params={"path": "big.bin"}).content == data


def _offset(api: Api, upload: str) -> int | None:
    """The upload's offset, or None while the server still holds it for the connection that was cut."""
    try:
        return api.offset_of(upload)
    except Refused as refused:
        assert refused.status in (409, 423)
        return None


def _draft(cloud: Cloud, name: str) -> tuple[Json, Json]:
    asset = cloud.renter.post("/algorithms", {"name": name})
    return asset, cloud.renter.post(f"/algorithms/{asset['id']}/versions", {})


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "a//b", "a\x00b", "x" * 10_000, "."])
def test_a_path_that_climbs_out_of_its_folder(cloud: Cloud, path: str) -> None:
    _, version = _draft(cloud, f"climb-{secrets.token_hex(4)}")
    with pytest.raises(Refused) as caught:
        cloud.renter.upload(version["id"], path, b"x")
    assert 400 <= caught.value.status < 500
    assert caught.value.problem["detail"]


def _zip(entries: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("climbing.zip", _zip({"../../outside.txt": b"x"})),
        ("absolute.zip", _zip({"/etc/cron.d/x": b"x"})),
        ("broken.zip", _zip({"a.txt": b"x" * 1000})[:-30]),
        ("bomb.zip", _zip({f"zeros-{n}.bin": bytes(64 * 2**20) for n in range(8)})),
        ("nothing.zip", b""),
    ],
    ids=["climbing", "absolute", "broken", "bomb", "nothing"],  # of the contents, which hold the time, ids would differ
)
def test_a_bad_archive_fails_with_a_reason_and_leaves_nothing(cloud: Cloud, name: str, content: bytes) -> None:
    asset, version = _draft(cloud, f"bad-{name}")
    try:
        cloud.renter.upload(version["id"], name, content, archive=True)
        ended = cloud.renter.publish("algorithms", asset["id"], version["number"])
    except Refused as refused:
        assert 400 <= refused.status < 500
        return
    assert ended["status"] == "failed", ended
    assert ended["reason"]
    assert cloud.renter.get(f"/algorithms/{asset['id']}")["latest"] is None


def test_a_good_archive_is_unpacked(cloud: Cloud) -> None:
    asset, version = _draft(cloud, "good-archive")
    cloud.renter.upload(version["id"], "code.zip", _zip({"src/main.py": b"print(1)\n"}), archive=True)
    assert cloud.renter.publish("algorithms", asset["id"], version["number"])["status"] == "ready"
    files = cloud.renter.all(f"/algorithms/{asset['id']}/versions/{version['number']}/files")
    assert [(one["path"], one["size"]) for one in files] == [("src/main.py", 9)]
