"""What the API says of sites."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from utcloud.accounts.schemas import Input, Name


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
    last_seen_at: datetime | None
    created_at: datetime


class SiteCreate(Input):
    """The answer holds the token with which the site's agent joins."""

    name: Name


class SiteCreated(SiteOut):
    """``token`` is shown once."""

    token: str
