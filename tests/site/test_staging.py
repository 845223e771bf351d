"""Volumes and the files in them."""

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.site.server import SmallServer
from utcloud.common.settings import Settings
from utcloud.protocol import DesiredMount, DesiredReplica, FileEntry, Manifest
from utcloud.site import staging
from utcloud.site.engines.k8s_log import tail
from utcloud.site.errors import CannotRun
from utcloud.site.link import Link
from utcloud.site.volumes import Volumes

Make = Callable[..., DesiredReplica]


@pytest.fixture
async def link(settings: Settings) -> AsyncIterator[Link]:
    one = Link(settings)
    yield one
    await one.close()


@pytest.fixture
def site_dir(settings: Settings) -> Path:
    return settings.site_dir


def quiet(_: str) -> None:
    return


def mounted(make: Make, *mounts: DesiredMount) -> DesiredReplica:
    return make(mounts=list(mounts))


async def test_files_come_from_the_store_when_it_is_on_this_disk(
    server: SmallServer, link: Link, site_dir: Path, replica: Make, tmp_path: Path
) -> None:
    manifest = server.add_files("av_1", {"a/b/c.txt": b"hello", "run.sh": b"#!"})
    for entry in manifest.files:
        blob = tmp_path / "blobs" / entry.sha256[:2] / entry.sha256
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(server.blobs.pop(entry.sha256))
    wish = mounted(replica, DesiredMount(target="/w", volume="v1", manifest_id="av_1", fill="x"))
    binds = await Volumes(site_dir, link).stage(wish, tmp_path, quiet)
    folder = site_dir / "volumes" / "v1"
    assert [(bind.source, bind.target, bind.read_only) for bind in binds] == [(str(folder), "/w", False)]
    file = folder / "x" / "a" / "b" / "c.txt"
    assert file.read_text() == "hello"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 and stat.S_IMODE((folder / "x/run.sh").stat().st_mode) == 0o755
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {1000}
    assert server.blob_requests == []


async def test_downloads_are_verified_kept_and_not_repeated(
    server: SmallServer, link: Link, site_dir: Path, replica: Make
) -> None:
    server.add_files("av_1", {"a": b"1" * 100_000, "b": b"2", "same-as-b": b"2"})
    volumes = Volumes(site_dir, link)
    for name in ("v1", "v2"):
        await volumes.stage(mounted(replica, DesiredMount(target="/w", volume=name, manifest_id="av_1")), None, quiet)
    assert sorted(server.blob_requests) == sorted(set(server.blob_requests)) and len(server.blob_requests) == 2
    assert (site_dir / "volumes" / "v2" / "same-as-b").read_bytes() == b"2"


async def test_one_volume_may_hold_several_contents_and_a_content_is_shared_read_only(
    server: SmallServer, link: Link, site_dir: Path, replica: Make
) -> None:
    server.add_files("av_1", {"a": b"1"})
    server.add_files("av_2", {"a": b"2"})
    wish = mounted(
        replica,
        DesiredMount(target="/home", volume="v", manifest_id="av_1", fill="one"),
        DesiredMount(target="/again", volume="v", manifest_id="av_2", fill="two"),
        DesiredMount(target="/data", manifest_id="av_2"),
    )
    binds = await Volumes(site_dir, link).stage(wish, None, quiet)
    assert (site_dir / "volumes/v/one/a").read_bytes() == b"1"
    assert (site_dir / "volumes/v/two/a").read_bytes() == b"2"
    assert [bind.read_only for bind in binds] == [False, False, True]


@pytest.mark.parametrize("path", ["../up", "a/../../up", "/etc/passwd", "a//b", "", ".", "a/./b", "nul\0"])
async def test_a_path_that_climbs_is_refused_and_leaves_nothing(
    server: SmallServer, link: Link, site_dir: Path, replica: Make, path: str
) -> None:
    sha = hashlib.sha256(b"x").hexdigest()
    server.blobs[sha] = b"x"
    server.manifests["av_1"] = Manifest(version_id="av_1", files=[FileEntry(path=path, size=1, sha256=sha)])
    with pytest.raises(CannotRun) as refused:
        await Volumes(site_dir, link).stage(
            mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1")), None, quiet
        )
    assert refused.value.cause == "files"
    assert list((site_dir / "volumes").iterdir()) == []


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a" * 101, "a b", "a\0"])
async def test_a_volume_needs_a_plain_name(link: Link, site_dir: Path, replica: Make, name: str) -> None:
    volumes = Volumes(site_dir, link)
    with pytest.raises(CannotRun):
        await volumes.stage(mounted(replica, DesiredMount(target="/w", volume=name)), None, quiet)
    with pytest.raises(CannotRun):
        await volumes.drop(name)


