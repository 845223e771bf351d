"""The folder that backups lie in: contents under their hash, so that nothing is kept twice, and snapshots naming them.

    utcloud-backup.json     what this folder is, and how its key is made when it is encrypted
    objects/ab/abcd…        contents of at most 4 MiB, each under its hash
    snapshots/<time>.json   one backup: written last, so what it names is there
    unfinished              what an interrupted backup had read; the next one goes on there

Everything in it is its owner's alone (0700, 0600). With a passphrase contents and snapshots are sealed with
AES-256-GCM, and a content's name is its keyed hash, so the folder tells its size and nothing more.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from utcloud.cli.errors import CliError

FORMAT = 1
CHUNK = 4 * 2**20
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}
_UNSURE_S = 120
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_libc = ctypes.CDLL(None, use_errno=True)


class DamagedError(Exception):
    """A content is missing, or is not what was put there. The text says which and why."""


class _Seal(Protocol):
    def name(self, data: bytes) -> str: ...
    def seal(self, name: str, data: bytes) -> bytes: ...
    def open(self, name: str, sealed: bytes) -> bytes: ...


class _Plain:
    def name(self, data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    def seal(self, _name: str, data: bytes) -> bytes:
        return data

    def open(self, _name: str, sealed: bytes) -> bytes:
        return sealed


class _Sealed:
    """AES-256-GCM, with keys that scrypt makes of a passphrase."""

    def __init__(self, passphrase: str, salt: bytes):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        keys = Scrypt(salt=salt, length=64, **_SCRYPT).derive(passphrase.encode())
        self._cipher, self._names = AESGCM(keys[:32]), keys[32:]

    def name(self, data: bytes) -> str:
        return hmac.new(self._names, data, hashlib.sha256).hexdigest()

    def seal(self, name: str, data: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, data, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], name.encode())
        except (InvalidTag, ValueError):
            raise DamagedError(f"the content {name[:16]}… was changed") from None


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot's name, which is its time, and its file."""

    name: str
    path: Path


