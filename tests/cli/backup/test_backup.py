"""A home that runs is backed up, and made anew on an empty machine, with the same books, files and passwords."""

import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.db import PostgresServer, empty_database
from tests.support.served import Served, serve
from tests.upgrade.conftest import old_home
from tests.upgrade.old import inventory, same_assets, same_books, verification
from utcloud.cli.app import run
from utcloud.cli.backup import check, databases, restore, save
from utcloud.cli.backup.repository import Repository
from utcloud.cli.errors import CliError
from utcloud.cli.up import start, up
from utcloud.cli.up.instance import unfinished_restore
from utcloud.cli.up.supervise import Supervisor
from utcloud.common.seal import seal, unseal
from utcloud.common.settings import Settings

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(os.geteuid() != 0, reason="files of others are made by root"),
]

SERVER = 200_001
"""A user and group who run the server, and are not root."""


@dataclass
class Source:
    """A server that runs, in a home with money, assets and notebooks; and where backups and new homes may lie."""

    served: Served
    expected: dict[str, Any]
    scratch: Path
    postgres: PostgresServer | None

    @property
    def settings(self) -> Settings:
        return self.served.settings

    @property
    def folder(self) -> Path:
        return self.scratch / "backups"

    def save(self, **options: Any) -> dict[str, Any]:
        return save(self.settings, self.folder, **{"passphrase": None, "keep": None} | options)

    @contextlib.contextmanager
    def empty_machine(self, name: str = "new") -> Iterator[Settings]:
        if self.postgres is None:
            yield Settings(home=self.scratch / name)
            return
        with empty_database(self.postgres) as url:
            yield Settings(home=self.scratch / name, database_url=url)

    def restore(self, settings: Settings, **options: Any) -> dict[str, Any]:
        passphrase = options.pop("passphrase", None)
        given = {"aside": False, "incomplete": False} | options
        return restore(settings, Repository.open(self.folder, passphrase), None, **given)


