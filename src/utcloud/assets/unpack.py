"""Unpacking archives of strangers.

No path of an archive is ever made on the disk: each file's content goes to a file that we name ourselves, and its path
goes into the manifest once it is found harmless. What an archive says of its sizes is not believed; bytes are
counted as they come out.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, cast

from utcloud.assets.paths import clean_path
from utcloud.common.errors import Problem

CHUNK = 2**20
SPARE_DISK = 512 * 2**20
"""Bytes that stay free on the platform's disk whatever is published."""
_FREE_RATIO_BYTES = 100 * 10**6
_MAX_RATIO = 200
_MAX_HEADER = 4 * 2**20
_MAX_REST = 64 * 2**20
_DISK_EVERY = 64 * 2**20
_XZ_MEMORY = 256 * 2**20
_IS_UTF8 = 0x800
"""Bit of a zip's entry: its name is UTF-8."""
_ZIP_ENTRY = 46
_ZIP64_END = 56 + 20
"""Bytes of a zip's table for each file, and of what follows the table in a large one."""
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)


class Refused(Exception):  # noqa: N818 - a reason, in words for the version's owner
    """The content cannot be published."""


class OverQuota(Refused):
    """It holds more than its owner's storage quota leaves."""


class Cancelled(Exception):  # noqa: N818
    """The work was called off."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is to be published; its content lies in ``source``."""

    path: str
    size: int
    sha256: str
    executable: bool
    source: Path


@dataclass(slots=True)
class Work:
    """Bounds of one version, and how far its unpacking is. Written by a thread, read by the event loop."""

    max_bytes: int
    max_files: int
    left_bytes: int | None = None
    left_files: int | None = None
    """What the owner's storage quota leaves."""
    files: int = 0
    bytes: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    _unchecked: int = 0

    def count_file(self) -> None:
        self.files += 1
        self.check_quota()
        if self.files > self.max_files:
            raise Refused(f"It has more than {self.max_files} files. Split it, or pack small files together.")

    def count_bytes(self, size: int, folder: Path) -> None:
        if self.cancelled.is_set():
            raise Cancelled
        self.bytes += size
        self.check_quota()
        if self.bytes > self.max_bytes:
            raise Refused(f"It is larger than {_size(self.max_bytes)} when unpacked. Split it.")
        self._unchecked += size
        if self._unchecked >= _DISK_EVERY:
            self._unchecked = 0
            require_disk(folder)

    def check_quota(self) -> None:
        """Raise OverQuota when there is more already than is left."""
        if self.left_bytes is not None and self.bytes > self.left_bytes:
            raise OverQuota
        if self.left_files is not None and self.files > self.left_files:
            raise OverQuota


def require_disk(folder: Path, size: int = 0) -> None:
    """Raise Refused when ``size`` more bytes do not fit on the disk of ``folder``."""
    if shutil.disk_usage(folder).free < SPARE_DISK + size:
        raise Refused("The platform's disk is full. Tell an operator.")


def take_file(source: Path, path: str, work: Work) -> Found:
    """Hash a plain uploaded file."""
    work.count_file()
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            if work.cancelled.is_set():
                raise Cancelled
            digest.update(chunk)
            size += len(chunk)
    work.bytes += size
    work.check_quota()
    if work.bytes > work.max_bytes:
        raise Refused(f"It is larger than {_size(work.max_bytes)}. Split it.")
    return Found(path, size, digest.hexdigest(), False, source)


