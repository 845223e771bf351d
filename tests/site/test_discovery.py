"""What a node has, and what a container sees of its chips."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from utcloud.protocol import ChipReport
from utcloud.site.devices import give
from utcloud.site.discovery import bm_smi
from utcloud.site.discovery.base import Finding, FoundChip
from utcloud.site.discovery.bm_smi import BmSmi, Reading, parse
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.discovery.simulated import SimulatedDiscovery
from utcloud.site.discovery.sophgo import SophgoDiscovery
from utcloud.site.engines.base import Bind, Device
from utcloud.site.errors import CannotRun
from utcloud.site.node import LABEL_BY_FILES, LABEL_NOT_CLEARED, node_report

SOPHGO = Path(__file__).parent / "data" / "sophgo"
BM_SMI = (SOPHGO / "bm-smi-text-format.txt").read_text()


def test_the_host_keeps_some_memory_for_itself(tmp_path: Path) -> None:
    for total_kb, capacity in ((2 * 2**20, 1536 * 2**20), (100 * 2**20, 90 * 2**30), (100, 0)):
        (tmp_path / "meminfo").write_text(f"MemFree: 1 kB\nMemTotal:       {total_kb} kB\n")
        found = HostDiscovery(tmp_path / "not" / "there" / "yet", proc=tmp_path).find()
        values = {resource.name: resource.capacity for resource in found.resources}
        assert values["memory"] == capacity
        assert values["cpu"] == len(os.sched_getaffinity(0)) * 1000
        assert values["disk"] > 0
        assert found.name and found.kernel and found.labels["utcloud.io/arch"] == found.architecture


def sophgo(
    proc: Path = SOPHGO / "proc", sys: Path = SOPHGO / "sys", run: Callable[[list[str]], str] = lambda command: ""
) -> SophgoDiscovery:
    return SophgoDiscovery(SOPHGO / "dev", proc, "m", sys, BmSmi(run))


def test_three_sophgo_chips_of_one_card() -> None:
    chips = sophgo().find().chips
    assert [chip.report.uid for chip in chips] == [
        f"sophgo-HQDZSC7A20230001-000:0{number}:00.0" for number in (1, 2, 3)
    ]
    first = chips[0].report
    assert (first.model, first.resource, first.card) == ("BM1684X", "sophgo.com/bm1684x", "SC7-Pro")
    assert (first.index, first.device_paths, first.simulated) == (0, ["/dev/bm-sophon0"], False)
    assert first.healthy and first.memory_bytes == 16 * 2**30
    assert [chip.report.telemetry.temperature_c for chip in chips if chip.report.telemetry] == [45, 46, 47]
    assert first.telemetry
    assert (first.telemetry.power_w, first.telemetry.power_limit_w) == (3, None)  # of the chip, not of its card
    assert first.telemetry.utilization_percent == 0
    assert chips[1].report.telemetry and chips[1].report.telemetry.utilization_percent is None  # it is switched off


def test_a_card_with_one_chip_draws_what_its_chip_draws(tmp_path: Path) -> None:
    shutil.copytree(SOPHGO / "proc", tmp_path, dirs_exist_ok=True)
    (tmp_path / "card0" / "chip_num_on_card").write_text("1\n")
    (tmp_path / "card0" / "chipid").write_text("0x1686a200\n")
    (tmp_path / "card0" / "bmsophon0" / "chip_temp").write_text("45500 mC\n")
    report = sophgo(tmp_path).find().chips[0].report
    assert (report.model, report.resource) == ("BM1688", "sophgo.com/bm1688")
    assert report.telemetry
    measured = report.telemetry
    assert (measured.temperature_c, measured.power_w, measured.power_limit_w) == (45.5, 61, 150)


def test_a_faulty_sophgo_chip_is_unhealthy(tmp_path: Path) -> None:
    shutil.copytree(SOPHGO / "proc", tmp_path, dirs_exist_ok=True)
    (tmp_path / "card0" / "bmsophon1" / "status").write_text("Fault\n")
    for name in ("sn", "board_power", "maxboardp"):
        (tmp_path / "card0" / name).write_text("N/A\n")
    chips = sophgo(tmp_path).find().chips
    assert [chip.report.healthy for chip in chips] == [True, False, True]
    assert chips[0].report.uid == "sophgo-m-000:01:00.0"


def test_recorded_output_of_bm_smi() -> None:
    readings = parse(BM_SMI)
    assert readings[1] == Reading(
        bus_id="000:01:00.1",
        status="Active",
        temperature_c=55,
        power_w=2,
        utilization_percent=0,
        memory_used_bytes=0,
        memory_total_bytes=7086 * 2**20,
    )
    assert [readings[index].temperature_c for index in range(3)] == [55, 55, 53]


def test_bm_smi_with_faults_and_gaps() -> None:
    """As the tool's source prints what it cannot read, ``F``, and what there is not, ``N/A``."""
    line = "1684X-SC7-P PCIE chip0: 4 N/A        Fault   F   F   F   F  N/A N/A  F  75M 1000M 1000M  F  12MB 15104MB \n"
    (reading,) = parse("get devcount failed!\n" + line + "1684X-SC7-P PCIE chip1: 5 000:02:00.0 Active 5\n").values()
    assert reading == Reading(status="Fault", memory_used_bytes=12 * 2**20, memory_total_bytes=15104 * 2**20)
    assert parse("text_format failed!\nthis parameter is not support on SOC mode\n") == {}
    assert parse("") == {}


