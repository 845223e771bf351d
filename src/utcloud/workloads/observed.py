"""What a site witnessed moves replicas, feeds meters and sets routes."""

from collections import defaultdict
from datetime import datetime
from typing import cast

from sqlalchemy import Table, bindparam, delete, select

from utcloud.billing import meters
from utcloud.db import Tx, emit
from utcloud.edge import service as edge
from utcloud.protocol import ObservedReplica, Phase, SiteReport
from utcloud.resources import capacity
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.workloads import pages
from utcloud.workloads.models import Attempt, DroppedVolume, Replica, Workload
from utcloud.workloads.schemas import State
from utcloud.workloads.states import FINAL, move

NODE_LOST = "node_lost"
"""The cause of an attempt's end that no site could witness."""
PLACE = "placement"
"""The signal that capacity may have come free."""


async def witness(tx: Tx, now: datetime, said: dict[str, SiteReport]) -> None:
    """What these sites report is as before: what runs was seen to run on.

    Those that spoke within the same second count as heard at the earliest moment of them.
    """
    runs = {
        observed.attempt_id: site_id
        for site_id, report in said.items()
        for observed in report.replicas
        if observed.phase != Phase.ENDED
    }
    if not runs:
        return
    alive: dict[int, list[str]] = defaultdict(list)
    until: dict[int, datetime] = {}
    for attempt_id, site_id in await tx.execute(_LIVE, {"sites": list(set(runs.values()))}):
        if runs.get(attempt_id) != site_id:  # a site cannot speak for another's work
            continue
        heard = min(said[site_id].sent_at, now)
        second = int(heard.timestamp())
        alive[second].append(attempt_id)
        until[second] = min(heard, until.get(second, heard))
    for second, attempt_ids in alive.items():
        await meters.witness(tx, attempt_ids, until[second], now=now)


async def apply(tx: Tx, now: datetime, site: Site, report: SiteReport, *, before: datetime | None = None) -> None:
    """Store what ``site`` witnessed. The same report again changes nothing.

    ``before`` is when the site was heard before this report, by the server's clock: what it did not speak of then, as a
    report is all that it sees, had not begun.
    """
    if report.dropped_volumes:
        await tx.execute(
            delete(DroppedVolume).where(
                DroppedVolume.site_id == site.id, DroppedVolume.volume.in_(report.dropped_volumes)
            )
        )
        await resources.bump(tx, site.id)
    seen = {observed.attempt_id: observed for observed in report.replicas}
    query = (
        select(Attempt, Replica)
        .join(Replica, Replica.id == Attempt.replica_id)
        .where(Attempt.site_id == site.id, Attempt.done.is_(False))
    )
    alive: list[str] = []
    for attempt, replica in (await tx.execute(query)).all():
        observed = seen.get(attempt.id)
        if observed is None:
            continue
        if observed.phase == Phase.ENDED:
            await _ended(tx, now, site, attempt, replica, observed, before)
            continue
        if _is_over(attempt, replica):
            continue  # it was lost, and is to end: the site will hear so
        await _alive(tx, now, attempt, replica, observed, report.sent_at, before)
        if attempt.started_at is not None:
            alive.append(attempt.id)
    if alive:
        await meters.witness(tx, alive, min(report.sent_at, now), now=now)


_attempts = cast(Table, Attempt.__table__)
_LIVE = select(_attempts.c.id, _attempts.c.site_id).where(
    _attempts.c.site_id.in_(bindparam("sites", expanding=True)),
    _attempts.c.done.is_(False),
    _attempts.c.started_at.is_not(None),
)


def _is_over(attempt: Attempt, replica: Replica) -> bool:
    """Whether the replica no longer counts on this attempt, whatever its container does."""
    return replica.attempt_id != attempt.id or State(replica.state) in FINAL or replica.state == State.PENDING


async def _started(tx: Tx, now: datetime, attempt: Attempt, observed: ObservedReplica, before: datetime | None) -> None:
    """Its container was started; where there is no page to wait for, that is from when it is billed."""
    if observed.started_at and attempt.started_at is None:
        attempt.started_at = min(max(observed.started_at, attempt.created_at), now)
        if (await tx.get_one(Workload, attempt.workload_id)).kind not in pages.KINDS:
            await meters.start(tx, attempt.id, observed.started_at, now=now, told=_told(attempt, before))


def _told(attempt: Attempt, before: datetime | None) -> datetime:
    """Until when it was known that the attempt had not begun."""
    return max(before, attempt.created_at) if before else attempt.created_at


async def _alive(
    tx: Tx,
    now: datetime,
    attempt: Attempt,
    replica: Replica,
    observed: ObservedReplica,
    sent_at: datetime,
    before: datetime | None,
) -> None:
    await _started(tx, now, attempt, observed, before)
    if observed.endpoint and observed.endpoint != attempt.endpoint and attempt.desired == Phase.RUNNING:
        attempt.endpoint = observed.endpoint
        workload = await tx.get_one(Workload, attempt.workload_id)
        await edge.put_route(tx, replica.id, workload.owner_id, observed.endpoint, attempt.token)
    if replica.state == State.STOPPING:
        return
    if observed.phase == Phase.RUNNING:
        if replica.state == State.RUNNING:
            return
        if (await tx.get_one(Workload, attempt.workload_id)).kind not in pages.KINDS:
            await move(tx, now, replica, State.RUNNING)
        elif attempt.page_since is None:
            since = min(observed.ready_at or sent_at, now)
            await pages.look_at(tx, now, attempt, replica, since, _told(attempt, before))
    elif replica.state in (State.ASSIGNED, State.STARTING):
        await move(tx, now, replica, State.STARTING, observed.reason)


async def _ended(
    tx: Tx,
    now: datetime,
    site: Site,
    attempt: Attempt,
    replica: Replica,
    observed: ObservedReplica,
    before: datetime | None,
) -> None:
    lost = attempt.cause == NODE_LOST
    if not lost:
        await _started(tx, now, attempt, observed, before)
        unseen = attempt.page_since is None and replica.state != State.RUNNING and not _is_over(attempt, replica)
        if observed.ready_at and unseen:
            attempt.page_since, attempt.page_told = min(observed.ready_at, now), _told(attempt, before)
        await pages.ended(tx, now, attempt)
        attempt.cause = observed.cause
    if attempt.started_at is not None:
        known = observed.ended_at or await meters.seen_until(tx, attempt.id) or attempt.started_at
        ended_at = max(attempt.started_at, min(known, now))
        attempt.ended_at = min(ended_at, attempt.ended_at or ended_at)
    attempt.exit_code, attempt.log_tail = observed.exit_code, observed.log_tail
    attempt.done = True
    cause = "" if attempt.desired == Phase.STOPPED else attempt.cause  # who asks for an end has no fault to name
    await meters.close(tx, attempt.id, attempt.ended_at, now=now, cause=cause)
    await capacity.release(tx, attempt.id)
    await edge.drop_route(tx, attempt.replica_id)
    emit(tx, PLACE)
    if _is_over(attempt, replica):
        return
    if attempt.desired == Phase.STOPPED:
        await move(tx, now, replica, State.STOPPED, attempt.stop_reason)
    elif observed.exit_code == 0:
        by_site = observed.cause == "stopped" and observed.reason
        await move(tx, now, replica, State.STOPPED, by_site or "JupyterLab was shut down from inside")
    else:
        await move(tx, now, replica, State.FAILED, observed.reason or f"ended with exit code {observed.exit_code}")
