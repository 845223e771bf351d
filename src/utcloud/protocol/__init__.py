"""The messages between server and site: plain data, versioned.

The agent holds ``GET /agent/desired?after=R&wait=S`` open; the server answers at once when the site's revision differs
from ``R``, and otherwise 204 after ``S`` seconds. The agent posts a ``SiteReport`` to ``POST /agent/reports`` whenever
what it sees has changed, and every ``HEARTBEAT_S`` seconds. Both are level-triggered: each message is whole by itself,
and repeating or losing one does no harm.
"""

from utcloud.protocol.desired import (
    READY_TIMEOUT_S,
    DesiredMount,
    DesiredReplica,
    DesiredState,
    FileEntry,
    Limits,
    Manifest,
    Phase,
)
from utcloud.protocol.observed import (
    ChipReport,
    ChipTelemetry,
    NodeReport,
    ObservedReplica,
    ReportAnswer,
    ResourceReport,
    SiteReport,
    StrayContainer,
)

PROTOCOL_VERSION = 1
HEARTBEAT_S = 10
SILENT_AFTER_S = 30
"""A site that was not heard for so long is not ready, and nothing accrues past its last sign of life."""
LOST_AFTER_S = 300
"""A site that was not heard for so long is lost, and the work on it failed."""

__all__ = [
    "HEARTBEAT_S",
    "LOST_AFTER_S",
    "PROTOCOL_VERSION",
    "READY_TIMEOUT_S",
    "SILENT_AFTER_S",
    "ChipReport",
    "ChipTelemetry",
    "DesiredMount",
    "DesiredReplica",
    "DesiredState",
    "FileEntry",
    "Limits",
    "Manifest",
    "NodeReport",
    "ObservedReplica",
    "Phase",
    "ReportAnswer",
    "ResourceReport",
    "SiteReport",
    "StrayContainer",
]
