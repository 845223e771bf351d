"""Whether somebody may have hardware that works for others: an active miner, or operator. Else it takes nothing new,
what runs there ends, and what it earned is held."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, or_, select

from utcloud.accounts.models import User
from utcloud.accounts.schemas import UserStatus
from utcloud.db import Tx

HARDWARE_SIGNAL = "standing"
"""Sent when somebody was frozen, was let in again, or got or lost a role."""


def in_standing() -> ColumnElement[bool]:
    """Of ``User``."""
    return and_(User.status == UserStatus.ACTIVE, or_(User.is_miner.is_(True), User.is_operator.is_(True)))


async def out_of_standing(tx: Tx, user_ids: Collection[str]) -> set[str]:
    """Those of the users who may not have hardware that works for others."""
    return set(await tx.scalars(select(User.id).where(User.id.in_(user_ids), ~in_standing())))


def why_out(user: User) -> str:
    """Why not, for the renters of that hardware. A reason for the freezing is told to the frozen one alone."""
    if user.status == UserStatus.FROZEN:
        return "its miner's account was frozen"
    return "its owner is no longer a miner"
