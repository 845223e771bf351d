"""What the API says of algorithms, datasets, models and images."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from utcloud.accounts.schemas import GroupRef, Ident, Input, Name, QuantityText, Text
from utcloud.common.patterns import said

AssetName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=said(
            r"^[^\s./\\\x00-\x1f\x7f-\x9f]([^/\\\x00-\x1f\x7f-\x9f]*[^\s/\\\x00-\x1f\x7f-\x9f])?$",
            "write a name without slashes, without a dot at its beginning and without a space at either end",
        ),
        examples=["resnet"],
    ),
]
"""It names a folder too: no ``/``, no backslash, no control characters, no ``.`` at its beginning."""


class AssetKind(StrEnum):
    ALGORITHM = "algorithm"
    DATASET = "dataset"
    MODEL = "model"


class Visibility(StrEnum):
    PRIVATE = "private"
    GROUP = "group"
    PRESET = "preset"


class AssetSort(StrEnum):
    """``size`` is that of the latest version."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    NAME = "name"
    NAME_DESC = "-name"
    VERSIONS = "versions"
    VERSIONS_DESC = "-versions"
    SMALLEST = "size"
    BIGGEST = "-size"
    OWNER = "owner_name"
    OWNER_DESC = "-owner_name"


class ImageSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    NEWEST = "-created_at"
    OLDEST = "created_at"
    REFERENCE = "reference"
    REFERENCE_DESC = "-reference"


class VersionStatus(StrEnum):
    DRAFT = "draft"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class VersionOut(BaseModel):
    """``reason`` says why a version failed, while it is processing how far it is, and of a draft that was to be
    published what stood in the way.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    number: int
    status: VersionStatus
    reason: str
    note: str
    size: int
    files: int
    created_at: datetime


class AssetOut(BaseModel):
    """An algorithm, dataset or model. ``latest`` is its newest ready version, ``versions`` the number of ready ones.

    ``mine``: one made it oneself. ``can_change``: one may edit it, upload into it and delete it; operators may do so
    with every preset one.
    """

    id: str
    name: str
    description: str
    visibility: Visibility
    group: GroupRef | None
    owner_id: str
    owner_name: str
    mine: bool
    can_change: bool
    versions: int
    latest: VersionOut | None
    created_at: datetime


class AssetDetail(AssetOut):
    all_versions: list[VersionOut]


class AssetCreate(Input):
    name: AssetName
    description: Text = ""
    visibility: Visibility = Visibility.PRIVATE
    group_id: Ident | None = None


class AssetUpdate(Input):
    name: AssetName | None = None
    description: Text | None = None
    visibility: Visibility | None = None
    group_id: Ident | None = None


class VersionCreate(Input):
    note: Text = ""


class FileOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    path: str
    size: int
    sha256: str


class StorageOut(BaseModel):
    """What a user keeps: the versions of all his algorithms, datasets and models, and what was uploaded into drafts or
    is still to come, as long as it was announced. What two versions have in common counts twice.

    ``own_bytes`` and ``own_files`` are what an operator set for him; null: what everybody has.
    """

    user_id: str
    username: str
    used_bytes: int
    used_files: int
    uploading_bytes: int
    """The part of ``used_bytes`` that is not published yet."""
    max_bytes: int
    max_files: int
    own_bytes: int | None
    own_files: int | None


class StorageUpdate(Input):
    """What one user may keep; null, or left out: what everybody has."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_bytes": "500GB", "max_files": None}]})

    max_bytes: QuantityText | None = None
    max_files: Annotated[int, Field(ge=0, le=10**12, strict=True)] | None = None


class StorageSort(StrEnum):
    USERNAME = "username"
    USERNAME_DESC = "-username"
    BIGGEST = "-used_bytes"
    SMALLEST = "used_bytes"


class ImageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    reference: str
    description: str
    visibility: Visibility
    jupyter: bool
    created_at: datetime


Reference = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=said(r"^[a-z0-9][a-zA-Z0-9._/:@-]*$", "write an image's reference such as localhost/utcloud/jupyter:1"),
        examples=["localhost/utcloud/jupyter:1"],
    ),
]


class ImageCreate(Input):
    """Make an image that the sites' engines already have known to the platform. For operators."""

    name: Name
    reference: Reference
    description: Text = ""
    jupyter: StrictBool = True


class ImageUpdate(Input):
    """``reference``: notebooks that are started from now on use it; those that run go on with what they have."""

    name: Name | None = None
    reference: Reference | None = None
    description: Text | None = None
    jupyter: StrictBool | None = None
