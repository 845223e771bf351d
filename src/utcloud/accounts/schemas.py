"""What the API says of users, groups, invitations, applications, sessions, tokens and the audit trail."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from utcloud.common.money import Unc, UncInput

_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Control characters, and what makes two names look alike: of no width, or turning the direction of writing."""

Username = Annotated[str, Field(min_length=2, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["alice"])]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=rf"^[^\s{_UNSEEN}]([^{_UNSEEN}]*[^\s{_UNSEEN}])?$",
        examples=["lab"],
    ),
]
"""Nothing that cannot be seen, and no space at either end."""
Password = Annotated[str, Field(min_length=10, max_length=256, examples=["correct horse battery"])]
NO_NUL = r"^[^\x00]*$"
"""A NUL character cannot be kept in PostgreSQL, and means nothing to a person."""
Text = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]
ShortText = Annotated[str, Field(max_length=255, pattern=rf"^[^{_UNSEEN}]*$")]
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
Email = Annotated[
    str,
    Field(
        max_length=254,
        pattern=rf"^$|^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*$",
        examples=["alice@example.org"],
    ),
]
"""As browsers know it (the HTML standard's valid e-mail address), or empty."""
Search = Annotated[str | None, Query(max_length=100, pattern=NO_NUL, description="Part of a name, in any case.")]

Ident = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""An id as we give them out."""
IdPath = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]

IdQuery = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")]


def _not_a_number(value: Any) -> Any:
    """Pydantic would take a bare number for seconds since 1970."""
    if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("write a moment such as 2026-01-31T12:00:00Z")
    return value


def _utc(moment: datetime) -> datetime:
    """The moment in UTC; what lies beyond the calendar there is the calendar's end."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


Moment = Annotated[
    Annotated[AwareDatetime, AfterValidator(_utc), BeforeValidator(_not_a_number)] | None,
    Query(description="RFC 3339, such as 2026-01-31T12:00:00Z."),
]
"""A query's moment; comes in UTC."""


ResourceName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
QuantityText = Annotated[str, Field(min_length=1, max_length=32, pattern=NO_NUL, examples=["8", "32GB"])]


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
    frozen_reason: str = ""
    groups: list["GroupRef"] = []
    created_at: datetime
    last_seen_at: datetime | None = None
    """When a request last came with his credential; to the minute."""


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


class Running(StrEnum):
    STOP = "stop"
    KEEP = "keep"


class FreezeRequest(Input):
    """``running``: what the user runs is stopped, or kept running at his cost. What waits for a place is stopped."""

    running: Running = Running.STOP
    reason: Annotated[str, Field(max_length=500, pattern=NO_NUL)] = ""
    """The user reads it when he tries to log in."""


class PasswordReset(BaseModel):
    """The new, generated password; shown once."""

    password: str


class PasswordChange(Input):
    current_password: Annotated[str, Field(max_length=256)]
    new_password: Password


class GroupRole(StrEnum):
    MEMBER = "member"
    MANAGER = "manager"


class GroupBase(BaseModel):
    id: str
    name: str
    description: str
    my_role: GroupRole | None
    """What one is in the group oneself; null: not in it."""
    created_at: datetime


class GroupOut(GroupBase):
    members: int


class GroupMemberOut(BaseModel):
    user: UserRef
    role: GroupRole


class GroupDetail(GroupBase):
    members: list[GroupMemberOut]
    """Managers first, then by user name."""


class GroupSort(StrEnum):
    NAME = "name"
    NAME_DESC = "-name"
    NEWEST = "-created_at"
    OLDEST = "created_at"


_UserIds = Annotated[list[Ident], Field(max_length=1000)]


class GroupCreate(Input):
    """``manager_ids`` become members as well."""

    name: Name
    description: Text = ""
    user_ids: _UserIds = []
    manager_ids: _UserIds = []


class GroupUpdate(Input):
    """``user_ids``: all members from now on; those who stay keep their role. ``manager_ids``: all managers."""

    name: Name | None = None
    description: Text | None = None
    user_ids: _UserIds | None = None
    manager_ids: _UserIds | None = None


class MemberAdd(Input):
    """A manager of a group knows his people by their user names."""

    username: Username
    role: GroupRole = GroupRole.MEMBER


class MemberUpdate(Input):
    role: GroupRole = GroupRole.MEMBER


_Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class QuotaUpdate(Input):
    """The most that may wait, run and stop at once. What is left out may be used without limit.

    A resource is a system resource, or a miner's own name where all miners mean the same by it.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resources": {"cpu": "8", "memory": "32GB"}, "notebooks": 3, "tasks": None}]}
    )

    resources: Annotated[dict[ResourceName, QuantityText], Field(max_length=100)] = {}
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


_GroupIds = Annotated[list[Ident], Field(max_length=100)]
_Grant = Annotated[UncInput, Field(examples=["10"])]


class InvitationStatus(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class InvitationCreate(Input):
    """``grant``: so many UNC are in the new user's wallet from the start."""

    email: Email = ""
    roles: Roles = [Role.RENTER]
    group_ids: _GroupIds = []
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


Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
CodePath = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


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
    group_ids: _GroupIds = []
    note: Text = ""


class ApplicationReject(Input):
    """The applicant reads the reason when he tries to log in."""

    reason: Annotated[str, Field(max_length=500, pattern=NO_NUL, examples=["We do not know you."])] = ""


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
