"""The folders that containers write to, and the read-only contents they look at."""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import structlog

from utcloud.protocol import DesiredMount, DesiredReplica, Manifest
from utcloud.site.engines.base import USER_ID, Bind
from utcloud.site.errors import CannotRun, ServerRefused
from utcloud.site.link import Link
from utcloud.site.records import boot_id
from utcloud.site.staging import BlobCache, Content, Progress, fill, remove_leftovers

log = structlog.get_logger()
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MARK = ".unsynced-"
_TICK_S = 0.25
_SETTLE_S = 5.0
_FORBIDDEN = {"/", "/proc", "/sys", "/dev", "/etc", "/run", "/bin", "/sbin", "/lib", "/usr"}


class Volumes:
    """``volumes/<name>`` and ``contents/<version id>`` under the site's folder.

    A volume is filled once, when it is new. Until its files have surely reached the disk a marker lies beside it: after
    a power cut a volume with a marker is filled anew, so a half-written one is never used. A volume that was written to
    later than a minute after is kept whatever the marker says: the kernel had flushed the fill by then.
    """

    def __init__(self, site_dir: Path, link: Link):
        self._volumes = site_dir / "volumes"
        self._contents = site_dir / "contents"
        cache = site_dir / "cache"
        for folder in (self._volumes, self._contents, cache):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        self._cache = BlobCache(cache, link)
        self._link = link
        self._locks: dict[Path, asyncio.Lock] = {}
        self._syncing: set[asyncio.Task[None]] = set()
        for folder in (self._volumes, self._contents):
            remove_leftovers(folder)

    def settle_leftovers(self) -> None:
        """Take up what an agent that died had yet to bring safely to disk. Needs a running event loop."""
        for marker in (*self._volumes.glob(f"{_MARK}*"), *self._contents.glob(f"{_MARK}*")):
            folder = marker.with_name(marker.name.removeprefix(_MARK))
            if not folder.exists():
                marker.unlink()
            elif marker.read_text() == boot_id():
                self._settle_later(folder)

    async def stage(self, replica: DesiredReplica, store: Path | None, tell: Callable[[str], None]) -> list[Bind]:
        """Have every folder that the replica mounts, and return the mounts.

        ``tell`` receives how far it is. Raises CannotRun with cause ``files``, or ServerAway.
        """
        fills: dict[str, list[DesiredMount]] = {}
        for mount in replica.mounts:
            _check_target(mount.target)
            if mount.volume is not None:
                fills.setdefault(_checked(mount.volume), []).append(mount)
            elif mount.manifest_id is None:
                raise CannotRun("files", f"The mount {mount.target} names neither a volume nor a content.")
        wanted = [self._volume(name, mounts, store, tell) for name, mounts in fills.items()]
        wanted += [
            self._content(mount.manifest_id, store, tell)
            for mount in replica.mounts
            if mount.volume is None and mount.manifest_id
        ]
        await asyncio.gather(*wanted)
        return [self._bind(mount) for mount in replica.mounts]

    async def drop(self, name: str) -> None:
        """Delete a volume. The caller knows that no container uses it."""
        folder = self._volumes / _checked(name)
        self._marker(folder).unlink(missing_ok=True)
        if folder.exists():
            old = folder.with_name(f".old-{name}-{secrets.token_hex(4)}")
            folder.rename(old)
            await asyncio.to_thread(shutil.rmtree, old, True)

    def trim(self) -> None:
        """Make room when the disk is nearly full; called now and then, from a thread."""
        self._cache.trim()

    def _bind(self, mount: DesiredMount) -> Bind:
        if mount.volume is not None:
            return Bind(str(self._volumes / mount.volume), mount.target)
        return Bind(str(self._contents / str(mount.manifest_id)), mount.target, read_only=True)

    async def _volume(
        self, name: str, mounts: list[DesiredMount], store: Path | None, tell: Callable[[str], None]
    ) -> None:
        folder = self._volumes / name
        async with self._locks.setdefault(folder, asyncio.Lock()):
            if self._usable(folder):
                return
            asked = [mount for mount in mounts if mount.manifest_id]
            manifests = await asyncio.gather(*(self._manifest(str(mount.manifest_id)) for mount in asked))
            contents = [Content(manifest, mount.fill) for mount, manifest in zip(asked, manifests, strict=True)]
            if contents:
                await self._fill(folder, contents, store, tell)
            else:
                folder.mkdir()
                os.chown(folder, USER_ID, USER_ID)

    async def _content(self, version_id: str, store: Path | None, tell: Callable[[str], None]) -> None:
        folder = self._contents / _checked(version_id)
        async with self._locks.setdefault(folder, asyncio.Lock()):
            if not self._usable(folder):
                await self._fill(folder, [Content(await self._manifest(version_id))], store, tell)

    async def _fill(
        self, folder: Path, contents: list[Content], store: Path | None, tell: Callable[[str], None]
    ) -> None:
        progress = Progress()
        self._marker(folder).write_text(boot_id())
        filling = asyncio.ensure_future(fill(folder, contents, self._cache, store, progress))
        try:
            while not (await asyncio.wait([filling], timeout=_TICK_S))[0]:
                tell(progress.text())
            filling.result()
        except BaseException:
            progress.cancelled.set()
            filling.cancel()
            await asyncio.wait([filling])
            self._marker(folder).unlink(missing_ok=True)
            raise
        self._settle_later(folder)

    def _settle_later(self, folder: Path) -> None:
        task = asyncio.create_task(self._settle(folder))
        self._syncing.add(task)
        task.add_done_callback(self._syncing.discard)

    async def _settle(self, folder: Path) -> None:
        await asyncio.sleep(_SETTLE_S)  # not while the container starts
        await asyncio.to_thread(os.sync)
        self._marker(folder).unlink(missing_ok=True)

    def _usable(self, folder: Path) -> bool:
        if not folder.exists():
            return False
        marker = self._marker(folder)
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
    def _marker(folder: Path) -> Path:
        return folder.with_name(_MARK + folder.name)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CannotRun("files", f"{name[:120]!r} cannot be the name of a folder here.")
    return name


def _written_after(folder: Path, moment: float) -> bool:
    for place, _, names in os.walk(folder):
        if any(os.lstat(os.path.join(place, name)).st_mtime > moment for name in (".", *names)):  # noqa: PTH118
            return True
    return False


def _check_target(target: str) -> None:
    path = PurePosixPath(target)
    if not path.is_absolute() or ".." in path.parts or ":" in target or str(path) in _FORBIDDEN:
        raise CannotRun("files", f"Nothing can be mounted at {target[:200]!r}.")
