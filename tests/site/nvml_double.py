"""A double of NVML's functions, as NVIDIA's bindings give them, over GPUs that a test describes.

What it answers follows NVML's documentation: units, errors, bytes or text. Constants and errors are the bindings' own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

MIB = 2**20


def error(code: int) -> Exception:
    """The bindings' own class for an NVML error."""
    return pynvml.NVMLError(code)  # type: ignore[no-any-return]


@dataclass(eq=False)
class Mig:
    """A MIG instance: ``slices`` of the GPU and of that for computing; ``name`` None is a driver that gives none."""

    uuid: str
    instance: int
    slices: tuple[int, int]
    total_mib: int
    used_mib: int = 0
    name: str | None = None


@dataclass(eq=False)
class Gpu:
    """One GPU. Values that are None are not supported; ``mig`` None means that it knows no MIG at all."""

    uuid: str
    name: str
    bus_id: str
    total_mib: int
    used_mib: int = 0
    serial: str | None = None
    minor: int | None = 0
    temperature: int | None = None
    power_mw: int | None = None
    limit_mw: int | None = None
    utilization: int | None = None
    mig: list[Mig | None] | None = None
    mig_on: bool = False
    lost: bool = False


# Numbers recorded by `nvidia-smi` on real machines, published in the test data of netdata (under src/go/plugin/go.d/
# collector/nvidia_smi/testdata: a100-sxm4-mig.xml) and of leptonai/gpud (e2e/mock/nvidia-smi). The UUIDs of the MIG
# instances and of the A10 are made up: these records do not have them.
def a100_with_mig() -> Gpu:
    return Gpu(
        uuid="GPU-27b94a00-ed54-5c24-b1fd-1054085de32a",
        name="NVIDIA A100-SXM4-40GB",
        bus_id="00000000:00:04.0",
        serial="1324321002473",
        total_mib=40960,
        used_mib=38,
        temperature=36,
        power_mw=66920,
        limit_mw=400000,
        mig_on=True,
        mig=[
            Mig("MIG-11111111-0000-5000-8000-000000000001", 1, (3, 3), 19968, 19),
            None,
            Mig("MIG-11111111-0000-5000-8000-000000000002", 2, (3, 3), 19968, 19),
        ],
    )


def a10() -> Gpu:
    return Gpu(
        uuid="GPU-22222222-0000-5000-8000-000000000001",
        name="NVIDIA A10",
        bus_id="00000000:06:00.0",
        minor=1,
        total_mib=23028,
        used_mib=1,
        temperature=32,
        power_mw=21000,
        limit_mw=150000,
        utilization=0,
    )


