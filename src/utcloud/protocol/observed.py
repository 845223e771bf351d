"""What a site saw. Every list, text and number has a bound: what lies beyond is left out or cut, and flagged."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from utcloud.common.bounds import INT64, few
from utcloud.common.texts import clean, plain
from utcloud.protocol.desired import Phase

_MOST_CODE = 2**31
"""No engine gives a code of more than 32 bits."""


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value


def _name(value: Any) -> Any:
    """One of which nothing would be left stays: the server says so of it, and keeps what it names."""
    return _plain(value) or value


def _line(value: Any) -> Any:
    return clean(value, len(value)) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_plain)]
"""What an agent wrote, or a container through it: no NUL, no control characters but tabs and new lines, no half
characters. It is made so where the message is made, and again where it is read."""
Line = Annotated[str, BeforeValidator(_line)]
"""The same on one line, and without what cannot be seen."""
Name = Annotated[str, BeforeValidator(_name), Field(min_length=1, max_length=253)]
Ident = Annotated[Text, Field(max_length=64)]
ContainerId = Annotated[Text, Field(max_length=128)]
Label = Annotated[Text, Field(max_length=4096)]
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
    model: Text = Field(max_length=100)
    card: Text = Field(default="", max_length=100)
    serial: Text = Field(default="", max_length=100)
    bus_id: Text = Field(default="", max_length=100)
    memory_bytes: Count | None = None
    device_paths: list[Annotated[Text, Field(max_length=255)]] = Field(default=[], max_length=64)
    healthy: bool = True
    simulated: bool = False
    telemetry: ChipTelemetry | None = None


class NodeReport(BaseModel):
    """One server of the site."""

    name: Name
    hostname: Text = Field(default="", max_length=253)
    """Where it differs from the name, as in some clusters."""
    ip: Text = Field(default="", max_length=64)
    os: Text = Field(default="", max_length=200)
    kernel: Text = Field(default="", max_length=200)
    architecture: Text = Field(default="", max_length=50)
    labels: Annotated[dict[Label, Label], few(MOST_LABELS)] = Field(default={}, max_length=MOST_LABELS)
    ready: bool = True
    reason: Line = Field(default="", max_length=500)
    engine: Text = Field(default="", max_length=200)
    """Such as ``podman 4.3.1, runc, cgroup v1``."""
    warnings: list[Annotated[Line, Field(max_length=300)]] = Field(default=[], max_length=16)
    """What its miner had better change, though it can run containers: an engine with a known way out."""
    resources: list[ResourceReport] = Field(default=[], max_length=256)
    chips: list[ChipReport] = Field(default=[], max_length=1024)


class ObservedReplica(BaseModel):
    """What is witnessed of one attempt. Times are the engine's."""

    replica_id: Ident
    attempt_id: Ident
    phase: Phase
    reason: Line = Field(default="", max_length=2000)
    """For a person: ``unpacking the algorithm (120 of 300 MB)``, ``killed: out of memory (limit 1 GB)``."""
    cause: Line = Field(default="", max_length=50)
    """For a machine, when ended: exited, stopped, oom, image, device, files, engine, ready_timeout, vanished."""
    container_id: ContainerId = ""
    endpoint: Annotated[Text, Field(max_length=255)] | None = None
    """``host:port`` at which the edge reaches the page; sent as soon as it is known."""
    started_at: AwareDatetime | None = None
    ready_at: AwareDatetime | None = None
    """When its page answered first."""
    ended_at: AwareDatetime | None = None
    exit_code: Annotated[int, Field(ge=-_MOST_CODE, lt=2 * _MOST_CODE)] | None = None
    log_tail: Text = Field(default="", max_length=20_000)


class StrayContainer(BaseModel):
    """A container that nobody wanted, and that was removed."""

    container_id: ContainerId
    replica_id: Ident = ""
    attempt_id: Ident = ""


class SiteReport(BaseModel):
    """All that a site sees now, whole."""

    version: Count = 1
    agent_version: Text = Field(default="", max_length=50)
    agent_id: Text = Field(default="", max_length=64)
    """Drawn anew by each run of an agent: two that speak with one token are told apart by it."""
    sent_at: AwareDatetime
    """The agent's clock; the server flags it when it is off."""
    networks: list[Annotated[Text, Field(max_length=64)]] = Field(default=[], max_length=64)
    """Out of which its engine gives containers their addresses, as CIDRs. Believed only of the server's own host."""
    nodes: list[NodeReport] = Field(default=[], max_length=1000)
    replicas: list[ObservedReplica] = Field(default=[], max_length=20_000)
    strays: list[StrayContainer] = Field(default=[], max_length=10_000)
    dropped_volumes: list[Name] = Field(default=[], max_length=10_000)


class ReportAnswer(BaseModel):
    """The server has stored the report."""

    revision: int
    server_time: AwareDatetime
