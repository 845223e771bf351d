"""Takes the first operator's password out of ``access.json`` once it is another: a password is kept nowhere."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import structlog
from sqlalchemy import select

from utcloud.accounts import passwords
from utcloud.accounts.models import User
from utcloud.accounts.service.users import PASSWORDS
from utcloud.common.settings import Settings
from utcloud.db import Database

log = structlog.get_logger()


async def drop_when_changed(db: Database, settings: Settings, *, every_s: float = 3600) -> None:
    """For ever: look when a password was changed, and now and then."""
    with db.listening(PASSWORDS) as woken:
        while True:
            woken.clear()
            await drop(db, settings.home / "access.json")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), every_s)


async def drop(db: Database, path: Path) -> None:
    """Take the password out of the file if it is not its user's any more."""
    access = _read(path)
    username, password = access.get("username"), access.get("password")
    if not password:
        return
    async with db.read() as tx:
        password_hash = await tx.scalar(select(User.password_hash).where(User.username == username))
    if await passwords.verify(password_hash, password):
        return
    try:
        _write(path, {**access, "password": ""})
    except OSError as error:
        log.warning("an old password stays in a file", file=str(path), error=str(error))


def _read(path: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    return {}


def _write(path: Path, access: dict[str, str]) -> None:
    draft = path.with_suffix(".server")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(access, file, indent=2)
        file.write("\n")
    draft.replace(path)
