"""Making a home of a backup.

All that the backup must hold is looked for before anything is written. What is written is verified. The database comes
last, so that a home whose restore was interrupted cannot be mistaken for a whole one; running it again goes on there.
"""

import asyncio
import contextlib
import errno
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from utcloud.assets.store import ObjectStore, blob_key, open_store
from utcloud.cli.backup import databases, volumes
from utcloud.cli.backup.home import BEFORE, OF_THE_SERVER, Home
from utcloud.cli.backup.progress import Progress
from utcloud.cli.backup.repository import DamagedError, Repository
from utcloud.cli.backup.save import entries
from utcloud.cli.backup.trees import Entry, Writer, content, inside, new_file
from utcloud.cli.errors import CliError
from utcloud.cli.up.instance import UNFINISHED_RESTORE, CannotRunError, Instance, unfinished_restore
from utcloud.common.seal import write_secret
from utcloud.common.settings import Settings
from utcloud.site.disks import Disks
from utcloud.site.errors import CannotRun
from utcloud.site.volumes import FILES

SETTINGS = "settings-of-the-backup.json"
_SHOWN = 20
_ASIDE = "See what it is; then put what is there aside with --aside."
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def check(repository: Repository, name: str | None) -> dict[str, Any]:
    """Read a whole backup and compare all hashes; write nothing. Raises CliError that names what is missing."""
    file = repository.find(name)
    body = _body(repository, name)
    progress = Progress()
    damage: list[str] = []
    verified: set[str] = set()
    for tree, described in body["trees"].items():
        progress.part(tree)
        try:
            for entry in entries(repository, described):
                _verify(repository, tree, entry, verified, damage, progress)
        except DamagedError as error:
            damage.append(f"{tree}: {error}")
    progress.end()
    if damage:
        raise CliError(_listed(f"The backup {file.name} is damaged", damage), "Try an earlier one: --list shows them.")
    return {"snapshot": file.name, "files": body["files"], "size": body["size"], "damage": []}


def restore(
    settings: Settings, repository: Repository, name: str | None, *, aside: bool, incomplete: bool
) -> dict[str, Any]:
    """Make the home that the settings name; return what was done. Raises CliError.

    ``aside``: what is there is put aside. ``incomplete``: what is damaged or missing in the backup is left out.
    """
    if os.geteuid() != 0:
        raise CliError("Files of others can only be made by root.", "Run it as root: sudo utcloud restore …")
    body = _body(repository, name)
    _check_version(body)
    instance = Instance(settings)
    try:
        instance.make_folders()
        with instance.locked():
            if not _foreign(settings.home):
                volumes.clear(settings.site_dir)
            if instance.supervisor.running() or any(one.is_mount() for one in settings.site_dir.glob("mounts/*")):
                raise CliError(f"utcloud runs in {settings.home}.", "Stop it first: utcloud down")
            run = _Run(Home(settings), repository, repository.find(name).name, body, incomplete)
            try:
                with _closed(settings.home):
                    return run.all(aside)
            finally:
                run.progress.end()
    except CannotRunError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        where = error.filename or settings.home
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise CliError(f"{where} is no folder, and one must lie there.", _ASIDE) from error
        raise CliError(
            f"{where} cannot be written: {error.strerror or error}.",
            f"See whether the disk of {settings.home} is full; then run it again: it goes on where it was.",
        ) from error


