"""What `utcloud up` has done on the database by the server's own user: a process each, whose last word is JSON.

python -m utcloud.server.tasks prepare '{"images": [["jupyter", "…", "…"]], "renew_token": true}'
python -m utcloud.server.tasks heard '{"since": "2026-11-27T03:00:00+00:00"}'
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select

from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.db.sealed import SealedWithAnotherKeyError
from utcloud.resources.models import Site
from utcloud.server import bootstrap


def prepare(settings: Settings, images: list[list[str]], renew_token: bool) -> dict[str, Any]:
    """Migrate the database and make what is missing."""
    presets = [bootstrap.PresetImage(*image) for image in images]
    try:
        return asdict(bootstrap.prepare_database(settings, presets, renew_token=renew_token))
    except SealedWithAnotherKeyError as error:
        return {"refused": str(error)}


def heard(settings: Settings, since: str) -> dict[str, Any]:
    """Wait until a site has reported since then."""
    return asyncio.run(_heard(settings, datetime.fromisoformat(since)))


async def _heard(settings: Settings, since: datetime) -> dict[str, Any]:
    db = Database(settings.database)
    try:
        while True:
            async with db.read() as tx:
                if await tx.scalar(select(Site.id).where(Site.last_seen_at >= since)):
                    return {}
            await asyncio.sleep(0.05)
    finally:
        await db.close()


if __name__ == "__main__":
    tasks: dict[str, Callable[..., dict[str, Any]]] = {"prepare": prepare, "heard": heard}
    sys.stdout.write(json.dumps(tasks[sys.argv[1]](Settings(), **json.loads(sys.argv[2]))) + "\n")
