"""The background work of assets: publishing, forgetting uploads, collecting garbage."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from utcloud.assets import publish, uploads
from utcloud.assets.models import Asset, AssetVersion, VersionFile
from utcloud.assets.schemas import VersionStatus
from utcloud.assets.store import ObjectStore, StoredObject
from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db import Database

_AT_ONCE = 2
_SAFETY_NET_S = 5.0
_BATCH = 500


class Turns:
    """Whose version is published next: one of each owner at a time, and the owner first whose turn was longest ago."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._served: dict[str, int] = {}
        """Owner → the number of their last turn."""
        self._turn = 0
        self._owner_of: dict[str, str] = {}

    def next(self, waiting: Mapping[str, str], running: Collection[str]) -> list[str]:
        """The versions to begin now. ``waiting``: owners by version, the oldest first; what runs may be among them."""
        self._owner_of = {version: self._owner_of[version] for version in running}
        busy = set(self._owner_of.values())
        first: dict[str, str] = {}
        for version, owner in waiting.items():
            if version not in running and owner not in busy:
                first.setdefault(owner, version)
        owners = sorted(first, key=lambda owner: (self._served.get(owner, 0), first[owner]))
        chosen = owners[: max(self._at_once - len(running), 0)]
        for owner in chosen:
            self._turn += 1
            self._served[owner] = self._turn
            self._owner_of[first[owner]] = owner
        wanted = set(waiting.values())
        self._served = {owner: turn for owner, turn in self._served.items() if owner in wanted}
        return [first[owner] for owner in chosen]


async def process_versions(db: Database, clock: Clock, store: ObjectStore, settings: Settings) -> None:
    """Publish what is ``processing``, two versions at a time, of two owners; also what a killed server left so."""
    running: dict[str, asyncio.Task[None]] = {}
    turns = Turns(_AT_ONCE)
    with db.listening("assets") as woken:
        try:
            while True:
                woken.clear()
                async with db.read() as tx:
                    rows = await tx.execute(
                        select(AssetVersion.id, Asset.owner_id)
                        .join(Asset, Asset.id == AssetVersion.asset_id)
                        .where(AssetVersion.status == VersionStatus.PROCESSING)
                        .order_by(AssetVersion.id)
                    )
                    waiting = {version_id: owner_id for version_id, owner_id in rows}  # noqa: C416 - mypy knows rows
                for version_id in turns.next(waiting, set(running)):
                    task = asyncio.create_task(publish.process(db, clock, store, settings, version_id))
                    running[version_id] = task
                signal = asyncio.create_task(woken.wait())
                await asyncio.wait({signal, *running.values()}, timeout=_SAFETY_NET_S, return_when="FIRST_COMPLETED")
                signal.cancel()
                failed = False
                for version_id, task in list(running.items()):
                    if task.done():
                        del running[version_id]
                        failed = failed or task.exception() is not None
                if failed:  # process has said why; do not try again at once
                    await asyncio.sleep(_SAFETY_NET_S)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)


async def expire_uploads(db: Database, clock: Clock, settings: Settings, *, every_s: float = 60) -> None:
    """Forget uploads that got no bytes for a day."""
    while True:
        await uploads.expire(db, clock.now(), settings)
        await asyncio.sleep(every_s)


async def collect_garbage(db: Database, _clock: Clock, store: ObjectStore, *, every_s: float = 900) -> None:
    """Remove the content of deleted versions."""
    while True:
        await collect_garbage_once(db, store)
        await asyncio.sleep(every_s)


async def collect_garbage_once(db: Database, store: ObjectStore, grace: timedelta = timedelta(hours=1)) -> int:
    """Remove blobs that no version refers to and that were not put for ``grace``; return how many.

    Publishing claims each blob and makes it as new as today before it writes the reference, so it may go on meanwhile:
    whoever publishes without end keeps no garbage. Ages are the store's, so the machine's clock is asked, not the
    app's.
    """
    removed = 0
    batch: list[StoredObject] = []
    oldest_kept = datetime.now(UTC) - grace
    async for found in store.list("blobs"):
        if found.modified < oldest_kept:
            batch.append(found)
        if len(batch) == _BATCH:
            removed += await _remove_unreferenced(db, store, batch, oldest_kept)
            batch = []
    return removed + await _remove_unreferenced(db, store, batch, oldest_kept)


async def _remove_unreferenced(
    db: Database, store: ObjectStore, batch: list[StoredObject], oldest_kept: datetime
) -> int:
    hashes = {found.key.rsplit("/", 1)[1]: found.key for found in batch}
    if not hashes:
        return 0
    claimed = store.claims.held(hashes.values())  # before what is used is read: it may be written, and let go, since
    async with db.read() as tx:
        used = set(await tx.scalars(select(VersionFile.sha256).where(VersionFile.sha256.in_(hashes)).distinct()))
    removed = 0
    for sha256, key in hashes.items():
        if sha256 in used or key in claimed:
            continue
        async with store.claims.removal(key) as is_free:
            now = await store.stat(key) if is_free else None  # one that was claimed since that look is new
            if now is not None and now.modified < oldest_kept:
                await store.delete(key)
                removed += 1
    return removed
