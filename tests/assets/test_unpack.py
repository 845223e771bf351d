"""Archives of strangers, real ones."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from utcloud.assets import unpack
from utcloud.assets.publish import refuse_clashes
from utcloud.assets.unpack import Cancelled, Found, Refused, Work

FILES = {"net/model.onnx": os.urandom(3 * 2**20), "net/infer.py": b"print(1)\n", "net/empty": b"", "net/ä 名.txt": b"x"}


def work(max_bytes: int = 10**9, max_files: int = 1000) -> Work:
    return Work(max_bytes, max_files)


def make_tar(files: dict[str, bytes], mode: str = "w", fmt: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    quickly = {"w:gz": {"compresslevel": 1}, "w:bz2": {"compresslevel": 1}, "w:xz": {"preset": 0}}.get(mode, {})
    with tarfile.open(fileobj=out, mode=mode, format=fmt, **quickly) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o755 if name.endswith(".py") else 0o644
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def make_zip(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            info.external_attr = (0o100755 if name.endswith(".py") else 0o100644) << 16
            archive.writestr(info, content)
    return out.getvalue()


def run(tmp_path: Path, data: bytes, bounds: Work | None = None) -> list[Found]:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return unpack.unpack(path, "code.zip", tmp_path / "out", bounds or work())


@pytest.mark.parametrize(
    "make",
    [
        make_zip,
        lambda files: make_zip(files, zipfile.ZIP_STORED),
        make_tar,
        lambda files: make_tar(files, "w:gz"),
        lambda files: make_tar(files, "w:bz2"),
        lambda files: make_tar(files, "w:xz"),
        lambda files: make_tar(files, fmt=tarfile.GNU_FORMAT),
        lambda files: make_tar({"./" + name: content for name, content in files.items()}),
    ],
    ids=["zip", "stored", "tar", "gz", "bz2", "xz", "gnu", "dot"],
)
def test_known_archives_are_told_by_content(tmp_path: Path, make: Callable[[dict[str, bytes]], bytes]) -> None:
    found = {file.path: file for file in run(tmp_path, make(FILES))}
    assert set(found) == set(FILES)
    for path, content in FILES.items():
        assert found[path].size == len(content)
        assert found[path].sha256 == hashlib.sha256(content).hexdigest()
        assert found[path].source.read_bytes() == content
        assert found[path].executable == path.endswith(".py")


def test_folders_are_passed_over_and_several_xz_streams_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in (".", "net", "net/deep"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        info = tarfile.TarInfo("net/a")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    data = out.getvalue()
    packed = lzma.compress(data[:700]) + lzma.compress(data[700:])
    assert [file.path for file in run(tmp_path, packed)] == ["net/a"]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "a\\..\\evil", "a/./../../b", "x\nb"])
@pytest.mark.parametrize("make", [make_zip, make_tar], ids=["zip", "tar"])
def test_paths_that_climb_are_refused_by_name(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    with pytest.raises(Refused, match=r"code\.zip"):
        run(tmp_path, make({"good": b"x", name: b"evil"}))
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path.parent / "evil").exists()


def test_a_folder_that_climbs_is_refused_too(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("../up")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    with pytest.raises(Refused, match="climbs"):
        run(tmp_path, out.getvalue())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("strange")
        info.type, info.linkname = kind, "/etc/shadow"
        archive.addfile(info)
    with pytest.raises(Refused, match="'strange'"):
        run(tmp_path, out.getvalue())


def test_a_symlink_in_a_zip_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("strange")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/shadow")
    with pytest.raises(Refused, match="link 'strange'"):
        run(tmp_path, out.getvalue())


@pytest.mark.parametrize("mode", ["zip", "w:gz", "w:bz2", "w:xz"])
def test_a_bomb_is_refused_while_unpacking(tmp_path: Path, mode: str) -> None:
    zeros = {"zeros": bytes(110 * 10**6)}
    data = make_zip(zeros) if mode == "zip" else make_tar(zeros, mode)
    assert len(data) < 500_000
    bounds = work()
    with pytest.raises(Refused, match="200 times"):
        run(tmp_path, data, bounds)
    assert bounds.bytes < 105 * 10**6


def test_a_zip_whose_files_share_their_bytes_is_a_bomb_too(tmp_path: Path) -> None:
    """Every entry of the table of contents points to the same compressed bytes."""
    data = bytearray(make_zip({"a": bytes(10**7)}))
    end = data.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", data, end + 16)[0]
    entry = bytes(data[start:end])
    count = 200
    body = data[:start] + entry * count
    tail = bytearray(data[end:])
    struct.pack_into("<HHII", tail, 8, count, count, len(entry) * count, start)
    with pytest.raises(Refused, match=r"200 times|damaged|Overlapped"):
        run(tmp_path, bytes(body + tail))


def test_honest_large_archives_pass(tmp_path: Path) -> None:
    assert run(tmp_path, make_tar({"zeros": bytes(90 * 10**6)}, "w:gz"))[0].size == 90 * 10**6


def test_a_lie_about_the_size_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(make_zip({"a": bytes(10**6)}))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 10)
    bounds = work(max_bytes=1000)
    with pytest.raises(Refused):
        run(tmp_path, bytes(data), bounds)
    assert bounds.bytes <= 2**21


def test_too_many_bytes_and_too_many_files(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"larger than 1 MB"):
        run(tmp_path, make_tar({"a": os.urandom(10**6 + 1)}), work(max_bytes=10**6))


def test_too_many_files(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="more than 10 files"):
        run(tmp_path, make_zip({str(number): b"" for number in range(11)}), work(max_files=10))


def test_too_many_folders(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number in range(1100):
            info = tarfile.TarInfo(str(number))
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
    with pytest.raises(Refused, match="too many folders"):
        run(tmp_path, out.getvalue(), work(max_files=10))


@pytest.mark.parametrize("lies", [False, True])
def test_a_zip_of_too_many_entries_is_refused_before_they_are_parsed(
    tmp_path: Path, lies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its end record says that there is one."""
    data = bytearray(make_zip({f"{number}/": b"" for number in range(1100)}))
    if lies:
        place = data.rindex(b"PK\x05\x06")
        data[place + 8 : place + 12] = struct.pack("<2H", 1, 1)
    monkeypatch.setattr(zipfile, "ZipInfo", None)  # what an entry is made into
    with pytest.raises(Refused, match="more than 1020 files and folders"):
        run(tmp_path, bytes(data), work(max_files=10))


