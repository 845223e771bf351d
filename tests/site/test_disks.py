"""Volumes on disks of their own: real images, loop devices and mounts."""

import asyncio
import errno
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.site.server import SmallServer
from utcloud.common.settings import Settings
from utcloud.protocol import DesiredMount, DesiredReplica, Limits
from utcloud.site import disks as disks_module
from utcloud.site.disks import Disks, unmount_all
from utcloud.site.errors import CannotRun
from utcloud.site.link import Link
from utcloud.site.volumes import Volumes

Make = Callable[..., DesiredReplica]
MB = 10**6
SIZE = 100 * 2**20


def devices() -> list[str]:
    shown = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True
    )
    return shown.stdout.splitlines()


def fill_up(folder: Path) -> int:
    """Write until there is no room; return how many MB went in."""
    written = 0
    with pytest.raises(OSError) as full, (folder / "fill").open("wb", buffering=0) as file:
        for _ in range(10_000):
            written += file.write(bytes(MB))
    assert full.value.errno == errno.ENOSPC
    return written // MB


@pytest.fixture
def site_dir(settings: Settings) -> Path:
    settings.site_dir.mkdir(parents=True, exist_ok=True)
    return settings.site_dir


@pytest.fixture
def disks(site_dir: Path) -> Iterator[Disks]:
    one = Disks(site_dir, SIZE)
    one.begin()
    if one.trouble:
        pytest.skip(one.trouble)
    yield one
    assert unmount_all(site_dir) == []


@pytest.fixture
async def volumes(settings: Settings, site_dir: Path, disks: Disks) -> AsyncIterator[Volumes]:
    link = Link(settings)
    yield Volumes(site_dir, link, disks)
    await link.close()


def wish(replica: Make, *, disk: int | None = SIZE, **mount: str) -> DesiredReplica:
    limits = Limits(cpu_millicores=1000, memory_bytes=2**27, disk_bytes=disk)
    return replica(limits=limits, mounts=[DesiredMount(target="/home/jovyan", volume="v", **mount)])


def quiet(_: str) -> None:
    return


def test_a_full_volume_is_full_for_itself_alone(disks: Disks) -> None:
    mine, theirs = disks.open("mine", SIZE), disks.open("theirs", SIZE)
    assert 85 <= fill_up(mine) <= 105
    (theirs / "work").write_bytes(bytes(MB))
    for name in ("mine", "theirs"):
        assert disks.close(name)


def test_nothing_is_left_of_a_closed_volume_but_its_files(disks: Disks, site_dir: Path) -> None:
    point = disks.open("v", SIZE)
    (point / "kept").write_text("yes")
    assert [path for path in devices() if str(site_dir) in path]
    with (point / "kept").open() as held:
        assert not disks.close("v"), "in use"
        assert held.read() == "yes"
    assert disks.close("v") and disks.close("v")
    assert not point.exists()
    assert [path for path in devices() if str(site_dir) in path] == []
    assert (disks.open("v", SIZE) / "kept").read_text() == "yes"
    assert disks.drop("v")
    assert not list((site_dir / "images").glob("v*"))


def test_what_is_deleted_inside_goes_back_to_the_host(disks: Disks, site_dir: Path) -> None:
    point = disks.open("v", SIZE)
    before = (site_dir / "images/v.img").stat().st_blocks
    with (point / "big").open("wb") as file:
        file.write(os.urandom(40 * MB))
        os.fsync(file.fileno())
    assert (site_dir / "images/v.img").stat().st_blocks - before > 39 * MB // 512
    (point / "big").unlink()
    disks.close("v")
    assert (site_dir / "images/v.img").stat().st_blocks - before < 5 * MB // 512


def test_mounts_are_found_again_and_leftovers_cleared(disks: Disks, site_dir: Path) -> None:
    point = disks.open("v", SIZE)
    (site_dir / "images/.new-half").write_bytes(b"half")
    (site_dir / "mounts/gone").mkdir()
    again = Disks(site_dir, SIZE)
    again.begin()
    assert again.opened() == ["v"] and again.open("v", SIZE) == point
    assert sorted(path.name for path in (site_dir / "images").iterdir()) == ["v.img"]
    assert [path.name for path in (site_dir / "mounts").iterdir()] == ["v"]
    assert again.close("v")


