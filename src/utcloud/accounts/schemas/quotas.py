"""Quotas of users and groups."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from utcloud.accounts.schemas.common import NO_NUL, Input
from utcloud.common.bounds import few
from utcloud.common.patterns import said

_NAME = said(r"^[^\s\x00-\x1f\x7f]+$", "write the name of a resource, without spaces")
ResourceName = Annotated[str, Field(min_length=1, max_length=255, pattern=_NAME)]
QuantityText = Annotated[str, Field(min_length=1, max_length=32, pattern=NO_NUL, examples=["8", "32GB"])]
_Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class QuotaUpdate(Input):
    """The most that may wait, run and stop at once. What is left out may be used without limit.

    A resource is a system resource, or a miner's own name where all miners mean the same by it.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resources": {"cpu": "8", "memory": "32GB"}, "notebooks": 3, "tasks": None}]}
    )

    resources: Annotated[dict[ResourceName, QuantityText], Field(max_length=100), few(100)] = {}
    notebooks: _Count | None = None
    tasks: _Count | None = None


class QuotaUse(BaseModel):
    resources: dict[str, str]
    notebooks: int
    tasks: int


class QuotaOut(BaseModel):
    """``resources`` by system name, as a person reads them; ``used``: what waits, runs and stops now."""

    resources: dict[str, str]
    notebooks: int | None
    tasks: int | None
    used: QuotaUse
