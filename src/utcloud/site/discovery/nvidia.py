"""NVIDIA GPUs and their MIG instances, through NVML, the driver's own library.

Tested against a double of NVML's functions. Finding and measuring ran on a real H100 (driver 580); giving one to a
container never did, nor MIG.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import structlog

from utcloud.protocol import ChipReport, ChipTelemetry
from utcloud.site.discovery import cdi
from utcloud.site.discovery.base import Finding, FoundChip

log = structlog.get_logger()

RESOURCE = "nvidia.com/gpu"
_CONTROL_FILES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_PROGRAMS_FAULTS = {13, 31, 43, 45, 68, 109}
"""XIDs that a user's program causes: the chip is fine after it."""
_NO_INSTANCE = 0xFFFFFFFF
_GIB = 2**30
_PROFILE = re.compile(r" MIG (\S+)$")
_CAPABILITY = re.compile(r"DeviceFileMinor:\s*(\d+)")


def _load() -> Any:
    """NVIDIA's bindings: 19 MB of memory, so only where there is a driver."""
    import pynvml

    return pynvml


class NvidiaDiscovery:
    """One chip for each GPU; where MIG is on, one for each MIG instance instead, as a resource of its own.

    Nothing without the driver. A driver that dies is asked anew at every look; until it answers, the chips that were
    there count as unhealthy.
    """

    def __init__(
        self,
        load: Callable[[], Any] = _load,
        dev: Path = Path("/dev"),
        proc: Path = Path("/proc/driver/nvidia"),
        cdi_folders: Iterable[Path] = cdi.FOLDERS,
    ):
        self._load = load
        self._dev = dev
        self._proc = proc
        self._cdi_folders = tuple(cdi_folders)
        self._nvml: Any = None
        self._events: Any = None
        self._sick: dict[tuple[str, int], int] = {}
        """The XID that was seen of a GPU (by UUID, or empty for all) and GPU instance since the driver was started."""
        self._known: dict[int, list[FoundChip]] = {}

    def find(self) -> Finding:
        if not (self._proc / "version").exists():
            self._end()
            self._known = {}
            return Finding()
        nvml = self._nvml or self._load()
        try:
            if self._nvml is None:
                nvml.nvmlInit()
                self._nvml = nvml
                self._listen()
            return self._look()
        except nvml.NVMLError_LibraryNotFound:
            return Finding()
        except nvml.NVMLError as error:
            self._end()
            chips = [_unhealthy(chip) for gpu in self._known.values() for chip in gpu]
            return Finding(chips=chips, trouble=f"NVIDIA's driver does not answer as it should: {error}")

    def _end(self) -> None:
        """Let go of a driver that died, or went; the next look starts anew."""
        if self._nvml is None:
            return
        nvml, self._nvml, self._events, self._sick = self._nvml, None, None, {}
        try:
            nvml.nvmlShutdown()
        except nvml.NVMLError as error:
            log.debug("NVML was gone already", error=str(error))

    def _look(self) -> Finding:
        self._hear()
        offered = cdi.names(self._cdi_folders)
        trouble: list[str] = []
        count = self._nvml.nvmlDeviceGetCount()
        self._known = {index: chips for index, chips in self._known.items() if index < count}
        for index in range(count):
            try:
                self._known[index] = self._gpu(index, offered, trouble)
            except self._nvml.NVMLError_Uninitialized:
                raise
            except self._nvml.NVMLError as error:
                self._known[index] = [_unhealthy(chip) for chip in self._known.get(index, [])]
                trouble.append(f"GPU {index}: {error}")
        version = _text(self._try(self._nvml.nvmlSystemGetDriverVersion))
        return Finding(
            chips=[chip for gpu in self._known.values() for chip in gpu],
            labels={"utcloud.io/nvidia-driver": version} if version else {},
            trouble="; ".join(trouble),
        )

    def _gpu(self, index: int, offered: frozenset[str], trouble: list[str]) -> list[FoundChip]:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(nvml.nvmlDeviceGetUUID(handle))
        memory = self._try(nvml.nvmlDeviceGetMemoryInfo, handle)
        minor = self._try(nvml.nvmlDeviceGetMinorNumber, handle)
        device = f"/dev/nvidia{index if minor is None else minor}"
        xid = self._sickness(uuid)
        if xid:
            trouble.append(f"GPU {index} reported XID {xid}: it is not given out until its driver was restarted")
        pci = self._try(nvml.nvmlDeviceGetPciInfo, handle)
        report = ChipReport(
            uid=uuid,
            resource=RESOURCE,
            index=index,
            model=_text(self._try(nvml.nvmlDeviceGetName, handle)) or "NVIDIA GPU",
            serial=_text(self._try(nvml.nvmlDeviceGetSerial, handle)),
            bus_id=_text(pci.busId) if pci else "",
            memory_bytes=memory.total if memory else None,
            device_paths=[device],
            healthy=not xid,
            telemetry=self._measured(handle, memory),
        )
        chip = FoundChip(
            report,
            self._on_host(report.device_paths),
            shared_devices=self._control_files(),
            by_engine=_by_engine(offered, uuid, str(index)),
        )
        mode = self._try(nvml.nvmlDeviceGetMigMode, handle)
        if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return [chip]
        instances = list(self._instances(chip, handle, offered))
        if not instances:
            trouble.append(f"GPU {index} is in MIG mode and has no instances: make some, or turn MIG off")
        return instances

    def _instances(self, gpu: FoundChip, parent: Any, offered: frozenset[str]) -> Iterable[FoundChip]:
        nvml = self._nvml
        for number in range(self._try(nvml.nvmlDeviceGetMaxMigDeviceCount, parent) or 0):
            handle = self._try(nvml.nvmlDeviceGetMigDeviceHandleByIndex, parent, number)
            if handle is None:
                continue
            uuid = _text(nvml.nvmlDeviceGetUUID(handle))
            instance = nvml.nvmlDeviceGetGpuInstanceId(handle)
            compute = nvml.nvmlDeviceGetComputeInstanceId(handle)
            memory = self._try(nvml.nvmlDeviceGetMemoryInfo, handle)
            named = _PROFILE.search(_text(self._try(nvml.nvmlDeviceGetName, handle)))
            profile = named[1] if named else self._profile(handle, gpu.report.memory_bytes or 0)
            paths = [*gpu.report.device_paths, *self._capability_files(gpu, instance, compute)]
            report = gpu.report.model_copy(
                update={
                    "uid": uuid,
                    "resource": f"nvidia.com/mig-{profile.replace('+', '.')}",
                    "model": f"{gpu.report.model} MIG {profile}"[:100],
                    "memory_bytes": memory.total if memory else None,
                    "device_paths": paths,
                    "healthy": not self._sickness(gpu.report.uid, instance),
                    # Power and utilisation are those of the whole GPU, and told of none of its parts.
                    "telemetry": ChipTelemetry(
                        temperature_c=gpu.report.telemetry.temperature_c if gpu.report.telemetry else None,
                        memory_used_bytes=memory.used if memory else None,
                    ),
                }
            )
            yield replace(
                gpu,
                report=report,
                host_devices=self._on_host(paths),
                by_engine=_by_engine(offered, uuid, f"{gpu.report.index}:{number}"),
            )

    def _profile(self, handle: Any, gpu_bytes: int) -> str:
        """A MIG instance's profile, such as ``1g.10gb``, from its slices: memory is counted in eighths of the GPU's."""
        facts = self._nvml.nvmlDeviceGetAttributes(handle)
        eighths = ceil(facts.memorySizeMB * 2**20 / gpu_bytes * 8) if gpu_bytes else 0
        gigabytes = round(eighths / 8 * ceil(gpu_bytes / _GIB)) or round(facts.memorySizeMB / 1024)
        gpu_slices, compute_slices = facts.gpuInstanceSliceCount, facts.computeInstanceSliceCount
        part = "" if compute_slices == gpu_slices else f"{compute_slices}c."
        return f"{part}{gpu_slices}g.{gigabytes}gb"

    def _measured(self, handle: Any, memory: Any) -> ChipTelemetry:
        nvml = self._nvml
        temperature = self._try(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
        power = self._try(nvml.nvmlDeviceGetPowerUsage, handle)
        limit = self._try(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        rates = self._try(nvml.nvmlDeviceGetUtilizationRates, handle)
        return ChipTelemetry(
            temperature_c=temperature,
            power_w=None if power is None else power / 1000,
            power_limit_w=None if limit is None else limit / 1000,
            utilization_percent=None if rates is None else rates.gpu,
            memory_used_bytes=None if memory is None else memory.used,
        )

    def _try(self, ask: Callable[..., Any], *about: Any) -> Any:
        """One fact; None where this chip, this driver or this machine does not tell it."""
        try:
            return ask(*about)
        except (self._nvml.NVMLError_GpuIsLost, self._nvml.NVMLError_Uninitialized):
            raise
        except self._nvml.NVMLError:
            return None

    # Health

    def _listen(self) -> None:
        """Have the driver note critical errors, where it can."""
        nvml = self._nvml
        try:
            self._events = nvml.nvmlEventSetCreate()
        except nvml.NVMLError:
            return
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, self._events)
            except nvml.NVMLError as error:
                log.info("this GPU cannot tell of its errors", index=index, error=str(error))

    def _hear(self) -> None:
        """Note every critical error since the last look."""
        nvml = self._nvml
        while self._events is not None:
            try:
                event = nvml.nvmlEventSetWait_v2(self._events, 0)
            except nvml.NVMLError:  # mostly a timeout: there is none
                return
            if event.eventType != nvml.nvmlEventTypeXidCriticalError or event.eventData in _PROGRAMS_FAULTS:
                continue
            try:
                uuid = _text(nvml.nvmlDeviceGetUUID(event.device))
            except nvml.NVMLError:
                uuid = ""
            self._sick[uuid, event.gpuInstanceId] = event.eventData
            log.warning("a GPU reported an error", uuid=uuid, instance=event.gpuInstanceId, xid=event.eventData)

    def _sickness(self, uuid: str, instance: int = _NO_INSTANCE) -> int:
        """The XID that makes this GPU, or this instance of it, unfit; 0 when there is none."""
        seen = ((uuid, instance), (uuid, _NO_INSTANCE), ("", _NO_INSTANCE))
        return next((self._sick[key] for key in seen if key in self._sick), 0)

    # Device files

    def _on_host(self, paths: list[str]) -> tuple[str, ...]:
        return tuple(str(self._dev / Path(path).relative_to("/dev")) for path in paths)

    def _control_files(self) -> tuple[str, ...]:
        return tuple(str(self._dev / name) for name in _CONTROL_FILES if (self._dev / name).exists())

    def _capability_files(self, gpu: FoundChip, instance: int, compute: int) -> list[str]:
        """The files that open a MIG instance: their numbers are in the driver's proc files."""
        number = gpu.report.device_paths[0].removeprefix("/dev/nvidia")
        folder = self._proc / "capabilities" / f"gpu{number}" / "mig" / f"gi{instance}"
        found = []
        for access in (folder / "access", folder / f"ci{compute}" / "access"):
            try:
                minor = _CAPABILITY.search(access.read_text())
            except OSError:
                continue
            if minor:
                found.append(f"/dev/nvidia-caps/nvidia-cap{minor[1]}")
        return found


def _by_engine(offered: frozenset[str], *names: str) -> dict[str, str]:
    """The name by which CDI files offer it, if they do, and the UUID for NVIDIA's own hook."""
    in_cdi = next((name for name in (f"{RESOURCE}={one}" for one in names) if name in offered), "")
    return ({"cdi": in_cdi} if in_cdi else {}) | {"nvidia": names[0]}


def _unhealthy(chip: FoundChip) -> FoundChip:
    return replace(chip, report=chip.report.model_copy(update={"healthy": False, "telemetry": None}))


def _text(value: Any) -> str:
    """NVML's strings are bytes or text, by version; they may end with zeros."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 \n")[:100]