def test_a_volume_grows_while_it_is_closed_and_never_shrinks(disks: Disks) -> None:
    point = disks.open("v", SIZE)
    (point / "kept").write_text("yes")
    small = shutil.disk_usage(point).total
    disks.close("v")
    disks.open("v", 3 * SIZE)
    assert shutil.disk_usage(point).total > 2.5 * small
    assert (point / "kept").read_text() == "yes"
    disks.close("v")
    disks.open("v", SIZE)
    assert shutil.disk_usage(point).total > 2.5 * small
    disks.close("v")


def test_a_volume_that_its_last_run_left_mounted_grows(disks: Disks) -> None:
    """Whatever asks for more disk than the last run had gets it, though the volume is mounted still."""
    point = disks.open("v", SIZE)
    (point / "kept").write_text("yes")
    small = shutil.disk_usage(point).total
    with (point / "kept").open():
        assert disks.open("v", 3 * SIZE) == point
        assert shutil.disk_usage(point).total == small, "something uses it: it stays as it is"
    assert disks.open("v", SIZE) == disks.open("v", None) == point
    assert shutil.disk_usage(point).total == small
    disks.open("v", 3 * SIZE)
    assert shutil.disk_usage(point).total > 2.5 * small
    assert (point / "kept").read_text() == "yes"
    disks.close("v")


def test_thirty_at_once_have_loop_devices_enough(disks: Disks) -> None:
    with ThreadPoolExecutor(8) as pool:
        points = list(pool.map(lambda number: disks.open(f"v{number}", SIZE), range(30)))
    assert all(point.is_mount() for point in points)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: disks.drop(f"v{number}"), range(30)))


def test_formatted_images_are_kept_ready_and_used(disks: Disks, site_dir: Path) -> None:
    disks.open("first", SIZE)
    disks.keep_ready()
    ready = list((site_dir / "images").glob(".ready-*"))
    assert len(ready) == 3
    inodes = {path.stat().st_ino for path in ready}
    disks.open("second", SIZE)
    assert (site_dir / "images/second.img").stat().st_ino in inodes
    disks.keep_ready()
    assert len(list((site_dir / "images").glob(".ready-*"))) == 3
    for name in ("first", "second"):
        disks.drop(name)