class Repository:
    """The folder at ``root``. Make one with ``create_or_open`` or ``open``. Errors are CliErrors that name the cure."""

    def __init__(self, root: Path, seal: _Seal):
        self.root = root
        self._seal = seal
        self._objects, self._snapshots = root / "objects", root / "snapshots"
        self._unfinished = root / "unfinished"
        self.written = 0
        """Bytes of new contents that this process put here."""

    # Opening

    @classmethod
    def create_or_open(cls, root: Path, passphrase: str | None) -> "Repository":
        """The repository in this folder, which is made when it is not there or empty."""
        marker = root / "utcloud-backup.json"
        if not marker.exists():
            if root.exists() and any(root.iterdir()):
                raise CliError(
                    f"{root} holds other things and no backup.", "Name an empty or a new folder for the backups."
                )
            with _writing(root):
                root.mkdir(parents=True, exist_ok=True, mode=0o700)
                root.chmod(0o700)
                _write(marker, json.dumps(_description(passphrase), indent=2).encode() + b"\n")
        made = cls.open(root, passphrase)
        with _writing(root):
            for folder in (made._objects, made._snapshots):
                folder.mkdir(mode=0o700, exist_ok=True)
        return made

    @classmethod
    def open(cls, root: Path, passphrase: str | None) -> "Repository":
        """The repository in this folder."""
        try:
            found = json.loads((root / "utcloud-backup.json").read_text())
            version, salt, check = int(found["format"]), bytes.fromhex(found["salt"]), str(found["check"])
        except (FileNotFoundError, NotADirectoryError):
            raise CliError(
                f"There is no backup in {root}.", "Name the folder that `utcloud backup` wrote to."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CliError(f"The backup in {root} cannot be read: {error}.", "Was it copied whole?") from None
        if version != FORMAT:
            raise CliError(
                f"The backup in {root} was made by a newer utcloud.", "Install that version, or a newer one."
            )
        if salt and not passphrase:
            raise CliError(f"The backup in {root} is encrypted.", "Give its passphrase: --passphrase-file FILE.")
        if passphrase and not salt:
            raise CliError(
                f"The backup in {root} is not encrypted.", "Leave the passphrase away, or name a new folder for it."
            )
        seal: _Seal = _Sealed(passphrase, salt) if passphrase else _Plain()
        if salt and not hmac.compare_digest(seal.name(b"utcloud"), check):
            raise CliError("That is not the passphrase of this backup.", "Look for the one that it was made with.")
        return cls(root, seal)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """For ourselves alone: two backups into one folder would trip over each other."""
        with _writing(self.root):
            lock = os.fdopen(os.open(self.root / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CliError(f"Another backup into {self.root} is at work.", "Wait for it.") from None
            yield

    # Contents

    def put(self, data: bytes) -> str:
        """Keep a content of at most CHUNK bytes; return its name."""
        name = self._seal.name(data)
        path = self._path(name)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size - len(data) in (0, 28):  # sealed: a nonce and a tag more
                return name
        with _writing(self.root):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write(path, self._seal.seal(name, data))
        self.written += len(data)
        return name

    def get(self, name: str) -> bytes:
        """A content, verified. Raises DamagedError."""
        try:
            sealed = self._path(name).read_bytes()
        except FileNotFoundError:
            raise DamagedError(f"the content {name[:16]}… is missing") from None
        except OSError as error:
            raise DamagedError(f"the content {name[:16]}… cannot be read: {error.strerror}") from None
        data = self._seal.open(name, sealed)
        if self._seal.name(data) != name:
            raise DamagedError(f"the content {name[:16]}… was changed")
        return data

    def has(self, name: str) -> bool:
        """Whether there is such a content, whatever it is."""
        return self._path(name).exists()

    def sync(self) -> None:
        """Return when all that was put is on the disk."""
        with _writing(self.root):
            folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if _libc.syncfs(folder):
                    raise OSError(ctypes.get_errno(), "not all could be written")
            finally:
                os.close(folder)

    # Snapshots

    def snapshots(self) -> list[SnapshotFile]:
        """All of them, the oldest first."""
        return [
            SnapshotFile(path.stem, path) for path in sorted(self._snapshots.glob("*.json"), key=lambda one: one.stem)
        ]

    def add_snapshot(self, moment: datetime, body: dict[str, Any]) -> str:
        """Keep a snapshot, whose contents are all there, and forget what was unfinished; return its name."""
        taken = {one.name for one in self.snapshots()}
        name = base = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        data = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
        check = self._seal.name(data)
        self.sync()
        with _writing(self.root):
            _write(self._snapshots / f"{name}.json", check.encode() + b"\n" + self._seal.seal(check, data), sync=True)
            self._unfinished.unlink(missing_ok=True)
        return name

    def snapshot(self, file: SnapshotFile) -> dict[str, Any]:
        """What a snapshot says. Raises DamagedError."""
        try:
            check, _, sealed = file.path.read_bytes().partition(b"\n")
        except OSError as error:
            raise DamagedError(f"the snapshot {file.name} cannot be read: {error.strerror}") from None
        data = self._seal.open(check.decode(errors="replace"), sealed)
        if self._seal.name(data) != check.decode(errors="replace"):
            raise DamagedError(f"the snapshot {file.name} was changed")
        body: dict[str, Any] = json.loads(data)
        return body

    def find(self, name: str | None) -> SnapshotFile:
        """The snapshot of this name, or the newest. Raises CliError."""
        known = self.snapshots()
        if not known:
            raise CliError(f"{self.root} holds no finished backup.", f"Run again: utcloud backup {self.root}")
        if name is None:
            return known[-1]
        for one in known:
            if one.name == name:
                return one
        raise CliError(f"There is no backup {name} in {self.root}.", f"See: utcloud restore {self.root} --list")

    def prune(self, keep: int, used_by: "UsedBy") -> int:
        """Keep the newest snapshots only, and the contents they name; return how many snapshots went."""
        known = self.snapshots()
        gone = known[:-keep]
        if not gone:
            return 0
        used = {name for one in known[-keep:] for name in used_by(self, one)}
        for one in gone:
            one.path.unlink()
        for path in self._objects.glob("??/*"):
            if path.name not in used:
                path.unlink()
        return len(gone)

    # What is unfinished

    def begin(self) -> list[tuple[str, str]]:
        """Begin a backup; return what an interrupted one had noted: trees' names and contents.

        What it had written last may not have reached the disk whole before a power cut: that is looked at again.
        """
        for draft in (*self._objects.glob("??/.new-*"), *self._snapshots.glob(".new-*")):
            draft.unlink()
        noted: list[tuple[str, str]] = []
        if self._unfinished.exists():
            since = self._unfinished.stat().st_mtime - _UNSURE_S
            for path in self._objects.glob("??/*"):
                if path.stat().st_mtime >= since:
                    try:
                        self.get(path.name)
                    except DamagedError:
                        path.unlink()
            for line in self._unfinished.read_text().splitlines():
                tree, _, name = line.rpartition(" ")
                if tree and self.has(name):
                    noted.append((tree, name))
        with _writing(self.root):
            self._unfinished.touch(mode=0o600)
        return noted

    def note(self, tree: str, data: bytes) -> None:
        """Write down what was read of a tree, when that has reached the disk."""
        name = self.put(data)
        self.sync()
        with _writing(self.root), self._unfinished.open("a") as file:
            file.write(f"{tree} {name}\n")

    def _path(self, name: str) -> Path:
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise DamagedError(f"{name[:80]!r} is no content's name")
        return self._objects / name[:2] / name


class UsedBy(Protocol):
    """Names of all contents that a snapshot needs."""

    def __call__(self, repository: Repository, file: SnapshotFile) -> set[str]: ...


def _description(passphrase: str | None) -> dict[str, object]:
    salt = secrets.token_bytes(16) if passphrase else b""
    check = _Sealed(passphrase, salt).name(b"utcloud") if passphrase else ""
    return {"format": FORMAT, "made_by": "utcloud backup", "salt": salt.hex(), "check": check}


def _write(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".new-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Say what is wrong with the folder when it cannot be written to."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise CliError(
                f"The disk of {root} is full.", "Make room there, then run it again: it goes on where it was."
            ) from error
        raise CliError(
            f"{root} cannot be written to: {error.strerror}.", "Name a folder that this user may write to."
        ) from error
