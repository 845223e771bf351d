"""Folders as lists of entries, and contents of files as lists of pieces.

Reading follows no link and opens nothing but regular files, each by its folder's own descriptor: what is read belongs
to a tenant who may change it at the same moment. Writing trusts no path of a backup either.
"""

import base64
import contextlib
import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from utcloud.cli.backup.progress import Progress
from utcloud.cli.backup.repository import CHUNK, DamagedError, Repository

DEEPEST = 400
"""Folders within folders. What lies deeper is left out, and said."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ZEROS = bytes(4096)
_FRESH_NS = 2 * 10**9
_BATCH_FILES, _BATCH_BYTES = 5000, 512 * 2**20

Piece = str | int
"""A content's name, or so many pieces of zeros."""
Check = Callable[[], None]
"""Called again and again while reading; raises to break off."""


@dataclass(slots=True)
class Entry:
    """A file, folder, link or pipe. ``kind``: f d l p, or h for another name of the file ``target``."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    pieces: list[Piece] = field(default_factory=list)
    target: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    """Size, times and inode by which the same file is known again; empty when it was just being written."""

    def line(self) -> bytes:
        """The entry as a line of JSON."""
        row = [self.path, self.kind, self.mode, self.uid, self.gid, self.mtime, self.size, self.pieces, self.target]
        return json.dumps([*row, self.attributes, self.seen], separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Entry":
        """The entry of a line."""
        return cls(*json.loads(line))


class Saver:
    """Reads files into a repository, but those it knows from an earlier backup or an interrupted one."""

    def __init__(self, repository: Repository, tree: str, known: Iterable[Entry], progress: Progress):
        self._repository, self._tree, self._progress = repository, tree, progress
        self._known = {entry.path: entry for entry in known if entry.kind == "f"}
        self._whole: set[str] = set()
        self._batch: list[Entry] = []
        self._batch_size = 0
        self.problems: list[str] = []

    def folder(self, root: int, keep: Callable[[str, os.stat_result], bool], check: Check) -> list[Entry]:
        """All below the open folder ``root`` that ``keep`` wants. Raises what ``check`` raises."""
        entries: list[Entry] = []
        inodes: dict[int, str] = {}
        for path, parent, name, facts in _scan(root, keep, self.problems):
            check()
            try:
                entry = self._entry(path, parent, name, facts, inodes, check)
            except FileNotFoundError:
                continue  # it was removed meanwhile
            except OSError as error:
                self.problems.append(f"{self._tree}: {path} could not be read: {error.strerror}")
                continue
            if entry is not None:
                entries.append(entry)
        return entries

    def known(self, path: str, size: int) -> Entry | None:
        """A file that never changes, if it was read before."""
        found = self._known.get(path)
        return found if found and found.size == size and self._is_whole(found) else None

    def add(self, entry: Entry) -> None:
        """Note that a file was read."""
        self._known[entry.path] = entry
        self._whole.add(entry.path)
        self._batch.append(entry)
        self._batch_size += entry.size
        if len(self._batch) >= _BATCH_FILES or self._batch_size >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Note what was read, for whoever goes on after an interruption."""
        rows, size = [], 0
        for entry in self._batch:
            rows.append(entry.line())
            size += len(rows[-1])
            if size > CHUNK // 2:
                self._repository.note(self._tree, b"".join(rows))
                rows, size = [], 0
        if rows:
            self._repository.note(self._tree, b"".join(rows))
        self._batch, self._batch_size = [], 0

    def _entry(
        self, path: str, parent: int, name: str, facts: os.stat_result, inodes: dict[int, str], check: Check
    ) -> Entry | None:
        entry = Entry(path, "", stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_mtime_ns)
        if stat.S_ISDIR(facts.st_mode):
            entry.kind = "d"
            with _opened(name, parent, os.O_DIRECTORY) as file:
                entry.attributes = _attributes(file)
        elif stat.S_ISLNK(facts.st_mode):
            entry.kind, entry.target = "l", os.readlink(name, dir_fd=parent)
        elif stat.S_ISFIFO(facts.st_mode):
            entry.kind = "p"
        elif stat.S_ISREG(facts.st_mode):
            if facts.st_nlink > 1:
                if facts.st_ino in inodes:
                    entry.kind, entry.target = "h", inodes[facts.st_ino]
                    return entry
                inodes[facts.st_ino] = path
            known = self._known.get(path)
            if known and known.seen == _seen(facts) and self._is_whole(known):
                known.mode, known.uid, known.gid = entry.mode, entry.uid, entry.gid
                return known
            return self._file(entry, parent, name, check)
        else:
            return None  # sockets last no longer than who listens
        return entry

    def _file(self, entry: Entry, parent: int, name: str, check: Check) -> Entry | None:
        with _opened(name, parent, os.O_NONBLOCK) as file:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                return None
            seen = _seen(facts)
            entry.kind, entry.attributes = "f", _attributes(file)
            entry.pieces, entry.size = read(file, self._repository, self._progress, check)
            after = os.fstat(file)
            entry.mtime = after.st_mtime_ns
            settled = time.time_ns() - max(after.st_ctime_ns, after.st_mtime_ns) > _FRESH_NS
            entry.seen = seen if settled and _seen(after) == seen else []
        self._progress.count(files=1)
        self.add(entry)
        return entry

    def _is_whole(self, entry: Entry) -> bool:
        """Whether the contents are there; looked up once, since a frozen volume is read in haste."""
        if entry.path not in self._whole and all(
            isinstance(one, int) or self._repository.has(one) for one in entry.pieces
        ):
            self._whole.add(entry.path)
        return entry.path in self._whole


