"""What the API says of notebooks and their replicas."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from utcloud.accounts.schemas import NO_NUL, Ident, Input, Name, Text
from utcloud.common.money import Unc, UncInput
from utcloud.resources.schemas import Attention

Expected = Annotated[
    UncInput | None,
    Field(
        description="The price per hour of one subtask that you were shown, such as an estimate's `unit_price`. When "
        "it is another by now, nothing is ordered: 409 `price_changed` names both. Left out: whatever it costs.",
        examples=["1.5"],
    ),
]


class State(StrEnum):
    PENDING = "pending"
    ASSIGNED = "assigned"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


class ReplicaOut(BaseModel):
    id: str
    subtask: str
    index: int
    state: State
    reason: str
    node: str
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    can_open: bool


class NotebookOut(BaseModel):
    id: str
    name: str
    description: str
    owner_id: str
    owner_name: str
    state: State
    reason: str
    algorithm: str
    dataset: str
    image: str
    pool: str
    spec: str
    price: Unc
    """UNC per hour of one subtask."""
    simulated: bool
    replicas: list[ReplicaOut]
    created_at: datetime
    changed_at: datetime


class TimelineEventOut(BaseModel):
    at: datetime
    replica_id: str
    subtask: str
    attempt: int
    from_state: State
    to_state: State
    reason: str


class NotebookDetail(NotebookOut):
    cost: Unc
    """All its attempts so far."""
    timeline: list[TimelineEventOut]
    log_tail: str
    """The last lines of the last attempt that ended."""


class NotebookCreate(Input):
    """``tasks`` subtasks with one replica each are made; each has its own container, chip and page."""

    name: Name
    description: Text = ""
    algorithm_id: Ident | None = None
    algorithm_version: Annotated[int, Field(ge=1, le=10**9, strict=True)] | None = None
    """Left out: the latest."""
    dataset_id: Ident | None = None
    dataset_version: Annotated[int, Field(ge=1, le=10**9, strict=True)] | None = None
    image_id: Ident
    pool_id: Ident
    spec_id: Ident
    group_id: Ident | None = None
    """In which of one's groups' name. Left out: the one through which the pool is open to one."""
    payer: Literal["user", "group"] = "user"
    """Whose wallet pays: one's own, or the group's."""
    max_cost: Annotated[UncInput, Field(gt=0, examples=["5"])] | None = None
    """The most that each start may cost: it is stopped gracefully before, files kept."""
    max_hours: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    """The longest that each start may run."""
    tasks: Annotated[int, Field(ge=1, le=32, strict=True)] = 1
    expected_price: Expected = None
    start: StrictBool = True


class NotebookStart(Input):
    expected_price: Expected = None


class NotebookOpen(Input):
    """Which subtask to open; left out: the only one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replica_id": "rp_01m8504e9zzj4w4pg3acqz95zf"}]})

    replica_id: Ident | None = None


class Opening(BaseModel):
    """A link that opens the page once, within a minute, in whichever browser follows it first."""

    url: str
    expires_at: datetime


class StopRequest(Input):
    """A miner or operator who stops another's notebook says why."""

    reason: Annotated[str, Field(max_length=500, pattern=NO_NUL)] = ""


class OverviewOut(BaseModel):
    """For the page that a renter sees first."""

    notebooks: dict[State, int]
    tasks: dict[State, int]
    algorithms: int
    datasets: int
    images: int
    available: Unc
    burn_per_hour: Unc
    runs_out_at: datetime | None


class MinerOverviewOut(BaseModel):
    """For the page that a miner sees first."""

    nodes_ready: int
    nodes_total: int
    running_replicas: int
    waiting_replicas: int
    users: int
    usage: list["UsageOut"]
    earnings_today: Unc
    earnings_month: Unc
    earnings_by_day: list["DayAmount"]
    """The last 14 days in UTC, today last."""
    sites: int
    chips_total: int
    chips_busy: int
    attention: list[Attention]
    """What needs attention, errors first."""
    simulated: bool


class DayAmount(BaseModel):
    day: date
    amount: Unc


class UsageOut(BaseModel):
    resource: str
    unit: str
    capacity: int
    allocated: int
    capacity_text: str
    allocated_text: str
    simulated: bool


class Kind(StrEnum):
    NOTEBOOK = "notebook"
    TASK = "task"


class NotebookSort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    NAME = "name"
    NAME_DESC = "-name"
    STATE = "state"
    STATE_DESC = "-state"


class WorkSort(StrEnum):
    OLDEST = "created_at"
    NEWEST = "-created_at"
    SINCE = "since"
    SINCE_DESC = "-since"
    OWNER = "owner_name"
    OWNER_DESC = "-owner_name"
    NODE = "node"
    NODE_DESC = "-node"
    PRICE = "price"
    PRICE_DESC = "-price"
    STATE = "state"
    STATE_DESC = "-state"


class WorkOut(BaseModel):
    """A replica on a miner's hardware, or one that waits for it: never the renter's files or pages."""

    replica_id: str
    workload_id: str
    attempt_id: str | None
    """The present attempt, or the last; null while it waits."""
    kind: Kind
    owner_name: str
    group_name: str
    """In whose name it runs; empty: in nobody's but its owner's."""
    pool_id: str
    pool_name: str
    spec_id: str
    spec: str
    node_id: str | None
    node: str
    """Empty while it waits."""
    state: State
    reason: str
    since: datetime
    """When its container started; before that, when it was placed, or came into the line."""
    price: Unc
    """UNC per hour."""
    cost: Unc
    """Of this attempt so far."""
    chips: list[str]
