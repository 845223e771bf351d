"""Passwords, sessions and API tokens."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from utcloud.accounts.schemas.common import Input, Name, Password
from utcloud.accounts.schemas.second_factor import SecondStep
from utcloud.accounts.schemas.users import UserOut


class PasswordChange(Input):
    """``revoke_tokens``: API tokens end as well; a thief of the password may have made some."""

    current_password: Annotated[str, Field(max_length=256)]
    new_password: Password
    revoke_tokens: bool = True


class Login(SecondStep):
    """Who has a second factor sends the second step as well; a login without it says what is possible
    (`second_factor_required`)."""

    username: Annotated[str, Field(examples=["alice"], max_length=256)]
    password: Annotated[str, Field(max_length=256)]


class SessionOut(BaseModel):
    """The answer to a login and to ``GET /auth/session``. ``csrf_token`` goes into the ``X-CSRF-Token`` header."""

    user: UserOut
    recharges: bool
    """Whether one puts machine hours into anybody's wallet."""
    csrf_token: str
    expires_at: datetime
    must_set_up_second_factor: bool = False
    """The platform demands a second factor of this user, who has none: until it is set up, nothing else can be done."""


class TokenCreate(SecondStep):
    """For a caller without a session: user name and password, and the second step for who has a second factor.
    ``expires_in_days`` null: never."""

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
