"""``server`` and ``agent``: what supervisord keeps running, and what is done on the database itself."""

import difflib
import os
import sys

from pydantic import ValidationError

from utcloud.common.settings import Settings

_OTHERS = ("UTCLOUD_TEST_", "UTCLOUD_BENCH_", "UTCLOUD_SUPERVISED")
"""How variables begin that are no settings and yet ours."""


def refuse_unknown_settings() -> None:
    """End the process with 2 if a variable looks like a setting and is none: a misspelt one would just not be heard."""
    known = [f"UTCLOUD_{name.upper()}" for name in Settings.model_fields]
    unknown = [name for name in os.environ if name.startswith("UTCLOUD_") and not name.startswith(_OTHERS)]
    unknown = sorted(name for name in unknown if name not in known)
    for name in unknown:
        meant = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        cure = f"Did you mean {meant[0]}?" if meant else "Unset it."
        sys.stderr.write(f"{name}: there is no such setting. {cure}\n")
    if unknown:
        sys.stderr.write("docs/reference/settings.md has them all.\n")
        sys.exit(2)


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment; ends the process with 2 and says which one is wrong."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        for item in error.errors():
            field = str(item["loc"][0]) if item["loc"] else ""
            known = Settings.model_fields.get(field)
            given = f"={item['input']!r}" if known is None or known.repr else " (what it is, is not shown)"
            sys.stderr.write(f"UTCLOUD_{field.upper()}{given}: {item['msg']}.\n")
        sys.stderr.write("docs/reference/settings.md says what each setting may be.\n")
        sys.exit(2)


def server() -> None:
    """Be the server."""
    from utcloud import server as room

    refuse_unknown_settings()
    room.run(load_settings())


def renew_secrets() -> dict[str, int]:
    """Make new secrets where those in the database were sealed with a key that is lost."""
    from utcloud.cli.up.own import become_owner
    from utcloud.server import bootstrap

    refuse_unknown_settings()
    settings = load_settings()
    _refuse_no_database(settings)
    become_owner(settings)
    return bootstrap.renew_secrets(settings)


def agent() -> None:
    """Be the site agent."""
    from utcloud import site as room

    refuse_unknown_settings()
    room.run(load_settings())


def drain(timeout_s: float) -> None:
    """Stop this site's containers and tell the server of their end."""
    from utcloud import site as room

    room.drain(load_settings(), timeout_s)


def unlock(username: str, *, with_second_factor: bool = False) -> int:
    """Forget the failed logins by a user's name, and the second factor if wanted, in the database of this machine's
    settings; return how many counts there were.
    """
    import asyncio

    from utcloud.accounts import service
    from utcloud.cli.errors import CliError
    from utcloud.cli.up.own import become_owner
    from utcloud.common.errors import NotFound
    from utcloud.db import Database

    async def forget(db: Database) -> int:
        try:
            async with db.write() as tx:
                return await service.unlock(tx, username, with_second_factor=with_second_factor)
        finally:
            await db.close()

    refuse_unknown_settings()
    settings = load_settings()
    _refuse_no_database(settings)
    become_owner(settings)
    try:
        return asyncio.run(forget(Database(settings.database)))
    except NotFound as problem:
        raise CliError(problem.detail, cure=problem.cure) from None


def _refuse_no_database(settings: Settings) -> None:
    from utcloud.cli.errors import CliError

    if not settings.database_url and not (settings.home / "utcloud.db").exists():
        raise CliError(
            f"There is no utcloud in {settings.home}.",
            cure="Run it on the server's machine, as the user who runs the server, with its UTCLOUD_HOME.",
        )