@dataclass
class NvmlDouble:
    """Stands for the module ``pynvml``. ``broken`` is an error that every call answers with."""

    gpus: list[Gpu]
    broken: int | None = None
    as_bytes: bool = False
    events: list[tuple[Gpu | None, int, int]] = field(default_factory=list)
    """Critical errors to come: GPU, XID, GPU instance."""
    started: int = 0
    registered: list[Gpu] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("nvml") and not name.startswith("nvmlEventType"):
            raise AttributeError(f"the double has no {name}")
        return getattr(pynvml, name)

    # Beginning and end

    def nvmlInit(self) -> None:  # noqa: N802
        if self.broken is not None:
            raise error(self.broken)
        self.started += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._alive()
        self.started -= 1

    def nvmlSystemGetDriverVersion(self) -> str | bytes:  # noqa: N802
        self._alive()
        return self._text("510.47.03")

    # GPUs

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._alive()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:  # noqa: N802
        gpu: Gpu = self._there(self.gpus[index])
        return gpu

    def nvmlDeviceGetUUID(self, handle: Gpu | Mig) -> str | bytes:  # noqa: N802
        return self._text(self._there(handle).uuid)

    def nvmlDeviceGetName(self, handle: Gpu | Mig) -> str | bytes:  # noqa: N802
        return self._text(self._value(handle, lambda one: one.name))

    def nvmlDeviceGetSerial(self, handle: Gpu) -> str | bytes:  # noqa: N802
        return self._text(self._value(handle, lambda one: one.serial))

    def nvmlDeviceGetPciInfo(self, handle: Gpu) -> Any:  # noqa: N802
        return SimpleNamespace(busId=self._text(self._there(handle).bus_id))

    def nvmlDeviceGetMinorNumber(self, handle: Gpu) -> int:  # noqa: N802
        return int(self._value(handle, lambda one: one.minor))

    def nvmlDeviceGetMemoryInfo(self, handle: Gpu | Mig, version: Any = None) -> Any:  # noqa: N802
        one = self._there(handle)
        return SimpleNamespace(total=one.total_mib * MIB, used=one.used_mib * MIB)

    def nvmlDeviceGetTemperature(self, handle: Gpu, sensor: int) -> int:  # noqa: N802
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return int(self._value(handle, lambda one: one.temperature))

    def nvmlDeviceGetPowerUsage(self, handle: Gpu) -> int:  # noqa: N802
        return int(self._value(handle, lambda one: one.power_mw))

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Gpu) -> int:  # noqa: N802
        return int(self._value(handle, lambda one: one.limit_mw))

    def nvmlDeviceGetUtilizationRates(self, handle: Gpu) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=self._value(handle, lambda one: one.utilization), memory=0)

    # MIG

    def nvmlDeviceGetMigMode(self, device: Gpu) -> list[int]:  # noqa: N802
        self._value(device, lambda one: one.mig)
        return [int(device.mig_on), int(device.mig_on)]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Gpu) -> int:  # noqa: N802
        return len(self._value(device, lambda one: one.mig))

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Gpu, index: int) -> Mig:  # noqa: N802
        mig = self._there(device).mig[index]
        if mig is None:
            raise error(pynvml.NVML_ERROR_NOT_FOUND)
        return mig  # type: ignore[no-any-return]

    def nvmlDeviceGetGpuInstanceId(self, device: Mig) -> int:  # noqa: N802
        return device.instance

    def nvmlDeviceGetComputeInstanceId(self, device: Mig) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetAttributes(self, device: Mig) -> Any:  # noqa: N802
        gpu, compute = device.slices
        return SimpleNamespace(
            gpuInstanceSliceCount=gpu, computeInstanceSliceCount=compute, memorySizeMB=device.total_mib
        )

    # Events

    def nvmlEventSetCreate(self) -> object:  # noqa: N802
        self._alive()
        return self

    def nvmlDeviceRegisterEvents(self, handle: Gpu, eventTypes: int, eventSet: object) -> None:  # noqa: N802, N803
        assert eventTypes == pynvml.nvmlEventTypeXidCriticalError
        self.registered.append(handle)

    def nvmlEventSetWait_v2(self, eventSet: object, timeoutms: int) -> Any:  # noqa: N802, N803
        self._alive()
        if not self.events:
            raise error(pynvml.NVML_ERROR_TIMEOUT)
        gpu, xid, instance = self.events.pop(0)
        kind = pynvml.nvmlEventTypeXidCriticalError
        return SimpleNamespace(device=gpu, eventType=kind, eventData=xid, gpuInstanceId=instance)

    def _alive(self) -> None:
        if self.broken is not None:
            raise error(self.broken)

    def _there(self, handle: Any) -> Any:
        self._alive()
        if handle is None:
            raise error(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if getattr(handle, "lost", False):
            raise error(pynvml.NVML_ERROR_GPU_IS_LOST)
        return handle

    def _value(self, handle: Any, of: Callable[[Any], Any]) -> Any:
        value = of(self._there(handle))
        if value is None:
            raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value

    def _text(self, text: str) -> str | bytes:
        return text.encode() + b"\0" if self.as_bytes else text
