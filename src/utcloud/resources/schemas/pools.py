"""What the API says of pools."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, StrictBool

from utcloud.accounts.schemas import GroupRef, Input, Name, Text
from utcloud.common.money import Unc
from utcloud.resources.schemas.common import Ids, NodeRef, Quantity, Usage


class Purpose(StrEnum):
    NOTEBOOK = "notebook"
    TRAINING = "training"


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
