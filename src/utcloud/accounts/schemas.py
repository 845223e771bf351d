"""What the API says of users, groups, sessions, tokens and the audit trail."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

Username = Annotated[str, Field(min_length=2, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["alice"])]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$",
        examples=["lab"],
    ),
]
"""No control characters, and no space at either end."""
Password = Annotated[str, Field(min_length=10, max_length=256, examples=["correct horse battery"])]
NO_NUL = r"^[^\x00]*$"
"""A NUL character cannot be kept in PostgreSQL, and means nothing to a person."""
Text = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]
ShortText = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Email = Annotated[str, Field(max_length=255, pattern=r"^$|^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")]
Search = Annotated[str | None, Query(max_length=100, pattern=NO_NUL, description="Part of a name, in any case.")]

Ident = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""An id as we give them out."""
IdPath = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]

IdQuery = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")]


class Input(BaseModel):
    """A request's body: unknown fields are refused, so that a typing error is not silently lost."""

    model_config = ConfigDict(extra="forbid")


class Role(StrEnum):
    OPERATOR = "operator"
    MINER = "miner"
    RENTER = "renter"


Roles = Annotated[list[Role], Field(min_length=1, max_length=3)]


class UserStatus(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"


class UserOut(BaseModel):
    id: str
    username: str
    display_name: str
    email: str
    roles: list[Role]
    status: UserStatus
    groups: list["GroupRef"] = []
    created_at: datetime


class GroupRef(BaseModel):
    id: str
    name: str


class UserCreate(Input):
    """``password`` may be left out: then one is generated and answered once, in ``UserCreated``."""

    username: Username
    display_name: ShortText = ""
    email: Email = ""
    password: Password | None = None
    roles: Roles = [Role.RENTER]
    group_ids: Annotated[list[Ident], Field(max_length=100)] = []


class UserCreated(UserOut):
    initial_password: str | None = None


class UserUpdate(Input):
    display_name: ShortText | None = None
    email: Email | None = None
    roles: Roles | None = None
    group_ids: Annotated[list[Ident], Field(max_length=100)] | None = None


class PasswordReset(BaseModel):
    """The new, generated password; shown once."""

    password: str


class PasswordChange(Input):
    current_password: Annotated[str, Field(max_length=256)]
    new_password: Password


class GroupOut(BaseModel):
    id: str
    name: str
    description: str
    members: int
    created_at: datetime


class GroupDetail(GroupOut):
    users: list[UserOut]


class GroupCreate(Input):
    name: Name
    description: Text = ""
    user_ids: Annotated[list[Ident], Field(max_length=1000)] = []


class GroupUpdate(Input):
    name: Name | None = None
    description: Text | None = None
    user_ids: Annotated[list[Ident], Field(max_length=1000)] | None = None


class Login(Input):
    username: Annotated[str, Field(examples=["alice"], max_length=256)]
    password: Annotated[str, Field(max_length=256)]


class SessionOut(BaseModel):
    """The answer to a login and to ``GET /auth/session``. ``csrf_token`` goes into the ``X-CSRF-Token`` header."""

    user: UserOut
    csrf_token: str
    expires_at: datetime


class TokenCreate(Input):
    """For a caller without a session: user name and password. ``expires_in_days`` null: never."""

    username: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=256)]
    name: Name = "api"
    expires_in_days: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = 90


class TokenOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenCreated(TokenOut):
    """``token`` is shown once."""

    token: str


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