def read(file: int, repository: Repository, progress: Progress, check: Check) -> tuple[list[Piece], int]:
    """Keep the content of an open file, as long as it is now; holes are not read. Return its pieces and its size."""
    pieces: list[Piece] = []
    at, end = 0, os.fstat(file).st_size
    while at < end:
        check()
        if skipped := _hole(file, at, end):
            _add_zeros(pieces, skipped)
            at += skipped * CHUNK
            continue
        data = _read_chunk(file, at, min(CHUNK, end - at))
        if data.count(0) == len(data) == CHUNK:
            _add_zeros(pieces, 1)
        elif data:
            pieces.append(repository.put(data))
        progress.count(size=len(data))
        at += len(data)
        if len(data) < CHUNK:
            return pieces, min(at, end)
    return pieces, end


def content(repository: Repository, pieces: Iterable[Piece], size: int) -> Iterator[tuple[bool, bytes]]:
    """A file's content, piece by piece and verified, and whether the piece is a hole. Raises DamagedError."""
    left = size
    for piece in pieces:
        hole = isinstance(piece, int)
        for _ in range(piece if isinstance(piece, int) else 1):
            data = repository.get(piece) if isinstance(piece, str) else bytes(min(CHUNK, left))
            left -= len(data)
            yield hole, data
    if left:
        raise DamagedError(f"its content has {abs(left)} bytes too {'few' if left > 0 else 'many'}")


def put_all(repository: Repository, chunks: Iterable[bytes]) -> tuple[list[Piece], int]:
    """Keep a stream of bytes; return its pieces and size."""
    pieces: list[Piece] = []
    held, size = bytearray(), 0
    for chunk in chunks:
        held += chunk
        size += len(chunk)
        while len(held) >= CHUNK:
            pieces.append(repository.put(bytes(held[:CHUNK])))
            del held[:CHUNK]
    if held:
        pieces.append(repository.put(bytes(held)))
    return pieces, size