def test_bm_smi_fills_what_proc_lacks(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / "card0" / f"bmsophon{index}").mkdir(parents=True)
    (tmp_path / "card0" / "chipid").write_text("0x1684\n")
    chips = (
        sophgo(tmp_path, tmp_path, lambda command: BM_SMI.replace("2 000:01:00.2 Active", "2 000:01:00.2 Fault"))
        .find()
        .chips
    )
    assert [chip.report.uid for chip in chips] == [f"sophgo-m-000:01:00.{index}" for index in range(3)]
    assert [chip.report.healthy for chip in chips] == [True, True, False]
    assert chips[0].report.memory_bytes == 7086 * 2**20
    assert chips[2].report.telemetry
    assert chips[2].report.telemetry.model_dump(exclude_none=True) == {
        "temperature_c": 53,
        "power_w": 1,
        "utilization_percent": 0,
        "memory_used_bytes": 0,
    }


def test_bm_smi_is_asked_seldom_and_may_fail() -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> str:
        commands.append(command)
        raise subprocess.TimeoutExpired(command, 2)

    discovery = sophgo(run=run)
    for _ in range(3):
        assert len(discovery.find().chips) == 3
    (command,) = commands
    assert command[1:] == ["--start_dev=0", "--last_dev=2", "--text_format"]


def test_bm_smi_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bm-smi"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(bm_smi, "_LIMIT_S", 0.1)
    assert BmSmi().read(2) == {}
    tool.write_text(f"#!/bin/sh\nexec cat {SOPHGO / 'bm-smi-text-format.txt'}\n")
    assert len(BmSmi().read(2)) == 3
    monkeypatch.setenv("PATH", str(SOPHGO))
    assert BmSmi().read(2) == {}


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
    report = node_report(Finding(name="n", chips=chips, trouble="GPU 0 is lost"), "podman 5", "")
    assert [(one.name, one.capacity, one.simulated) for one in report.resources] == [("sophgo.com/bm1684x", 2, True)]
    assert (report.ready, report.reason, report.labels) == (True, "GPU 0 is lost", {})
    assert SimulatedDiscovery(tmp_path / "none").find() == Finding()


def test_simulated_chips_measure_something_believable(tmp_path: Path) -> None:
    simulated(tmp_path)
    for now in range(0, 6000, 60):
        discovered = SimulatedDiscovery(tmp_path / "chips.json", "m", lambda now=now: now)  # type: ignore[misc]
        reports = [chip.report for chip in discovered.find().chips]
        assert reports == [chip.report for chip in discovered.find().chips]  # by index and time alone
        for report in reports:
            measured = report.telemetry
            assert measured and report.memory_bytes == 16 * 2**30
            assert 35 < (measured.temperature_c or 0) < 70
            assert 0 < (measured.power_w or 0) < (measured.power_limit_w or 0) == 30
            assert 0 < (measured.utilization_percent or 0) < 100
            assert 0 < (measured.memory_used_bytes or 0) < report.memory_bytes
        assert len({report.bus_id for report in reports}) == 3


def test_a_node_names_the_chips_whose_libraries_must_be_in_the_image() -> None:
    report = ChipReport(uid="u", resource="nvidia.com/gpu", index=0, model="NVIDIA A10", device_paths=["/dev/nvidia0"])
    chip = FoundChip(report, ("/dev/nvidia0",), by_engine={"cdi": "nvidia.com/gpu=0", "nvidia": "u"})
    found = Finding(name="n", chips=[chip])
    assert node_report(found, "", "").labels[LABEL_BY_FILES] == "NVIDIA A10"
    # What is left says only that its driver cannot clear it between tenants.
    assert node_report(found, "", "", frozenset({"nvidia"})).labels == {LABEL_NOT_CLEARED: "NVIDIA A10"}


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
