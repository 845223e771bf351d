"""Publishing is fair: one slot an owner, in turn."""

import asyncio
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.factories import AssetFactory, AssetVersionFactory, UserFactory
from utcloud.assets import loops, publish
from utcloud.assets.loops import Turns
from utcloud.assets.store import FolderStore
from utcloud.common.settings import Settings
from utcloud.db import Database

pytestmark = pytest.mark.postgres


def test_one_of_each_owner_at_a_time() -> None:
    turns = Turns(2)
    waiting = {"a1": "ann", "a2": "ann", "a3": "ann", "b1": "bob", "c1": "cat"}
    assert turns.next(waiting, []) == ["a1", "b1"]
    assert turns.next(waiting, ["a1", "b1"]) == []
    del waiting["b1"]
    assert turns.next(waiting, ["a1"]) == ["c1"]


def test_one_alone_has_one_slot() -> None:
    turns = Turns(2)
    waiting = {"a1": "ann", "a2": "ann"}
    assert turns.next(waiting, []) == ["a1"]
    assert turns.next(waiting, ["a1"]) == []
    assert turns.next({"a2": "ann", "b1": "bob"}, []) == ["b1", "a2"], "who was served is behind who was not"


def test_nobody_waits_for_more_than_one_round() -> None:
    turns = Turns(1)
    waiting = {f"a{number}": "ann" for number in range(100)} | {"b1": "bob", "c1": "cat"}
    order = []
    for _ in range(4):
        (version,) = turns.next(waiting, [])
        order.append(waiting.pop(version))
    assert order == ["ann", "bob", "cat", "ann"]


async def test_two_large_archives_of_one_hold_up_nobody(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop itself: another's version begins although two of one user's were first."""
    begun: list[str] = []
    woken = asyncio.Event()

    async def process(_db: Database, _clock: object, _store: object, _settings: Settings, version_id: str) -> None:
        begun.append(version_id)
        woken.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(publish, "process", process)
    async with db.write() as tx:
        for owner, count in (("usr_a", 3), ("usr_b", 1)):
            await UserFactory.insert(tx, id=owner, username=owner)
            asset = await AssetFactory.insert(tx, owner_id=owner, name=owner)
            for number in range(1, count + 1):
                ident = f"ver_{owner}_{number}"
                await AssetVersionFactory.insert(tx, id=ident, asset_id=asset.id, number=number, status="processing")
    settings = Settings(home=tmp_path)
    loop = asyncio.create_task(loops.process_versions(db, FakeClock(), FolderStore(tmp_path), settings))
    async with asyncio.timeout(10):
        while len(begun) < 2:
            woken.clear()
            await woken.wait()
    await asyncio.sleep(0.1)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert sorted(begun) == ["ver_usr_a_1", "ver_usr_b_1"]
