"""What the API's shapes of this room share: quantities, use, references."""

from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import Ident
from utcloud.common.patterns import said

Ids = Annotated[list[Ident], Field(max_length=10_000, fail_fast=True)]

PLAIN = said(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "write letters, digits, dots, dashes and underscores, with a letter or digit first"
)
"""What names are made of that stand in other names: of resources and specifications."""


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


class NodeRef(BaseModel):
    id: str
    name: str


class PoolRef(BaseModel):
    id: str
    name: str