@pytest.mark.parametrize("target", ["w", "/", "/proc", "/a/../etc", "/a:b", ""])
async def test_nothing_is_mounted_where_it_would_harm(link: Link, site_dir: Path, replica: Make, target: str) -> None:
    with pytest.raises(CannotRun):
        await Volumes(site_dir, link).stage(mounted(replica, DesiredMount(target=target, volume="v")), None, quiet)


async def test_a_filling_that_is_broken_off_leaves_no_volume(
    server: SmallServer, link: Link, site_dir: Path, replica: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_files("av_1", {str(number): bytes([number]) * 1000 for number in range(50)})
    copy = staging._copy_one

    def slowly(*values: object) -> None:
        time.sleep(0.02)
        copy(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(staging, "_copy_one", slowly)
    told: list[str] = []
    wish = mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1"))
    task = asyncio.create_task(Volumes(site_dir, link).stage(wish, None, told.append))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told and list((site_dir / "volumes").iterdir()) == []


async def test_what_a_dead_agent_left_half_made_is_cleared_and_made_anew(
    server: SmallServer, link: Link, site_dir: Path, replica: Make
) -> None:
    server.add_files("av_1", {"a": b"whole"})
    half = site_dir / "volumes" / ".new-v-1234"
    half.mkdir(parents=True)
    (half / "a").write_bytes(b"ha")
    volumes = Volumes(site_dir, link)
    assert not half.exists()
    await volumes.stage(mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1")), None, quiet)
    assert (site_dir / "volumes/v/a").read_bytes() == b"whole"


@pytest.mark.parametrize("edited", [False, True])
async def test_after_a_power_cut_an_unsettled_volume_is_filled_anew_unless_it_was_worked_in(
    server: SmallServer, link: Link, site_dir: Path, replica: Make, edited: bool
) -> None:
    server.add_files("av_1", {"a": b"whole"})
    volumes = Volumes(site_dir, link)
    wish = mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1"))
    await volumes.stage(wish, None, quiet)
    marker = site_dir / "volumes" / ".unsynced-v"
    marker.write_text("an earlier boot")
    (site_dir / "volumes/v/a").write_bytes(b"")  # as a file system leaves it that had not written it yet
    if edited:
        late = marker.stat().st_mtime + 3600
        os.utime(site_dir / "volumes/v/a", (late, late))
    await volumes.stage(wish, None, quiet)
    assert (site_dir / "volumes/v/a").read_bytes() == (b"" if edited else b"whole")


async def test_a_full_disk_is_said_with_numbers(server: SmallServer, link: Link, site_dir: Path, replica: Make) -> None:
    entry = FileEntry(path="huge", size=10**15, sha256="0" * 64)
    server.manifests["av_1"] = Manifest(version_id="av_1", files=[entry])
    with pytest.raises(CannotRun, match=r"The files need 1000000000 MB and the node's disk has \d+ MB free"):
        await Volumes(site_dir, link).stage(
            mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1")), None, quiet
        )


Swap = Callable[[Path, Path], None]
"""What the server's user does to a store: given the blob that was verified and a file of root's that it wants."""


def the_file_for_a_link(blob: Path, wanted: Path) -> None:
    blob.unlink()
    blob.symlink_to(wanted)


def its_folder_for_a_link(blob: Path, wanted: Path) -> None:
    other = wanted.parent / blob.parent.name
    other.mkdir()
    (other / blob.name).write_bytes(wanted.read_bytes())
    blob.unlink()
    blob.parent.rmdir()
    blob.parent.symlink_to(other)


def the_folder_of_all_for_a_link(blob: Path, wanted: Path) -> None:
    other = wanted.parent / "blobs"
    (other / blob.parent.name).mkdir(parents=True)
    (other / blob.parent.name / blob.name).write_bytes(wanted.read_bytes())
    blobs = blob.parent.parent
    blobs.rename(blobs.with_name("away"))
    blobs.symlink_to(other)


def the_file_for_another(blob: Path, wanted: Path) -> None:
    blob.unlink()
    blob.write_bytes(wanted.read_bytes())


def its_content(blob: Path, wanted: Path) -> None:
    facts = blob.stat()
    time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
    blob.write_bytes(wanted.read_bytes())
    os.utime(blob, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def the_file_for_a_pipe(blob: Path, _: Path) -> None:
    blob.unlink()
    os.mkfifo(blob)


def the_file_for_one_without_end(blob: Path, wanted: Path) -> None:
    with blob.open("ab") as file:
        file.write(wanted.read_bytes() * 100)


SWAPS = [
    the_file_for_a_link,
    its_folder_for_a_link,
    the_folder_of_all_for_a_link,
    the_file_for_another,
    its_content,
    the_file_for_a_pipe,
    the_file_for_one_without_end,
]


def keep(store: Path, content: bytes) -> Path:
    """A blob of a store."""
    sha = hashlib.sha256(content).hexdigest()
    blob = store / "blobs" / sha[:2] / sha
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    return blob


@pytest.mark.parametrize("swap", SWAPS)
async def test_what_is_swapped_after_it_was_verified_reaches_no_volume(
    server: SmallServer,
    link: Link,
    site_dir: Path,
    replica: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    swap: Swap,
) -> None:
    wanted, store = tmp_path / "root" / "shadow", tmp_path / "store"
    wanted.parent.mkdir()
    wanted.write_bytes(b"a secret")
    manifest = server.add_files("av_1", {"first": b"harmless", "second": b"as it was"})
    blobs = [keep(store, server.blobs[entry.sha256]) for entry in manifest.files]
    copied: list[str] = []
    copy_all = staging._copy_all

    def swapped_before(root: Path, *rest: object) -> None:
        if not copied:
            swap(blobs[0], wanted)
        copied.append(str(root))
        copy_all(root, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(staging, "_copy_all", swapped_before)
    volumes = Volumes(site_dir, link)
    wish = mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1"))
    with pytest.raises(CannotRun) as refused:
        await asyncio.wait_for(volumes.stage(wish, store, quiet), 10)
    assert refused.value.cause == "files"
    assert [path for path in (site_dir / "volumes").iterdir() if not path.name.startswith(".unsynced")] == []
    # The next attempt takes what the server sends instead.
    await volumes.stage(wish, store, quiet)
    assert (site_dir / "volumes/v/first").read_bytes() == b"harmless"


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another's needs root")
@pytest.mark.parametrize("others", [0, 4321])
async def test_a_file_of_a_store_that_is_not_its_owners_is_not_read(
    server: SmallServer, link: Link, site_dir: Path, replica: Make, tmp_path: Path, others: int
) -> None:
    manifest = server.add_files("av_1", {"a": b"hello"})
    blob = keep(tmp_path / "store", b"hello")
    for path in (tmp_path / "store", blob.parent.parent, blob.parent):
        os.chown(path, 1234, 1234)
    os.chown(blob, others, others)  # as a hard link to it is
    wish = mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1"))
    await Volumes(site_dir, link).stage(wish, tmp_path / "store", quiet)
    assert server.blob_requests == [manifest.files[0].sha256]


async def test_a_copy_is_readable_to_nobody_until_it_is_verified(
    server: SmallServer,
    link: Link,
    site_dir: Path,
    replica: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.add_files("av_1", {"run.sh": b"#!"})
    keep(tmp_path, b"#!")
    modes: list[int] = []
    copy = staging._copy_some

    def looked_at(reading: int, writing: int) -> int:
        modes.append(stat.S_IMODE(os.fstat(writing).st_mode))
        return copy(reading, writing)

    monkeypatch.setattr(staging, "_copy_some", looked_at)
    await Volumes(site_dir, link).stage(
        mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1")), tmp_path, quiet
    )
    assert set(modes) == {0o600}
    assert stat.S_IMODE((site_dir / "volumes/v/run.sh").stat().st_mode) == 0o755


async def test_what_was_verified_once_is_copied_without_being_read_again(
    server: SmallServer,
    link: Link,
    site_dir: Path,
    replica: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.add_files("av_1", {"a": b"hello"})
    keep(tmp_path, b"hello")
    volumes = Volumes(site_dir, link)
    await volumes.stage(mounted(replica, DesiredMount(target="/w", volume="v", manifest_id="av_1")), tmp_path, quiet)

    def read_again(*_: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(staging, "_digest", read_again)
    monkeypatch.setattr(hashlib, "file_digest", read_again)
    await volumes.stage(mounted(replica, DesiredMount(target="/w", volume="w", manifest_id="av_1")), tmp_path, quiet)
    assert (site_dir / "volumes/w/a").read_bytes() == b"hello" and server.blob_requests == []


def test_progress_in_words() -> None:
    progress = staging.Progress(total=300_000_000, done=120_000_000)
    assert progress.text() == "copying the files: 120 of 300 MB"


def test_the_end_of_a_log_is_whole_also_when_lines_came_in_parts(tmp_path: Path) -> None:
    log = tmp_path / "ctr.log"
    row = "2026-01-01T00:00:00.0Z stdout {} {}\n"
    parts = [row.format("F", f"old {number}") for number in range(20_000)]
    parts += [row.format("P", "one"), row.format("P", " "), row.format("F", "two"), row.format("F", "")]
    parts += [row.format("P", "no newline yet")]
    log.write_text("".join(parts))
    assert tail(log, 4) == "old 19999\none two\n\nno newline yet\n"
    log.write_text("")
    assert tail(log, 4) == ""