@pytest.fixture
def source(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    postgres = request.getfixturevalue("postgres") if database_kind == "postgres" else None
    home = tmp_path / "old"
    with old_home(database_kind, home, postgres) as (url, expected):
        (home / "run").chmod(0o700)
        key = home / "run" / "a-later-versions.key"
        key.write_text("a secret")
        key.chmod(0o600)
        with serve(home, url if postgres else "") as served:
            yield Source(served, expected, tmp_path, postgres)


def person(served: Served, source: Source, username: str) -> Api:
    return served.anonymous().login(username, source.expected["passwords"][username])


def same(served: Served, source: Source) -> None:
    renters = {name: person(served, source, name) for name in ("lin", "mei")}
    same_books(person(served, source, "admin"), renters, source.expected)
    same_assets(renters["lin"], source.expected)
    for name, before in source.expected["homes"].items():
        volume = served.settings.site_dir / "volumes" / name
        assert inventory(volume) == before
        assert {path.lstat().st_uid for path in volume.rglob("*")} == {1000}


@pytest.mark.postgres
def test_all_is_the_same_on_an_empty_machine(source: Source) -> None:
    sealed = seal(source.settings, "a test", "a secret")
    done = source.save()
    assert done["problems"] == [] and done["volumes"] == len(source.expected["homes"])
    assert check(Repository.open(source.folder, None), None)["damage"] == []
    with source.empty_machine() as settings:
        made = source.restore(settings)
        assert made["left_out"] == []
        assert unseal(settings, "a test", sealed) == "a secret", "what is sealed in the database can be opened"
        with serve(settings.home, settings.database_url) as served:
            same(served, source)
            assert served.site_token == source.served.site_token
        for path, mode in (("agent/token", 0o600), ("access.json", 0o600), ("run/a-later-versions.key", 0o600)):
            assert stat.S_IMODE((settings.home / path).stat().st_mode) == mode
        assert stat.S_IMODE(settings.run_dir.stat().st_mode) == 0o700
        blobs = [path for path in (settings.home / "store").rglob("*") if path.is_file()]
        assert blobs and not [path for path in blobs if path.stat().st_mode & 0o077]


@pytest.mark.postgres
def test_money_that_moves_meanwhile_is_of_one_moment(source: Source) -> None:
    admin = person(source.served, source, "admin")
    wallet = source.expected["wallets"][0]["id"]
    stop = threading.Event()

    def pay() -> None:
        while not stop.is_set():
            admin.post("/recharges", {"wallet_id": wallet, "amount": "0.000001", "note": "meanwhile"})

    other = threading.Thread(target=pay)
    other.start()
    try:
        done = [source.save() for _ in range(3)]
    finally:
        stop.set()
        other.join()
    assert [one["problems"] for one in done] == [[], [], []]
    with source.empty_machine() as settings:
        source.restore(settings)
        with serve(settings.home, settings.database_url) as served:
            books = person(served, source, "admin")
            verdict = verification(books)
            assert (verdict["ok"], verdict["fault"]) == (True, None)
            assert books.get("/earnings/platform")["journal_sum"] == "0"


def test_later_backups_read_what_changed(source: Source) -> None:
    first = source.save()
    (source.settings.site_dir / "volumes" / source.expected["notebook"]["replica_id"] / "new.txt").write_text("new")
    second = source.save()
    assert second["snapshot"] != first["snapshot"]
    assert second["files"] == first["files"] + 1
    known = Repository.open(source.folder, None)
    assert len(known.snapshots()) == 2
    assert source.save(keep=2)["removed"] == 1
    assert len(known.snapshots()) == 2
    assert check(known, None)["damage"] == []


def test_an_interrupted_backup_goes_on(source: Source, capsys: Any) -> None:
    """Killed after the store: no snapshot is there; the next one reads no content of the store again."""
    large = source.settings.home / "uploads" / "large"
    large.write_bytes(os.urandom(20 * 2**20))
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from utcloud.cli.backup import save, volumes\n"
        "from utcloud.common.settings import Settings\n"
        "volumes.save = lambda *_: os.kill(os.getpid(), 9)\n"
        "save(Settings(), Path(sys.argv[1]), passphrase=None, keep=None)\n"
    )
    given = {"UTCLOUD_HOME": str(source.settings.home), "UTCLOUD_DATABASE_URL": source.settings.database_url}
    os.utime(large, (1, 1))
    killed = subprocess.run([sys.executable, "-c", code, source.folder], env=os.environ | given, check=False)
    assert killed.returncode == -9
    repository = Repository.open(source.folder, None)
    assert repository.snapshots() == []
    with pytest.raises(CliError, match="no finished backup"):
        repository.find(None)
    done = source.save()
    assert done["problems"] == []
    assert done["new"] < 2 * 10**6, "what was there was not written again"
    assert "goes on there" in capsys.readouterr().err
    assert check(repository, None)["damage"] == []


def test_a_content_that_is_missing_is_named(source: Source) -> None:
    blob = next(path for path in (source.settings.home / "store" / "blobs").rglob("*") if path.is_file())
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b"?")
    assert any("other bytes" in one and blob.name in one for one in source.save()["problems"])
    shutil.rmtree(source.folder)
    blob.unlink()
    done = source.save()
    assert done["problems"] == [f"the object store lacks the content {blob.name}"]
    blob.write_bytes(content)


