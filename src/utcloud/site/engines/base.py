"""The seam between the agent and a container engine."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from utcloud.protocol import Limits

LABEL_SITE = "utcloud.site"
LABEL_HOME = "utcloud.home"
"""Folder of the agent that made it: its own containers are known even before the server was heard."""
LABEL_REPLICA = "utcloud.replica"
LABEL_ATTEMPT = "utcloud.attempt"
LABEL_WORKLOAD = "utcloud.workload"
LABEL_VOLUMES = "utcloud.volumes"

USER_ID = 1000
"""User and group id of a container where it has none of its own; never root."""


class EngineAway(Exception):  # noqa: N818 - a state of the world, not a mistake
    """The engine does not answer. Trying again later may help."""


class EngineRefused(Exception):  # noqa: N818
    """The engine answered that it cannot do this. ``cause`` is one of the protocol's: image, device, engine."""

    def __init__(self, reason: str, cause: str = "engine"):
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Status(StrEnum):
    """What became of a container."""

    CREATED = "created"
    """Made, and never started."""
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Device:
    """A device file of the host and where the container sees it."""

    host_path: str
    container_path: str


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """Devices that the engine itself brings, with all that belongs to them, through one of its device drivers."""

    driver: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host and where the container sees it."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """A workload's own bridge."""

    name: str
    interface: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that an engine must know to make a container. Isolation is not in it: every container gets all of it."""

    name: str
    image: str
    command: list[str] | None
    env: dict[str, str]
    hostname: str
    labels: dict[str, str]
    limits: Limits
    network: Network
    stop_grace_s: int
    devices: list[Device] = field(default_factory=list)
    binds: list[Bind] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    """Further group ids, for device files that only a group may use."""
    requests: list[DeviceRequest] = field(default_factory=list)
    user: int = USER_ID
    """User and group id inside, which is the same on the host."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine sees it. Times are the engine's, in UTC."""

    id: str
    name: str
    labels: dict[str, str]
    status: Status
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Brief:
    """One line of the engine's list."""

    id: str
    labels: dict[str, str]
    status: Status


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """``name`` is such as ``podman 4.3.1, runc, cgroup v1``; ``lacks`` says what it cannot limit, and the cure."""

    name: str
    lacks: str = ""
    drivers: frozenset[str] = frozenset()
    """Device drivers of the Docker API that it has: ``cdi``, ``nvidia``."""
    pools: tuple[str, ...] = ()
    """The networks out of which it gives containers their addresses, as CIDRs."""
    warnings: tuple[str, ...] = ()
    """What speaks against it, for a person; it runs containers all the same."""


class Engine(Protocol):
    """What the agent asks of an engine. Every method is safe to repeat.

    All methods raise EngineAway when the engine does not answer, and EngineRefused when it says no.
    """

    async def info(self) -> EngineInfo:
        """Say which engine this is."""
        ...

    async def prepare(self, network: Network) -> None:
        """Make the network unless it is there."""
        ...

    async def ensure(self, spec: ContainerSpec, before_start: Callable[[], None]) -> Container:
        """Have the container running, and return it with its IP address.

        One that was made and never started is replaced; a running or an ended one is returned as it is.
        ``before_start`` is called when the container is made and about to be started for the first time.
        """
        ...

    async def stop(self, container_id: str, grace_s: int) -> None:
        """Ask it to end, kill it after ``grace_s`` seconds, and return when it has ended. The container is kept."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove the container, by force if need be. One that is not there counts as removed."""
        ...

    async def remove_network(self, name: str) -> None:
        """Remove the network unless a container uses it."""
        ...

    async def observe(self, name_or_id: str) -> Container | None:
        """Look at one container."""
        ...

    async def logs(self, container_id: str, lines: int) -> str:
        """Return the last lines of its output."""
        ...

    async def snapshot(self) -> list[Brief]:
        """List all containers that carry the site label, of whatever site."""
        ...

    async def networks(self, home: str) -> list[Network]:
        """List the networks that the agent of this home folder made."""
        ...

    def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield the labels of each container that ended, was removed or was paused, as it happens.

        Ends with EngineAway when the stream breaks; what happened in between must be asked for by ``snapshot``.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection. Containers go on."""
        ...