def parse(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a tree's content, which comes in pieces."""
    held = b""
    for chunk in lines:
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield Entry.of(line)


class Writer:
    """Makes entries anew below the folder ``root``. Raises DamagedError or OSError.

    Others may write there meanwhile: each entry is made in its folder's own descriptor, which no link leads to, and is
    given its owner and mode by its own. They can spoil what is theirs, and lead nothing elsewhere.
    """

    def __init__(
        self,
        root: Path,
        repository: Repository,
        progress: Progress,
        owners: Callable[[int, int], tuple[int, int]] = lambda uid, gid: (uid, gid),
    ):
        self._root, self._repository, self._progress, self._owners = root, repository, progress, owners
        self._folders: dict[str, Entry] = {}
        self._files: set[str] = set()

    def write(self, entry: Entry) -> None:
        """Make one entry. Folders come before what lies in them."""
        path = self._checked(entry)
        with inside(self._root, path.parent) as parent:
            self._make(entry, path.name, parent)

    def _make(self, entry: Entry, name: str, parent: int) -> None:
        if entry.kind == "d":
            _folder(self._root / entry.path, name, parent)
            self._folders[entry.path] = entry
        elif entry.kind == "f":
            self._file(entry, name, parent)
        elif entry.kind == "l":
            _unlink(name, parent)
            os.symlink(entry.target, name, dir_fd=parent)
            os.chown(name, *self._owners(entry.uid, entry.gid), dir_fd=parent, follow_symlinks=False)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        elif entry.kind == "h":
            if entry.target not in self._files:
                raise DamagedError(f"{entry.path} is a second name of {entry.target}, which is not there")
            _unlink(name, parent)
            first = PurePosixPath(entry.target)
            with inside(self._root, first.parent) as other:
                os.link(first.name, name, src_dir_fd=other, dst_dir_fd=parent, follow_symlinks=False)
        elif entry.kind == "p":
            _unlink(name, parent)
            os.mkfifo(name, 0o600, dir_fd=parent)
            with _opened(name, parent, os.O_NONBLOCK) as pipe:
                if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
                    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._root / entry.path))
                self._settle(entry, pipe)
        else:
            raise DamagedError(f"{entry.path} is of an unknown kind")

    def finish(self) -> None:
        """Give the folders their owners, modes and times, the innermost first."""
        for name in sorted(self._folders, key=lambda one: one.count("/"), reverse=True):
            with inside(self._root, PurePosixPath(name)) as folder:
                self._settle(self._folders[name], folder)

    def _file(self, entry: Entry, name: str, parent: int) -> None:
        self._files.add(entry.path)
        if self._is_there(entry, name, parent):  # since before an interruption
            return
        with new_file(name, parent) as file:
            for hole, data in content(self._repository, entry.pieces, entry.size):
                if hole:
                    file.seek(len(data), os.SEEK_CUR)
                else:
                    _write_sparse(file, data)
                self._progress.count(size=len(data))
            file.truncate(entry.size)
            file.flush()
            self._settle(entry, file.fileno())
        self._progress.count(files=1)

    def _is_there(self, entry: Entry, name: str, parent: int) -> bool:
        try:
            facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        same = (facts.st_size, facts.st_mtime_ns) == (entry.size, entry.mtime)
        return same and stat.S_ISREG(facts.st_mode) and facts.st_uid == self._owners(entry.uid, entry.gid)[0]

    def _settle(self, entry: Entry, file: int) -> None:
        os.fchown(file, *self._owners(entry.uid, entry.gid))
        for name, value in entry.attributes.items():
            with contextlib.suppress(OSError):  # a file system that has none of that kind
                os.setxattr(file, name, base64.b64decode(value))
        os.fchmod(file, entry.mode)
        os.utime(file, ns=(entry.mtime, entry.mtime))

    def _checked(self, entry: Entry) -> PurePosixPath:
        path = PurePosixPath(entry.path)
        parent = str(path.parent)
        if path.is_absolute() or ".." in path.parts or "\0" in entry.path or str(path) != entry.path or not path.name:
            raise DamagedError(f"{entry.path!r} is no path of a file")
        if parent != "." and parent not in self._folders:
            raise DamagedError(f"{entry.path!r} lies in no folder")
        return path


