"""What the API says of wallets, recharges, charges and earnings. All amounts are decimal strings of UNC."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import Ident, Input, Text
from utcloud.common.money import Unc, UncInput


class WalletOut(BaseModel):
    """A user's machine hours. ``available`` = ``balance`` − ``accrued`` − ``held``."""

    id: str
    owner_id: str
    owner_name: str
    balance: Unc
    """In the journal."""
    accrued: Unc
    """Used by what runs now, not yet in the journal."""
    held: Unc
    available: Unc
    burn_per_hour: Unc
    """What runs now costs so much per hour."""
    runs_out_at: datetime | None
    """When it will be empty at this rate."""


class RechargeCreate(Input):
    """``kind`` ``deduct`` takes machine hours out again."""

    wallet_id: Ident
    amount: Annotated[UncInput, Field(gt=0, examples=["10"])]
    note: Text = ""
    kind: Annotated[str, Field(pattern="^(recharge|deduct)$")] = "recharge"


class RechargeOut(BaseModel):
    id: str
    wallet_id: str
    owner_id: str
    owner_name: str
    kind: str
    amount: Unc
    """Negative for a deduction."""
    note: str
    actor_name: str
    at: datetime


class ChargeOut(BaseModel):
    """One charge record: an attempt's interval, its price, and what it cost so far or in the end."""

    id: str
    attempt_id: str
    wallet_id: str
    payer_id: str
    payer_name: str
    payee_id: str
    payee_name: str
    workload_id: str
    workload: str
    workload_kind: str
    subtask: str
    replica: str
    attempt: int
    spec: str
    price: Unc
    started_at: datetime | None
    ended_at: datetime | None
    witnessed_until: datetime | None
    seconds: float
    amount: Unc
    miner_share: Unc
    platform_fee: Unc
    waived: Unc
    settled: Unc
    """How much of the amount is in the journal already."""
    open: bool
    simulated: bool


class EarningsOut(BaseModel):
    """A miner's earnings: in the journal, and accruing now."""

    miner_id: str
    miner_name: str
    balance: Unc
    accrued: Unc
    today: Unc
    this_month: Unc


class PlatformOut(BaseModel):
    """For operators: the platform's fees, and all that was ever issued."""

    fees: Unc
    issued: Unc
    journal_sum: Unc
    """Sum of all postings: always 0."""


class SumOut(BaseModel):
    """One part of a sum: a day (``2026-01-31``), a specification, a node, a renter, a miner or a workload."""

    key: str
    label: str
    amount: Unc
    """In the journal, and accruing now."""
    accrued: Unc
    """The part of it that is not in the journal yet."""


class AnalyticsOut(BaseModel):
    """What was paid or earned in a period, by day or by what for; ``total`` is the sum of the items."""

    by: str
    since: datetime
    until: datetime
    total: Unc
    items: list[SumOut]


class StatementLineOut(BaseModel):
    """One line of a statement: a recharge or deduction, or all that a workload cost or earned at one price."""

    at: datetime
    """Of the recharge; of a workload's first posting in the period."""
    kind: str
    """recharge, deduct, charge, credit."""
    text: str
    workload_id: str = ""
    spec: str = ""
    price: Unc | None = None
    amount: Unc
    """Into (positive) or out of (negative) the account."""


class StatementOut(BaseModel):
    """An account over a month (UTC): ``closing`` = ``opening`` + the sum of the lines, to the micro-UNC."""

    month: str
    role: str
    """payer: a wallet. payee: a miner's earnings."""
    account_id: str
    owner_name: str
    since: datetime
    until: datetime
    opening: Unc
    incoming: Unc
    outgoing: Unc
    closing: Unc
    complete: bool
    """False while the month lasts."""
    lines: list[StatementLineOut]


class StatementMonthOut(BaseModel):
    """A month in which the account moved."""

    month: str
    incoming: Unc
    outgoing: Unc
    closing: Unc
    complete: bool
