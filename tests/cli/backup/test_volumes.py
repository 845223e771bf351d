"""Volumes are read while notebooks write: of one moment, in nobody's way, and with nothing left when all is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from utcloud.cli.backup import volumes
from utcloud.cli.backup.progress import Progress
from utcloud.cli.backup.repository import Repository
from utcloud.cli.backup.trees import Entry, Writer
from utcloud.site import loop
from utcloud.site.disks import Disks, unmount_all
from utcloud.site.takeover import take_over

SIZE = 80 * 2**20


@pytest.fixture
def site_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "volumes").mkdir(parents=True)
    return folder


@pytest.fixture
def disks(site_dir: Path) -> Iterator[Disks]:
    one = Disks(site_dir, SIZE)
    one.begin()
    if one.trouble:
        pytest.skip(one.trouble)
    yield one
    deadline = time.monotonic() + 5
    while unmount_all(site_dir):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while any(loop.attached(path) for path in (site_dir / "images").iterdir()):
        assert time.monotonic() < deadline, "a loop device is left"
        time.sleep(0.05)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.create_or_open(tmp_path / "backups", None)
    made.begin()
    return made


def new(disks: Disks, name: str) -> Path:
    home = disks.open(name, SIZE) / "files"
    home.mkdir()
    (home / "kept.txt").write_text("kept")
    return home


def save(site_dir: Path, repository: Repository, name: str, known: list[Entry] | None = None) -> volumes.Saved | None:
    return volumes.save(site_dir, name, repository, lambda: known or [], Progress())


def texts(repository: Repository, saved: volumes.Saved | None, root: Path) -> dict[str, str]:
    assert saved
    root.mkdir()
    writer = Writer(root, repository, Progress())
    for entry in saved.entries[1:]:
        writer.write(entry)
    writer.finish()
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_stopped_volume_is_read_and_let_go(
    disks: Disks, site_dir: Path, repository: Repository, tmp_path: Path
) -> None:
    new(disks, "v")
    assert disks.close("v")
    saved = save(site_dir, repository, "v")
    assert saved and saved.consistent and saved.size == SIZE
    assert texts(repository, saved, tmp_path / "made") == {"kept.txt": "kept"}
    assert list((site_dir / "mounts").iterdir()) == []
    assert (disks.open("v", SIZE) / "files" / "kept.txt").read_text() == "kept"


def test_a_running_volume_is_of_one_moment(
    disks: Disks, site_dir: Path, repository: Repository, tmp_path: Path
) -> None:
    """Two files are written one after the other: a backup must never have the second's number above the first's."""
    home = new(disks, "v")
    for number in range(300):
        (home / f"m{number}").write_text("between the two")
    stop = threading.Event()
    longest = 0.0

    def work() -> None:
        nonlocal longest
        number = 0
        while not stop.is_set():
            number += 1
            began = time.monotonic()
            for name in ("a-first", "z-second"):
                (home / f".{name}").write_text(str(number))
                (home / f".{name}").rename(home / name)
            longest = max(longest, time.monotonic() - began)

    other = threading.Thread(target=work)
    other.start()
    try:
        while not (home / "z-second").exists():
            time.sleep(0.01)
        for attempt in range(5):
            saved = save(site_dir, repository, "v")
            assert saved and saved.consistent
            found = texts(repository, saved, tmp_path / f"made-{attempt}")
            assert 0 <= int(found["a-first"]) - int(found["z-second"]) <= 1
    finally:
        stop.set()
        other.join()
    assert longest < volumes.FREEZE_S + 2, "nobody waits longer than a moment"
    (home / "after").write_text("it is not frozen")


def test_a_start_takes_the_volume_from_the_backup(disks: Disks, site_dir: Path, repository: Repository) -> None:
    """A notebook that starts meanwhile does not wait for the backup; the backup goes on when it runs."""
    home = new(disks, "v")
    for number in range(2000):
        (home / f"f{number}").write_text("x")
    disks.close("v")
    found: list[volumes.Saved | None] = []
    backup = threading.Thread(target=lambda: found.append(save(site_dir, repository, "v")))
    backup.start()
    while not loop.attached(site_dir / "images" / "v.img"):
        time.sleep(0.001)
    began = time.monotonic()
    point = disks.open("v", SIZE)
    waited = time.monotonic() - began
    (point / "files" / "new.txt").write_text("written while it runs")
    backup.join()
    assert waited < 2
    assert found[0] and found[0].consistent
    assert len([entry for entry in found[0].entries if entry.kind == "f"]) >= 2001


def test_a_stop_does_not_wait_for_the_backup(disks: Disks, site_dir: Path, repository: Repository) -> None:
    new(disks, "v")
    image = site_dir / "images" / "v.img"
    with volumes._held(site_dir, "v", image) as (volume, running):
        assert running
        assert disks.close("v"), "the agent unmounts it"
        assert loop.claim(image) is None, "and still nobody mounts it a second time"
        assert os.listdir(volume)  # noqa: PTH208
    deadline = time.monotonic() + 5
    while (file := loop.claim(image)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.close(file)


def test_an_image_is_never_mounted_twice(disks: Disks, site_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new(disks, "v")
    disks.close("v")
    image = site_dir / "images" / "v.img"
    file = loop.claim(image)
    assert file is not None
    monkeypatch.setattr("utcloud.site.disks._PATIENCE_S", 0.3)
    with pytest.raises(Exception, match="does not let go"):
        disks.open("v", SIZE)
    assert not list((site_dir / "images").glob(".wanted-*"))
    os.close(file)
    disks.open("v", SIZE)


def test_what_was_read_before_is_not_read_again(disks: Disks, site_dir: Path, repository: Repository) -> None:
    home = new(disks, "v")
    (home / "large").write_bytes(os.urandom(10**7))
    old = time.time() - 100
    for path in home.iterdir():
        os.utime(path, (old, old))
    time.sleep(2.1)
    first = save(site_dir, repository, "v")
    assert first
    written = repository.written
    disks.close("v")
    (disks.open("v", SIZE) / "files" / "small").write_text("new")
    progress = Progress()
    again = volumes.save(site_dir, "v", repository, lambda: first.entries, progress)
    assert again and progress.size < 1000
    assert repository.written - written < 1000


def test_volumes_that_are_folders_and_volumes_that_are_gone(
    site_dir: Path, repository: Repository, tmp_path: Path
) -> None:
    folder = site_dir / "volumes" / "rp_1"
    folder.mkdir()
    (folder / "a").write_text("x")
    (site_dir / "volumes" / ".unsynced-rp_1").touch()
    (site_dir / "volumes" / ".old-rp_2").mkdir()
    assert volumes.names(site_dir) == ["rp_1"]
    saved = save(site_dir, repository, "rp_1")
    assert saved and (saved.size, saved.consistent) == (0, True)
    assert texts(repository, saved, tmp_path / "made") == {"a": "x"}
    assert save(site_dir, repository, "rp_2") is None


def test_a_folder_that_moves_into_an_image_is_not_half_read(
    disks: Disks, site_dir: Path, repository: Repository, tmp_path: Path
) -> None:
    """The agent takes a folder over while it is read: the image is read then, and nothing is lost."""
    folder = site_dir / "volumes" / "rp_1"
    folder.mkdir()
    for number in range(5):
        (folder / f"f{number}").write_text(str(number))

    class Moves(Progress):
        def count(self, *, files: int = 0, size: int = 0) -> None:
            if folder.exists():
                take_over(folder, disks.open("rp_1", SIZE) / "files")

    disks.open("rp_1", SIZE)  # where it is going to be copied: there is nothing in it yet
    saved = volumes.save(site_dir, "rp_1", repository, list, Moves())
    assert texts(repository, saved, tmp_path / "made") == {f"f{number}": str(number) for number in range(5)}
    assert saved and saved.size == SIZE


def test_a_folder_that_never_rests_is_named(site_dir: Path, repository: Repository) -> None:
    folder = site_dir / "volumes" / "rp_1"
    folder.mkdir()
    number = 0

    class Busy(Progress):
        def count(self, *, files: int = 0, size: int = 0) -> None:
            nonlocal number
            number += 1
            (folder / "a").write_text(str(number))

    (folder / "a").write_text("x")
    saved = volumes.save(site_dir, "rp_1", repository, list, Busy())
    assert saved and not saved.consistent and len(saved.entries) == 2


def test_a_volume_that_was_never_filled_is_left_out(disks: Disks, site_dir: Path, repository: Repository) -> None:
    disks.open("v", SIZE)
    assert save(site_dir, repository, "v") is None


def test_a_killed_backup_leaves_no_volume_frozen(disks: Disks, site_dir: Path, tmp_path: Path) -> None:
    home = new(disks, "v")
    code = (
        "import os, sys, time\n"
        "from utcloud.cli.backup.volumes import Frozen\n"
        "with Frozen(os.open(sys.argv[1], os.O_RDONLY)) as frozen:\n"
        "    print(bool(frozen), flush=True)\n"
        "    time.sleep(60)\n"
    )
    backup = subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE)
    assert backup.stdout and backup.stdout.readline() == b"True\n"
    backup.send_signal(signal.SIGKILL)
    backup.wait()
    began = time.monotonic()
    (home / "after").write_text("x")
    assert time.monotonic() - began < 2


def test_a_killed_backup_leaves_no_image_mounted(disks: Disks, site_dir: Path) -> None:
    new(disks, "v")
    disks.close("v")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from utcloud.cli.backup.volumes import _held\n"
        "site = Path(sys.argv[1])\n"
        "with _held(site, 'v', site / 'images' / 'v.img'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    backup = subprocess.Popen([sys.executable, "-c", code, str(site_dir)], stdout=subprocess.PIPE)
    assert backup.stdout and backup.stdout.readline() == b"held\n"
    assert loop.claim(site_dir / "images" / "v.img") is None
    backup.send_signal(signal.SIGKILL)
    backup.wait()
    assert (disks.open("v", SIZE) / "files" / "kept.txt").exists()


def test_a_volume_is_thawed_in_time(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that takes too long gives the moment up, not the notebook's time."""
    home = new(disks, "v")
    monkeypatch.setattr(volumes, "FREEZE_S", 0.3)
    folder = os.open(home, os.O_RDONLY)
    with volumes.Frozen(folder) as frozen:
        assert frozen
        (home / "late").write_text("x")  # waits until it thaws
    os.close(folder)
    assert not frozen.in_time


def test_an_agent_thaws_what_it_finds(disks: Disks, site_dir: Path) -> None:
    home = new(disks, "v")
    code = "import fcntl, os, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0xC0045877, 0)"
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)
    Disks(site_dir, SIZE).begin()
    began = time.monotonic()
    (home / "after").write_text("x")
    assert time.monotonic() - began < 2
