"""Users and their roles."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from utcloud.accounts.schemas.common import NO_NUL, Email, GroupIds, Input, Password, ShortText, Username


class Role(StrEnum):
    OPERATOR = "operator"
    MINER = "miner"
    RENTER = "renter"


Roles = Annotated[list[Role], Field(min_length=1, max_length=3)]


class UserStatus(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"


class GroupRef(BaseModel):
    id: str
    name: str


class UserOut(BaseModel):
    id: str
    username: str
    display_name: str
    email: str
    roles: list[Role]
    status: UserStatus
    frozen_reason: str = ""
    groups: list[GroupRef] = []
    created_at: datetime
    last_seen_at: datetime | None = None
    """When a request last came with his credential; to the minute."""
    second_factor: bool = False
    """Whether a login takes a second step."""


class UserRef(BaseModel):
    """As much of a user as those who share a group with him may see."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    username: str
    display_name: str
    status: UserStatus


class UserSort(StrEnum):
    USERNAME = "username"
    USERNAME_DESC = "-username"
    NEWEST = "-created_at"
    OLDEST = "created_at"


class UserCreate(Input):
    """``password`` may be left out: then one is generated and answered once, in ``UserCreated``."""

    username: Username
    display_name: ShortText = ""
    email: Email = ""
    password: Password | None = None
    roles: Roles = [Role.RENTER]
    group_ids: GroupIds = []


class UserCreated(UserOut):
    initial_password: str | None = None


class UserUpdate(Input):
    display_name: ShortText | None = None
    email: Email | None = None
    roles: Roles | None = None
    group_ids: GroupIds | None = None


class Running(StrEnum):
    STOP = "stop"
    KEEP = "keep"


class FreezeRequest(Input):
    """``running``: what the user runs is stopped, or kept running at his cost. What waits for a place is stopped."""

    running: Running = Running.STOP
    reason: Annotated[str, Field(max_length=500, pattern=NO_NUL)] = ""
    """The user reads it when he tries to log in."""


class PasswordResetRequest(Input):
    """``revoke_tokens``: the user's API tokens end as well."""

    revoke_tokens: bool = True


class PasswordReset(BaseModel):
    """The new, generated password; shown once."""

    password: str
