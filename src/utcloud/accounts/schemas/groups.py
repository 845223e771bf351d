"""Groups and their members."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas.common import Ident, Input, Name, Text, Username
from utcloud.accounts.schemas.users import UserRef


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


_UserIds = Annotated[list[Ident], Field(max_length=1000, fail_fast=True)]


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
