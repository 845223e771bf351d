import json
import os
import stat
from pathlib import Path

import pytest

from utcloud.cli.up import chips
from utcloud.site.discovery.simulated import SimulatedDiscovery


@pytest.mark.parametrize(("text", "meant"), [("BM1684X:3", ("BM1684X", 3)), ("bm1684x:1", ("BM1684X", 1))])
def test_model_and_count_are_read(text: str, meant: tuple[str, int]) -> None:
    assert chips.parse(text) == meant


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("BM1684X:0", "from 1 to 64"),
        ("BM1684X:9999", "from 1 to 64"),
        ("BM1684X:-1", "no number"),
        ("BM1684X:٣", "no number"),
        ("BM1684X:", "missing"),
        ("BM1684X", "missing"),
        ("BM1684X:3:4", "no number"),
        ("foo", "unknown model 'foo'"),
        (":3", "unknown model ''"),
        ("", "BM1684X"),
        ("BM1684X:" + "9" * 10_000, "no number"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(chips.ChipError, match=word):
        chips.parse(text)


@pytest.fixture
def dev(home: Path) -> Path:
    """A folder in which device nodes can be made, away from the real /dev."""
    folder = home / "dev"
    folder.mkdir()
    try:
        os.mknod(folder / "probe", 0o600 | stat.S_IFCHR, os.makedev(240, 0))
    except PermissionError:
        pytest.skip("device nodes need root with CAP_MKNOD")
    (folder / "probe").unlink()
    return folder


def test_nodes_are_made_listed_and_removed(home: Path, dev: Path) -> None:
    listing = home / "simulated-chips.json"
    made = chips.create("BM1684X:4", listing, dev)
    assert [chip.index for chip in made] == [0, 1, 2, 3]
    assert len({chip.serial for chip in made}) == 4
    assert all(chip.serial.startswith("SIMULATED-SC7-") for chip in made)
    assert made[2].serial[:-2] == made[0].serial[:-2] != made[3].serial[:-2], "three chips to a card"
    for chip in made:
        found = Path(chip.host_device).stat()
        assert stat.S_ISCHR(found.st_mode)
        assert found.st_mode & 0o777 == 0o666
        assert os.minor(found.st_rdev) == chip.index
        assert 120 <= os.major(found.st_rdev) <= 127
    assert json.loads(listing.read_text())[1]["device_path"] == "/dev/bm-sophon1"
    assert chips.remove(listing) == 4
    assert not list(dev.iterdir())
    assert not listing.exists()


def test_numbers_that_are_taken_are_left_alone(home: Path, dev: Path) -> None:
    os.mknod(dev / "bm-sophon1", 0o600 | stat.S_IFCHR, os.makedev(240, 1))
    made = chips.create("BM1684X:2", home / "list.json", dev)
    assert [chip.index for chip in made] == [0, 2]
    chips.remove(home / "list.json")
    assert [path.name for path in dev.iterdir()] == ["bm-sophon1"]


def test_a_second_start_after_a_crash_makes_the_same_chips(home: Path, dev: Path) -> None:
    first = chips.create("BM1684X:3", home / "list.json", dev)
    assert chips.create("BM1684X:3", home / "list.json", dev) == first


def test_a_list_that_another_made_is_not_believed(home: Path, dev: Path) -> None:
    """The server's user may make files in the home. Root would hand out, or remove, whatever device he names."""
    listing = home / "chips.json"
    (chip,) = chips.create("BM1684X:1", listing, dev)
    os.chown(listing, 12345, 12345)
    assert chips.read(listing) == []
    assert SimulatedDiscovery(listing, "m").find().chips == []
    chips.remove(listing)
    assert Path(chip.host_device).exists()


def test_a_list_is_never_written_through_a_link(home: Path, dev: Path) -> None:
    (home / "victim").write_text("whole")
    (home / "chips.json").symlink_to(home / "victim")
    chips.create("BM1684X:1", home / "chips.json", dev)
    assert (home / "victim").read_text() == "whole"


def test_a_file_that_is_no_device_is_never_removed(home: Path, dev: Path) -> None:
    made = chips.create("BM1684X:1", home / "list.json", dev)
    node = Path(made[0].host_device)
    node.unlink()
    node.write_text("precious")
    assert chips.remove(home / "list.json") == 0
    assert node.read_text() == "precious"
