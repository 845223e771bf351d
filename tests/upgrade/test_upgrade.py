"""What an older version left is the same after an upgrade: balances, records, verdict, assets, files."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.api import Refused
from tests.support.db import PostgresServer
from tests.support.factories import DesiredReplicaFactory, LimitsFactory
from tests.upgrade.conftest import Upgraded, old_home
from tests.upgrade.old import NOTEBOOK, inventory, rows, same_assets, same_books, some, unpack
from utcloud.common.seal import MARK, Sealer
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.db.migrations import upgrade
from utcloud.protocol import DesiredMount, DesiredReplica
from utcloud.server import bootstrap
from utcloud.site.disks import Disks, unmount_all
from utcloud.site.link import Link
from utcloud.site.volumes import Volumes

pytestmark = pytest.mark.postgres


def test_the_books_are_the_same(upgraded: Upgraded) -> None:
    renters = {name: upgraded.person(name) for name in ("lin", "mei")}
    same_books(upgraded.person("admin"), renters, upgraded.expected)


def test_notebooks_and_assets_are_the_same(upgraded: Upgraded) -> None:
    for username, before in upgraded.expected["notebooks"].items():
        found = upgraded.person(username).all("/notebooks")
        assert some(found, NOTEBOOK) == some(before, NOTEBOOK)
        volumes = {replica["id"] for one in found for replica in one["replicas"]}
        assert volumes <= set(upgraded.expected["homes"]), "each finds its home by the same name"
    same_assets(upgraded.person("lin"), upgraded.expected)


def test_passwords_roles_and_the_audit_trail_are_the_same(upgraded: Upgraded) -> None:
    admin = upgraded.person("admin")
    roles = {one["username"]: one["roles"] for one in admin.all("/users")}
    assert (roles["mine"], roles["lin"]) == (["miner"], ["renter"])
    with pytest.raises(Refused):
        upgraded.served.anonymous().login("lin", "another password")
    assert len(admin.all("/audit-events")) >= upgraded.expected["audit_events"]


def test_the_site_is_known_by_its_old_token(upgraded: Upgraded) -> None:
    headers = {"Authorization": f"Bearer {upgraded.served.site_token}"}
    answer = upgraded.served.anonymous().http.get("/agent/desired", headers=headers, params={"revision": -1})
    assert answer.status_code in (200, 204)


def test_the_first_operator_is_not_made_again(upgraded: Upgraded) -> None:
    assert bootstrap.prepare(upgraded.served.settings).password is None


def test_secrets_that_stood_in_clear_are_sealed(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgres: PostgresServer | None = request.getfixturevalue("postgres") if database_kind == "postgres" else None
    with old_home(database_kind, tmp_path, postgres) as (url, _):
        settings = Settings(home=tmp_path, database_url=url)
        upgrade(url)
        before = attempts_tokens(url)
        assert len(before) >= 2
        assert not any(token.startswith(MARK) for token in before)
        bootstrap.prepare(settings)
        after = attempts_tokens(url)
        sealer = Sealer(settings)
        assert [sealer.open("attempts.token", token) for token in after if token.startswith(MARK)] == before
        for path in tmp_path.glob("utcloud.db*"):
            content = path.read_bytes()
            assert not [token for token in before if token.encode() in content], path
        bootstrap.prepare(settings)
        assert attempts_tokens(url) == after, "at the next start nothing is to do"


def attempts_tokens(url: str) -> list[str]:
    """As they stand in the table."""

    async def main() -> list[str]:
        db = Database(url)
        try:
            async with db.read() as tx:
                return list(await tx.scalars(text("SELECT token FROM attempts WHERE token <> '' ORDER BY id")))
        finally:
            await db.close()

    return asyncio.run(main())


def test_upgrading_twice_changes_nothing(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    postgres: PostgresServer | None = request.getfixturevalue("postgres") if database_kind == "postgres" else None
    with old_home(database_kind, tmp_path, postgres) as (url, _):
        upgrade(url)
        once = rows(url)
        upgrade(url)
        assert rows(url) == once
        assert sum(len(table) for table in once.values()) > 100


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    expected = unpack("sqlite", tmp_path)
    yield tmp_path / "site", expected
    assert unmount_all(tmp_path / "site") == []


def mounting(name: str) -> DesiredReplica:
    limits = LimitsFactory.build(disk_bytes=100 * 2**20)
    return DesiredReplicaFactory.build(limits=limits, mounts=[DesiredMount(target="/home/jovyan", volume=name)])


async def test_files_of_a_stopped_notebook_move_into_a_disk_of_their_own(
    site: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    site_dir, expected = site
    disks = Disks(site_dir, 100 * 2**20)
    link = Link(Settings(home=tmp_path))
    volumes = Volumes(site_dir, link, disks)
    volumes.begin()
    if disks.trouble:
        pytest.skip(disks.trouble)
    for owner in (200_000, 200_000, 1_234_567):  # again, and as somebody else
        for name, before in expected["homes"].items():
            (bind,) = await volumes.stage(mounting(name), None, lambda _: None, owner)
            home = Path(bind.source)
            assert home.is_relative_to(site_dir / "mounts" / name)
            assert inventory(home) == before
            assert {path.lstat().st_uid for path in home.rglob("*")} == {owner}
            assert not (site_dir / "volumes" / name).exists()
    first = site_dir / "mounts" / expected["notebook"]["replica_id"] / "files"
    assert (first / "work/kept.txt").samefile(first / "work/deep/er/hard"), "second names of a file stay what they are"
    assert not volumes.trouble
    await link.close()
