"""What the API says of pools."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, StrictBool

from utcloud.accounts.schemas import GroupRef, Input, Name, Text
from utcloud.common.money import Unc
from utcloud.resources.schemas.common import Ids, NodeRef, Quantity, Usage


class Purpose(StrEnum):
    NOTEBOOK = "notebook"
    TRAINING = "training"


class PoolSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    NEWEST = "-created_at"
    OLDEST = "created_at"


class PoolLack(StrEnum):
    """What a pool may be without: nodes, so that nothing can start in it; groups, so that nobody may use it."""

    NODES = "nodes"
    GROUPS = "groups"


class WhenBusy(StrEnum):
    """What becomes of work on a node that changes its pool: the change is refused, or the node waits or is drained."""

    REFUSE = "refuse"
    WAIT = "wait"
    DRAIN = "drain"


class PoolSpecRef(BaseModel):
    """A specification as a pool offers it; what a renter chooses from."""

    id: str
    name: str
    price: Unc
    items: list[Quantity]
    simulated: bool
    free_now: int
    """How many replicas of it could start in this pool at once."""
    at_best: int
    """How many when the pool is empty; 0: it never fits."""


class PoolOut(BaseModel):
    id: str
    name: str
    description: str
    is_default: bool
    open_to_all: bool
    miner_id: str
    miner_name: str
    nodes: list[NodeRef]
    arriving: list[NodeRef]
    """Nodes that are about to move into it, as soon as nothing is held there."""
    groups: list[GroupRef]
    notebook_specs: list[PoolSpecRef]
    training_specs: list[PoolSpecRef]
    usage: list[Usage]
    created_at: datetime


class Moving(Input):
    """How nodes change their pool when work runs on them; ``reason`` and ``grace_minutes`` are for ``drain``."""

    when_busy: WhenBusy = WhenBusy.REFUSE
    reason: Annotated[Text, Field(examples=["new cooling"])] = ""
    grace_minutes: Annotated[int, Field(ge=0, le=10_080, strict=True)] = 10


class PoolCreate(Moving):
    """Nodes named here leave the pool that they are in."""

    name: Name
    description: Text = ""
    open_to_all: StrictBool = False
    node_ids: Ids = []
    group_ids: Ids = []
    notebook_spec_ids: Ids = []
    training_spec_ids: Ids = []


class PoolUpdate(Moving):
    """Lists that are given replace the old ones. A node that is left out goes to the default pool."""

    name: Name | None = None
    description: Text | None = None
    open_to_all: StrictBool | None = None
    node_ids: Ids | None = None
    group_ids: Ids | None = None
    notebook_spec_ids: Ids | None = None
    training_spec_ids: Ids | None = None
