"""What the API says of system and custom resources."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import NO_NUL, Input, Text
from utcloud.resources.schemas.common import PLAIN, Ids, NodeRef, Usage


class SystemResourceSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"


class CustomResourceSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    NEWEST = "-created_at"
    OLDEST = "created_at"


class SystemResourceOut(BaseModel):
    """A system resource over all nodes that one may see."""

    name: str
    unit: str
    nodes: list[NodeRef]
    usage: Usage
    simulated: bool
    custom_names: list[str]


class CustomResourceOut(BaseModel):
    id: str
    name: str
    system_resource: str
    description: str
    nodes: list[NodeRef]
    """The chosen nodes, those that are gone among them; empty: all that have it."""
    usage: Usage
    simulated: bool
    used_by_specs: list[str]
    miner_id: str
    miner_name: str
    created_at: datetime


class CustomResourceCreate(Input):
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=PLAIN, examples=["TPU1684X"])]
    system_resource: Annotated[str, Field(max_length=253, pattern=NO_NUL, examples=["sophgo.com/bm1684x"])]
    node_ids: Ids = []
    description: Text = ""


class CustomResourceUpdate(Input):
    node_ids: Ids | None = None
    description: Annotated[Text | None, Field(examples=["chips of the SC7 cards"])] = None
