"""Object stores that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from utcloud.assets.store import FolderStore, StoredObject


class SlowStore(FolderStore):
    """Takes ``delay_s`` for every operation."""

    def __init__(self, root: Path, delay_s: float) -> None:
        super().__init__(root)
        self.delay_s = delay_s

    async def put_file(self, key: str, path: Path) -> None:
        await asyncio.sleep(self.delay_s)
        await super().put_file(key, path)

    async def stat(self, key: str) -> StoredObject | None:
        await asyncio.sleep(self.delay_s)
        return await super().stat(key)


class FailingStore(FolderStore):
    """Refuses the next ``failures`` puts."""

    def __init__(self, root: Path, failures: int = 1) -> None:
        super().__init__(root)
        self.failures = failures

    async def put_file(self, key: str, path: Path) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(5, "Input/output error")
        await super().put_file(key, path)


class LyingStore(FolderStore):
    """Says that it kept what it did not, and gives other bytes than it was given."""

    async def put_file(self, key: str, path: Path) -> None:
        return

    async def stream(self, key: str, offset: int = 0) -> AsyncIterator[bytes]:
        yield b"lies"
