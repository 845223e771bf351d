"""Reading volumes while notebooks write to them.

A stopped volume's image is claimed and mounted read-only, where nobody sees it; a notebook that starts meanwhile asks
for the image, gets it at once, and the volume is read while it runs. A running one is read twice: first as it is, then,
frozen for a moment, only what changed since. So what is kept is one moment of the whole volume, as after a power cut,
and the notebook is held up for no longer than a few files take. See ``site.loop`` and ``site.disks``.
"""

import contextlib
import os
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from utcloud.cli.backup.progress import Progress
from utcloud.cli.backup.repository import Repository
from utcloud.cli.backup.trees import Entry, Saver
from utcloud.site import loop
from utcloud.site.disks import WANTED
from utcloud.site.volumes import FILES

FREEZE_S = 5.0
"""So long a notebook may be held up."""
_TRIES = 3
_PATIENCE_S = 60.0
_HIDDEN = ".backup-"


class WantedError(Exception):
    """A notebook wants the volume: let go of it and come back when it runs."""


@dataclass
class Saved:
    """A volume's entries. ``consistent``: they are of one moment. ``size`` is that of its disk, 0 of a folder."""

    entries: list[Entry]
    consistent: bool
    size: int
    problems: list[str] = field(default_factory=list)


def names(site_dir: Path) -> list[str]:
    """All volumes of a site, images and folders."""
    images = {path.stem for path in (site_dir / "images").glob("*.img") if not path.name.startswith(".")}
    folder = site_dir / "volumes"
    folders = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    return sorted(name for name in images | folders if not name.startswith("."))


def clear(site_dir: Path) -> None:
    """Take away what a backup that was killed left."""
    for point in (site_dir / "mounts").glob(f"{_HIDDEN}*"):
        loop.detach(point)
        with contextlib.suppress(OSError):
            point.rmdir()


def save(
    site_dir: Path, name: str, repository: Repository, known: Callable[[], Iterable[Entry]], progress: Progress
) -> Saved | None:
    """Read a volume; None when it is gone, or was never filled."""
    image, folder = site_dir / "images" / f"{name}.img", site_dir / "volumes" / name
    saver = Saver(repository, f"volume {name}", known(), progress)
    for _ in range(1000):
        try:
            # A folder is copied into an image, and removed when the copy is whole: while it is there it counts.
            if folder.exists():
                return _save_folder(folder, saver)
            if not image.exists():
                return None
            return _save_image(site_dir, name, image, saver)
        except (WantedError, FileNotFoundError):
            time.sleep(0.2)
    raise OSError(f"the volume {name} was never at rest")


def _save_folder(folder: Path, saver: Saver) -> Saved:
    """A volume that is a plain folder of the host: it is read until two readings agree."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        entries = [_root(root), *saver.folder(root, _everything, _never)]
        for _ in range(_TRIES):
            saver.problems.clear()
            before, entries = entries, [_root(root), *saver.folder(root, _everything, _never)]
            if consistent := [replace(one, seen=[]) for one in before] == [replace(one, seen=[]) for one in entries]:
                break
        saver.flush()
        if os.fstat(root).st_ino != folder.stat().st_ino:
            raise WantedError  # it was moved into an image meanwhile, and what was read may be half of it
        return Saved(entries, consistent, 0, saver.problems)
    finally:
        os.close(root)


def _save_image(site_dir: Path, name: str, image: Path, saver: Saver) -> Saved | None:
    wanted = image.with_name(f"{WANTED}{name}")

    def check() -> None:
        if wanted.exists():
            raise WantedError

    with _held(site_dir, name, image) as (volume, running):
        size = image.stat().st_size
        try:
            root = os.open(FILES, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=volume)
        except FileNotFoundError:
            return None  # it is just being filled
        try:
            for _ in range(_TRIES):
                saver.problems.clear()
                entries = [_root(root), *saver.folder(root, _everything, check)]
                saver.flush()
                if not running:
                    return Saved(entries, True, size, saver.problems)
                saver.problems.clear()
                with Frozen(volume) as frozen:
                    if frozen:
                        with contextlib.suppress(_LateError):
                            entries = [_root(root), *saver.folder(root, _everything, frozen.check)]
                if frozen.in_time:
                    saver.flush()
                    return Saved(entries, True, size, saver.problems)
                if not frozen:
                    break
            saver.flush()
            return Saved(entries, False, size, saver.problems)
        finally:
            os.close(root)


@contextlib.contextmanager
def _held(site_dir: Path, name: str, image: Path) -> Iterator[tuple[int, bool]]:
    """The root of a volume, open, and whether somebody may be writing to it. Raises OSError."""
    point = site_dir / "mounts" / name
    deadline = time.monotonic() + _PATIENCE_S
    while (volume := _clone(point) or _mounted(site_dir, image)) is None:
        if time.monotonic() > deadline:
            raise OSError(f"the volume {name} is mounted somewhere else")
        time.sleep(0.1)  # it is just being mounted, or let go
    try:
        yield volume, not os.fstatvfs(volume).f_flag & os.ST_RDONLY
    finally:
        os.close(volume)


def _clone(point: Path) -> int | None:
    """A running volume: a mount of our own, so that nobody who unmounts it has to wait for us."""
    if not point.is_mount():
        return None
    volume = loop.clone(point)
    if os.fstat(volume).st_dev == point.parent.stat().st_dev:  # it was unmounted in between
        os.close(volume)
        return None
    return volume


def _mounted(site_dir: Path, image: Path) -> int | None:
    """A stopped volume, mounted for ourselves alone; it is let go when the descriptor is closed, or we die."""
    file = loop.claim(image)
    if file is None:
        return None
    point = site_dir / "mounts" / f"{_HIDDEN}{secrets.token_hex(4)}"
    try:
        point.mkdir(mode=0o700)
        try:
            loop.mount(image, point, file, read_only=True)
            try:
                return os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            finally:
                loop.detach(point)
        finally:
            point.rmdir()
    finally:
        os.close(file)


class _LateError(Exception):
    """The volume could not be kept frozen for so long."""


class Frozen:
    """A file system at rest within the block, for FREEZE_S at most; ``in_time`` says afterwards that it was so."""

    def __init__(self, volume: int):
        self._volume = volume
        self._until = 0.0
        self.in_time = False

    def __enter__(self) -> "Frozen":
        loop.sync(self._volume)  # not while others wait
        script = Path(__file__).with_name("freezer.py")
        self._program = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(self._volume), str(FREEZE_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._volume,),
        )
        if self._program.stdout and self._program.stdout.readline() == b"frozen\n":
            self._until = time.monotonic() + FREEZE_S
        return self

    def __bool__(self) -> bool:
        return self._until > 0

    def check(self) -> None:
        """Raise when it is no longer frozen."""
        if time.monotonic() > self._until:
            raise _LateError

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        word = self._program.communicate()[0]
        self.in_time = kind is None and bool(self) and word == b"thawed\n" and time.monotonic() <= self._until + 1


def _root(root: int) -> Entry:
    facts = os.fstat(root)
    return Entry("", "d", stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_mtime_ns)


def _everything(_path: str, _facts: os.stat_result) -> bool:
    return True


def _never() -> None:
    return