class _Run:
    """One restore."""

    def __init__(self, home: Home, repository: Repository, name: str, body: dict[str, Any], incomplete: bool):
        self.progress = Progress()
        self._home, self._repository, self._name, self._body = home, repository, name, body
        self._incomplete = incomplete
        self._left_out: list[str] = []
        self._marker = home.path / UNFINISHED_RESTORE / "snapshot"

    def all(self, aside: bool) -> dict[str, Any]:
        started = time.monotonic()
        must_move, goes_on = self._look_around(aside)
        self._look_for_all()
        database = self._body["database"]
        if database:
            self._check_kind(database["kind"])
        if database and self._home.place.file is None:
            databases.refuse_unless_free(self._home.place)
        moved = self._move_aside() if must_move else None
        if database and self._home.place.file and not goes_on:
            databases.refuse_unless_free(self._home.place)
        self._marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._marker.write_text(self._name)
        trees: dict[str, dict[str, Any]] = self._body["trees"]
        self.progress.part("keys, certificates and other files of the home")
        self._files(trees["home"])
        _take(self._home.settings.run_dir)  # whoever's it was: the mark lies there
        if "token" in trees:
            self._token(trees["token"])
        if "store" in trees:
            self.progress.part("the object store")
            asyncio.run(self._store(trees["store"]))
        self._volumes({tree[7:]: found for tree, found in trees.items() if tree.startswith("volume ")})
        write_secret(self._home.path / SETTINGS, json.dumps(self._body["settings"], indent=2) + "\n")
        if "database" in trees:
            self.progress.part("the database")
            self._database(trees["database"])
        shutil.rmtree(self._marker.parent)
        return {
            "snapshot": self._name,
            "home": str(self._home.path),
            "volumes": self._body["volumes"],
            "files": self._body["files"],
            "size": self._body["size"],
            "seconds": round(time.monotonic() - started, 1),
            "left_out": self._left_out,
            "moved_to": moved,
            "settings": sorted(self._body["settings"]),
            "settings_file": str(self._home.path / SETTINGS),
            "images": self._body["images"],
        }

    # Before anything is written

    def _look_around(self, aside: bool) -> tuple[bool, bool]:
        """Whether what is there must be moved aside, and whether an interrupted restore goes on. Raises CliError."""
        unfinished, foreign = unfinished_restore(self._home.path), _foreign(self._home.path)
        earlier = _marked(unfinished) if unfinished else ""
        if unfinished and earlier:
            if earlier == self._name and not foreign:
                self._marker = unfinished / self._marker.name
                self.progress.say("An earlier restore was interrupted; this one goes on there.")
                return False, True
            if not aside and foreign:
                raise CliError(f"{foreign} was not made by the restore that was interrupted.", _ASIDE)
            if not aside:
                raise CliError(
                    f"{self._home.path} holds a part of the backup {earlier}.",
                    f"Finish that one (--snapshot {earlier}), or put it aside with --aside.",
                )
        elif not (found := foreign or _occupied(self._home)):
            return False, False
        elif not aside:
            raise CliError(
                f"{self._home.path} is not empty: it holds {found}.",
                "Name an empty one (UTCLOUD_HOME), or put what is there aside with --aside.",
            )
        return True, False

    def _move_aside(self) -> str:
        """Move what is there into a folder of the home; return which."""
        target = self._home.path / f"{BEFORE}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        target.mkdir(mode=0o700)
        for entry in list(self._home.path.iterdir()):
            if entry.name not in ("engine", "logs", "prometheus") and not entry.name.startswith(BEFORE):
                entry.rename(target / entry.name)
        Instance(self._home.settings).make_folders()
        return str(target)

    def _look_for_all(self) -> None:
        """Say what the backup lacks, before it is needed."""
        self.progress.part("looking whether all is there")
        damage: list[str] = []
        for tree, described in self._body["trees"].items():
            try:
                damage += [
                    f"{tree}: {entry.path}"
                    for entry in entries(self._repository, described)
                    if any(isinstance(one, str) and not self._repository.has(one) for one in entry.pieces)
                ]
            except DamagedError as error:
                damage.append(f"{tree}, all of it: {error}")
        if damage and not self._incomplete:
            raise CliError(
                _listed(f"The backup {self._name} is not whole; missing", damage),
                "Try an earlier one (--list shows them), or restore what is there with --incomplete.",
            )

    def _check_kind(self, kind: str) -> None:
        place = self._home.place
        if kind != place.kind:
            words = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
            cure = (
                "Make an empty database there, and name it in UTCLOUD_DATABASE_URL."
                if kind == "postgresql"
                else "Unset UTCLOUD_DATABASE_URL."
            )
            raise CliError(f"The backup is of {words[kind]}, and the settings name {words[place.kind]}.", cure)

    # Writing

    def _files(self, tree: dict[str, Any]) -> None:
        writer = Writer(self._home.path, self._repository, self.progress, _owners(tree.get("owners", {})))
        self._write(writer, "home", entries(self._repository, tree))

    def _token(self, tree: dict[str, Any]) -> None:
        """The site's token, where the settings have it elsewhere."""
        (entry,) = entries(self._repository, tree)
        text = b"".join(data for _, data in content(self._repository, entry.pieces, entry.size)).decode()
        file = self._home.settings.token_file
        file.parent.mkdir(parents=True, exist_ok=True)
        write_secret(file, text)

    async def _store(self, tree: dict[str, Any]) -> None:
        store = open_store(self._home.settings.store)
        for entry in entries(self._repository, tree):
            if "://" in self._home.settings.store:
                await self._blob(store, entry)
            else:
                self._blob_file(Path(self._home.settings.store), entry)

    def _blob_file(self, root: Path, entry: Entry) -> None:
        """Into a folder, which may be the server's own: no link of its user leads elsewhere."""
        key = PurePosixPath(blob_key(entry.path))
        with inside(root, key.parent, make=True) as folder:
            with contextlib.suppress(FileNotFoundError):
                facts = os.stat(key.name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode) and facts.st_size == entry.size:
                    return
            owner = root.stat()
            try:
                with new_file(key.name, folder) as file:
                    self._write_blob(file, entry)
                    file.flush()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            except DamagedError as error:
                self._lacks(f"store: {entry.path}: {error}")
                return
        self.progress.count(files=1)

    def _write_blob(self, file: BinaryIO, entry: Entry) -> None:
        digest = hashlib.sha256()
        for hole, data in content(self._repository, entry.pieces, entry.size):
            digest.update(data)
            self.progress.count(size=len(data))
            _ = file.seek(len(data), os.SEEK_CUR) if hole else file.write(data)
        file.truncate(entry.size)
        if digest.hexdigest() != entry.path:
            raise DamagedError("it is not what its name says")

    async def _blob(self, store: ObjectStore, entry: Entry) -> None:
        found = await store.stat(blob_key(entry.path))
        if found and found.size == entry.size:
            return
        draft = self._marker.with_name("content")
        try:
            with inside(draft.parent, PurePosixPath()) as folder, new_file(draft.name, folder) as file:
                self._write_blob(file, entry)
        except DamagedError as error:
            self._lacks(f"store: {entry.path}: {error}")
            return
        await store.put_file(blob_key(entry.path), draft)
        draft.unlink()
        self.progress.count(files=1)

    def _volumes(self, trees: dict[str, dict[str, Any]]) -> None:
        if not trees:
            return
        site_dir = self._home.settings.site_dir
        for folder in (site_dir, site_dir / "volumes"):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        disks = Disks(site_dir, self._home.settings.default_disk_bytes)
        disks.begin()
        if disks.trouble:
            self.progress.say(disks.trouble)
        for number, (name, tree) in enumerate(trees.items(), 1):
            if not _NAME.fullmatch(name):
                raise CliError(
                    f"The backup {self._name} was changed: {name[:80]!r} is no volume's name.", "Do not use it."
                )
            self.progress.part(f"volume {number} of {len(trees)}")
            folder = site_dir / "volumes" / name
            if not disks.trouble and tree["disk"]:
                try:
                    point = disks.open(name, int(tree["disk"]))
                except CannotRun as error:
                    raise CliError(str(error), "Make room on the disk of UTCLOUD_HOME, then run it again.") from error
                try:
                    self._volume(name, tree, point / FILES)
                finally:
                    disks.close(name)
            else:
                self._volume(name, tree, folder)

    def _volume(self, name: str, tree: dict[str, Any], folder: Path) -> None:
        """Write a volume under another name, which it gives up when it is whole."""
        if folder.exists():
            return
        draft = folder.with_name(f".restoring-{folder.name}")
        draft.mkdir(mode=0o700, exist_ok=True)
        writer = Writer(draft, self._repository, self.progress)
        found = entries(self._repository, tree)
        top = next(found, None)
        self._write(writer, f"volume {name}", found)
        if top is not None:
            os.chown(draft, top.uid, top.gid)
            draft.chmod(top.mode)
        draft.rename(folder)

    def _database(self, tree: dict[str, Any]) -> None:
        (entry,) = entries(self._repository, tree)
        try:
            chunks = (data for _, data in content(self._repository, entry.pieces, entry.size))
            databases.load(self._home.place, self._marker.parent, self._counted(chunks))
        except DamagedError as error:
            raise CliError(f"The database in the backup is damaged: {error}.", "Restore an earlier one.") from error

    def _write(self, writer: Writer, tree: str, found: Iterator[Entry]) -> None:
        try:
            for entry in found:
                try:
                    writer.write(entry)
                except DamagedError as error:
                    self._lacks(f"{tree}: {entry.path}: {error}")
        except DamagedError as error:
            self._lacks(f"{tree}: {error}")
        writer.finish()

    def _lacks(self, what: str) -> None:
        if not self._incomplete:
            raise CliError(
                f"The backup {self._name} is damaged: {what}.",
                "Try an earlier one (--list shows them), or restore the rest with --incomplete.",
            )
        self._left_out.append(what)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.progress.count(size=len(chunk))
            yield chunk


