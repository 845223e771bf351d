"""What the API says of algorithms, datasets, models and images."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import GroupRef, Input, Name, Text


class Visibility(StrEnum):
    PRIVATE = "private"
    GROUP = "group"
    PRESET = "preset"


class VersionStatus(StrEnum):
    DRAFT = "draft"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class VersionOut(BaseModel):
    id: str
    number: int
    status: VersionStatus
    reason: str
    note: str
    size: int
    files: int
    created_at: datetime


class AssetOut(BaseModel):
    """An algorithm, dataset or model. ``latest`` is its newest ready version."""

    id: str
    name: str
    description: str
    visibility: Visibility
    group: GroupRef | None
    owner_id: str
    owner_name: str
    mine: bool
    versions: int
    latest: VersionOut | None
    created_at: datetime


class AssetDetail(AssetOut):
    all_versions: list[VersionOut]


class AssetCreate(Input):
    name: Name
    description: Text = ""
    visibility: Visibility = Visibility.PRIVATE
    group_id: str | None = None


class AssetUpdate(Input):
    name: Name | None = None
    description: Text | None = None
    visibility: Visibility | None = None
    group_id: str | None = None


class VersionCreate(Input):
    note: Text = ""


class FileOut(BaseModel):
    path: str
    size: int
    sha256: str


class ImageOut(BaseModel):
    id: str
    name: str
    reference: str
    description: str
    visibility: Visibility
    jupyter: bool
    created_at: datetime


class ImageCreate(Input):
    """Make an image that the sites' engines already have known to the platform. For operators."""

    name: Name
    reference: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-z0-9][a-zA-Z0-9._/:@-]*$")]
    description: Text = ""
    jupyter: bool = True
