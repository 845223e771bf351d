"""What the API says of specifications and of the unit prices that suggest theirs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import NO_NUL, Input, Text
from utcloud.common.money import Unc, UncInput
from utcloud.resources.schemas.common import PLAIN, Ids, PoolRef, Quantity

ResourceName = Annotated[str, Field(max_length=253, pattern=NO_NUL, examples=["TPU1684X"])]
SpecName = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=PLAIN, examples=["0.5CPU-1GB-1TPU1684X"]),
]


class SpecSort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    NAME = "name"
    NAME_DESC = "-name"
    PRICE = "price"
    PRICE_DESC = "-price"


class SpecItemIn(Input):
    """``quantity`` as a person writes it: ``0.5`` CPU, ``1GB`` memory, ``1`` chip.

    ``shared-memory`` is a part of ``memory`` that the processes of a container share.
    """

    resource: ResourceName
    quantity: Annotated[str, Field(max_length=32, examples=["1"])]


Items = Annotated[list[SpecItemIn], Field(min_length=1, max_length=32)]


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
    suggested_price: Unc | None = None
    """What the unit prices suggest; null when one of the items has none."""
    items: list[Quantity]
    fit: SpecFit | None = None
    """For the miner."""
    pools: list[PoolRef] = []
    used_by: int = 0
    """How many notebooks and tasks are made with it."""
    simulated: bool
    miner_id: str
    miner_name: str = ""
    created_at: datetime


class SpecCreate(Input):
    name: SpecName
    price: Annotated[UncInput | None, Field(examples=["1.5"])] = None
    """Left out: what the unit prices suggest."""
    items: Items
    description: Text = ""
    pool_ids: Ids | None = None
    """Pools that offer it, for notebooks and training. Left out: the default pool."""


class SpecUpdate(Input):
    """A new price holds for attempts that start from now on. ``pool_ids`` replaces the pools that offer it."""

    name: SpecName | None = None
    price: UncInput | None = None
    description: Text | None = None
    pool_ids: Ids | None = None


class SpecPreviewIn(Input):
    """A bundle that is being typed."""

    items: Items


class PriceLine(BaseModel):
    """One item at its unit price: ``amount`` UNC per hour, a fraction of a micro-UNC rounded up."""

    resource: str
    text: str
    unit: str
    """``core``, ``GB`` or ``piece``."""
    unit_price: Unc
    amount: Unc


class SpecPreview(BaseModel):
    """On how many nodes a bundle fits, and what the unit prices suggest for it: the sum of ``lines``."""

    fit: SpecFit
    detail: str
    """Why it never fits, in words; empty when it does."""
    suggested_price: Unc | None
    """Null when one of the items has no unit price."""
    lines: list[PriceLine]
    missing: list[str]
    """The items without a unit price."""


class UnitPriceOut(BaseModel):
    """What an hour of one ``unit`` of a resource costs. A name of one's own without a price has its resource's."""

    resource: str
    system_resource: str
    """What the name stands for: itself, unless it is a custom resource."""
    unit: str
    """``core``, ``GB`` or ``piece``."""
    price: Unc | None


class UnitPriceIn(Input):
    """``price`` null takes the price away."""

    resource: ResourceName
    price: Annotated[UncInput | None, Field(examples=["0.8"])] = None