def _body(repository: Repository, name: str | None) -> dict[str, Any]:
    try:
        return repository.snapshot(repository.find(name))
    except DamagedError as error:
        raise CliError(f"The backup is damaged: {error}.", "Try an earlier one: --list shows them.") from error


def _check_version(body: dict[str, Any]) -> None:
    """A database of a newer version cannot be used by this one."""
    database = body["database"]
    if database and database["revision"] and database["revision"] not in _revisions():
        raise CliError(
            f"The backup was made by a newer utcloud ({body['version']}, tables {database['revision']}).",
            "Install that version, or a newer one.",
        )


def _revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    from utcloud.db.migrations import config

    return {one.revision for one in ScriptDirectory.from_config(config("")).walk_revisions()}


def _occupied(home: Home) -> str:
    """Something in a home that a restore would have to write over; nothing of an instance that never ran."""
    keep = home.keep()
    places = [home.place.file] if home.place.file else []
    places += [home.settings.site_dir / name for name in ("images", "volumes")]
    if "://" not in home.settings.store:
        places.append(Path(home.settings.store))
    for place in places:
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            return str(place)
    for folder, _, files in os.walk(home.path):
        inside = os.path.relpath(folder, home.path)
        for name in files:
            path = name if inside == "." else f"{inside}/{name}"
            parts = Path(path).parents
            facts = (home.path / path).lstat()
            above = [str(one) for one in parts if str(one) != "."]
            if stat.S_ISREG(facts.st_mode) and keep(path, facts) and all(keep(one, _FOLDER) for one in above):
                return path
    return ""


