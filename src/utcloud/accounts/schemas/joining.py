"""How one becomes a user: by an invitation, or by an application."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from utcloud.accounts.schemas.common import (
    NO_NUL,
    Email,
    GroupIds,
    Ident,
    IdPath,
    Input,
    Password,
    ShortText,
    Text,
    Username,
)
from utcloud.accounts.schemas.users import GroupRef, Role, Roles
from utcloud.common.money import Unc, UncInput


def _is_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('write an amount of UNC as a decimal string such as "10"')
    return value


_Grant = Annotated[UncInput, BeforeValidator(_is_text), Field(examples=["10"])]


class InvitationStatus(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class InvitationSort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    EXPIRES = "expires_at"
    EXPIRES_DESC = "-expires_at"
    EMAIL = "email"
    EMAIL_DESC = "-email"


class InvitationCreate(Input):
    """``grant``: so many UNC are in the new user's wallet from the start."""

    email: Email = ""
    roles: Roles = [Role.RENTER]
    group_ids: GroupIds = []
    grant: _Grant = 0
    expires_in_days: Annotated[int, Field(ge=1, le=90, strict=True)] = 7


class InvitationOut(BaseModel):
    id: str
    hint: str
    """The first characters of the code, to recognise it by."""
    email: str
    roles: list[Role]
    groups: list[GroupRef]
    grant: Unc
    status: InvitationStatus
    created_by: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    username: str
    """Who accepted it."""
    user_id: str | None


class InvitationCreated(InvitationOut):
    """``code`` and ``url`` are shown once: whoever has one of them may accept."""

    code: str
    url: str


class InvitationPreview(BaseModel):
    """What the holder of a code is offered."""

    email: str
    roles: list[Role]
    groups: list[str]
    grant: Unc
    invited_by: str
    expires_at: datetime


Code = Ident
CodePath = IdPath


class InvitationAccept(Input):
    code: Code
    username: Username
    display_name: ShortText = ""
    password: Password


class RegistrationOut(BaseModel):
    """Whether one may ask to become a user without being invited."""

    open: bool


class ApplicationStatus(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


class ApplicationCreate(Input):
    username: Username
    display_name: ShortText = ""
    email: Email = ""
    password: Password
    note: Text = ""
    """Who one is and what for; an operator reads it."""


class ApplicationReceived(BaseModel):
    """An operator decides; until then a login says that the application waits."""

    username: str
    status: ApplicationStatus


class ApplicationOut(BaseModel):
    id: str
    username: str
    display_name: str
    email: str
    note: str
    ip: str
    status: ApplicationStatus
    reason: str
    """What the operator said of it."""
    grant: Unc
    created_at: datetime
    decided_at: datetime | None
    decided_by: str
    user_id: str | None


class ApplicationSort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    USERNAME = "username"
    USERNAME_DESC = "-username"


class ApplicationApprove(Input):
    """``grant``: so many UNC go into the new user's wallet."""

    grant: _Grant = 0
    roles: Roles = [Role.RENTER]
    group_ids: GroupIds = []
    note: Text = ""


class ApplicationReject(Input):
    """The applicant reads the reason when he tries to log in."""

    reason: Annotated[str, Field(max_length=500, pattern=NO_NUL, examples=["We do not know you."])] = ""
