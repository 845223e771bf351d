"""The audit trail."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class AuditSort(StrEnum):
    NEWEST = "-at"
    OLDEST = "at"


class AuditEventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    at: datetime
    actor_id: str | None
    actor_name: str
    ip: str
    action: str
    object_type: str
    object_id: str
    object_name: str
    detail: dict[str, Any]
