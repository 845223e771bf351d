"""What a site witnessed moves replicas, feeds meters and sets routes."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, select

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
ENDPOINT = "endpoint"
"""The cause of an end that the server made: what the site named is no address of a page."""
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


async def apply(
    tx: Tx,
    now: datetime,
    site: Site,
    report: SiteReport,
    *,
    before: datetime | None = None,
    closing: bool = False,
    aside: Mapping[str, str] | None = None,
) -> None:
    """Store what ``site`` witnessed. The same report again changes nothing.

    ``before`` is when the site was heard before this report, by the server's clock: what it did not speak of then, as a
    report is all that it sees, had not begun. What it says of one attempt and cannot be harms that one alone, and
    stands in the flags of its node. ``closing``: the site is suspended, and only ends are taken. ``aside``: attempts of
    which nothing can be stored, and why.
    """
    if await _dropped(tx, site, report):
        await tx.execute(delete(DroppedVolume).where(_is_dropped(site, report)))
        await resources.bump(tx, site.id)
    alive: list[str] = []
    flags: dict[str, list[str]] = defaultdict(list)
    for attempt, replica, observed in await _pairs(tx, site, report):
        if aside and attempt.id in aside:
            flags[attempt.node_id].append(aside[attempt.id])
        elif observed.phase == Phase.ENDED:
            await _ended(tx, now, attempt, replica, observed, before)
        elif not closing and not _is_over(attempt, replica):  # else it was lost, and is to end: the site will hear so
            if refused := await _alive(tx, now, site, attempt, replica, observed, report.sent_at, before):
                flags[attempt.node_id].append(refused)
            elif attempt.started_at is not None:
                alive.append(attempt.id)
    if alive:
        await meters.witness(tx, alive, min(report.sent_at, now), now=now)
    await resources.flag_work(tx, site.id, flags)


async def is_news(tx: Tx, site: Site, report: SiteReport) -> bool:
    """Whether the report says anything of an attempt that is not known: then ``apply`` changes more than how long it
    was seen to run."""
    if await _dropped(tx, site, report):
        return True
    return any(_says_more(site, *pair) for pair in await _pairs(tx, site, report))


def _is_dropped(site: Site, report: SiteReport) -> ColumnElement[bool]:
    return and_(DroppedVolume.site_id == site.id, DroppedVolume.volume.in_(report.dropped_volumes))


async def _dropped(tx: Tx, site: Site, report: SiteReport) -> bool:
    """Whether it says that volumes are gone which were to be dropped."""
    if not report.dropped_volumes:
        return False
    return await tx.scalar(select(DroppedVolume.volume).where(_is_dropped(site, report)).limit(1)) is not None


def _says_more(site: Site, attempt: Attempt, replica: Replica, observed: ObservedReplica) -> bool:
    if observed.phase == Phase.ENDED:
        return True
    if _is_over(attempt, replica):
        return False
    if attempt.started_at is None and observed.started_at is not None:
        return True
    if pages.is_wanted(attempt, observed) and not pages.is_elsewhere(site, observed):
        return True
    if observed.phase == Phase.RUNNING:
        return replica.state not in (State.RUNNING, State.STOPPING)
    waits = replica.state in (State.ASSIGNED, State.STARTING)
    return waits and (replica.state, replica.reason) != (State.STARTING, observed.reason)


async def _pairs(tx: Tx, site: Site, report: SiteReport) -> list[tuple[Attempt, Replica, ObservedReplica]]:
    """What the site has and speaks of; ends first, since what they free may be another's already."""
    seen = {observed.attempt_id: observed for observed in report.replicas}
    if not seen:
        return []
    query = (
        select(Attempt, Replica)
        .join(Replica, Replica.id == Attempt.replica_id)
        .where(Attempt.site_id == site.id, Attempt.done.is_(False))
    )
    rows = [
        (attempt, replica, seen[attempt.id])
        for attempt, replica in (await tx.execute(query)).all()
        if attempt.id in seen
    ]
    return sorted(rows, key=lambda row: row[2].phase != Phase.ENDED)


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
    site: Site,
    attempt: Attempt,
    replica: Replica,
    observed: ObservedReplica,
    sent_at: datetime,
    before: datetime | None,
) -> str:
    """Move it along. Why it was failed, when what its site says of it cannot be; else nothing."""
    if pages.is_wanted(attempt, observed) and (refused := await pages.route(tx, site, attempt, observed)):
        await _refuse(tx, now, attempt, replica, refused)
        return refused
    await _started(tx, now, attempt, observed, before)
    if replica.state == State.STOPPING:
        return ""
    if observed.phase == Phase.RUNNING:
        if replica.state == State.RUNNING:
            return ""
        if (await tx.get_one(Workload, attempt.workload_id)).kind not in pages.KINDS:
            await move(tx, now, replica, State.RUNNING)
        else:
            since = min(observed.ready_at or sent_at, now)
            await pages.look_at(tx, now, attempt, replica, since, _told(attempt, before))
    elif replica.state in (State.ASSIGNED, State.STARTING):
        await move(tx, now, replica, State.STARTING, observed.reason)
    return ""


async def _refuse(tx: Tx, now: datetime, attempt: Attempt, replica: Replica, why: str) -> None:
    """Its site said of it what cannot be: it fails, at the site's cost, and the site is told to end it."""
    attempt.desired, attempt.cause, attempt.stop_reason = Phase.STOPPED, ENDPOINT, why
    await meters.close(tx, attempt.id, None, now=now, cause=ENDPOINT)
    if attempt.started_at is not None:
        attempt.ended_at = await meters.seen_until(tx, attempt.id) or attempt.started_at
    await edge.drop_route(tx, replica.id)
    await move(tx, now, replica, State.FAILED, why)
    await resources.bump(tx, attempt.site_id)


async def _ended(
    tx: Tx,
    now: datetime,
    attempt: Attempt,
    replica: Replica,
    observed: ObservedReplica,
    before: datetime | None,
) -> None:
    if attempt.cause not in (NODE_LOST, ENDPOINT):
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
