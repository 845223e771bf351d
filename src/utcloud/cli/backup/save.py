"""Making a backup of a home that may run.

The database comes first, of one moment; then the contents that it names, and if one of them was removed meanwhile, the
database again. Then the files of the home, keys among them, and the volumes, each of one moment. The snapshot is
written last.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from utcloud.assets.store import ObjectStore, blob_key, open_store
from utcloud.cli.backup import databases, volumes
from utcloud.cli.backup.home import Home, owner_names
from utcloud.cli.backup.progress import Progress
from utcloud.cli.backup.repository import CHUNK, DamagedError, Repository, SnapshotFile
from utcloud.cli.backup.trees import Entry, Piece, Saver, content, parse, put_all
from utcloud.cli.errors import CliError
from utcloud.cli.up.instance import unfinished_restore
from utcloud.common.settings import Settings

_ROUNDS = 3


def save(settings: Settings, target: Path, *, passphrase: str | None, keep: int | None) -> dict[str, Any]:
    """Back a home up into the folder ``target``; return what was done. Raises CliError."""
    home = Home(settings)
    _check(home, target)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    repository = Repository.create_or_open(target, passphrase)
    with repository.locked(), _one_of(home):
        run = _Run(home, repository)
        try:
            done = run.all()
        except OSError as error:  # of the folder of backups it has been said
            raise CliError(
                f"{error.filename or home.path} cannot be read or written: {error.strerror or error}.",
                "Put that right, then run it again: it goes on where it was.",
            ) from error
        finally:
            run.progress.end()
        if keep is not None:
            done["removed"] = repository.prune(keep, names_in)
    return done


def names_in(repository: Repository, file: SnapshotFile) -> set[str]:
    """All contents that a snapshot needs. Raises DamagedError."""
    used: set[str] = set()
    for tree in repository.snapshot(file)["trees"].values():
        used.update(piece for piece in tree["pieces"] if isinstance(piece, str))
        for entry in entries(repository, tree):
            used.update(piece for piece in entry.pieces if isinstance(piece, str))
    return used


def entries(repository: Repository, tree: dict[str, Any]) -> Iterator[Entry]:
    """The entries of a snapshot's tree. Raises DamagedError."""
    return parse(data for _, data in content(repository, tree["pieces"], tree["length"]))


