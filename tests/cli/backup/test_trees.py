"""Folders become entries and folders again: odd names, links, holes, and what hostile tenants make of them."""

import os
import stat
import threading
from pathlib import Path

import pytest

from utcloud.cli.backup.progress import Progress
from utcloud.cli.backup.repository import CHUNK, DamagedError, Repository
from utcloud.cli.backup.trees import DEEPEST, Entry, Saver, Writer, content, parse, put_all

OWNER = 200_001


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create_or_open(tmp_path / "backups", None)


def save(repository: Repository, root: Path, known: list[Entry] | None = None) -> tuple[list[Entry], Saver]:
    saver = Saver(repository, "t", known or [], Progress())
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return saver.folder(folder, lambda *_: True, lambda: None), saver
    finally:
        os.close(folder)


def write(repository: Repository, entries: list[Entry], root: Path) -> None:
    root.mkdir(exist_ok=True)
    writer = Writer(root, repository, Progress())
    for entry in entries:
        writer.write(entry)
    writer.finish()


def seen(root: Path) -> dict[bytes, tuple[object, ...]]:
    """All of a folder that a backup must keep."""
    found: dict[bytes, tuple[object, ...]] = {}
    for place, folders, names in os.walk(os.fsencode(root)):
        for name in (*folders, *names):
            path = place + b"/" + name
            facts = os.lstat(path)
            what: object = b""
            if stat.S_ISLNK(facts.st_mode):
                what = Path(os.fsdecode(path)).readlink()
            elif stat.S_ISREG(facts.st_mode):
                what = Path(os.fsdecode(path)).read_bytes()
            kept = (facts.st_mode, facts.st_uid, facts.st_mtime_ns, what)
            found[os.path.relpath(path, os.fsencode(root))] = kept
    return found


def test_all_comes_back(repository: Repository, tmp_path: Path) -> None:
    root = tmp_path / "home"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "text").write_text("hello")
    (root / "a" / "run").write_text("#!/bin/sh")
    (root / "a" / "run").chmod(0o4755)
    (root / "a" / "large").write_bytes(os.urandom(2 * CHUNK + 5))
    (root / "empty").touch()
    (root / "名字 with\nnewline").write_text("x")
    Path(os.fsdecode(os.fsencode(root) + b"/no\xffutf8")).write_text("y")
    (root / "link").symlink_to("../../etc/passwd")
    (root / "b").hardlink_to(root / "a" / "text")
    os.mkfifo(root / "pipe")
    with (root / "holes").open("wb") as file:
        file.seek(3 * CHUNK + 1000)
        file.write(b"end")
        file.truncate(7 * CHUNK + 3)
    os.setxattr(root / "empty", "user.note", b"kept")
    os.chown(root / "a" / "text", OWNER, OWNER)
    os.utime(root / "a" / "b", (1, 2))
    (root / "a" / "b").chmod(0o500)
    entries, saver = save(repository, root)
    assert saver.problems == []
    pieces, length = put_all(repository, (entry.line() for entry in entries))
    again = list(parse(data for _, data in content(repository, pieces, length)))
    assert again == entries
    write(repository, again, tmp_path / "made")
    assert seen(tmp_path / "made") == seen(root)
    made = tmp_path / "made"
    assert (made / "b").samefile(made / "a" / "text")
    assert (made / "holes").stat().st_blocks * 512 < 100_000, "holes stay holes"
    assert os.getxattr(made / "empty", "user.note") == b"kept"


