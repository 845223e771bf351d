"""What the API says of specifications."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import NO_NUL, Input, Text
from utcloud.common.money import Unc, UncInput
from utcloud.resources.schemas.common import Ids, PoolRef, Quantity


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
    pools: list[PoolRef] = []
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