def unpack(archive: Path, name: str, folder: Path, work: Work) -> list[Found]:
    """Unpack the files of ``archive`` (zip, or tar, plain or compressed; told by its content) into ``folder``.

    ``name`` is what its owner calls it. Raises Refused in words for a person; the caller removes ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sink = _Sink(archive.stat().st_size, name, folder, work)
    try:
        with archive.open("rb") as file:
            head = file.read(6)
            file.seek(0)
            if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                _unzip(file, sink)
            else:
                with _decompressed(file, head, name) as plain:
                    _untar(plain, sink)
    except _DAMAGED as error:
        raise Refused(f"The archive {name!r} is damaged: {error}. Pack it again and upload it anew.") from error
    except (NotImplementedError, UnicodeError) as error:
        raise Refused(f"The archive {name!r} cannot be read: {error}. Pack it as .zip or .tar.gz.") from error
    if not sink.found:
        raise Refused(f"The archive {name!r} has no files in it.")
    return sink.found


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Sink:
    """Writes members out, counting."""

    def __init__(self, packed_size: int, name: str, folder: Path, work: Work) -> None:
        self.name = name
        self.work = work
        self.found: list[Found] = []
        self._packed_size = max(packed_size, 1)
        self._unpacked = 0
        self._members = 0
        self._folder = folder

    def count_member(self) -> None:
        """Folders are not kept, but a million of them would keep us busy."""
        self._members += 1
        if self._members > 4 * self.work.max_files + 1000:
            raise Refused(f"The archive {self.name!r} has too many folders in it.")
        if self.work.cancelled.is_set():
            raise Cancelled

    def path(self, member: str) -> str:
        try:
            return clean_path(member)
        except Problem as problem:
            why = " ".join(filter(None, [problem.detail, problem.cure]))
            raise Refused(f"In the archive {self.name!r}: {why}") from problem

    def refuse_link(self, member: str) -> Refused:
        return Refused(
            f"The archive {self.name!r} contains the link {member[:200]!r}. Links are not kept: pack the files "
            "themselves (tar --dereference, or zip without -y)."
        )

    def refuse_special(self, member: str) -> Refused:
        return Refused(f"The archive {self.name!r} contains {member[:200]!r}, which is neither a file nor a folder.")

    def take(self, member: str, executable: bool, content: _Readable) -> None:
        path = self.path(member)
        self.work.count_file()
        target = self._folder / str(self.work.files)
        digest, size = hashlib.sha256(), 0
        with target.open("xb", buffering=0) as out:
            while chunk := content.read(CHUNK):
                size += len(chunk)
                self._unpacked += len(chunk)
                self.work.count_bytes(len(chunk), self._folder)
                if self._unpacked > _FREE_RATIO_BYTES and self._unpacked > _MAX_RATIO * self._packed_size:
                    raise Refused(
                        f"The archive {self.name!r} unpacks to more than {_MAX_RATIO} times its size, as archives "
                        "do that are made to fill disks. Upload such files without packing them."
                    )
                digest.update(chunk)
                out.write(chunk)
        self.found.append(Found(path, size, digest.hexdigest(), executable, target))


def _bound_entries(file: IO[bytes], sink: _Sink) -> None:
    """Refuse a zip with too many entries before they are parsed: ``zipfile`` makes an object of each, ten times as
    large as its 46 bytes. The end record says how many there are; as it may lie, the table itself is counted too.
    """
    most = 2 * sink.work.max_files + 1000
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if not end:
        raise zipfile.BadZipFile
    signature, said, left, place = end[0], end[4], end[5], end[9]
    file.seek(max(place - left - (_ZIP64_END if signature == b"PK\x06\x06" else 0), 0))
    count = 0
    while said <= most and count <= most and left >= _ZIP_ENTRY:
        head = file.read(_ZIP_ENTRY)
        if not head.startswith(b"PK\x01\x02") or len(head) < _ZIP_ENTRY:
            break  # zipfile says what is wrong
        more = sum(struct.unpack("<3H", head[28:34]))
        file.seek(more, os.SEEK_CUR)
        left -= _ZIP_ENTRY + more
        count += 1
    if max(said, count) > most:
        raise Refused(f"The archive {sink.name!r} has more than {most} files and folders in it. Split it.")
    file.seek(0)


def _unzip(file: IO[bytes], sink: _Sink) -> None:
    _bound_entries(file, sink)
    directory_bound = 2**20 + 256 * sink.work.max_files
    with zipfile.ZipFile(cast(IO[bytes], _Bounded(file, directory_bound, sink.name))) as archive:
        names = _names(archive.infolist())
        for info in archive.infolist():
            sink.count_member()
            mode = info.external_attr >> 16
            kind = stat.S_IFMT(mode)
            name = names.get(info.header_offset, info.filename)
            if info.is_dir():
                _check_folder(sink, name)
            elif kind == stat.S_IFLNK:
                raise sink.refuse_link(name)
            elif kind not in (0, stat.S_IFREG):
                raise sink.refuse_special(name)
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused(
                    f"The archive {sink.name!r} has an unusual compression. Pack it as plain .zip or .tar.gz."
                )
            elif info.flag_bits & 1:
                raise Refused(f"The archive {sink.name!r} is locked with a password. Pack it without one.")
            else:
                with archive.open(info) as content:
                    sink.take(name, bool(mode & 0o111), content)


def _names(infos: Iterable[zipfile.ZipInfo]) -> dict[int, str]:
    """Names that a zip does not say are UTF-8, by their entry's place. They may be all the same, or what Windows in
    China writes; ``zipfile`` takes them for those of an old PC. One that is no UTF-8 tells for all.
    """
    unsaid = {
        info.header_offset: info.filename.encode("cp437")
        for info in infos
        if not info.flag_bits & _IS_UTF8 and not info.filename.isascii() and info.filename == info.orig_filename
    }
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeError):
            return {place: raw.decode(encoding) for place, raw in unsaid.items()}
    return {}


def _untar(plain: _Readable, sink: _Sink) -> None:
    metered = _Metered(plain, sink.name)
    with tarfile.open(fileobj=cast(IO[bytes], metered), mode="r|", bufsize=CHUNK) as archive:
        while True:
            metered.allow(_MAX_HEADER)
            member = archive.next()
            archive.members = []  # type: ignore[attr-defined]  # it keeps them all, for a list that nobody asks for
            if member is None:
                break
            sink.count_member()
            if member.isdir():
                _check_folder(sink, member.name)
            elif member.islnk() or member.issym():
                raise sink.refuse_link(member.name)
            elif not member.isfile():
                raise sink.refuse_special(member.name)
            else:
                metered.allow(None)
                content = archive.extractfile(member)
                if content is not None:
                    sink.take(member.name, bool(member.mode & 0o111), content)
    metered.allow(_MAX_REST)
    while metered.read(CHUNK):  # to the end, where a compressed stream says whether it was whole
        pass


def _check_folder(sink: _Sink, name: str) -> None:
    if name.strip("/") not in ("", ".") or name.startswith("/"):
        sink.path(name.rstrip("/"))


class _Bounded:
    """A file that is not read in huge pieces: a zip's table of contents is read in one, however large it says it is."""

    def __init__(self, file: IO[bytes], largest: int, name: str) -> None:
        self._file = file
        self._largest = largest
        self._name = name
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, lambda: None

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._largest:
            left = os.fstat(self._file.fileno()).st_size - self._file.tell()
            if min(left, size if size >= 0 else left) > self._largest:
                raise Refused(f"The archive {self._name!r} has too long a table of contents: too many files. Split it.")
        return self._file.read(size)