def test_a_zip_with_a_large_table_and_a_comment_is_read(tmp_path: Path) -> None:
    """The largest form that has its own end record (zip64), with bytes before and a comment behind it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"{number}/" if number else "a", b"")
        archive.comment = b"PK" * 100
    assert b"PK\x06\x06" in out.getvalue()
    assert [file.path for file in run(tmp_path, out.getvalue(), work(max_files=40_000))] == ["a"]
    with pytest.raises(Refused, match="files and folders"):
        run(tmp_path, out.getvalue(), work(max_files=30_000))


def test_a_huge_header_is_not_read_into_memory(tmp_path: Path) -> None:
    """A pax header of 50 MB of compressed zeros would be read whole."""
    size = 50 * 10**6
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, size
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as out:
        out.write(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(size // 10**6):
            out.write(bytes(10**6))
    with pytest.raises(Refused, match="too large a header"):
        run(tmp_path, packed.getvalue())


def test_a_huge_table_of_contents_is_not_read_into_memory(tmp_path: Path) -> None:
    data = make_zip({f"{number}" + "x" * 60_000: b"" for number in range(50)})
    with pytest.raises(Refused, match="table of contents"):
        run(tmp_path, data, work(max_files=10))


@pytest.mark.parametrize(
    "data",
    [
        make_zip(FILES)[:-100],
        make_zip(FILES)[: 2 * 2**20] + b"x" * 100 + make_zip(FILES)[2 * 2**20 + 100 :],
        make_tar(FILES, "w:gz")[:-1000],
        make_tar(FILES, "w:gz")[:-4],
        make_tar(FILES, "w:xz")[:-1000],
        make_tar(FILES, "w:bz2")[:-1000],
        make_tar(FILES)[:1_000_000],
        bz2.compress(b"not a tar" * 1000),
        b"#!/bin/sh\n" * 100,
        b"",
        b"PK\x03\x04",
        os.urandom(10_000),
    ],
    ids=[
        "zip-cut",
        "zip-flipped",
        "gz-cut",
        "gz-crc",
        "xz-cut",
        "bz2-cut",
        "tar-cut",
        "bz2",
        "script",
        "0",
        "pk",
        "noise",
    ],
)
def test_what_is_no_whole_archive_is_refused_in_words(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Refused, match=r"code\.zip"):
        run(tmp_path, data)


@pytest.mark.parametrize(
    "data", [make_zip({}), make_tar({}, "w:gz"), make_zip({"a/": b""})], ids=["zip", "tar", "folder"]
)
def test_an_archive_without_files_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Refused, match="no files"):
        run(tmp_path, data)


def test_a_locked_zip_and_odd_compressions_are_refused(tmp_path: Path) -> None:
    data = bytearray(make_zip({"a": b"x"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(Refused, match="password"):
        run(tmp_path, bytes(data))
    with pytest.raises(Refused, match="compression"):
        run(tmp_path, make_zip({"a": b"x"}, zipfile.ZIP_BZIP2))


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("caf\xe9"))
    with pytest.raises(Refused, match="UTF-8"):
        run(tmp_path, out.getvalue())


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("图像识别/训练.py".encode("gbk"), "图像识别/训练.py"),
        ("图像识别.py".encode(), "图像识别.py"),
        (b"caf\x82", "café"),
    ],
)
def test_names_of_a_zip_that_does_not_say_how_they_are_written(tmp_path: Path, raw: bytes, name: str) -> None:
    stand_in = "x" * len(raw)
    data = make_zip({stand_in: b"1"}).replace(stand_in.encode(), raw)
    assert [found.path for found in run(tmp_path, data)] == [name]


def test_one_name_that_is_no_utf8_tells_for_all(tmp_path: Path) -> None:
    """The bytes of 图 in GBK are a letter of UTF-8 as well."""
    names = ["图", "训练"]
    data = make_zip({"aa": b"1", "bbbb": b"2"})
    for stand_in, name in zip((b"aa", b"bbbb"), names, strict=True):
        data = data.replace(stand_in, name.encode("gbk"))
    assert [found.path for found in run(tmp_path, data)] == names


def test_a_path_that_climbs_in_chinese_is_refused_too(tmp_path: Path) -> None:
    raw = "../训练".encode("gbk")
    data = make_zip({"x" * len(raw): b"1"}).replace(b"x" * len(raw), raw)
    with pytest.raises(Refused, match=r"\.\./训练"):
        run(tmp_path, data)


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "SPARE_DISK", 2**60)
    with pytest.raises(Refused, match="disk is full"):
        run(tmp_path, make_zip({"a": os.urandom(70 * 2**20)}, zipfile.ZIP_STORED))


def test_unpacking_can_be_called_off(tmp_path: Path) -> None:
    bounds = work()
    bounds.cancelled.set()
    with pytest.raises(Cancelled):
        run(tmp_path, make_zip(FILES), bounds)


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"], ["x/a", "b", "x/a"]])
def test_clashing_paths_are_named(paths: list[str]) -> None:
    with pytest.raises(Refused, match=f"'{paths[0]}'|'{paths[-1]}'"):
        refuse_clashes(paths)


def test_paths_that_differ_in_case_do_not_clash() -> None:
    refuse_clashes(["a", "A", "ab", "b/a"])
