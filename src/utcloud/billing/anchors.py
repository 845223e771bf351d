"""Heads of the journal that the server notes by itself outside of the database: in a file, and in its log.

Who has the database's password can write the journal anew or cut its end off, and make all else agree. He cannot reach
what was noted elsewhere; ``utcloud journal verify`` compares the journal with each head of the file.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import structlog

from utcloud.billing import journal
from utcloud.billing.verify import Anchor, Head
from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db import Database

FILE = "journal-heads"
EVERY_S = 60
MOST_BYTES = 1_000_000
"""At one line a minute a week's; then the file becomes ``journal-heads.1``, in the place of the one before."""
log = structlog.get_logger()


def file_of(settings: Settings) -> Path:
    """Where this server notes the heads of its journal."""
    return settings.home / FILE


async def keep(db: Database, clock: Clock, path: Path) -> None:
    """For ever: note the head once a minute when it moved."""
    while True:
        await note(db, clock.now(), path)
        await asyncio.sleep(EVERY_S)


async def note(db: Database, now: datetime, path: Path) -> None:
    """Note the head in the file at ``path``, and in the log, when it is another than the newest there."""
    async with db.read() as tx:
        head = Head(*await journal.head(tx))
    known = await asyncio.to_thread(read, path)
    newest = max(known, key=lambda one: one.head.seq, default=None)
    if newest and (newest.head.seq > head.seq or (newest.head.seq == head.seq and newest.head != head)):
        log.error("the journal is not what it was: check it", head=str(head), noted=str(newest.head), by=str(newest))
    if head.seq and head not in {one.head for one in known[-2:]}:
        await asyncio.to_thread(_append, path, f"{head} {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
        log.info("journal head", head=str(head))


def read(path: Path) -> list[Anchor]:
    """The heads in the file at ``path`` and in the one before it, in the order in which they were noted."""
    found = []
    for one in (path.with_name(path.name + ".1"), path):
        try:
            text = one.read_text("ascii", errors="replace")
        except FileNotFoundError:
            continue
        for line in text.splitlines():
            try:
                head, _, at = line.partition(" ")
                found.append(Anchor(Head.parse(head), str(one), datetime.fromisoformat(at)))
            except ValueError:  # cut short by a full disk, say: the next ones stand for it
                continue
    return found


def _append(path: Path, line: str) -> None:
    """Write ``line`` through to the disk, on a line of its own."""
    if path.exists() and path.stat().st_size > MOST_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    with path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
