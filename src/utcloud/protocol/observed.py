"""What a site saw. Every list, text and number has a bound: what lies beyond is left out or cut, and flagged."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from utcloud.common.bounds import INT64, few
from utcloud.protocol.desired import Phase

Name = Annotated[str, Field(min_length=1, max_length=253)]
Ident = Annotated[str, Field(max_length=64)]
ContainerId = Annotated[str, Field(max_length=128)]
Label = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=INT64)]
MOST_LABELS = 64


class ResourceReport(BaseModel):
    """How much of a system resource a node has, in base units (millicores, bytes, pieces)."""

    name: Name
    capacity: Count
    simulated: bool = False


class ChipTelemetry(BaseModel):
    """What a chip measures of itself now; each value may be missing."""

    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    utilization_percent: float | None = None
    memory_used_bytes: Annotated[int, Field(ge=-INT64, le=INT64)] | None = None


class ChipReport(BaseModel):
    """One chip. ``uid`` is unique and lasting: a serial number or UUID where the chip has one."""

    uid: Name
    resource: Name
    """The system resource that it is a piece of, such as ``sophgo.com/bm1684x``."""
    index: Count
    model: str = Field(max_length=100)
    card: str = Field(default="", max_length=100)
    serial: str = Field(default="", max_length=100)
    bus_id: str = Field(default="", max_length=100)
    memory_bytes: Count | None = None
    device_paths: list[Annotated[str, Field(max_length=255)]] = Field(default=[], max_length=64)
    healthy: bool = True
    simulated: bool = False
    telemetry: ChipTelemetry | None = None


class NodeReport(BaseModel):
    """One server of the site."""

    name: Name
    hostname: str = Field(default="", max_length=253)
    """Where it differs from the name, as in some clusters."""
    ip: str = Field(default="", max_length=64)
    os: str = Field(default="", max_length=200)
    kernel: str = Field(default="", max_length=200)
    architecture: str = Field(default="", max_length=50)
    labels: Annotated[dict[Label, Label], few(MOST_LABELS)] = Field(default={}, max_length=MOST_LABELS)
    ready: bool = True
    reason: str = Field(default="", max_length=500)
    engine: str = Field(default="", max_length=200)
    """Such as ``podman 4.3.1, runc, cgroup v1``."""
    resources: list[ResourceReport] = Field(default=[], max_length=256)
    chips: list[ChipReport] = Field(default=[], max_length=1024)


class ObservedReplica(BaseModel):
    """What is witnessed of one attempt. Times are the engine's."""

    replica_id: Ident
    attempt_id: Ident
    phase: Phase
    reason: str = Field(default="", max_length=2000)
    """For a person: ``unpacking the algorithm (120 of 300 MB)``, ``killed: out of memory (limit 1 GB)``."""
    cause: str = Field(default="", max_length=50)
    """For a machine, when ended: exited, stopped, oom, image, device, files, engine, ready_timeout, vanished."""
    container_id: ContainerId = ""
    endpoint: Annotated[str, Field(max_length=255)] | None = None
    """``host:port`` at which the edge reaches the page; sent as soon as it is known."""
    started_at: AwareDatetime | None = None
    ready_at: AwareDatetime | None = None
    """When its page answered first."""
    ended_at: AwareDatetime | None = None
    exit_code: Annotated[int, Field(ge=-INT64, le=INT64)] | None = None
    log_tail: str = Field(default="", max_length=20_000)


class StrayContainer(BaseModel):
    """A container that nobody wanted, and that was removed."""

    container_id: ContainerId
    replica_id: Ident = ""
    attempt_id: Ident = ""


class SiteReport(BaseModel):
    """All that a site sees now, whole."""

    version: Count = 1
    agent_version: str = Field(default="", max_length=50)
    sent_at: AwareDatetime
    """The agent's clock; the server flags it when it is off."""
    nodes: list[NodeReport] = Field(default=[], max_length=1000)
    replicas: list[ObservedReplica] = Field(default=[], max_length=20_000)
    strays: list[StrayContainer] = Field(default=[], max_length=10_000)
    dropped_volumes: list[Name] = Field(default=[], max_length=10_000)


class ReportAnswer(BaseModel):
    """The server has stored the report."""

    revision: int
    server_time: AwareDatetime