def test_no_more_is_promised_than_the_host_has(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted may be written full without an error of the host's disk."""
    free = disks.room()
    monkeypatch.setattr(disks_module, "reserve", lambda total: _reserve(total) + free - 5 * SIZE // 2)
    disks.open("one", SIZE)
    disks.open("two", SIZE)
    with pytest.raises(CannotRun, match=r"has .* left for volumes, and this one may need 104MB"):
        disks.open("three", SIZE)
    assert disks.close("one")
    disks.open("three", SIZE)
    with pytest.raises(CannotRun, match="left for volumes"):
        disks.open("one", SIZE)
    for name in ("two", "three"):
        assert disks.close(name)


_reserve = disks_module.reserve


def test_a_default_volume_takes_a_small_part_of_a_small_disk(
    site_dir: Path, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = disks.room()
    generous = Disks(site_dir, 100 * 2**30)
    monkeypatch.setattr(disks_module, "reserve", lambda total: _reserve(total) + free - 8 * 2**30)
    sizes = []
    for number in range(20):
        generous.open(f"v{number}", None)
        sizes.append((site_dir / f"images/v{number}.img").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert 2**28 < sizes[0] <= 2**29 and sizes[-1] >= 2**27
    for number in range(20):
        generous.drop(f"v{number}")


def test_where_images_cannot_be_mounted_it_is_said(site_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("utcloud.site.loop.mount", refuse)
    one = Disks(site_dir, SIZE)
    one.begin()
    assert "no quota" in one.trouble and "not permitted" in one.trouble
    assert list((site_dir / "images").iterdir()) == list((site_dir / "mounts").iterdir()) == []


async def test_a_volume_is_filled_inside_its_image_and_belongs_to_its_workload(
    server: SmallServer, volumes: Volumes, site_dir: Path, replica: Make
) -> None:
    server.add_files("av_1", {"a/b": b"hello"})
    one = wish(replica, manifest_id="av_1", fill="code")
    binds = await volumes.stage(one, None, quiet, 234_567)
    folder = site_dir / "mounts/v/files"
    assert [bind.source for bind in binds] == [str(folder)]
    assert (folder / "code/a/b").read_bytes() == b"hello"
    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {234_567}
    await volumes.close_unused(lambda name: name == "v")
    assert folder.exists()
    await volumes.close_unused(lambda name: False)
    assert not folder.exists()
    await volumes.stage(one, None, quiet, 234_568)
    assert (folder / "code/a/b").read_bytes() == b"hello"
    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {234_568}
    assert await volumes.drop("v") and not list((site_dir / "images").glob("v*"))


async def test_files_that_do_not_fit_into_the_volume_are_refused_with_numbers(
    server: SmallServer, volumes: Volumes, replica: Make
) -> None:
    server.add_files("av_1", {"big": bytes(200 * MB)})
    with pytest.raises(CannotRun, match=r"The files need 200 MB and the volume has \d+ MB free"):
        await volumes.stage(wish(replica, manifest_id="av_1"), None, quiet)


async def test_a_default_volume_is_large_enough_for_its_files(
    server: SmallServer, volumes: Volumes, site_dir: Path, replica: Make
) -> None:
    server.add_files("av_1", {"big": bytes(150 * MB)})
    await volumes.stage(wish(replica, disk=None, manifest_id="av_1"), None, quiet)
    assert (site_dir / "mounts/v/files/big").stat().st_size == 150 * MB


async def test_a_folder_of_an_older_version_is_taken_over_with_all_its_files(
    volumes: Volumes, site_dir: Path, replica: Make
) -> None:
    old = site_dir / "volumes/v"
    (old / "deep/er").mkdir(parents=True)
    (old / "deep/er/file").write_text("work")
    (old / "run.sh").write_text("#!")
    (old / "run.sh").chmod(0o755)
    (old / "out").symlink_to("/etc/shadow")
    os.mkfifo(old / "pipe")
    os.link(old / "run.sh", old / "same")
    subprocess.run(["chown", "-Rh", "1000:1000", str(old)], check=True)
    before = Path("/etc/shadow").stat()
    await volumes.stage(wish(replica), None, quiet, 234_567)
    new = site_dir / "mounts/v/files"
    assert (new / "deep/er/file").read_text() == "work"
    assert (new / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (new / "run.sh").stat().st_ino == (new / "same").stat().st_ino
    assert str((new / "out").readlink()) == "/etc/shadow" and (new / "pipe").is_fifo()
    assert {path.lstat().st_uid for path in (new, *new.rglob("*"))} == {234_567}
    after = Path("/etc/shadow").stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    assert not old.exists() and list((site_dir / "volumes").iterdir()) == []


async def test_a_folder_that_cannot_be_taken_over_is_kept_and_said(
    volumes: Volumes, site_dir: Path, replica: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = site_dir / "volumes/v"
    old.mkdir()
    (old / "file").write_text("work")
    real = disks_module.reserve
    monkeypatch.setattr(disks_module, "reserve", lambda total: real(total) + total)
    binds = await volumes.stage(wish(replica), None, quiet, 234_567)
    assert [bind.source for bind in binds] == [str(old)]
    assert (old / "file").read_text() == "work" and (old / "file").stat().st_uid == 234_567
    assert "v is a plain folder still" in volumes.trouble
    assert volumes.overgrown({"v": 10**9}) == {}
    (old / "more").write_bytes(bytes(2 * MB))
    assert volumes.overgrown({"v": MB}).keys() == {"v"}
    assert not list((site_dir / "images").glob("v*"))


async def test_a_take_over_that_was_cut_off_goes_on(
    volumes: Volumes, site_dir: Path, disks: Disks, replica: Make
) -> None:
    old = site_dir / "volumes/v"
    old.mkdir()
    (old / "file").write_text("work")
    point = disks.open("v", SIZE)
    (point / ".new-files-dead").mkdir()
    await volumes.stage(wish(replica), None, quiet)
    assert sorted(path.name for path in point.iterdir()) == ["files", "lost+found"]
    assert (point / "files/file").read_text() == "work" and not old.exists()


async def test_two_stages_of_one_volume_wait_for_each_other(volumes: Volumes, site_dir: Path, replica: Make) -> None:
    one = wish(replica)
    await asyncio.gather(*(volumes.stage(one, None, quiet) for _ in range(5)))
    assert len([path for path in devices() if str(site_dir) in path]) == 1
