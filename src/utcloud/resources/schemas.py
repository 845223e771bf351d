"""What the API says of sites, nodes, resources, specifications and pools."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, StrictBool

from utcloud.accounts.schemas import NO_NUL, GroupRef, Ident, Input, Name, Text
from utcloud.common.money import Unc, UncInput

Ids = Annotated[list[Ident], Field(max_length=1000)]


class Purpose(StrEnum):
    NOTEBOOK = "notebook"
    TRAINING = "training"


class NodeStatus(StrEnum):
    READY = "ready"
    NOT_READY = "not_ready"
    GONE = "gone"


class NodeSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    NEWEST = "newest"


class Quantity(BaseModel):
    """An amount of a resource: ``value`` in base units (millicores, bytes, pieces), ``text`` as a person writes it."""

    resource: str
    value: int
    unit: str
    text: str


class Usage(BaseModel):
    """A resource's capacity on a node or in sum, what is allocated of it, and what is free; in base units."""

    resource: str
    unit: str
    capacity: int
    allocated: int
    free: int
    capacity_text: str
    allocated_text: str
    free_text: str
    simulated: bool = False


class SiteOut(BaseModel):
    id: str
    name: str
    miner_id: str
    miner_name: str
    nodes: int
    connected: bool
    agent_version: str
    clock_offset_ms: int
    last_seen_at: datetime | None
    created_at: datetime


class SiteCreate(Input):
    """The answer holds the token with which the site's agent joins."""

    name: Name


class SiteCreated(SiteOut):
    """``token`` is shown once."""

    token: str


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


class SystemResourceOut(BaseModel):
    """A system resource over all nodes that one may see."""

    name: str
    unit: str
    nodes: list["NodeRef"]
    usage: Usage
    simulated: bool
    custom_names: list[str]


class NodeRef(BaseModel):
    id: str
    name: str


class CustomResourceOut(BaseModel):
    id: str
    name: str
    system_resource: str
    description: str
    nodes: list[NodeRef]
    """The chosen nodes; empty: all that have it."""
    usage: Usage
    simulated: bool
    used_by_specs: list[str]
    created_at: datetime


class CustomResourceCreate(Input):
    name: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["TPU1684X"])
    ]
    system_resource: Annotated[str, Field(max_length=253, pattern=NO_NUL, examples=["sophgo.com/bm1684x"])]
    node_ids: Ids = []
    description: Text = ""


class CustomResourceUpdate(Input):
    node_ids: Ids | None = None
    description: Annotated[Text | None, Field(examples=["chips of the SC7 cards"])] = None


class SpecItemIn(Input):
    """``quantity`` as a person writes it: ``0.5`` CPU, ``1GB`` memory, ``1`` chip."""

    resource: Annotated[str, Field(max_length=253, pattern=NO_NUL, examples=["TPU1684X"])]
    quantity: Annotated[str, Field(max_length=32, examples=["1"])]


class SpecFit(BaseModel):
    """On how many of one's nodes the specification fits: right now, when they are empty, and never."""

    now: int
    at_best: int
    never: int


class SpecOut(BaseModel):
    id: str
    name: str
    description: str
    price: Unc
    """UNC per hour."""
    items: list[Quantity]
    fit: SpecFit | None = None
    """For the miner."""
    pools: list["PoolRef"] = []
    simulated: bool
    miner_id: str
    created_at: datetime


class SpecCreate(Input):
    name: Annotated[
        str,
        Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["0.5CPU-1GB-1TPU1684X"]),
    ]
    price: Annotated[UncInput, Field(examples=["1.5"])]
    items: Annotated[list[SpecItemIn], Field(min_length=1, max_length=32)]
    description: Text = ""
    pool_ids: Ids | None = None
    """Pools that offer it, for notebooks and training. Left out: the default pool."""


class SpecUpdate(Input):
    """A new price holds for attempts that start from now on."""

    price: UncInput | None = None
    description: Text | None = None


class PoolRef(BaseModel):
    id: str
    name: str


class PoolSpecRef(BaseModel):
    """A specification as a pool offers it; what a renter chooses from."""

    id: str
    name: str
    price: Unc
    items: list[Quantity]
    simulated: bool
    free_now: int
    """How many replicas of it could start in this pool at once."""


class PoolOut(BaseModel):
    id: str
    name: str
    description: str
    is_default: bool
    open_to_all: bool
    miner_id: str
    nodes: list[NodeRef]
    groups: list[GroupRef]
    notebook_specs: list[PoolSpecRef]
    training_specs: list[PoolSpecRef]
    usage: list[Usage]
    created_at: datetime


class PoolCreate(Input):
    """Nodes named here leave the pool that they are in."""

    name: Name
    description: Text = ""
    open_to_all: StrictBool = False
    node_ids: Ids = []
    group_ids: Ids = []
    notebook_spec_ids: Ids = []
    training_spec_ids: Ids = []


class PoolUpdate(Input):
    """Lists that are given replace the old ones. A node that is left out goes to the default pool."""

    name: Name | None = None
    description: Text | None = None
    open_to_all: StrictBool | None = None
    node_ids: Ids | None = None
    group_ids: Ids | None = None
    notebook_spec_ids: Ids | None = None
    training_spec_ids: Ids | None = None
