"""What the API says of nodes and their chips."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from utcloud.resources.schemas.common import Usage


class NodeStatus(StrEnum):
    READY = "ready"
    NOT_READY = "not_ready"
    GONE = "gone"


class NodeSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    NEWEST = "newest"


class ChipOut(BaseModel):
    id: str
    uid: str
    resource: str
    index: int
    model: str
    card: str
    serial: str
    bus_id: str
    memory_bytes: int | None
    device_paths: list[str]
    healthy: bool
    simulated: bool
    in_use: bool


class NodeOut(BaseModel):
    id: str
    name: str
    site_id: str
    site_name: str
    pool_id: str
    pool_name: str
    ip: str
    os: str
    kernel: str
    architecture: str
    engine: str
    labels: dict[str, str]
    status: NodeStatus
    reason: str
    since: datetime | None
    """When it came into its present status."""
    resources: list[Usage]
    simulated: bool
    """Some of its chips are simulated."""
    created_at: datetime


class NodeDetail(NodeOut):
    chips: list[ChipOut]
