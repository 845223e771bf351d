"""A disk of its own for each volume: an ext4 image on a loop device, so that a full one is full for its owner alone.

Images are sparse, and what is mounted can always be written in full: a volume is mounted only when the host's disk has
room for all that it may still grow by, beside all others that are mounted, and a reserve. Images are only ever made
here; no tenant's file is mounted.
"""

import errno
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import structlog

from utcloud.common.quantity import DISK, format_quantity
from utcloud.site import loop
from utcloud.site.errors import CannotRun

log = structlog.get_logger()

LEAST = 64 * 2**20
_SHARE = 16
"""A volume whose specification names no disk takes at most this part of the room, so that many fit beside it."""
_READY, _READY_SIZES = 3, 2
_PER_INODE = 16 * 2**10
_PROBE = 8 * 2**20
_SUFFIX = ".img"
WANTED = ".wanted-"
"""``images/.wanted-<name>`` asks whoever reads the image of a stopped volume, such as a backup, to let it go."""
_PATIENCE_S = 30.0
_PROGRAMS = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"


def reserve(total: int) -> int:
    """What of a disk is never given to volumes: a twentieth, from 1 GiB to 20 GiB."""
    return min(max(total // 20, 2**30), 20 * 2**30)


def enough_for(sizes: list[int]) -> int:
    """The size of a volume that holds files of these sizes, with room to work. Each takes an inode, too."""
    return int(sum(max(size, _PER_INODE) for size in sizes) * 1.1) + 2 * LEAST


class Disks:
    """``images/<name>.img``, mounted at ``mounts/<name>``. Methods block; they may be called from several threads.

    After ``begin`` it is known whether this machine can do it: ``trouble`` says why not.
    """

    def __init__(self, site_dir: Path, default_bytes: int):
        self._images, self._mounts = site_dir / "images", site_dir / "mounts"
        self._default = default_bytes
        self._lock = Lock()
        self._open: dict[str, int] = {}
        """Size of each volume that is mounted or about to be."""
        self._recent: dict[int, None] = {}
        """Sizes of new volumes, the latest last."""
        self.trouble = ""

    def begin(self) -> None:
        """Find what is mounted already, clear what a dead agent left half made, and try whether it works here."""
        for folder in (self._images, self._mounts):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        for path in (*self._images.glob(".new-*"), *self._images.glob(f"{WANTED}*")):
            path.unlink()
        for point in self._mounts.iterdir():
            if point.is_mount():
                _thaw(point)
            if not point.is_mount():
                point.rmdir()
            elif (image := self._image(point.name)).exists():
                self._open[point.name] = image.stat().st_size
        try:
            self._probe()
        except (OSError, subprocess.SubprocessError) as error:
            self.trouble = f"volumes have no quota of their own, since images cannot be mounted here: {error}"
            log.warning("volumes are plain folders, watched for their size", error=str(error))

    def _probe(self) -> None:
        image, point = self._images / f".new-{secrets.token_hex(4)}", self._mounts / f".probe-{secrets.token_hex(4)}"
        try:
            _format(image, _PROBE)
            point.mkdir()
            with self._claimed(image) as file:
                loop.mount(image, point, file)
            loop.unmount(point)
        finally:
            image.unlink(missing_ok=True)
            if point.exists():
                point.rmdir()

    def has(self, name: str) -> bool:
        """Whether there is such a volume, mounted or not."""
        return self._image(name).exists()

    def point(self, name: str) -> Path:
        """Where it is mounted when it is."""
        return self._mounts / name

    def open(self, name: str, asked: int | None, least: int = 0) -> Path:
        """Have the volume mounted, new or grown if need be, and return where.

        ``asked`` is the size its specification names, or None for this site's default; ``least`` what it must hold
        anyway. The caller knows that no container runs on it. Raises CannotRun with cause ``files``.
        """
        point, image = self.point(name), self._image(name)
        if point.is_mount():
            grows = asked is not None and image.exists() and image.stat().st_size < _whole(asked)
            if not (grows and self.close(name)):  # it is left mounted for a while when its last run has ended
                return point
        size = self._promise(name, image, asked, least)
        try:
            if not image.exists():
                self._make(image, size)
            with self._claimed(image) as file:
                if image.stat().st_size < size:
                    _grow(image, size)
                point.mkdir(exist_ok=True)
                loop.mount(image, point, file)
        except (OSError, subprocess.SubprocessError) as error:
            self._open.pop(name, None)
            raise CannotRun("files", f"The volume {name} cannot be mounted: {_words(error)}.") from error
        return point

    def close(self, name: str) -> bool:
        """Unmount it; False while something uses it."""
        point = self.point(name)
        if point.is_mount():
            loop.trim(point)
        if not loop.unmount(point):
            return False
        if point.exists():
            point.rmdir()
        self._open.pop(name, None)
        return True

    def drop(self, name: str) -> bool:
        """Delete the volume; False while something uses it."""
        if not self.close(name):
            return False
        self._image(name).unlink(missing_ok=True)
        return True

    def opened(self) -> list[str]:
        """Names of the volumes that are mounted."""
        return list(self._open)

    def room(self) -> int:
        """Bytes that are free and promised to no mounted volume; may be negative."""
        facts = os.statvfs(self._images)
        promised = sum(max(size - _allocated(self._image(name)), 0) for name, size in list(self._open.items()))
        return facts.f_bavail * facts.f_frsize - reserve(facts.f_blocks * facts.f_frsize) - promised

    def keep_ready(self) -> None:
        """Keep a few formatted images of the sizes that were asked for last."""
        if self.trouble:
            return
        sizes = list(self._recent)[-_READY_SIZES:]
        ready = [(path, int(path.name.split("-")[1])) for path in self._images.glob(".ready-*")]
        for path, size in ready:
            if size not in sizes:
                path.unlink(missing_ok=True)
        for size in sizes:
            for _ in range(_READY - sum(one == size for _, one in ready)):
                fresh = self._images / f".new-{secrets.token_hex(4)}"
                _format(fresh, size)
                fresh.rename(self._images / f".ready-{size}-{secrets.token_hex(4)}")

    def _promise(self, name: str, image: Path, asked: int | None, least: int) -> int:
        """Decide on the size and set it apart."""
        with self._lock:
            there = image.stat().st_size if image.exists() else 0
            held, room = _allocated(image), self.room()
            wanted = asked or self._usual(room)
            if there and not asked and (wanted < 2 * there or held < there // 2):
                wanted = there  # it need not follow the room on the host
            size = _whole(max(wanted, there, least, LEAST))
            if size - held > room:
                raise CannotRun(
                    "files",
                    f"The node's disk has {_bytes(max(room, 0))} left for volumes, and this one may need "
                    f"{_bytes(size - held)}. Try later, or elsewhere.",
                )
            self._open[name] = size
            if not there:
                self._recent.pop(size, None)
                self._recent[size] = None
            return size

    def _usual(self, room: int) -> int:
        """The default, halved until it is a small part of the room: sizes repeat, so that ready ones fit."""
        size = self._default
        while size > room // _SHARE and size > 2 * LEAST:
            size //= 2
        return _whole(size)

    def _make(self, image: Path, size: int) -> None:
        for ready in self._images.glob(f".ready-{size}-*"):
            try:
                ready.rename(image)
            except FileNotFoundError:
                continue
            return
        fresh = self._images / f".new-{secrets.token_hex(4)}"
        _format(fresh, size)
        fresh.rename(image)

    @contextmanager
    def _claimed(self, image: Path) -> Iterator[int]:
        """The image for ourselves alone; who reads it meanwhile is asked to let go. Raises OSError."""
        wanted = image.with_name(f"{WANTED}{image.name.removesuffix(_SUFFIX)}")
        deadline = time.monotonic() + _PATIENCE_S
        try:
            while (file := loop.claim(image)) is None:
                if time.monotonic() > deadline:
                    raise OSError(errno.EBUSY, "it is mounted elsewhere, or a backup does not let go of it")
                wanted.touch()
                time.sleep(0.05)
        finally:
            wanted.unlink(missing_ok=True)
        try:
            yield file
        finally:
            os.close(file)

    def _image(self, name: str) -> Path:
        return self._images / f"{name}{_SUFFIX}"


def unmount_all(site_dir: Path) -> list[str]:
    """Unmount every volume of a site; return the names of those that something still uses."""
    mounts = site_dir / "mounts"
    points = [point for point in mounts.iterdir() if point.is_mount()] if mounts.is_dir() else []
    return [point.name for point in points if not loop.unmount(point)]


def images_size(site_dir: Path) -> int:
    """Bytes of the host's disk that the images of a site take now."""
    return sum(_allocated(path) for path in (site_dir / "images").glob(f"*{_SUFFIX}"))


def _thaw(point: Path) -> None:
    """End what a backup that was killed left frozen."""
    folder = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if loop.thaw(folder):
            log.warning("a volume was frozen", volume=point.name)
    finally:
        os.close(folder)


def _format(image: Path, size: int) -> None:
    with image.open("xb") as file:
        file.truncate(size)
    image.chmod(0o600)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(image))


def _grow(image: Path, size: int) -> None:
    """Grow an unmounted image. A check comes first, which the tool demands."""
    _run("e2fsck", "-f", "-p", str(image), fine=(0, 1))
    os.truncate(image, size)
    _run("resize2fs", str(image))


def _run(program: str, *arguments: str, fine: tuple[int, ...] = (0,)) -> None:
    path = shutil.which(program, path=_PROGRAMS)
    if path is None:
        raise FileNotFoundError(2, f"{program} is missing: install e2fsprogs (apt-get install e2fsprogs)")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode not in fine:
        raise subprocess.SubprocessError(f"{program}: {(done.stderr or done.stdout).strip()[-300:]}")


def _allocated(image: Path) -> int:
    try:
        return image.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _whole(size: int) -> int:
    return size // 4096 * 4096


def _bytes(size: int) -> str:
    return format_quantity(DISK, size // 10**6 * 10**6) if size >= 10**6 else "nothing"


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
