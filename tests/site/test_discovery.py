"""What a node has, and what a container sees of its chips."""

import json
import os
import stat
from pathlib import Path

import pytest

from utcloud.common.settings import Settings
from utcloud.protocol import ChipReport
from utcloud.site import discovery
from utcloud.site.agent import _node_report
from utcloud.site.devices import give
from utcloud.site.discovery.base import Finding, FoundChip
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.discovery.simulated import SimulatedDiscovery
from utcloud.site.discovery.sophgo import SophgoDiscovery
from utcloud.site.engines.base import Bind, Device
from utcloud.site.errors import CannotRun

SOPHGO = Path(__file__).parent / "data" / "sophgo"


def test_the_host_keeps_some_memory_for_itself(tmp_path: Path) -> None:
    for total_kb, capacity in ((2 * 2**20, 1536 * 2**20), (100 * 2**20, 90 * 2**30), (100, 0)):
        (tmp_path / "meminfo").write_text(f"MemFree: 1 kB\nMemTotal:       {total_kb} kB\n")
        found = HostDiscovery(tmp_path / "not" / "there" / "yet", proc=tmp_path).find()
        values = {resource.name: resource.capacity for resource in found.resources}
        assert values["memory"] == capacity
        assert values["cpu"] == len(os.sched_getaffinity(0)) * 1000
        assert values["disk"] > 0
        assert found.name and found.kernel and found.labels["utcloud.io/arch"] == found.architecture


def test_three_sophgo_chips_of_one_card() -> None:
    chips = SophgoDiscovery(SOPHGO / "dev", SOPHGO / "proc").find().chips
    assert [chip.report.uid for chip in chips] == [
        f"sophgo-HQDZSC7A20230001-000:0{number}:00.0" for number in (1, 2, 3)
    ]
    first = chips[0].report
    assert (first.model, first.resource, first.card) == ("BM1684X", "sophgo.com/bm1684x", "SC7-Pro")
    assert (first.index, first.device_paths, first.simulated) == (0, ["/dev/bm-sophon0"], False)
    assert first.healthy


def test_no_driver_no_sophgo_chips(tmp_path: Path) -> None:
    (tmp_path / "bm-sophon0").touch()
    assert SophgoDiscovery(tmp_path, tmp_path / "proc").find() == Finding()


def simulated(folder: Path, count: int = 3) -> SimulatedDiscovery:
    rows = []
    for index in range(count):
        (folder / f"node{index}").touch()
        rows.append(
            {
                "index": index,
                "model": "BM1684X",
                "card": "SC7",
                "serial": f"S{index}",
                "device_path": f"/dev/bm-sophon{index}",
                "host_device": str(folder / f"node{index}"),
            }
        )
    (folder / "chips.json").write_text(json.dumps(rows))
    return SimulatedDiscovery(folder / "chips.json", "m")


def test_simulated_chips_say_so(tmp_path: Path) -> None:
    discovered = simulated(tmp_path)
    chips = discovered.find().chips
    assert all(chip.report.simulated and chip.report.healthy for chip in chips)
    assert [chip.report.uid for chip in chips] == ["simulated-m-S0", "simulated-m-S1", "simulated-m-S2"]
    (tmp_path / "node1").unlink()
    chips = discovered.find().chips
    assert [chip.report.healthy for chip in chips] == [True, False, True]
    report = _node_report([Finding(name="n"), Finding(chips=chips)], "podman 5", "")
    assert [(one.name, one.capacity, one.simulated) for one in report.resources] == [("sophgo.com/bm1684x", 2, True)]
    assert SimulatedDiscovery(tmp_path / "none").find() == Finding()


def test_a_container_gets_its_chips_in_order_numbered_from_0(tmp_path: Path) -> None:
    chips = {chip.report.uid: chip for chip in simulated(tmp_path).find().chips}
    given = give(["simulated-m-S2", "simulated-m-S0"], chips)
    assert given.binds == [
        Bind(str(tmp_path / "node2"), "/dev/bm-sophon0"),
        Bind(str(tmp_path / "node0"), "/dev/bm-sophon1"),
    ]
    assert given.simulated == ["BM1684X", "BM1684X"]
    assert stat.S_IMODE((tmp_path / "node2").stat().st_mode) == 0o666
    with pytest.raises(CannotRun, match="simulated-m-S9"):
        give(["simulated-m-S9"], chips)
    (tmp_path / "node0").unlink()
    with pytest.raises(CannotRun, match="node0") as refused:
        give(["simulated-m-S0"], chips)
    assert refused.value.cause == "device"


@pytest.mark.skipif(os.geteuid() != 0, reason="makes device files")
def test_a_device_file_must_be_open_to_the_user(tmp_path: Path) -> None:
    path = tmp_path / "dev7"
    os.mknod(path, 0o20600, os.makedev(1, 3))
    report = ChipReport(uid="u", resource="acme.com/x", index=7, model="X", device_paths=["/dev/acme7"])
    chips = {"u": FoundChip(report, (str(path),))}
    with pytest.raises(CannotRun, match="open to root only"):
        give(["u"], chips)
    path.chmod(0o660)
    os.chown(path, 0, 44)
    given = give(["u"], chips)
    assert given.devices == [Device(str(path), "/dev/acme7")] and given.groups == [44]
    path.chmod(0o666)
    assert give(["u"], chips).groups == []


def test_a_plug_in_that_breaks_does_not_break_the_agent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        value = "acme:Chips"

        def load(self) -> object:
            raise ImportError("acme is gone")

    monkeypatch.setattr(discovery, "entry_points", lambda group: [Entry()])
    assert len(discovery.all_discoveries(settings)) == 3
