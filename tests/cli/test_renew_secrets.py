"""``utcloud renew-secrets``, and what ``utcloud up`` says of another key than the database was sealed with."""

import asyncio
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from utcloud.cli.up.instance import CannotRunError, Instance
from utcloud.cli.up.start import _prepare
from utcloud.common.seal import Sealer, _kept_key
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge.models import Route
from utcloud.server import bootstrap
from utcloud.server.app import create_app


def secret_of_a_route(settings: Settings, secret: str = "") -> str:
    async def main() -> str:
        db = Database(settings.database, Sealer(settings))
        try:
            async with db.write() as tx:
                if secret:
                    row = {"replica_id": "rep_1", "owner_id": "usr_1", "host_label": "a", "upstream": "10.0.0.1:80"}
                    tx.add(Route(**row, upstream_token="t", secret=secret))
                route = await tx.get(Route, "rep_1")
                assert route
                return route.secret
        finally:
            await db.close()

    return asyncio.run(main())


def test_a_lost_key_is_noticed_and_its_secrets_renewed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = Settings(home=home, user="root")
    bootstrap.prepare(settings)
    assert secret_of_a_route(settings, "first") == "first"
    here = Cli(home, "")
    assert "nothing was changed" in here.ok("renew-secrets")

    (home / "secret.key").unlink()
    _kept_key.cache_clear()  # as in a process of a later start
    with pytest.raises(CannotRunError, match=r"another key.*renew-secrets"):
        _prepare(Instance(settings))
    with pytest.raises(RuntimeError, match="another key"):
        asyncio.run(_start_alone(settings))

    said = here.ok("renew-secrets")
    assert "edge_routes.secret: 1 new" in said and "edge_routes.upstream_token: 1 new" in said
    _prepare(Instance(settings))
    assert secret_of_a_route(settings) not in ("", "first")


async def _start_alone(settings: Settings) -> None:
    """The server that supervisord starts again by itself."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        pass


def test_there_must_be_a_database(tmp_path: Path) -> None:
    refused = Cli(tmp_path / "none", "")("renew-secrets")
    assert refused.status == 1 and "UTCLOUD_HOME" in refused.err
    assert not (tmp_path / "none").exists(), "nothing was made"
