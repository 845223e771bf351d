"""What the server wants a site to have."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Phase(StrEnum):
    """What is wanted of, or was seen of, one attempt's container."""

    STARTING = "starting"
    """Seen: image, files, network or container are being made ready, or its page does not answer yet."""
    RUNNING = "running"
    """Wanted or seen: the container runs and, where it has a page, the page answers."""
    STOPPED = "stopped"
    """Wanted: stop it gracefully and keep the ended container until it is no longer listed."""
    ENDED = "ended"
    """Seen: the container ran and has ended, or could never be started."""


class Limits(BaseModel):
    """What a container may use."""

    cpu_millicores: int = Field(gt=0)
    memory_bytes: int = Field(gt=0)
    shm_bytes: int = Field(default=64 * 2**20, gt=0)
    pids: int = Field(default=1024, gt=0)
    disk_bytes: int | None = Field(default=None, gt=0)
    """Size of each volume. None: the site's default."""


class FileEntry(BaseModel):
    """One file of a version. ``path`` is relative, with ``/``, and never climbs."""

    path: str
    size: int = Field(ge=0)
    sha256: Sha256
    executable: bool = False


class Manifest(BaseModel):
    """The content of a version of an asset; files are fetched from ``GET /agent/blobs/{sha256}``."""

    version_id: str
    files: list[FileEntry]


class DesiredMount(BaseModel):
    """A folder of the container.

    A mount with a ``volume`` is writable and lasts as long as the workload; when the volume is new and
    ``manifest_id`` is given, it is first filled with that content, in subfolder ``fill`` of the volume. A mount
    without a ``volume`` is the content itself, read-only. Manifests: ``GET /agent/manifests/{version_id}``.
    """

    target: str
    volume: str | None = None
    manifest_id: str | None = None
    fill: str = ""


READY_TIMEOUT_S = 120
"""A page that does not answer for so long has failed."""


class DesiredReplica(BaseModel):
    """One attempt of a replica. ``attempt_id`` names the container; a restart is a new attempt."""

    replica_id: str
    attempt_id: str
    workload_id: str
    desired: Phase
    node: str
    """Host name of the node it was placed on."""
    hostname: str = ""
    """What it calls itself, such as ``lab-task-0``."""
    image: str
    command: list[str] | None = None
    env: dict[str, str] = {}
    limits: Limits
    devices: list[str] = []
    """``uid``s of the chips it was given, in the order in which it shall see them, from 0."""
    mounts: list[DesiredMount] = []
    port: int | None = None
    """Port of its web page inside the container; it is running only when this answers HTTP."""
    ready_path: str = "/"
    ready_timeout_s: int = READY_TIMEOUT_S
    stop_grace_s: int = 10
    reason: str = ""


class DesiredState(BaseModel):
    """All that shall be on a site. Containers that carry the site's label and are not listed are removed."""

    site_id: str
    revision: int
    replicas: list[DesiredReplica] = []
    drop_volumes: list[str] = []
    """Volumes whose workload was deleted. Listed until the agent reports them in ``dropped_volumes``."""
    store_path: str | None = None
    """The object store's folder, blobs at ``blobs/<first two digits>/<sha256>``: read there on the same disk."""
