"""When a page answers where the edge reaches it: from then on its work is billed, whatever its site says.

A site says that a page answers; the server asks it itself, at the address and with the token that the edge uses. Until
that has had an answer, it does not count as running, and nothing is billed.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select, update

from utcloud.billing import meters, uptime
from utcloud.common.clock import to_ms
from utcloud.db import Tx, emit
from utcloud.edge.models import Route
from utcloud.protocol import Phase
from utcloud.workloads.models import Attempt, Replica
from utcloud.workloads.schemas import State
from utcloud.workloads.states import move

KINDS = frozenset({"notebook"})
"""Kinds of work that have a page, and are billed from when it answers."""
SIGNAL = "pages"


async def look_at(tx: Tx, now: datetime, attempt: Attempt, replica: Replica, since: datetime, told: datetime) -> None:
    """Its site says that its page answers since ``since``; until ``told`` it had not."""
    attempt.page_since, attempt.page_told = since, told
    await move(tx, now, replica, State.STARTING, "waiting for its page to answer at the edge")
    emit(tx, SIGNAL)


async def answered(tx: Tx, now: datetime, attempt_ids: Collection[str]) -> None:
    """The pages of these attempts answered at the edge: they run, and are billed from when their sites say, within what
    was known."""
    query = (
        select(Attempt, Replica)
        .join(Replica, Replica.id == Attempt.replica_id)
        .where(Attempt.id.in_(attempt_ids), Attempt.page_since.is_not(None), Attempt.done.is_(False))
    )
    for attempt, replica in (await tx.execute(query)).all():
        if attempt.page_since is not None:
            await meters.start(tx, attempt.id, attempt.page_since, now=now, told=attempt.page_told)
        attempt.page_since = None
        if replica.attempt_id == attempt.id and replica.state == State.STARTING:
            await move(tx, now, replica, State.RUNNING)


async def ended(tx: Tx, now: datetime, attempt: Attempt) -> None:
    """It has ended. What no server could see, since none was there, is billed on its site's word."""
    if attempt.page_since is None:
        return
    since = max(attempt.page_since, attempt.page_told or attempt.page_since)
    away = to_ms(now) - to_ms(since) - await uptime.listened_ms(tx, since, now)
    if away > 0:
        unseen = max(since, now - timedelta(milliseconds=away))
        await meters.start(tx, attempt.id, attempt.page_since, now=now, told=unseen)
    attempt.page_since = None


async def waiting(tx: Tx) -> dict[str, tuple[str | None, str | None]]:
    """The pages that a site says answer and the edge has not seen yet: address and token, where there is a route."""
    rows = await tx.execute(
        select(Attempt.id, Route.upstream, Route.upstream_token)
        .outerjoin(Route, Route.replica_id == Attempt.replica_id)
        .where(Attempt.page_since.is_not(None), Attempt.done.is_(False), Attempt.desired == Phase.RUNNING)
    )
    return {ident: (upstream, token) for ident, upstream, token in rows}


async def silent(tx: Tx, attempt_ids: Collection[str], asked_at: datetime) -> None:
    """These pages did not answer when they were asked: no start before that is believed."""
    await tx.execute(
        update(Attempt)
        .where(Attempt.id.in_(attempt_ids), Attempt.page_told < asked_at)
        .values(page_told=asked_at)
        .execution_options(synchronize_session=False)
    )
