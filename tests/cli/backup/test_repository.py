"""The folder of backups: nothing twice, nothing unnoticed, nothing for others' eyes."""

import errno
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from utcloud.cli.backup import repository as module
from utcloud.cli.backup.repository import DamagedError, Repository, SnapshotFile
from utcloud.cli.errors import CliError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECRET = b"the books of the platform " * 100


@pytest.fixture(params=[None, "a passphrase of some length"], ids=["plain", "sealed"])
def passphrase(request: pytest.FixtureRequest) -> str | None:
    value: str | None = request.param
    return value


@pytest.fixture
def repository(tmp_path: Path, passphrase: str | None) -> Repository:
    return Repository.create_or_open(tmp_path / "backups", passphrase)


def files(repository: Repository) -> list[Path]:
    return [path for path in repository.root.rglob("*") if path.is_file()]


def used_by(repository: Repository, file: SnapshotFile) -> set[str]:
    return set(repository.snapshot(file)["uses"])


def test_contents_come_back_and_are_kept_once(repository: Repository) -> None:
    name = repository.put(SECRET)
    assert repository.put(SECRET) == name and repository.put(b"other") != name
    assert repository.get(name) == SECRET
    assert len(list(repository.root.glob("objects/??/*"))) == 2
    assert repository.written == len(SECRET) + 5


def test_everything_is_its_owners_alone(repository: Repository) -> None:
    repository.put(SECRET)
    repository.add_snapshot(NOW, {"uses": []})
    for path in (repository.root, *repository.root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_passphrase_leaves_nothing_to_read(tmp_path: Path) -> None:
    repository = Repository.create_or_open(tmp_path / "b", "a passphrase")
    repository.put(SECRET)
    repository.note("a volume's name", b"a file's name")
    repository.add_snapshot(NOW, {"uses": [], "settings": "a password"})
    plain = Repository.create_or_open(tmp_path / "p", None)
    assert plain.put(SECRET) != repository.put(SECRET), "not even whether a known file is there"
    everything = b"".join(path.read_bytes() for path in files(repository))
    assert not [word for word in (b"books", b"password", b"file's") if word in everything]


def test_the_right_passphrase_is_asked_for(tmp_path: Path) -> None:
    Repository.create_or_open(tmp_path / "sealed", "right")
    Repository.create_or_open(tmp_path / "plain", None)
    for folder, given, word in (
        ("sealed", "wrong", "not the passphrase"),
        ("sealed", None, "is encrypted"),
        ("plain", "any", "not encrypted"),
    ):
        with pytest.raises(CliError, match=word) as refused:
            Repository.open(tmp_path / folder, given)
        assert refused.value.cure


def test_every_changed_byte_is_noticed(repository: Repository) -> None:
    name = repository.put(SECRET)
    (path,) = repository.root.glob("objects/??/*")
    whole = path.read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedError):
            repository.get(name)
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedError):
        repository.get(name)
    path.unlink()
    with pytest.raises(DamagedError, match="missing"):
        repository.get(name)


def test_a_changed_snapshot_is_noticed(repository: Repository) -> None:
    repository.add_snapshot(NOW, {"uses": [], "problems": []})
    (file,) = repository.snapshots()
    assert repository.snapshot(file) == {"uses": [], "problems": []}
    file.path.write_bytes(file.path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError):
        repository.snapshot(file)


def test_a_content_that_was_cut_off_is_put_again(repository: Repository) -> None:
    """A power cut may leave a file under its name with less in it."""
    name = repository.put(SECRET)
    (path,) = repository.root.glob("objects/??/*")
    path.write_bytes(b"")
    assert repository.put(SECRET) == name
    assert repository.get(name) == SECRET


def test_what_an_interrupted_backup_noted_is_known_to_the_next(repository: Repository) -> None:
    assert repository.begin() == []
    repository.note("volume rp_1", b"three files")
    repository.note("home of x", b"and more")
    broken = repository.put(b"written last, and lost")
    (repository.root / "objects" / broken[:2] / broken).write_bytes(b"\0" * 22)
    noted = repository.begin()
    assert [(tree, repository.get(name)) for tree, name in noted] == [
        ("volume rp_1", b"three files"),
        ("home of x", b"and more"),
    ]
    assert not repository.has(broken)
    repository.add_snapshot(NOW, {"uses": []})
    assert repository.begin() == []


def test_old_backups_go_with_what_only_they_name(repository: Repository) -> None:
    old, both, new = (repository.put(data) for data in (b"old", b"both", b"new"))
    repository.add_snapshot(NOW, {"uses": [old, both]})
    repository.add_snapshot(NOW + timedelta(days=1), {"uses": [both, new]})
    assert repository.prune(2, used_by) == 0
    assert repository.prune(1, used_by) == 1
    assert [repository.has(name) for name in (old, both, new)] == [False, True, True]
    assert [one.name for one in repository.snapshots()] == ["20261128T120000Z"]


def test_two_backups_of_one_second_have_two_names(repository: Repository) -> None:
    names = [repository.add_snapshot(NOW, {"uses": []}) for _ in range(3)]
    assert names == [one.name for one in repository.snapshots()] and len(set(names)) == 3


def test_only_one_writes(repository: Repository, passphrase: str | None) -> None:
    other = Repository.open(repository.root, passphrase)
    with repository.locked(), pytest.raises(CliError, match="at work"), other.locked():
        pass
    with other.locked():
        pass


def test_a_full_disk_is_said_with_its_cure(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(CliError, match="is full") as refused:
        repository.put(b"data")
    assert refused.value.cure and "goes on" in refused.value.cure


def test_other_folders_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(CliError, match="holds other things"):
        Repository.create_or_open(tmp_path / "photos", None)
    assert [one.name for one in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(CliError, match="no backup"):
        Repository.open(tmp_path / "photos", None)
    with pytest.raises(CliError, match="no backup"):
        Repository.open(tmp_path / "nowhere", None)


def test_a_newer_form_is_refused(repository: Repository, passphrase: str | None) -> None:
    marker = repository.root / "utcloud-backup.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"format": 2}))
    with pytest.raises(CliError, match="newer"):
        Repository.open(repository.root, passphrase)
