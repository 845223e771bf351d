"""What the API says of things that need a miner's attention."""

from enum import StrEnum

from pydantic import BaseModel


class AttentionKind(StrEnum):
    NO_NODES = "no_nodes"
    NO_SPECS = "no_specs"
    NODE_NOT_READY = "node_not_ready"
    NODE_LOST = "node_lost"
    NODE_FLAGGED = "node_flagged"
    CHIP_UNHEALTHY = "chip_unhealthy"
    CHIP_TWICE = "chip_twice"
    SITE_FLAGGED = "site_flagged"
    CLOCK_OFF = "clock_off"
    NODE_ADVISED = "node_advised"
    SPEC_NEVER_FITS = "spec_never_fits"
    POOL_WITHOUT_NODES = "pool_without_nodes"
    POOL_WITHOUT_GROUPS = "pool_without_groups"
    WORK_WAITING = "work_waiting"
    APPLICATION_WAITING = "application_waiting"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Attention(BaseModel):
    """One kind of thing that needs attention, in one place or in ``count`` of them."""

    kind: AttentionKind
    severity: Severity
    object_type: str
    """``node``, ``site``, ``spec``, ``pool``, ``application``; empty where there is nothing yet."""
    object_id: str
    """Of the only one; empty when there are several."""
    object_name: str
    """The names of the first few."""
    detail: str
    count: int
