"""Telling the server what is seen, so that what it refuses of one replica never keeps it from hearing of the others."""

from collections.abc import Sequence

import structlog

from utcloud.protocol import ObservedReplica, SiteReport
from utcloud.site.errors import ServerRefused
from utcloud.site.link import Link

log = structlog.get_logger()

MOST_LOGS = 2**20
"""So many bytes the ends of logs in one report have together, at most."""
_REFUSALS = (413, 422)
"""The report itself is at fault: the same again would be refused again."""


def with_short_logs(replicas: Sequence[ObservedReplica], most: int = MOST_LOGS) -> list[ObservedReplica]:
    """The same, with as much of the end of each log as leaves all together ``most`` bytes."""
    sizes = [len(one.log_tail.encode()) for one in replicas]
    if sum(sizes) <= most:
        return list(replicas)
    share = left = most
    for position, size in enumerate(sorted(sizes)):  # the short ones leave room to the long
        share = left // (len(sizes) - position)
        if size > share:
            break
        left -= size
    return [one.model_copy(update={"log_tail": _end_of(one.log_tail, share)}) for one in replicas]


def _end_of(text: str, most: int) -> str:
    kept = text.encode()
    return text if len(kept) <= most else kept[len(kept) - most :].decode(errors="ignore")


async def tell(link: Link, report: SiteReport, timeout_s: float = 20) -> set[str]:
    """Send the report; after a refusal without logs, then without what is refused. Returns those attempts' ids.

    Raises ServerAway, or ServerRefused when it is not for any replica's sake.
    """
    try:
        await link.report(report, timeout_s)
        return set()
    except ServerRefused as refused:
        if refused.status not in _REFUSALS or not report.replicas:
            raise
        log.warning("the server refuses the report; it is sent again with less", error=str(refused))
    bare = [one.model_copy(update={"log_tail": ""}) for one in report.replicas]
    return await _tell_parts(link, report, bare, timeout_s)


async def _tell_parts(link: Link, report: SiteReport, replicas: list[ObservedReplica], timeout_s: float) -> set[str]:
    try:
        await link.report(report.model_copy(update={"replicas": replicas}), timeout_s)
        return set()
    except ServerRefused as refused:
        if refused.status not in _REFUSALS or not replicas:
            raise
        if len(replicas) == 1:
            await link.report(report.model_copy(update={"replicas": []}), timeout_s)  # else it is not the replica
            log.error(
                "the server refuses what is said of an attempt", attempt=replicas[0].attempt_id, error=str(refused)
            )
            return {replicas[0].attempt_id}
    half = len(replicas) // 2
    first = await _tell_parts(link, report, replicas[:half], timeout_s)
    return first | await _tell_parts(link, report, replicas[half:], timeout_s)