def test_what_did_not_change_is_not_read_again(repository: Repository, tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    for name in ("same", "changed", "young"):
        (root / name).write_text(name)
    entries, _ = save(repository, root)
    assert all(not entry.seen for entry in entries), "what was written just now may be written again within a tick"
    for entry in entries:
        facts = (root / entry.path).stat()
        entry.seen = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
    (root / "changed").write_text("CHANGED")
    (root / "same").chmod(0o600)
    (root / "same").chmod(0o644)
    progress = Progress()
    saver = Saver(repository, "t", entries, progress)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    found = {entry.path: entry for entry in saver.folder(folder, lambda *_: True, lambda: None)}
    os.close(folder)
    assert progress.files == 2, "one has another content, one another time of change"
    write(repository, list(found.values()), tmp_path / "made")
    assert (tmp_path / "made" / "changed").read_text() == "CHANGED"
    assert (tmp_path / "made" / "young").read_text() == "young"


def test_a_known_file_whose_content_is_gone_is_read_again(repository: Repository, tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    (root / "file").write_text("x")
    (entry,), _ = save(repository, root)
    facts = (root / "file").stat()
    entry.seen = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
    for path in repository.root.glob("objects/??/*"):
        path.unlink()
    (again,), _ = save(repository, root, [entry])
    assert repository.has(str(again.pieces[0]))


def test_a_pipe_in_the_place_of_a_file_stops_nobody(repository: Repository, tmp_path: Path) -> None:
    """A tenant swaps things while they are read: nothing outside is read, and nothing is waited for."""
    root = tmp_path / "home"
    (root / "d").mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "f").write_text("the host's own")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "x").unlink(missing_ok=True)
            os.mkfifo(root / "x")
            (root / "x").unlink()
            (root / "x").symlink_to(secret / "f")
            (root / "d").rename(root / "e")
            (root / "d").symlink_to(secret)
            (root / "d").unlink()
            (root / "e").rename(root / "d")
            (root / "d" / "f").write_text("the tenant's")

    other = threading.Thread(target=swap)
    other.start()
    try:
        for _ in range(300):
            entries, _ = save(repository, root)
            for entry in entries:
                for piece in entry.pieces:
                    assert isinstance(piece, int) or b"host" not in repository.get(piece)
    finally:
        stop.set()
        other.join()


def test_a_file_that_grows_is_read_to_where_it_ended(repository: Repository, tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    file = root / "log"
    file.write_bytes(b"x" * CHUNK)
    saver = Saver(repository, "t", [], Progress())

    def grow() -> None:
        with file.open("ab") as log:
            log.write(b"y" * CHUNK)

    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    (entry,) = saver.folder(folder, lambda *_: True, grow)
    os.close(folder)
    assert 0 < entry.size <= 4 * CHUNK
    assert entry.seen == [], "it is read again next time"


def test_what_lies_too_deep_is_left_out_and_said(repository: Repository, tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(DEEPEST + 20):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    (root / "file").touch()
    entries, saver = save(repository, root)
    assert len(saver.problems) == 1 and "too deep" in saver.problems[0]
    assert "file" in {entry.path for entry in entries}


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "d/../x", "", ".", "d//x", "nowhere/x", "link/x", "a\0b"])
def test_a_path_that_leads_elsewhere_is_refused(repository: Repository, tmp_path: Path, path: str) -> None:
    """Whoever can write to a backup must not write to the machine that restores it."""
    root = tmp_path / "made"
    root.mkdir()
    writer = Writer(root, repository, Progress())
    writer.write(Entry("d", "d", 0o755, 0, 0, 0))
    writer.write(Entry("link", "l", 0o777, 0, 0, 0, target=str(tmp_path)))
    with pytest.raises(DamagedError):
        writer.write(Entry(path, "f", 0o644, 0, 0, 0))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backups", "made"]


def test_a_second_name_of_a_file_elsewhere_is_refused(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    writer = Writer(tmp_path / "made", repository, Progress())
    writer.write(Entry("link", "l", 0o777, 0, 0, 0, target="/etc/passwd"))
    for target in ("/etc/passwd", "../backups/lock", "link"):
        with pytest.raises(DamagedError):
            writer.write(Entry("x", "h", 0o644, 0, 0, 0, target=target))


@pytest.mark.parametrize("kind", ["f", "d", "l", "p", "h"])
def test_a_folder_that_became_a_link_meanwhile_leads_nowhere(repository: Repository, tmp_path: Path, kind: str) -> None:
    """Who owns a folder may write there while root does."""
    root, outside = tmp_path / "made", tmp_path / "outside"
    root.mkdir()
    outside.mkdir(mode=0o700)
    writer = Writer(root, repository, Progress())
    writer.write(Entry("d", "d", 0o777, OWNER, OWNER, 0))
    writer.write(Entry("file", "f", 0o644, OWNER, OWNER, 0))
    (root / "d").rmdir()
    (root / "d").symlink_to(outside)
    with pytest.raises(OSError, match=r"d'$") as refused:
        writer.write(Entry("d/x", kind, 0o4755, OWNER, OWNER, 0, target="file"))
    assert refused.value.filename == str(root / "d")
    with pytest.raises(OSError, match=r"d'$"):
        writer.write(Entry("d", "d", 0o777, OWNER, OWNER, 0))
    with pytest.raises(OSError, match=r"d'$"):
        writer.finish()
    facts = outside.stat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, list(outside.iterdir())) == (0o700, os.geteuid(), [])


def test_a_wrong_length_is_no_content(repository: Repository) -> None:
    pieces, size = put_all(repository, [b"abc"])
    for wrong in (size - 1, size + 1):
        with pytest.raises(DamagedError):
            list(content(repository, pieces, wrong))
