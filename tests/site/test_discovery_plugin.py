"""The example of the how-to, installed as its user would install it, and seen by the agent."""

import importlib
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from utcloud.common.settings import Settings
from utcloud.site.devices import give
from utcloud.site.discovery import GROUP, all_discoveries
from utcloud.site.discovery.lookout import Lookout

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "discovery-amd"
TREE = Path(__file__).parent / "data" / "amd"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package in a folder of installed packages, laid there as an installer does, without a network."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    name, version = project["project"]["name"].replace("-", "_"), project["project"]["version"]
    for file in project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]:
        shutil.copy(EXAMPLE / file, tmp_path)
    facts = tmp_path / f"{name}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in groups[group].items()) for group in groups]
    (facts / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("utcloud_discovery_amd", None)


def test_the_agent_finds_the_plug_in(installed: Path, settings: Settings) -> None:
    assert [entry.value for entry in entry_points(group=GROUP)] == ["utcloud_discovery_amd:AmdDiscovery"]
    last = all_discoveries(settings)[-1]
    assert type(last).__name__ == "AmdDiscovery"
    assert Path(sys.modules[type(last).__module__].__file__ or "").parent == installed


async def test_its_chips_are_found_in_a_sysfs_tree(installed: Path, settings: Settings, tmp_path: Path) -> None:
    module = importlib.import_module("utcloud_discovery_amd")
    (tmp_path / "dri").mkdir()
    for name in ("kfd", "dri/renderD128"):
        (tmp_path / name).touch()
    found = await Lookout([module.AmdDiscovery(settings, TREE, tmp_path)]).look()
    (chip,) = found.chips
    report = chip.report
    assert found.trouble == ""
    assert (report.resource, report.model, report.bus_id) == ("amd.com/gpu", "AMD GPU 1002:687F", "0000:0c:00.0")
    assert report.uid.startswith("amd-") and report.uid.endswith("-0000:0c:00.0")
    assert (report.memory_bytes, report.device_paths) == (8176 * 2**20, ["/dev/dri/renderD128"])
    assert report.telemetry and report.telemetry.model_dump() == {
        "temperature_c": 38,
        "power_w": 9.103,
        "power_limit_w": 220,
        "utilization_percent": 0,
        "memory_used_bytes": 16224 * 1024,
    }
    given = give([report.uid], {report.uid: chip})
    assert [one.target for one in given.binds] == ["/dev/dri/renderD128", str(tmp_path / "kfd")]


def test_a_machine_without_amd_has_none(installed: Path, settings: Settings, tmp_path: Path) -> None:
    module = importlib.import_module("utcloud_discovery_amd")
    assert module.AmdDiscovery(settings, tmp_path / "none").find().chips == []