def _foreign(home: Path) -> str:
    """A link or folder in a home that the server's user, or another, put where root would write; empty for none."""
    for entry in sorted(home.iterdir()):
        facts = entry.lstat()
        theirs = entry.name in OF_THE_SERVER or entry.name.startswith(BEFORE)
        if facts.st_uid != os.geteuid() and (
            stat.S_ISLNK(facts.st_mode) or (stat.S_ISDIR(facts.st_mode) and not theirs)
        ):
            return str(entry)
    return ""


@contextlib.contextmanager
def _closed(home: Path) -> Iterator[None]:
    """Nobody else gets into the home, or changes what lies in it, until all is written; `up` opens it again."""
    place = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        before = os.fstat(place)
        _take(home)
        os.fchmod(place, 0o700)
        try:
            yield
        except BaseException:
            if not unfinished_restore(home):  # nothing was written
                os.fchown(place, before.st_uid, before.st_gid)
                os.fchmod(place, stat.S_IMODE(before.st_mode))
            raise
        os.fchmod(place, 0o711)
    finally:
        os.close(place)


def _take(folder: Path) -> None:
    """Make it ours, and writable for nobody else."""
    facts = folder.stat()
    os.chown(folder, os.geteuid(), -1)
    folder.chmod(stat.S_IMODE(facts.st_mode) & ~0o022)


def _marked(folder: Path) -> str:
    """Which backup the restore was of that left the folder; empty when it wrote nothing yet."""
    try:
        return (folder / "snapshot").read_text()
    except FileNotFoundError:
        return ""


_FOLDER = os.stat_result((stat.S_IFDIR, *(0,) * 9))


def _owners(names: dict[str, dict[str, str]]) -> Callable[[int, int], tuple[int, int]]:
    """From the numbers of the old machine to those of this one, by name."""

    def here(uid: int, gid: int) -> tuple[int, int]:
        known = names.get(f"{uid}:{gid}", {})
        with contextlib.suppress(KeyError):
            uid = pwd.getpwnam(known["user"]).pw_uid
        with contextlib.suppress(KeyError):
            gid = grp.getgrnam(known["group"]).gr_gid
        return uid, gid

    return here


def _verify(
    repository: Repository, tree: str, entry: Entry, verified: set[str], damage: list[str], progress: Progress
) -> None:
    for piece in entry.pieces:
        if isinstance(piece, str) and piece not in verified:
            try:
                progress.count(size=len(repository.get(piece)))
            except DamagedError as error:
                damage.append(f"{tree}: {entry.path}: {error}")
                return
            verified.add(piece)
    progress.count(files=entry.kind == "f")


def _listed(what: str, damage: list[str]) -> str:
    shown = "\n".join(f"  {one}" for one in damage[:_SHOWN])
    more = f"\n  … and {len(damage) - _SHOWN} more" if len(damage) > _SHOWN else ""
    return f"{what}:\n{shown}{more}"
