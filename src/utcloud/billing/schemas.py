"""What the API says of wallets, recharges, charges and earnings. All amounts are decimal strings of UNC."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from utcloud.accounts.schemas import NO_NUL, Ident, Input, Text
from utcloud.common.money import Unc, UncInput


class ChargeSort(StrEnum):
    """``paid`` and ``seconds`` of work that runs are those of when it was asked; they grow while one pages."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    WORKLOAD = "workload"
    WORKLOAD_DESC = "-workload"
    PAYER = "payer_name"
    PAYER_DESC = "-payer_name"
    SPEC = "spec"
    SPEC_DESC = "-spec"
    SHORTEST = "seconds"
    LONGEST = "-seconds"
    CHEAPEST = "paid"
    DEAREST = "-paid"


class RechargeSort(StrEnum):
    """``amount`` is negative for what was deducted."""

    NEWEST = "-at"
    OLDEST = "at"
    OWNER = "owner_name"
    OWNER_DESC = "-owner_name"
    LEAST = "amount"
    MOST = "-amount"


class WalletSort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    POOREST = "balance"
    RICHEST = "-balance"


class WalletPoolOut(BaseModel):
    """A pool in which a group's wallet pays at any price."""

    id: str
    name: str
    miner_name: str


class WalletOut(BaseModel):
    """The machine hours of a user or a group. ``available`` = ``balance`` − ``accrued`` − ``held``."""

    id: str
    owner_id: str
    owner_name: str
    owner: Literal["user", "group"]
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
    low_balance: Unc
    """Its owner is warned when less than this is available, and always when it runs out within the hour."""
    low: bool
    """Whether he is."""
    max_price: Unc | None = None
    """A group's: the most per hour and replica that it pays in any pool. Null: it pays in ``pools`` alone."""
    pools: list[WalletPoolOut] = []
    """A group's: where it pays at any price."""


class WalletUpdate(Input):
    """Changes what is given. ``max_price`` and ``pool_ids`` are for groups' wallets; ``max_price`` null: none."""

    low_balance: UncInput | None = None
    max_price: UncInput | None = None
    pool_ids: Annotated[list[Ident], Field(max_length=1000)] | None = None
    """The pools in which it pays at any price, whole."""


class CapSpent(BaseModel):
    """A cap, and how far it is used up. ``left`` takes off what running work holds."""

    limit: Unc
    spent: Unc
    left: Unc
    renews_at: datetime | None
    """When it begins anew (UTC days and months)."""


class CapOut(BaseModel):
    """The most that may be spent from a wallet: by all together, by one member of the group that owns it, or (``*``) by
    each that has none of their own."""

    wallet_id: str
    user_id: str | None
    set_by: Literal["keeper", "operator"]
    """Its owner or a manager of its group, or an operator. Both bind; an operator's is an operator's to change."""
    user_name: str
    daily: CapSpent | None
    monthly: CapSpent | None
    total: CapSpent | None


class CapUpdate(Input):
    """Sets all three; what is left out, or null, is not capped."""

    user_id: Ident | Literal["*"] | None = None
    """A member of the group, or ``*``: each that has none of their own; left out: all together."""
    set_by: Literal["keeper", "operator"] | None = None
    """Whose caps to set: only an operator sets an operator's. Left out: one's own kind."""
    daily: UncInput | None = None
    monthly: UncInput | None = None
    total: UncInput | None = None


class RechargeCreate(Input):
    """``kind`` ``deduct`` takes machine hours out again."""

    wallet_id: Ident
    amount: Annotated[UncInput, Field(gt=0, examples=["10"])]
    note: Text = ""
    kind: Annotated[str, Field(max_length=8, pattern="^(recharge|deduct)$")] = "recharge"


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
    group_name: str
    """The group that pays; empty: the payer himself."""
    payee_id: str
    payee_name: str
    workload_id: str
    order_id: str | None
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
    """What the wallet could not pay, or lay beyond the order's maximum: nobody pays it."""
    credited: Unc
    """Given back, because it ended by no fault of the renter's."""
    paid: Unc
    """``amount`` − ``waived`` − ``credited``."""
    settled: Unc
    """How much of what is paid is in the journal already."""
    cause: str
    note: str
    """What is unusual about it."""
    open: bool
    simulated: bool


class EarningsOut(BaseModel):
    """A miner's earnings: in the journal, and accruing now."""

    miner_id: str
    miner_name: str
    balance: Unc
    accrued: Unc
    held: Unc
    """Earned while he may not have work: an operator decides who gets it."""
    today: Unc
    this_month: Unc


class HeldOut(BaseModel):
    """What is held of a miner's earnings."""

    miner_id: str
    miner_name: str
    amount: Unc
    suspended: bool
    """He may not have work now."""


class HeldDecision(Input):
    """``miner``: release it to him. ``payers``: return it to the wallets that paid."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "payers", "reason": "fraud"}]})

    to: Literal["miner", "payers"]
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]


class PlatformOut(BaseModel):
    """For operators: the platform's fees, and all that was ever issued."""

    fees: Unc
    issued: Unc
    journal_sum: Unc
    """Sum of all accounts: always 0. Each is the sum of its postings (`utcloud journal verify` checks it)."""


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
    owner: Literal["user", "group"]
    owner_name: str
    since: datetime
    until: datetime
    opening: Unc
    incoming: Unc
    outgoing: Unc
    closing: Unc
    complete: bool
    """False while the month lasts."""
    journal_head: str
    """Number and hash of the journal's last entry when this was issued: kept, it shows any later rewriting."""
    lines: list[StatementLineOut]


class StatementMonthOut(BaseModel):
    """A month in which the account moved."""

    month: str
    incoming: Unc
    outgoing: Unc
    closing: Unc
    complete: bool
