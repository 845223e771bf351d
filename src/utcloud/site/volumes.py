"""The folders that containers write to, and the read-only contents they look at."""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import structlog

from utcloud.protocol import DesiredMount, DesiredReplica, Manifest
from utcloud.site.disks import Disks, enough_for
from utcloud.site.engines.base import USER_ID, Bind
from utcloud.site.errors import CannotRun, ServerRefused
from utcloud.site.link import Link
from utcloud.site.records import boot_id
from utcloud.site.staging import BlobCache, Content, Progress, fill, remove_leftovers
from utcloud.site.takeover import give_to, sizes_of, take_over

log = structlog.get_logger()
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MARK = ".unsynced-"
FILES = "files"
"""The folder inside an image that is the volume; beside it lies what is the file system's own."""
_SPARE = 256 * 2**20
_TICK_S = 0.25
_SETTLE_S = 5.0
_FORBIDDEN = {"/", "/proc", "/sys", "/dev", "/etc", "/run", "/bin", "/sbin", "/lib", "/usr"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the files of a volume or content lie, and the marker that they may not be safely on disk yet."""

    folder: Path
    marker: Path


class Volumes:
    """Volumes, each on a disk of its own (see ``Disks``), and ``contents/<version id>``, under the site's folder.

    Where images cannot be mounted, or without ``disks``, a volume is the folder ``volumes/<name>``, and nothing but
    ``overgrown`` bounds it. A folder that an older version made is taken over into an image at its next start.

    A volume is filled once, when it is new. Until its files have surely reached the disk a marker lies in ``volumes``:
    after a power cut a volume with a marker is filled anew, so a half-written one is never used. A volume that was
    written to later than a minute after is kept whatever the marker says: the kernel had flushed the fill by then.
    """

    def __init__(self, site_dir: Path, link: Link, disks: Disks | None = None):
        self._volumes = site_dir / "volumes"
        self._contents = site_dir / "contents"
        cache = site_dir / "cache"
        for folder in (self._volumes, self._contents, cache):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        self._cache = BlobCache(cache, link)
        self._disks = disks
        self._link = link
        self._locks: dict[str, asyncio.Lock] = {}
        self._kept: dict[str, str] = {}
        """Folders that could not be taken over into an image, and why."""
        self._syncing: set[asyncio.Task[None]] = set()
        for folder in (self._volumes, self._contents):
            remove_leftovers(folder)

    def begin(self) -> None:
        """Find out what this machine can do. Blocks; to be called once, before anything is staged."""
        if self._disks:
            self._disks.begin()

    @property
    def trouble(self) -> str:
        """What stands in the way of quotas, in words for the owner of the node."""
        if self._disks and self._disks.trouble:
            return self._disks.trouble
        return "; ".join(f"volume {name} is a plain folder still: {why}" for name, why in sorted(self._kept.items()))

    def settle_leftovers(self) -> None:
        """Take up what an agent that died had yet to bring safely to disk. Needs a running event loop."""
        for marker in (*self._volumes.glob(f"{_MARK}*"), *self._contents.glob(f"{_MARK}*")):
            folder = marker.with_name(marker.name.removeprefix(_MARK))
            if not folder.exists() and not (self._disks and self._disks.has(folder.name)):
                marker.unlink()
            elif marker.read_text() == boot_id():
                self._settle_later(marker)

    async def stage(
        self, replica: DesiredReplica, store: Path | None, tell: Callable[[str], None], owner: int = USER_ID
    ) -> list[Bind]:
        """Have every folder that the replica mounts, and return the mounts; ``owner`` may write to the volumes.

        ``tell`` receives how far it is. Raises CannotRun with cause ``files``, or ServerAway.
        """
        fills: dict[str, list[DesiredMount]] = {}
        for mount in replica.mounts:
            _check_target(mount.target)
            if mount.volume is not None:
                fills.setdefault(_checked(mount.volume), []).append(mount)
            elif mount.manifest_id is None:
                raise CannotRun("files", f"The mount {mount.target} names neither a volume nor a content.")
        asked = replica.limits.disk_bytes
        wanted = [self._volume(name, mounts, asked, owner, store, tell) for name, mounts in fills.items()]
        wanted += [
            self._content(mount.manifest_id, store, tell)
            for mount in replica.mounts
            if mount.volume is None and mount.manifest_id
        ]
        await asyncio.gather(*wanted)
        return [self._bind(mount) for mount in replica.mounts]

    async def drop(self, name: str) -> bool:
        """Delete a volume; False when something still uses it. The caller knows that no container does."""
        async with self._lock(_checked(name)):
            if self._disks and not await asyncio.to_thread(self._disks.drop, name):
                return False
            folder = self._volumes / name
            self._marker(self._volumes, name).unlink(missing_ok=True)
            self._kept.pop(name, None)
            if folder.exists():
                await asyncio.to_thread(_throw_away, folder)
        return True

    async def close_unused(self, in_use: Callable[[str], bool]) -> None:
        """Unmount the volumes that nobody uses."""
        for name in self._disks.opened() if self._disks else []:
            async with self._lock(name):
                if self._disks and not in_use(name):
                    await asyncio.to_thread(self._disks.close, name)

    def overgrown(self, limits: dict[str, int]) -> dict[str, int]:
        """Those of these volumes that are plain folders and larger than their limit, and their sizes. Blocks."""
        folders = {name: limit for name, limit in limits.items() if not self._in_image(name)}
        sizes = {name: sum(sizes_of(self._volumes / name)) for name in folders}
        return {name: size for name, size in sizes.items() if size > folders[name]}

    def trim(self) -> None:
        """Make room when the disk is nearly full, and ready what comes next; called now and then, from a thread."""
        self._cache.trim()
        if self._disks:
            self._disks.keep_ready()

    def _in_image(self, name: str) -> bool:
        return self._disks is not None and not self._disks.trouble and name not in self._kept

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _place(self, name: str) -> _Place:
        inside = self._disks is not None and self._in_image(name)
        folder = self._disks.point(name) / FILES if self._disks and inside else self._volumes / name
        return _Place(folder, self._marker(self._volumes, name))

    def _bind(self, mount: DesiredMount) -> Bind:
        if mount.volume is not None:
            return Bind(str(self._place(mount.volume).folder), mount.target)
        return Bind(str(self._contents / str(mount.manifest_id)), mount.target, read_only=True)

    async def _volume(
        self,
        name: str,
        mounts: list[DesiredMount],
        asked: int | None,
        owner: int,
        store: Path | None,
        tell: Callable[[str], None],
    ) -> None:
        async with self._lock(name):
            contents: list[Content] | None = None
            if self._disks and self._in_image(name):
                if not self._disks.has(name) and not (self._volumes / name).exists():
                    contents = await self._asked_for(mounts)
                await self._open(self._disks, name, asked, contents or [], tell)
            elif self._disks and self._disks.has(name):
                raise CannotRun("files", f"The volume {name} is an image, and {self._disks.trouble}.")
            place = self._place(name)
            if not await asyncio.to_thread(self._usable, place):
                if contents is None:
                    contents = await self._asked_for(mounts)
                if contents:
                    await self._fill(place, contents, store, tell, owner, inside=self._in_image(name))
                else:
                    place.folder.mkdir()
                    os.chown(place.folder, owner, owner)
            await asyncio.to_thread(give_to, place.folder, owner)

    async def _open(
        self, disks: Disks, name: str, asked: int | None, contents: list[Content], tell: Callable[[str], None]
    ) -> None:
        """Mount the volume's image, into which an older version's folder goes first."""
        old = self._volumes / name
        if not old.exists():
            sizes = [entry.size for one in contents for entry in one.manifest.files]
            least = enough_for(sizes) if sizes and asked is None else 0
            point = await asyncio.to_thread(disks.open, name, asked, least)
            await asyncio.to_thread(remove_leftovers, point)
            return
        tell("giving the files a disk of their own")
        try:
            least = enough_for(await asyncio.to_thread(sizes_of, old))
            point = await asyncio.to_thread(disks.open, name, asked, least)
            await asyncio.to_thread(remove_leftovers, point)
            await asyncio.to_thread(take_over, old, point / FILES)
        except (CannotRun, OSError, ValueError, RecursionError) as error:
            log.warning("a volume stays a plain folder", volume=name, error=str(error))
            self._kept[name] = str(error)
            await asyncio.to_thread(disks.drop, name)

    async def _asked_for(self, mounts: list[DesiredMount]) -> list[Content]:
        asked = [mount for mount in mounts if mount.manifest_id]
        manifests = await asyncio.gather(*(self._manifest(str(mount.manifest_id)) for mount in asked))
        return [Content(manifest, mount.fill) for mount, manifest in zip(asked, manifests, strict=True)]

    async def _content(self, version_id: str, store: Path | None, tell: Callable[[str], None]) -> None:
        place = _Place(self._contents / _checked(version_id), self._marker(self._contents, version_id))
        async with self._lock(f"contents/{version_id}"):
            if not await asyncio.to_thread(self._usable, place):
                await self._fill(place, [Content(await self._manifest(version_id))], store, tell, 0)

    async def _fill(
        self,
        place: _Place,
        contents: list[Content],
        store: Path | None,
        tell: Callable[[str], None],
        owner: int,
        *,
        inside: bool = False,
    ) -> None:
        progress = Progress()
        if inside:
            free, where = shutil.disk_usage(place.folder.parent).free, "the volume"
        else:
            free = self._disks.room() if self._disks else shutil.disk_usage(place.folder.parent).free - _SPARE
            where = "the node's disk"
        place.marker.write_text(boot_id())
        filling = asyncio.ensure_future(
            fill(place.folder, contents, self._cache, store, progress, owner=owner, free=free, where=where)
        )
        try:
            while not (await asyncio.wait([filling], timeout=_TICK_S))[0]:
                tell(progress.text())
            filling.result()
        except BaseException:
            progress.cancelled.set()
            filling.cancel()
            await asyncio.wait([filling])
            place.marker.unlink(missing_ok=True)
            raise
        self._settle_later(place.marker)

    def _settle_later(self, marker: Path) -> None:
        task = asyncio.create_task(self._settle(marker))
        self._syncing.add(task)
        task.add_done_callback(self._syncing.discard)

    async def _settle(self, marker: Path) -> None:
        await asyncio.sleep(_SETTLE_S)  # not while the container starts
        await asyncio.to_thread(_sync, marker)

    @staticmethod
    def _usable(place: _Place) -> bool:
        folder, marker = place.folder, place.marker
        if not folder.exists():
            return False
        if (
            not marker.exists()
            or marker.read_text() == boot_id()
            or _written_after(folder, marker.stat().st_mtime + 60)
        ):
            return True
        log.warning("a folder was cut off while it was written; filling it anew", folder=str(folder))
        folder.rename(folder.with_name(f".old-{folder.name}-{secrets.token_hex(4)}"))
        return False

    async def _manifest(self, version_id: str) -> Manifest:
        try:
            return await self._link.manifest(_checked(version_id))
        except ServerRefused as refused:
            raise CannotRun("files", f"The server does not give the files of {version_id}: {refused.detail}") from None

    @staticmethod
    def _marker(folder: Path, name: str) -> Path:
        return folder / (_MARK + name)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CannotRun("files", f"{name[:120]!r} cannot be the name of a folder here.")
    return name


def _sync(marker: Path) -> None:
    os.sync()
    marker.unlink(missing_ok=True)


def _throw_away(folder: Path) -> None:
    old = folder.with_name(f".old-{folder.name}-{secrets.token_hex(4)}")
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _written_after(folder: Path, moment: float) -> bool:
    for place, _, names in os.walk(folder):
        if any(os.lstat(os.path.join(place, name)).st_mtime > moment for name in (".", *names)):  # noqa: PTH118
            return True
    return False


def _check_target(target: str) -> None:
    path = PurePosixPath(target)
    if not path.is_absolute() or ".." in path.parts or ":" in target or str(path) in _FORBIDDEN:
        raise CannotRun("files", f"Nothing can be mounted at {target[:200]!r}.")