@contextlib.contextmanager
def inside(root: Path, path: PurePosixPath, *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder ``path`` below ``root``, to which no link leads. Raises OSError.

    ``make``: the folders on the way are made when missing, as those of who owns ``root``.
    """
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = os.fstat(here)
        for depth, name in enumerate(path.parts, 1):
            whole = root.joinpath(*path.parts[:depth])
            made = make and _folder(whole, name, here)
            inner = _open_folder(whole, name, here)
            os.close(here)
            here = inner
            if made:
                os.fchown(here, owner.st_uid, owner.st_gid)
        yield here
    finally:
        os.close(here)


@contextlib.contextmanager
def new_file(name: str, parent: int) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``name`` in the open folder ``parent`` when the block ends well."""
    draft = f".new-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=parent), "wb") as file:
            yield file
        os.replace(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        _unlink(draft, parent)


def _folder(whole: Path, name: str, parent: int) -> bool:
    """Make a folder, or see that there is one, and no link; return whether it is new."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        os.close(_open_folder(whole, name, parent))
        return False
    return True


def _open_folder(whole: Path, name: str, parent: int) -> int:
    try:
        return os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(whole)) from error


def _unlink(name: str, parent: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _write_sparse(file: BinaryIO, data: bytes) -> None:
    """Write, but let blocks of zeros be holes: a file must not take more of a disk than it did."""
    if _ZEROS not in data:
        file.write(data)
        return
    for at in range(0, len(data), len(_ZEROS)):
        block = data[at : at + len(_ZEROS)]
        if block == _ZEROS:
            file.seek(len(block), os.SEEK_CUR)
        else:
            file.write(block)


def _scan(
    root: int, keep: Callable[[str, os.stat_result], bool], problems: list[str]
) -> Iterator[tuple[str, int, str, os.stat_result]]:
    """Path, open folder, name and facts of all below a folder; a folder comes before what lies in it."""
    stack: list[tuple[str, int, list[str]]] = [("", os.dup(root), _names(root))]
    try:
        while stack:
            prefix, folder, names = stack[-1]
            if not names:
                os.close(folder)
                stack.pop()
                continue
            name = names.pop()
            path = prefix + name
            try:
                facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not keep(path, facts):
                    continue
                yield path, folder, name, facts
                if stat.S_ISDIR(facts.st_mode):
                    if len(stack) > DEEPEST:
                        problems.append(f"{path[:200]}… lies too deep and was left out")
                        continue
                    inner = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=folder)
                    stack.append((f"{path}/", inner, _names(inner)))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    continue  # it has become something else meanwhile
                raise
    finally:
        for _, folder, _ in stack:
            os.close(folder)


def _names(folder: int) -> list[str]:
    return sorted(os.listdir(folder), reverse=True)


@contextlib.contextmanager
def _opened(name: str, parent: int, flags: int) -> Iterator[int]:
    file = os.open(name, _OPEN | flags, dir_fd=parent)
    try:
        yield file
    finally:
        os.close(file)


def _hole(file: int, at: int, end: int) -> int:
    """How many chunks of zeros begin there without being stored; the last one may reach beyond the end."""
    try:
        return (min(os.lseek(file, at, os.SEEK_DATA), end) - at) // CHUNK
    except OSError as error:
        return -(-(end - at) // CHUNK) if error.errno == errno.ENXIO else 0  # 0: a file system that knows no holes


def _read_chunk(file: int, at: int, size: int) -> bytes:
    data = os.pread(file, size, at)
    while data and len(data) < size:
        more = os.pread(file, size - len(data), at + len(data))
        if not more:
            break
        data += more
    return data


def _add_zeros(pieces: list[Piece], count: int) -> None:
    last = pieces[-1] if pieces else None
    if isinstance(last, int):
        pieces[-1] = last + count
    else:
        pieces.append(count)


def _attributes(file: int) -> dict[str, str]:
    try:
        return {name: base64.b64encode(os.getxattr(file, name)).decode() for name in os.listxattr(file)}
    except OSError:
        return {}


def _seen(facts: os.stat_result) -> list[int]:
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
