"""What the agent remembers of each attempt across its own death.

The engine is the witness of containers. This small record answers only what the engine cannot: whether a container
that is no longer there was started, when it was last seen, and why it was told to stop.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from utcloud.protocol import ObservedReplica

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def boot_id() -> str:
    """Differs after each start of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Record(BaseModel):
    """One attempt. Its file's modification time is when its container was last seen running."""

    attempt_id: str
    started: bool = False
    boot_id: str = ""
    ready: bool = False
    ready_at: datetime | None = None
    stop_cause: str = ""
    stop_reason: str = ""
    observed: ObservedReplica | None = None


class Records:
    """A folder of records, one JSON file each; writes are atomic."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, attempt_id: str) -> Record:
        """The record, or a new one. A file that cannot be read counts as none."""
        try:
            return Record.model_validate_json(self._path(attempt_id).read_bytes())
        except (OSError, ValidationError):
            return Record(attempt_id=attempt_id)

    def save(self, record: Record) -> None:
        path = self._path(record.attempt_id)
        fresh = path.with_suffix(".new")
        fresh.write_text(record.model_dump_json())
        fresh.replace(path)

    def touch(self, attempt_id: str) -> None:
        """Note that its container is seen running now."""
        try:
            os.utime(self._path(attempt_id))
        except FileNotFoundError:
            return

    def last_sign(self, attempt_id: str) -> datetime | None:
        """When its container was last seen."""
        try:
            return datetime.fromtimestamp(self._path(attempt_id).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def forget(self, attempt_id: str) -> None:
        self._path(attempt_id).unlink(missing_ok=True)

    def all_ids(self) -> list[str]:
        return [path.stem for path in self._folder.glob("*.json")]

    def _path(self, attempt_id: str) -> Path:
        if not _ID.fullmatch(attempt_id):
            raise ValueError(f"not an attempt id: {attempt_id[:120]!r}")
        return self._folder / f"{attempt_id}.json"