class _Run:
    """One backup."""

    def __init__(self, home: Home, repository: Repository):
        self.progress = Progress()
        self._home, self._repository = home, repository
        self._trees: dict[str, dict[str, Any]] = {}
        self._problems: list[str] = []
        self._unsteady: list[str] = []
        self._noted: dict[str, list[str]] = {}
        self._before: dict[str, dict[str, Any]] = {}

    def all(self) -> dict[str, Any]:
        began, started = datetime.now(UTC), time.monotonic()
        for tree, name in self._repository.begin():
            self._noted.setdefault(tree, []).append(name)
        if known := self._repository.snapshots():
            with contextlib.suppress(DamagedError):  # then all is read
                self._before = self._repository.snapshot(known[-1])["trees"]
        if self._noted:
            self.progress.say("An earlier backup was interrupted; this one goes on there.")
        copy = self._database_and_store() if self._home.has_database else None
        self._files()
        count = self._volumes()
        totals = {key: sum(tree[key] for tree in self._trees.values()) for key in ("files", "size")}
        body = {
            "made_at": began.isoformat(),
            "version": version("utcloud"),
            "home": str(self._home.path),
            "database": {"kind": copy.kind, "revision": copy.revision} if copy else None,
            "images": copy.images if copy else [],
            "settings": _settings(self._home),
            "trees": self._trees,
            "volumes": count,
            "problems": self._problems,
            "unsteady": self._unsteady,
            **totals,
        }
        self.progress.part("finishing")
        name = self._repository.add_snapshot(began, body)
        return {
            "snapshot": name,
            "folder": str(self._repository.root),
            "database": copy.kind if copy else None,
            "volumes": count,
            **totals,
            "new": self._repository.written,
            "seconds": round(time.monotonic() - started, 1),
            "problems": self._problems,
            "unsteady": self._unsteady,
        }

    def _known(self, tree: str) -> Iterator[Entry]:
        """What earlier backups read of a tree, the latest last. What is damaged is read again."""
        with contextlib.suppress(DamagedError):
            if tree in self._before:
                yield from entries(self._repository, self._before[tree])
        for name in self._noted.get(tree, ()):
            with contextlib.suppress(DamagedError):
                yield from parse([self._repository.get(name)])

    def _add(self, tree: str, found: Iterable[Entry], **more: Any) -> None:
        counted = {"files": 0, "size": 0}

        def lines() -> Iterator[bytes]:
            for entry in found:
                if entry.kind == "f":
                    counted["files"] += 1
                    counted["size"] += entry.size
                yield entry.line()

        pieces, length = put_all(self._repository, lines())
        self._trees[tree] = {"pieces": pieces, "length": length, **counted, **more}

    # Database and store

    def _database_and_store(self) -> databases.Copy:
        known = {entry.path: entry for entry in self._known("store")}
        missing: list[str] = []
        for _ in range(_ROUNDS):
            copy = self._database()
            self.progress.part("the object store")
            kept, missing = asyncio.run(self._store(copy, known))
            if not missing:
                break
        self._problems += [f"the object store lacks the content {sha256}" for sha256 in missing]
        self._add("store", kept)
        return copy

    def _database(self) -> databases.Copy:
        self.progress.part("the database")

        def keep(source: AbstractContextManager[Iterator[bytes]]) -> None:
            with source as chunks:
                pieces, size = put_all(self._repository, self._counted(chunks))
            self._add("database", [_file("database", size, pieces)])

        return databases.dump(self._home.place, self._home.scratch, keep)

    async def _store(self, copy: databases.Copy, known: dict[str, Entry]) -> tuple[list[Entry], list[str]]:
        store = open_store(self._home.settings.store)
        saver = Saver(self._repository, "store", known.values(), self.progress)
        kept: list[Entry] = []
        missing: list[str] = []
        for sha256, size in sorted(set(copy.blobs)):
            entry = saver.known(sha256, size)
            if entry is None:
                try:
                    entry = await self._blob(store, sha256)
                except FileNotFoundError:
                    missing.append(sha256)
                    continue
                saver.add(entry)
                known[sha256] = entry
                self.progress.count(files=1)
            kept.append(entry)
        saver.flush()
        return kept, missing

    async def _blob(self, store: ObjectStore, sha256: str) -> Entry:
        digest, held, size = hashlib.sha256(), bytearray(), 0
        pieces: list[Piece] = []
        async for chunk in store.stream(blob_key(sha256)):
            digest.update(chunk)
            held += chunk
            size += len(chunk)
            self.progress.count(size=len(chunk))
            while len(held) >= CHUNK:
                pieces.append(self._repository.put(bytes(held[:CHUNK])))
                del held[:CHUNK]
        if held:
            pieces.append(self._repository.put(bytes(held)))
        if digest.hexdigest() != sha256:
            self._problems.append(f"the object store gave other bytes than it was given for {sha256}")
        return _file(sha256, size, pieces)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.progress.count(size=len(chunk))
            yield chunk

    # Files and volumes

    def _files(self) -> None:
        self.progress.part("keys, certificates and other files of the home")
        saver = Saver(self._repository, "home", self._known("home"), self.progress)
        root = os.open(self._home.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = saver.folder(root, self._home.keep(), lambda: None)
        finally:
            os.close(root)
        saver.flush()
        self._problems += saver.problems
        owners = {f"{one.uid}:{one.gid}": owner_names(one.uid, one.gid) for one in found}
        token = self._home.settings.token_file
        if not token.is_relative_to(self._home.path) and token.is_file():
            pieces, size = put_all(self._repository, [token.read_bytes()])
            self._add("token", [_file("token", size, pieces)])
        self._add("home", found, owners=owners)

    def _volumes(self) -> int:
        site_dir = self._home.settings.site_dir
        names = volumes.names(site_dir)
        volumes.clear(site_dir)
        count = 0
        for number, name in enumerate(names, 1):
            self.progress.part(f"volume {number} of {len(names)}")
            tree = f"volume {name}"
            known = lambda tree=tree: self._known(tree)  # noqa: E731
            try:
                saved = volumes.save(site_dir, name, self._repository, known, self.progress)
            except OSError as error:
                self._problems.append(f"{tree} could not be read: {error.strerror or error}")
                continue
            if saved is None:
                continue
            count += 1
            self._problems += saved.problems
            if not saved.consistent:
                self._unsteady.append(name)
            self._add(tree, saved.entries, disk=saved.size, consistent=saved.consistent)
        return count


def _file(path: str, size: int, pieces: list[Piece]) -> Entry:
    return Entry(path, "f", 0o600, 0, 0, 0, size, pieces)


def _check(home: Home, target: Path) -> None:
    if not home.has_database and not home.settings.site_dir.is_dir():
        raise CliError(
            f"There is no utcloud in {home.path}.",
            "Run it on the server's machine, as the user who runs the server, with its UTCLOUD_HOME.",
        )
    if unfinished_restore(home.path):
        raise CliError(f"A restore into {home.path} was interrupted.", "Finish it first: run `utcloud restore` again.")
    if target.resolve().is_relative_to(home.path.resolve()):
        raise CliError(
            f"{target} lies inside the home that is to be backed up.", "Name a folder elsewhere, best on another disk."
        )
    if os.geteuid() != 0 and home.path.stat().st_uid != os.geteuid():
        raise CliError(f"The files in {home.path} are another user's.", "Run it as root: sudo utcloud backup …")


@contextlib.contextmanager
def _one_of(home: Home) -> Iterator[None]:
    """Only one backup of a home at a time."""
    with (home.scratch / "backup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CliError(f"Another backup of {home.path} is at work.", "Wait for it.") from None
        yield


def _settings(home: Home) -> dict[str, str]:
    """What the home was last started with."""
    file = home.settings.run_dir / "environment.json"
    try:
        kept: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {name: value for name, value in os.environ.items() if name.startswith("UTCLOUD_")}
    left_out = ("UTCLOUD_HOME", "UTCLOUD_TOKEN", "UTCLOUD_ENGINE_URL", "UTCLOUD_SUPERVISED")
    return {name: value for name, value in sorted(kept.items()) if name not in left_out}
