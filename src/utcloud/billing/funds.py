"""Whether a wallet can pay for a start: what is held back for it, and the refusal in words."""

from utcloud.billing.models import Account
from utcloud.billing.solvency import Use
from utcloud.common.errors import InsufficientFunds
from utcloud.common.money import amount_for, format_unc

HOLD_MS = 60_000
"""A new meter holds back what it costs in this time, so that a graceful stop is always paid for."""

NOT_A_MEMBER = "the group that pays for it no longer does: its owner is not a member of it any more"


def hold_for(price: int) -> int:
    """The hold of a meter at ``price`` micro-UNC per hour: at least 1 micro-UNC unless it is free."""
    return max(amount_for(price, HOLD_MS), 1) if price else 0


def shortage(wallet: Account, use: Use, price: int, hold: int) -> InsufficientFunds | None:
    """Why ``wallet``, used like this, cannot hold ``hold`` back for a start at ``price`` per hour; None when it can."""
    available = max(wallet.balance - use.accrued - use.held, 0)
    if available >= hold:
        return None
    detail = (
        f"The wallet has {format_unc(available)} UNC available; starting at {format_unc(price)} UNC per hour "
        f"needs at least {format_unc(hold)} UNC."
    )
    if use.meters:
        detail += (
            f" Of its balance of {format_unc(wallet.balance)} UNC, what runs now has used "
            f"{format_unc(use.accrued)} UNC and holds {format_unc(use.held)} UNC back."
        )
    return InsufficientFunds(detail, cure=f"Ask for a recharge of at least {format_unc(hold - available)} UNC.")
