"""What must be there before the first request: migrated tables, an operator, this machine's site, preset images."""

import asyncio
import contextlib
from dataclasses import dataclass

from utcloud.accounts import service as accounts
from utcloud.assets import service as assets
from utcloud.billing.outbox import models as _outbox  # noqa: F401
from utcloud.common.clock import SystemClock
from utcloud.common.seal import Sealer, derived_key, write_secret
from utcloud.common.settings import Settings
from utcloud.db import Base, Database, sealed
from utcloud.db.migrations import upgrade
from utcloud.edge import models as _edge  # noqa: F401 - sealed columns are found by their models
from utcloud.resources import service as resources
from utcloud.workloads import models as _workloads  # noqa: F401


@dataclass(frozen=True, slots=True)
class FirstAccess:
    """The first operator. ``password`` is None unless it was generated just now: it is kept nowhere. So is the local
    site's token, for its agent alone.
    """

    username: str
    password: str | None
    site_token: str | None = None


@dataclass(frozen=True, slots=True)
class PresetImage:
    """An image that the engine has and every renter may use."""

    name: str
    reference: str
    description: str


def prepare(settings: Settings, images: list[PresetImage] | None = None) -> FirstAccess:
    """Bring the database up to date and make what is missing; safe to call again and again.

    Writes the local site's token to ``settings.token_file`` (mode 0600) when the site is new.
    """
    first = prepare_database(settings, images or [], renew_token=not settings.token_file.exists())
    if first.site_token is not None:
        write_secret(settings.token_file, first.site_token)
    return first


def prepare_database(settings: Settings, images: list[PresetImage], *, renew_token: bool) -> FirstAccess:
    """What the server's own user does of ``prepare``: all but keeping the site's token, which is the agent's."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o755)
    upgrade(settings.database)
    _close_to_others(settings)
    derived_key(settings, "totp")  # made now, so that the first backup has it
    return asyncio.run(_prepare(settings, images, renew_token))


def _close_to_others(settings: Settings) -> None:
    """No other account of this machine reads what lies in the home folder: hashes, pages' tokens, renters' files."""
    for name, mode in (("utcloud.db", 0o600), ("utcloud.db-wal", 0o600), ("utcloud.db-shm", 0o600), ("store", 0o700)):
        with contextlib.suppress(FileNotFoundError):
            (settings.home / name).chmod(mode)


async def _prepare(settings: Settings, images: list[PresetImage], renew_token: bool) -> FirstAccess:
    db = Database(settings.database, Sealer(settings))
    now = SystemClock().now()
    try:
        await _seal(db)
        async with db.write() as tx:
            operator, password = await accounts.first_operator(tx, now)
            _, token = await resources.ensure_site(tx, operator.id, "local", renew_token=renew_token)
            for image in images:
                await assets.ensure_preset_image(tx, operator.id, image.name, image.reference, image.description)
            return FirstAccess(operator.username, password, token)
    finally:
        await db.close()


async def _seal(db: Database) -> None:
    """Seal what an older version wrote in clear. Raises SealedWithAnotherKeyError."""
    async with db.write() as tx:
        await sealed.check(tx, Base.metadata)
        count = await sealed.seal_all(tx, Base.metadata)
    if count:
        await db.compact()


def renew_secrets(settings: Settings) -> dict[str, int]:
    """Make new secrets in the place of those that were sealed with a key that is lost; return how many, by column."""

    async def renew() -> dict[str, int]:
        db = Database(settings.database, Sealer(settings))
        try:
            async with db.write() as tx:
                return await sealed.renew(tx, Base.metadata)
        finally:
            await db.close()

    upgrade(settings.database)
    return asyncio.run(renew())