class _Metered:
    """A stream that bounds what is read between two files of a tar: its headers are read whole into memory."""

    def __init__(self, stream: _Readable, name: str) -> None:
        self._stream = stream
        self._name = name
        self._allowed: int | None = _MAX_HEADER
        """Bytes until the next file; None inside one. Opening a tar reads its first header already."""

    def allow(self, size: int | None) -> None:
        self._allowed = size

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if self._allowed is not None:
            self._allowed -= len(data)
            if self._allowed < 0:
                raise Refused(
                    f"The archive {self._name!r} has too large a header in it. Pack it with plain tar or zip."
                )
        return data


@contextmanager
def _decompressed(file: IO[bytes], head: bytes, name: str) -> Iterator[_Readable]:
    if head.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=file) as plain:
            yield plain
    elif head.startswith(b"BZh"):
        with bz2.BZ2File(file) as plain:
            yield plain
    elif head.startswith(b"\xfd7zXZ\x00"):
        yield _Xz(file)
    else:
        block = file.read(512)
        file.seek(0)
        try:
            tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
        except tarfile.HeaderError:
            raise Refused(
                f"{name!r} is not an archive that the platform knows. "
                "Pack it as .zip, .tar, .tar.gz, .tar.xz or .tar.bz2."
            ) from None
        yield file


class _Xz:
    """Reads .xz with a bound on memory, which ``lzma.open`` lacks."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decompressor = self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def read(self, size: int = -1) -> bytes:
        size = size if size >= 0 else CHUNK
        while size:
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data.lstrip(b"\0") or self._file.read(CHUNK).lstrip(b"\0")
                if not data:
                    return b""
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                data = self._file.read(CHUNK)
                if not data:
                    raise EOFError("it ends too early")
            if plain := self._decompressor.decompress(data, size):
                return plain
        return b""


def _size(number: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 1000)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} bytes"
