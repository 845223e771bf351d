"""What the API says of estimates, orders, ratings, prices and the journal. All amounts are decimal strings of UNC."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import Ident, Input, Text
from utcloud.billing.schemas import ChargeOut
from utcloud.common.money import Unc, UncInput

Hours = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]


class EstimateCreate(Input):
    """What a start would cost. Nothing is kept."""

    pool_id: Ident
    spec_id: Ident
    kind: Literal["notebook", "task"] = "notebook"
    tasks: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    """How many replicas."""
    hours: Hours = 1.0
    payer: Literal["user", "group"] = "user"
    group_id: Ident | None = None
    max_cost: UncInput | None = None
    max_hours: Hours | None = None


class EstimateOut(BaseModel):
    """``refusal`` says why it could not be started now; else it could run ``hours_possible``, until ``ends_by``."""

    unit_price: Unc
    price: Unc
    """Per hour, of all replicas."""
    hold: Unc
    """Held back at the start."""
    hours: float
    cost: Unc
    """Over ``hours``, or less where a limit ends it before."""
    available: Unc
    """In the wallet that would pay."""
    hours_possible: float | None
    """How long the wallet, the caps and the limits let it run, together with what runs now; null: no end."""
    ends_by: str
    """What ends it: wallet, max_cost, max_hours, or a cap in words."""
    refusal: str | None
    cure: str | None


class OrderSort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    DEAREST = "-cost"
    CHEAPEST = "cost"
    HIGHEST_PRICE = "-unit_price"
    LOWEST_PRICE = "unit_price"


class OrderOut(BaseModel):
    """What was agreed at one start of a workload, and what came of it."""

    id: str
    state: Literal["open", "settled"]
    workload_id: str
    workload: str
    workload_kind: str
    owner_id: str
    owner_name: str
    payer: Literal["user", "group"]
    group_id: str | None
    group_name: str
    wallet_id: str
    miner_id: str
    miner_name: str
    pool_id: str
    pool: str
    spec_id: str
    spec: str
    tasks: int
    """Replicas."""
    unit_price: Unc
    """Per hour of one replica, from the order until its end."""
    max_cost: Unc | None
    max_hours: float | None
    caps: list[str]
    """The spending caps that held then."""
    fault_credit: str
    """What is credited when it ends by the miner's or the platform's fault: none, last_hour or whole."""
    fee_percent: float
    """The platform's share of what is paid."""
    estimate: Unc
    simulated: bool
    reason: str
    """Why it ended."""
    cost: Unc
    """What its payer pays, so far or in the end: the sum of its attempts."""
    waived: Unc
    credited: Unc
    seconds: float
    """All its attempts together."""
    stars: int | None
    comment: str
    rated_at: datetime | None
    rate_until: datetime | None
    """A rating can be given, and changed, until then."""
    created_at: datetime
    settled_at: datetime | None


class AttemptLine(ChargeOut):
    """One attempt of an order and how its amount comes about."""

    formula: str
    """``1.5 UNC/h × 123457 ms ÷ 3600000 ms = 0.05144 UNC``, rounded down to the micro-UNC."""
    entries: int
    """How many journal entries it made."""


class ReplicaLine(BaseModel):
    """``paid`` is the sum of its attempts'."""

    replica: str
    paid: Unc
    attempts: list[AttemptLine]


class SubtaskLine(BaseModel):
    """``paid`` is the sum of its replicas'."""

    subtask: str
    paid: Unc
    replicas: list[ReplicaLine]


class OrderDetail(OrderOut):
    """``cost`` is the sum of the subtasks'. Its journal entries: ``/orders/{id}/entries``."""

    subtasks: list[SubtaskLine]


class CreditCreate(Input):
    """What an operator gives back of an order that has ended: at most what was paid for it."""

    amount: Annotated[UncInput, Field(gt=0, examples=["1.5"])]
    reason: Annotated[Text, Field(min_length=1)]
    """Renter and miner read it; it stands in the journal."""


class RatingCreate(Input):
    stars: Annotated[int, Field(ge=1, le=5, strict=True)]
    comment: Text = ""


class RatingsOut(BaseModel):
    """What renters think of a miner or of a pool."""

    average: float | None
    count: int
    stars: dict[int, int]
    """How many gave 1, 2, 3, 4, 5 stars."""


class PriceOut(BaseModel):
    """A price of a specification, per hour, and from when it held."""

    price: Unc
    since: datetime
    by: str
    """Who set it."""


class PostingOut(BaseModel):
    account: str
    """wallet, earnings, fee or issuance."""
    owner_name: str
    amount: Unc
    """Into (positive) or out of (negative) the account."""


class EntryOut(BaseModel):
    """One entry of the journal: its postings sum to zero."""

    id: str
    seq: int
    kind: str
    at: datetime
    cause_type: str
    cause_id: str
    note: str
    actor_name: str
    postings: list[PostingOut]
    hash: str


class BookingOut(EntryOut):
    """An entry as one account sees it."""

    amount: Unc
    """Into (positive) or out of (negative) the account."""


class JournalFault(BaseModel):
    """The first row that is wrong. ``what``: entry, posting, account, meter or order."""

    what: str
    id: str
    seq: int | None
    detail: str


class JournalAnchor(BaseModel):
    """A head of the journal that the server noted: where, and when."""

    head: str
    source: str
    at: datetime


class JournalEntryOut(EntryOut):
    """An entry as operators see it."""

    facts: str | None
    """What it tells of its lines, as the JSON that its hash covers; null for entries from before there were facts."""


class VerificationOut(BaseModel):
    """How far the check of the journal has come; the last line is ``done`` and says whether all is right (``ok``)."""

    done: bool
    ok: bool
    entries: int
    checked: int
    head: str
    """The hash of the last entry that was checked: note it down, and no one can rewrite what came before."""
    seconds: float
    anchor: JournalAnchor | None
    """The newest head that the server had noted outside of the database, and that the journal meets."""
    fault: JournalFault | None
