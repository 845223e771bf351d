"""NVIDIA's GPUs and their MIG instances, seen through a double of NVML."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest

from tests.site.nvml_double import MIB, Gpu, Mig, NvmlDouble, a10, a100_with_mig
from utcloud.site.devices import give
from utcloud.site.discovery.nvidia import NvidiaDiscovery
from utcloud.site.engines.base import DeviceRequest

WHOLE_GPU = 0xFFFFFFFF
Make = Callable[..., NvidiaDiscovery]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Device, proc and CDI files of a machine with NVIDIA's driver."""
    for name in (
        "nvidiactl",
        "nvidia-uvm",
        "nvidia0",
        "nvidia1",
        "nvidia-caps/nvidia-cap12",
        "nvidia-caps/nvidia-cap13",
    ):
        (tmp_path / "dev" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dev" / name).touch()
    mig = tmp_path / "proc" / "capabilities" / "gpu0" / "mig"
    for path, minor in (("gi1/access", 12), ("gi1/ci0/access", 13), ("gi2/access", 21), ("gi2/ci0/access", 22)):
        (mig / path).parent.mkdir(parents=True, exist_ok=True)
        (mig / path).write_text(f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
    (tmp_path / "proc" / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  510.47.03\n")
    (tmp_path / "cdi").mkdir()
    return tmp_path


@pytest.fixture
def make(machine: Path) -> Make:
    def discovery(nvml: NvmlDouble) -> NvidiaDiscovery:
        return NvidiaDiscovery(lambda: nvml, machine / "dev", machine / "proc", [machine / "cdi"])

    return discovery


def test_the_double_has_the_bindings_functions() -> None:
    ours = [name for name in vars(NvmlDouble) if name.startswith("nvml")]
    assert len(ours) > 20
    for name in ours:
        theirs = list(inspect.signature(getattr(pynvml, name)).parameters)
        assert list(inspect.signature(getattr(NvmlDouble, name)).parameters)[1:] == theirs, name


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_gpu_with_all_that_it_measures(make: Make, machine: Path, as_bytes: bool) -> None:
    found = make(NvmlDouble([a10()], as_bytes=as_bytes)).find()
    (chip,) = found.chips
    report = chip.report
    assert (report.uid, report.resource) == ("GPU-22222222-0000-5000-8000-000000000001", "nvidia.com/gpu")
    assert (report.model, report.serial, report.bus_id) == ("NVIDIA A10", "", "00000000:06:00.0")
    assert (report.index, report.memory_bytes, report.healthy) == (0, 23028 * MIB, True)
    assert report.telemetry and report.telemetry.model_dump() == {
        "temperature_c": 32,
        "power_w": 21,
        "power_limit_w": 150,
        "utilization_percent": 0,
        "memory_used_bytes": MIB,
    }
    assert report.device_paths == ["/dev/nvidia1"]
    assert chip.host_devices == (str(machine / "dev/nvidia1"),)
    assert chip.shared_devices == (str(machine / "dev/nvidiactl"), str(machine / "dev/nvidia-uvm"))
    assert found.labels == {"utcloud.io/nvidia-driver": "510.47.03"} and found.trouble == ""


def test_each_value_may_be_missing(make: Make) -> None:
    bare = Gpu("GPU-x", "NVIDIA T", "00000000:01:00.0", 100, minor=None)
    (chip,) = make(NvmlDouble([bare])).find().chips
    assert chip.report.telemetry
    assert chip.report.telemetry.model_dump(exclude_none=True) == {"memory_used_bytes": 0}
    assert chip.report.device_paths == ["/dev/nvidia0"]


def test_mig_instances_stand_in_place_of_their_gpu(make: Make, machine: Path) -> None:
    found = make(NvmlDouble([a100_with_mig(), a10()])).find()
    assert [chip.report.resource for chip in found.chips] == ["nvidia.com/mig-3g.20gb"] * 2 + ["nvidia.com/gpu"]
    first, second = (chip.report for chip in found.chips[:2])
    assert first.uid != second.uid and first.uid.startswith("MIG-")
    assert first.model == "NVIDIA A100-SXM4-40GB MIG 3g.20gb"
    assert (first.index, first.serial, first.memory_bytes) == (0, "1324321002473", 19968 * MIB)
    assert first.device_paths == ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13"]
    assert second.device_paths[1:] == ["/dev/nvidia-caps/nvidia-cap21", "/dev/nvidia-caps/nvidia-cap22"]
    assert found.chips[0].host_devices[1] == str(machine / "dev/nvidia-caps/nvidia-cap12")
    # The GPU's power is not one instance's.
    assert first.telemetry
    assert first.telemetry.model_dump(exclude_none=True) == {"temperature_c": 36, "memory_used_bytes": 19 * MIB}


@pytest.mark.parametrize(
    ("gpu_mib", "slices", "mib", "name", "resource"),
    [
        (40960, (1, 1), 4864, None, "mig-1g.5gb"),
        (40960, (7, 7), 40192, None, "mig-7g.40gb"),
        (40960, (3, 1), 19968, None, "mig-1c.3g.20gb"),
        (81559, (1, 1), 9856, None, "mig-1g.10gb"),
        (81559, (2, 2), 19968, "NVIDIA H100 80GB HBM3 MIG 2g.20gb", "mig-2g.20gb"),
        (81559, (1, 1), 9856, "NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "mig-1g.10gb.me"),
    ],
)
def test_profiles_are_named_as_kubernetes_names_them(
    make: Make, gpu_mib: int, slices: tuple[int, int], mib: int, name: str | None, resource: str
) -> None:
    gpu = Gpu("GPU-x", "N", "0", gpu_mib, mig_on=True, mig=[Mig("MIG-x", 1, slices, mib, name=name)])
    (chip,) = make(NvmlDouble([gpu])).find().chips
    assert chip.report.resource == f"nvidia.com/{resource}"


def test_mig_without_instances_offers_nothing_and_says_so(make: Make) -> None:
    gpu = a100_with_mig()
    gpu.mig = [None] * 7
    found = make(NvmlDouble([gpu])).find()
    assert found.chips == [] and "no instances" in found.trouble
    gpu.mig_on = False
    assert [chip.report.uid for chip in make(NvmlDouble([gpu])).find().chips] == [gpu.uuid]


def test_critical_errors_make_a_chip_unhealthy_until_the_driver_was_restarted(make: Make, machine: Path) -> None:
    gpu, other = a100_with_mig(), a10()
    nvml = NvmlDouble([gpu, other])
    discovery = make(nvml)
    assert all(chip.report.healthy for chip in discovery.find().chips)
    assert nvml.registered == [gpu, other]
    nvml.events = [(other, 31, WHOLE_GPU), (gpu, 63, 2)]  # a program's page fault; a row of one instance's memory
    found = discovery.find()
    assert [chip.report.healthy for chip in found.chips] == [True, False, True]
    nvml.events = [(other, 79, WHOLE_GPU)]
    found = discovery.find()
    assert [chip.report.healthy for chip in found.chips] == [True, False, False] and "XID 79" in found.trouble
    (machine / "proc" / "version").rename(machine / "proc" / "away")
    assert discovery.find().chips == [] and nvml.started == 0
    (machine / "proc" / "away").rename(machine / "proc" / "version")
    assert all(chip.report.healthy for chip in discovery.find().chips)


def test_an_error_of_an_unknown_gpu_makes_all_unhealthy(make: Make) -> None:
    nvml = NvmlDouble([a10()], events=[(None, 79, WHOLE_GPU)])
    assert not make(nvml).find().chips[0].report.healthy


def test_a_gpu_that_is_lost_stays_known_as_unhealthy(make: Make) -> None:
    gpu, other = a100_with_mig(), a10()
    discovery = make(NvmlDouble([gpu, other]))
    before = discovery.find()
    gpu.lost = True
    found = discovery.find()
    assert [chip.report.uid for chip in found.chips] == [chip.report.uid for chip in before.chips]
    assert [chip.report.healthy for chip in found.chips] == [False, False, True]
    assert found.chips[0].report.telemetry is None and "GPU 0" in found.trouble
    gpu.lost = False
    assert all(chip.report.healthy for chip in discovery.find().chips)


def test_a_driver_that_dies_is_survived_and_started_anew(make: Make) -> None:
    nvml = NvmlDouble([a10()])
    discovery = make(nvml)
    discovery.find()
    for code in (pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH):
        nvml.broken = code
        for _ in range(2):
            found = discovery.find()
            assert [chip.report.healthy for chip in found.chips] == [False] and found.trouble
    nvml.broken = None
    found = discovery.find()
    assert [chip.report.healthy for chip in found.chips] == [True] and found.trouble == ""


def test_no_driver_no_gpus_and_no_bindings_loaded(make: Make, machine: Path) -> None:
    def load() -> object:
        raise AssertionError("loaded without a driver")

    (machine / "proc" / "version").unlink()
    discovery = NvidiaDiscovery(load, machine / "dev", machine / "proc", [])
    assert discovery.find().chips == []
    (machine / "proc" / "version").touch()
    missing = make(NvmlDouble([], broken=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)).find()
    assert missing.chips == [] and missing.trouble == ""


YAML = """---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0:0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: GPU-22222222-0000-5000-8000-000000000001
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia1
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
"""


def test_an_engine_that_knows_a_chip_brings_it(make: Make, machine: Path) -> None:
    nvml = NvmlDouble([a100_with_mig(), a10()])
    chips = {chip.report.uid: chip for chip in make(nvml).find().chips}
    mig, _, gpu = chips
    assert chips[gpu].by_engine == {"nvidia": gpu}
    (machine / "cdi" / "nvidia.yaml").write_text(YAML)
    (machine / "cdi" / "broken.json").write_text("{")
    chips = {chip.report.uid: chip for chip in make(nvml).find().chips}
    assert chips[gpu].by_engine == {"cdi": f"nvidia.com/gpu={gpu}", "nvidia": gpu}
    assert chips[mig].by_engine == {"cdi": "nvidia.com/gpu=0:0", "nvidia": mig}

    given = give([gpu, mig], chips, frozenset({"cdi", "nvidia"}))
    assert given.requests == [DeviceRequest("cdi", (f"nvidia.com/gpu={gpu}", "nvidia.com/gpu=0:0"))]
    assert given.devices == [] and given.binds == []
    assert give([gpu], chips, frozenset({"nvidia"})).requests == [DeviceRequest("nvidia", (gpu,))]


def test_without_such_an_engine_device_files_are_given_once(make: Make, machine: Path) -> None:
    chips = {chip.report.uid: chip for chip in make(NvmlDouble([a100_with_mig()])).find().chips}
    for name in ("nvidia-cap21", "nvidia-cap22"):
        (machine / "dev" / "nvidia-caps" / name).touch()
    given = give(list(chips), chips)
    targets = [one.target for one in given.binds]
    assert given.requests == [] and len(targets) == len(set(targets))
    assert {"/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap22"} < set(targets)
    assert str(machine / "dev/nvidiactl") in targets
