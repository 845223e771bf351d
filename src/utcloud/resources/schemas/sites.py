"""What the API says of sites."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from utcloud.accounts.schemas import NO_NUL, Input, Name


class SiteSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    OLDEST = "created_at"
    NEWEST = "-created_at"


class SiteOut(BaseModel):
    id: str
    name: str
    miner_id: str
    miner_name: str
    nodes: int
    connected: bool
    agent_version: str
    clock_offset_ms: int
    local: bool
    """It is on the platform's own host."""
    networks: list[str]
    """Where an operator allows its pages to be, as CIDRs."""
    page_networks: list[str]
    """Where its pages may be, all told: those, and of a site on the platform's own host its engine's. None: pages of
    its work do not open."""
    flags: list[str]
    """What is wrong with it as a whole."""
    last_seen_at: datetime | None
    created_at: datetime


class SiteCreate(Input):
    """The answer holds the token with which the site's agent joins."""

    name: Name


class SiteNetworks(Input):
    """Where pages of the site may be: the networks of its containers, as CIDRs. None: its pages do not open."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"networks": ["10.244.0.0/16"]}]})

    networks: Annotated[list[Annotated[str, Field(max_length=60, pattern=NO_NUL)]], Field(max_length=64)]


class SiteCreated(SiteOut):
    """``token`` is shown once."""

    token: str
