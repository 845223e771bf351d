"""What the API says of nodes and their chips, and takes to change them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from utcloud.accounts.schemas import NO_NUL, Ident, Input, ShortText, Text
from utcloud.common.bounds import few
from utcloud.common.patterns import said
from utcloud.resources.schemas.common import PoolRef, Usage
from utcloud.resources.schemas.pools import Moving

MOST_LABELS = 64
_KEY = said(r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$", "write a key such as example.org/rack")
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=_KEY)]
Grace = Annotated[int, Field(ge=0, le=10_080, strict=True)]
"""Minutes: a week at most."""


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("say why: the renters will read it")
    return text.strip()


Reason = Annotated[str, Field(max_length=500, pattern=NO_NUL, examples=["new cooling"]), AfterValidator(_said)]


class NodeStatus(StrEnum):
    """Not ready after 30 s of silence, or as its agent says; lost after 5 minutes; gone when no longer reported."""

    READY = "ready"
    NOT_READY = "not_ready"
    LOST = "lost"
    GONE = "gone"
    REMOVED = "removed"


class NodeSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    IP = "ip"
    IP_DESC = "-ip"
    OLDEST = "created_at"
    NEWEST = "-created_at"


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
    attempt_id: str | None
    """The attempt that holds it."""
    temperature_c: float | None
    power_w: float | None
    power_limit_w: float | None
    utilization_percent: float | None
    memory_used_bytes: int | None
    measured_at: datetime | None


class NodeOut(BaseModel):
    id: str
    name: str
    hostname: str
    site_id: str
    site_name: str
    pool_id: str
    pool_name: str
    ip: str
    os: str
    kernel: str
    architecture: str
    engine: str
    agent_version: str
    labels: dict[str, str]
    """As its agent reports them."""
    own_labels: dict[str, str]
    """Its miner's."""
    status: NodeStatus
    reason: str
    since: datetime | None
    """When it came into its present status."""
    flags: list[str]
    """What of its report made no sense and was left out, or set aside."""
    advice: list[str]
    """What its miner had better change there; it works all the same."""
    cordoned: bool
    """It takes no new work: so its miner said, or it drains or moves."""
    cordon_reason: str
    drain_at: datetime | None
    """When what still runs there is stopped, or was."""
    drain_reason: str
    moving_to: PoolRef | None
    """The pool that it goes to as soon as nothing is held there."""
    replicas: int
    """How many replicas hold something there."""
    resources: list[Usage]
    simulated: bool
    """Some of its chips are simulated."""
    created_at: datetime


class NodeDetail(NodeOut):
    chips: list[ChipOut]


class NodeUpdate(Input):
    own_labels: Annotated[
        dict[LabelKey, ShortText] | None,
        Field(max_length=MOST_LABELS, examples=[{"rack": "4", "room": "north"}]),
        few(MOST_LABELS),
    ] = None
    """All of them: those that are left out go."""


class Cordon(Input):
    reason: Annotated[Text, Field(max_length=500, examples=["testing a new driver"])] = ""


class Drain(Input):
    """Renters are told at once, and have ``grace_minutes`` to save their work before it is stopped."""

    reason: Reason
    grace_minutes: Grace = 10


class NodeMove(Moving):
    """To another pool of the same miner."""

    pool_id: Ident