def test_what_is_deleted_meanwhile_is_not_missing(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version and its contents go between the copy of the database and of the store: a newer copy is made."""
    lin = person(source.served, source, "lin")
    path = source.expected["assets"][0]["path"]
    rounds: list[int] = []
    original = databases.dump

    def dump(*arguments: Any) -> Any:
        copy = original(*arguments)
        if not rounds:
            lin.delete(path)
            (gone,) = set(source.expected["assets"][0]["files"].values()) - set(
                source.expected["assets"][1]["files"].values()
            )
            (source.settings.home / "store" / "blobs" / gone[:2] / gone).unlink()
        rounds.append(1)
        return copy

    monkeypatch.setattr(databases, "dump", dump)
    assert source.save()["problems"] == []
    assert len(rounds) == 2
    with source.empty_machine() as settings:
        source.restore(settings)


@pytest.mark.postgres
def test_nothing_is_written_over(source: Source) -> None:
    source.save()
    with source.empty_machine() as settings:
        settings.home.mkdir()
        for name in ("engine", "logs", "run"):
            (settings.home / name).mkdir()
        (settings.home / "engine" / "image").write_text("kept")
        (settings.home / "logs" / "up.log").write_text("kept")
        source.restore(settings)
        if source.postgres:
            with pytest.raises(CliError, match="is not empty"):
                source.restore(settings.model_copy(update={"home": source.scratch / "another"}))
            return
        with pytest.raises(CliError, match="is not empty") as refused:
            source.restore(settings)
        assert refused.value.cure and "--aside" in refused.value.cure
        (settings.home / "mine").write_text("mine")
        moved = Path(source.restore(settings, aside=True)["moved_to"])
        assert (moved / "mine").read_text() == "mine" and (moved / "utcloud.db").exists()
        assert (settings.home / "engine" / "image").read_text() == "kept"
        with serve(settings.home, "") as served:
            same(served, source)
        again = save(settings, source.scratch / "others", passphrase=None, keep=None)
        with_old = Repository.open(source.scratch / "others", None)
        assert again["problems"] == [] and "before-restore" not in json.dumps(with_old.snapshot(with_old.find(None)))


def test_a_damaged_backup_is_not_restored_unless_told(source: Source) -> None:
    replica = source.expected["notebook"]["replica_id"]
    (source.settings.site_dir / "volumes" / replica / "broken.txt").write_text("only here")
    source.save()
    repository = Repository.open(source.folder, None)
    name = repository._seal.name(b"only here")
    path = source.folder / "objects" / name[:2] / name
    whole = path.read_bytes()
    for ruin in (lambda: path.unlink(), lambda: path.write_bytes(b"other bytes")):
        ruin()
        with pytest.raises(CliError, match="broken"):
            check(repository, None)
        with source.empty_machine("new1" if path.exists() else "new0") as settings:
            with pytest.raises(CliError, match="broken") as refused:
                source.restore(settings)
            assert refused.value.cure and "--incomplete" in refused.value.cure
            made = source.restore(settings, incomplete=True)
            assert len(made["left_out"]) == 1 and "broken.txt" in made["left_out"][0]
            assert not (settings.site_dir / "volumes" / replica / "broken.txt").exists()
            assert (settings.site_dir / "volumes" / replica / ".netrc").read_text() == "secret\n"
    path.write_bytes(whole)


def test_an_interrupted_restore_goes_on(source: Source, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    source.save()
    with source.empty_machine() as settings:
        with monkeypatch.context() as patch:
            patch.setattr("utcloud.cli.backup.databases.load", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                source.restore(settings)
        assert up(settings, detach=True) == 1
        assert "restore into" in capsys.readouterr().out, "nothing starts in half a home"
        made = source.restore(settings)
        assert made["left_out"] == []
        assert not (settings.home / "run" / "restoring").exists()
        for mark in () if source.postgres else ("run/restoring", "restoring"):  # killed when all was done but its mark
            (settings.home / mark).mkdir()
            (settings.home / mark / "snapshot").write_text(made["snapshot"])
            with pytest.raises(CliError, match="was interrupted"):
                save(settings, source.folder, passphrase=None, keep=None)
            source.restore(settings)
            assert not (settings.home / mark).exists()
        with serve(settings.home, settings.database_url) as served:
            same(served, source)


def used_home(settings: Settings) -> Path:
    """A home as `up` leaves it: the server's user may make what is not there."""
    (settings.home / "run").mkdir(parents=True)
    (settings.home / "run").chmod(0o750)
    os.chown(settings.home, 0, SERVER)
    settings.home.chmod(0o1771)
    return settings.home


def planted(home: Path, snapshot: str, victim: Path) -> None:
    """What the server's user makes to have root write through a link."""
    mark = home / "restoring"
    mark.mkdir()
    (mark / "snapshot").write_text(snapshot)
    (mark / "content").symlink_to(victim)
    for path in (mark, *mark.iterdir()):
        os.chown(path, SERVER, SERVER, follow_symlinks=False)


def test_what_the_servers_user_makes_is_no_unfinished_restore(source: Source) -> None:
    done, victim = source.save(), source.scratch / "victim"
    planted(source.settings.home, done["snapshot"], victim)
    done = source.save()
    assert done["problems"] == [], "it stops no backup"
    start._check_asked(source.settings)
    with source.empty_machine() as settings:
        home = used_home(settings)
        planted(home, done["snapshot"], victim)
        with pytest.raises(CliError, match=r"not empty: it holds .*/restoring\.") as refused:
            source.restore(settings)
        assert refused.value.cure and "--aside" in refused.value.cure
        assert stat.S_IMODE(home.stat().st_mode) == 0o1771, "nothing was written, and it is as it was"
        moved = Path(source.restore(settings, aside=True)["moved_to"])
        assert (moved / "restoring" / "content").is_symlink() and not victim.exists()
        with serve(settings.home, settings.database_url) as served:
            same(served, source)


def test_a_mark_that_others_may_write_or_that_a_link_leads_to_is_none(tmp_path: Path) -> None:
    (tmp_path / "run" / "restoring").mkdir(parents=True)
    assert unfinished_restore(tmp_path) == tmp_path / "run" / "restoring"
    for folder in (tmp_path / "run", tmp_path / "run" / "restoring"):
        os.chown(folder, SERVER, SERVER)
        assert unfinished_restore(tmp_path) is None
        os.chown(folder, 0, 0)
        folder.chmod(0o775)
        assert unfinished_restore(tmp_path) is None
        folder.chmod(0o755)
    (tmp_path / "run" / "restoring").rename(tmp_path / "elsewhere")
    (tmp_path / "restoring").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run" / "restoring").symlink_to(tmp_path / "elsewhere")
    assert unfinished_restore(tmp_path) is None


@pytest.mark.parametrize("name", ["store", "site", "agent", "edge"])
def test_no_link_of_the_servers_user_leads_a_restore_elsewhere(
    source: Source, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source.save()
    elsewhere = source.scratch / "elsewhere"
    elsewhere.mkdir()
    with source.empty_machine() as settings:
        link = used_home(settings) / name
        link.symlink_to(elsewhere)
        os.chown(link, SERVER, SERVER, follow_symlinks=False)
        with pytest.raises(CliError, match=f"not empty: it holds {link}"):
            source.restore(settings)
        link.unlink()
        with monkeypatch.context() as patch:
            patch.setattr("utcloud.cli.backup.databases.load", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                source.restore(settings)
        link = settings.home / "later"
        link.symlink_to(elsewhere)
        os.chown(link, SERVER, SERVER, follow_symlinks=False)
        with pytest.raises(CliError, match=f"{link} was not made by the restore"):
            source.restore(settings)
    assert not list(elsewhere.iterdir())


def test_no_link_in_a_store_of_the_servers_user_is_followed(source: Source) -> None:
    source.save()
    store, elsewhere = source.scratch / "store", source.scratch / "elsewhere"
    store.mkdir()
    os.chown(store, SERVER, SERVER)
    elsewhere.mkdir()
    (store / "blobs").symlink_to(elsewhere)
    with source.empty_machine() as plain:
        settings = Settings(home=plain.home, database_url=plain.database_url, store_url=str(store))
        used_home(settings)
        with pytest.raises(CliError, match="blobs is no folder"):
            source.restore(settings, aside=True)
        assert not list(elsewhere.iterdir())
        (store / "blobs").unlink()
        source.restore(settings)
        assert {path.lstat().st_uid for path in store.rglob("*")} == {SERVER}, "the server reads them"


def test_nobody_else_gets_into_a_home_meanwhile(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.save()
    load, seen = databases.load, []
    with source.empty_machine() as settings:
        home = used_home(settings)

        def looked(place: databases.Place, scratch: Path, chunks: Iterator[bytes]) -> None:
            seen.append((stat.S_IMODE(home.stat().st_mode), scratch, stat.S_IMODE(scratch.stat().st_mode)))
            load(place, scratch, chunks)

        monkeypatch.setattr("utcloud.cli.backup.databases.load", looked)
        source.restore(settings)
        assert seen == [(0o700, home / "run" / "restoring", 0o700)]
        assert stat.S_IMODE(home.stat().st_mode) == 0o711


def test_a_home_is_put_aside_only_for_what_is_whole(source: Source) -> None:
    source.save()
    with source.empty_machine() as settings:
        source.restore(settings)
        for path in source.folder.glob("objects/??/*"):
            if path.stat().st_size > 10_000:
                path.unlink()
        with pytest.raises(CliError, match="not whole"):
            source.restore(settings, aside=True)
        assert (settings.home / "utcloud.db").exists(), "it still runs as before"


def test_a_full_disk_of_the_home_is_said(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.save()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")

    with source.empty_machine() as settings:
        with monkeypatch.context() as patch:
            patch.setattr("utcloud.cli.backup.trees.Writer._settle", full)
            with pytest.raises(CliError, match="/somewhere cannot be written: No space") as refused:
                source.restore(settings)
        assert refused.value.cure and "goes on" in refused.value.cure
        source.restore(settings)
        with serve(settings.home, settings.database_url) as served:
            same(served, source)


def test_a_forged_backup_writes_nowhere_else(source: Source) -> None:
    """Without a passphrase whoever can write to the folder can make any backup: still only the home is written to."""
    source.save()
    repository = Repository.open(source.folder, None)
    body = repository.snapshot(repository.find(None))
    volume = next(name for name in body["trees"] if name.startswith("volume "))
    body["trees"]["volume ../../../outside"] = body["trees"].pop(volume)
    repository.add_snapshot(datetime(2099, 1, 1, tzinfo=UTC), body)
    with source.empty_machine() as settings, pytest.raises(CliError, match="no volume's name"):
        source.restore(settings)
    assert not list(source.scratch.rglob("*outside*"))


@pytest.mark.postgres
def test_what_cannot_be_is_said_with_its_cure(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CliError, match="lies inside the home"):
        save(source.settings, source.settings.home / "backups", passphrase=None, keep=None)
    with pytest.raises(CliError, match="There is no utcloud"):
        save(Settings(home=source.scratch / "nothing"), source.folder, passphrase=None, keep=None)
    source.save()
    with source.empty_machine() as settings:
        other = "" if source.postgres else "postgresql+asyncpg://nobody@localhost/x"
        with pytest.raises(CliError, match="The backup is of") as refused:
            source.restore(settings.model_copy(update={"database_url": other}).model_copy())
        assert refused.value.cure and "UTCLOUD_DATABASE_URL" in refused.value.cure
        with monkeypatch.context() as patch:
            patch.setattr(Supervisor, "running", lambda _: True)
            with pytest.raises(CliError, match="utcloud runs"):
                source.restore(settings)
        with monkeypatch.context() as patch:
            patch.setattr("utcloud.cli.backup.load._revisions", lambda: {"0001"})
            with pytest.raises(CliError, match="newer utcloud"):
                source.restore(settings)
    if source.postgres:
        with monkeypatch.context() as patch:
            patch.setattr("shutil.which", lambda *_, **__: None)
            with pytest.raises(CliError, match="pg_dump is not installed") as refused:
                source.save()
            assert refused.value.cure and "postgresql-client" in refused.value.cure


def test_the_commands(source: Source, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("UTCLOUD_HOME", str(source.settings.home))
    monkeypatch.setenv("UTCLOUD_DATABASE_URL", source.settings.database_url)
    secret = tmp_path / "passphrase"
    secret.write_text("of the command\n")
    sealed = ("--passphrase-file", str(secret))
    assert run(["backup", str(source.folder), "--json", *sealed]) == 0
    out, err = capsys.readouterr()
    done = json.loads(out)
    assert "→ the database" in err and "→ volume 1 of" in err
    assert run(["restore", str(source.folder), "--list", "--json", *sealed]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["items"]
    assert (listed["snapshot"], listed["problems"]) == (done["snapshot"], [])
    assert run(["restore", str(source.folder), "--check", *sealed]) == 0
    assert "is whole" in capsys.readouterr().out
    assert run(["restore", str(source.folder)]) == 1
    assert "--passphrase-file" in capsys.readouterr().err
    with source.empty_machine() as settings:
        monkeypatch.setenv("UTCLOUD_HOME", str(settings.home))
        monkeypatch.setenv("UTCLOUD_DATABASE_URL", settings.database_url)
        assert run(["restore", str(source.folder), *sealed]) == 0
        said = capsys.readouterr().out
        assert done["snapshot"] in said and "utcloud up" in said
        kept = settings.home / "settings-of-the-backup.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
