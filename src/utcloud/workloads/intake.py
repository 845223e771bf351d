"""A report is taken in: whole, or else what of it can be, so that one replica's part never costs another its own."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from utcloud.common.clock import Clock
from utcloud.common.errors import Problem, TooMany, Unauthenticated
from utcloud.db import Database, Tx
from utcloud.protocol import ObservedReplica, SiteReport
from utcloud.resources import reports
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.resources.reports import Incoming
from utcloud.resources.revisions import not_heard
from utcloud.workloads import observed
from utcloud.workloads.states import TURNS

log = structlog.get_logger()

RATE, BURST = 10.0, 60
"""So many reports a second of one site in the long run, and at once. One that works has far fewer."""
_MOST_BUCKETS = 10_000


class Buckets:
    """Token buckets, one for each sender. Those that have been full the longest are forgotten."""

    def __init__(self, now: Callable[[], float], rate: float = RATE, burst: int = BURST) -> None:
        self._now, self._rate, self._burst = now, rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left of each, and when that was."""

    def take(self, sender: str) -> None:
        """Take one; raises TooMany when there is none."""
        now = self._now()
        left, at = self._left.pop(sender, (float(self._burst), now))
        left = min(left + (now - at) * self._rate, self._burst)
        self._left[sender] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _MOST_BUCKETS:
            self._left.popitem(last=False)
        if left < 1:
            raise TooMany(
                f"This site reports more than {self._rate:g} times a second.",
                retry_after_s=1,
                cure="Report what has changed together, and every ten seconds what has not.",
            )


async def take_in(db: Database, clock: Clock, token: str, incoming: Incoming) -> int:
    """Store what a site says; its revision. Raises Unauthenticated for a token that is not known."""
    try:
        return await _whole(db, clock.now(), token, incoming)
    except Exception as error:
        if isinstance(error, Problem) or _passes(error) or not incoming.report.replicas:
            raise
        log.exception("a report cannot be stored as a whole; its parts are stored one by one")
        return await _apart(db, clock.now(), token, incoming)


async def site_of(tx: Tx, token: str, now: datetime, *, removed: bool = False) -> Site:
    """The site whose agent holds the token; see ``resources.site_for_token``."""
    site = await resources.site_for_token(tx, token, now=now, removed=removed)
    if site is None:
        raise Unauthenticated(
            "This site's token is not known.", cure="Join again with a token from the miner management end."
        )
    return site


async def _whole(db: Database, now: datetime, token: str, incoming: Incoming) -> int:
    """Others wait for it only when it says something new of an attempt."""
    report = incoming.report
    async with db.read() as tx:
        site = await site_of(tx, token, now, removed=True)
        news, revision = await observed.is_news(tx, site, report), site.revision
    if not news:
        async with db.write() as tx:
            site = await site_of(tx, token, now, removed=True)
            await tx.refresh(site, with_for_update={"key_share": True})
            if site.revision == revision:  # else what it says may mean something else now
                return await _store(tx, now, site, incoming)
    async with db.write(TURNS) as tx:
        return await _store(tx, now, await site_of(tx, token, now, removed=True), incoming)


async def _store(tx: Tx, now: datetime, site: Site, incoming: Incoming, aside: dict[str, str] | None = None) -> int:
    if site.removed_at is not None:
        raise Unauthenticated("This site was removed.", cure="Make another, and join with its token.")
    before = site.last_seen_at
    if await resources.is_suspended(tx, site):
        await reports.note_alive(tx, now, site)
        await observed.apply(tx, now, site, incoming.report, before=before, closing=True, aside=aside)
    else:
        await reports.apply(tx, now, site, incoming)
        await observed.apply(tx, now, site, incoming.report, before=before, aside=aside)
    return site.revision


async def _apart(db: Database, now: datetime, token: str, incoming: Incoming) -> int:
    """Store what is said of attempts in smaller and smaller parts, each in a transaction of its own (the journal knows
    no savepoints); then the rest, with a flag on the nodes of those of which nothing can be stored."""
    aside = await _try(db, now, token, incoming.report, incoming.report.replicas)
    async with db.write(TURNS) as tx:
        site = await site_of(tx, token, now, removed=True)
        revision = await _store(tx, now, site, incoming, aside)
        site.report_digest = not_heard()  # perhaps it can be next time
        return revision


async def _try(
    db: Database, now: datetime, token: str, report: SiteReport, replicas: list[ObservedReplica]
) -> dict[str, str]:
    """Store what is said of these attempts; those of which nothing can be stored, and why."""
    try:
        async with db.write(TURNS) as tx:
            site = await site_of(tx, token, now, removed=True)
            part = SiteReport(sent_at=report.sent_at, replicas=replicas)
            closing = await resources.is_suspended(tx, site)
            await observed.apply(tx, now, site, part, before=site.last_seen_at, closing=closing)
        return {}
    except Exception as error:
        if _passes(error):
            raise
        if len(replicas) == 1:
            attempt_id = replicas[0].attempt_id
            log.warning("what is said of an attempt cannot be stored", attempt=attempt_id, error=str(error)[:500])
            return {attempt_id: f"what it says of attempt {attempt_id[:40]} cannot be stored, and was set aside"}
    half = len(replicas) // 2
    first = await _try(db, now, token, report, replicas[:half])
    return first | await _try(db, now, token, report, replicas[half:])


def _passes(error: Exception) -> bool:
    """Whether it has nothing to do with what was said: the database is away."""
    return isinstance(error, OSError | TimeoutError | OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
