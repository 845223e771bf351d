"""Pages of replicas: when one runs and is billed, which the edge may reach, and why one cannot be opened.

A site says that a page answers; the server asks it itself, at the address and with the token that the edge uses. Until
that has had an answer, it does not count as running, and nothing is billed. A page to which the edge has no way runs on
its site's word, and is not billed.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, or_, select, update

from utcloud.billing import meters, uptime
from utcloud.common import addresses
from utcloud.common.clock import to_ms
from utcloud.common.errors import Conflict, Invalid
from utcloud.db import Tx, emit
from utcloud.edge import service as edge
from utcloud.edge.models import Route
from utcloud.protocol import ObservedReplica, Phase
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.workloads.models import Attempt, Replica, Workload
from utcloud.workloads.schemas import State
from utcloud.workloads.states import move

KINDS = frozenset({"notebook"})
"""Kinds of work that have a page, and are billed from when it answers."""
SIGNAL = "pages"


async def look_at(tx: Tx, now: datetime, attempt: Attempt, replica: Replica, since: datetime, told: datetime) -> None:
    """Its site says that its page answers since ``since``; until ``told`` it had not. The first word holds."""
    if attempt.page_since is None:
        attempt.page_since, attempt.page_told = since, told
    if await edge.has_route(tx, replica.id):
        await move(tx, now, replica, State.STARTING, "waiting for its page to answer at the edge")
        emit(tx, SIGNAL)
    else:
        await move(tx, now, replica, State.RUNNING)


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


async def out_of_reach(tx: Tx, now: datetime, attempt_ids: Collection[str]) -> None:
    """The edge has no way to these pages any more: they run on their sites' word, and are not billed."""
    query = select(Replica).where(Replica.attempt_id.in_(attempt_ids), Replica.state == State.STARTING)
    for replica in (await tx.scalars(query)).all():
        await move(tx, now, replica, State.RUNNING)


class Page(NamedTuple):
    """A page that is still to answer."""

    upstream: str
    """Address and port at which the edge asks it; empty where there is no route any more."""
    token: str
    miner_id: str


async def waiting(tx: Tx) -> dict[str, Page]:
    """The pages that a site says answer and the edge has not seen yet, by attempt; those that never had a route are
    left out."""
    rows = await tx.execute(
        select(Attempt.id, Route.upstream, Route.upstream_token, Site.miner_id)
        .join(Replica, Replica.id == Attempt.replica_id)
        .join(Site, Site.id == Attempt.site_id)
        .outerjoin(Route, and_(Route.replica_id == Attempt.replica_id, Route.upstream != ""))
        .where(Attempt.page_since.is_not(None), Attempt.done.is_(False), Attempt.desired == Phase.RUNNING)
        .where(or_(Route.replica_id.is_not(None), Replica.state == State.STARTING))
    )
    return {ident: Page(upstream or "", token or "", miner) for ident, upstream, token, miner in rows}


async def silent(tx: Tx, attempt_ids: Collection[str], asked_at: datetime) -> None:
    """These pages did not answer when they were asked: no start before that is believed."""
    await tx.execute(
        update(Attempt)
        .where(Attempt.id.in_(attempt_ids), Attempt.page_told < asked_at)
        .values(page_told=asked_at)
        .execution_options(synchronize_session=False)
    )


def is_wanted(attempt: Attempt, observed: ObservedReplica) -> bool:
    """Whether the site names a place for the page of an attempt that is to run, and another than before."""
    return bool(observed.endpoint) and observed.endpoint != attempt.endpoint and attempt.desired == Phase.RUNNING


def is_elsewhere(site: Site, observed: ObservedReplica) -> bool:
    """Whether the place is a sound one that just lies where the edge does not go for this site."""
    place = addresses.endpoint(observed.endpoint or "")
    return (
        place is not None
        and not addresses.is_never(place.address)
        and not addresses.is_within(place.address, resources.page_networks(site))
    )


async def route(tx: Tx, site: Site, attempt: Attempt, observed: ObservedReplica) -> str:
    """Have the edge lead to the page, unless it lies elsewhere: then it just cannot be opened. Returns why the place
    that the site names is none for a page."""
    workload = await tx.get_one(Workload, attempt.workload_id)
    networks = resources.page_networks(site)
    place = observed.endpoint or ""
    try:
        await edge.put_route(
            tx, attempt.replica_id, workload.owner_id, place, attempt.token, site_id=site.id, networks=networks
        )
    except Invalid as refused:
        if refused.code == edge.OUTSIDE:
            return ""
        return f"its site named a place that cannot be its page's: {refused.detail}"
    attempt.endpoint = place
    return ""


async def reroute(tx: Tx, site: Site) -> None:
    """The site's networks have changed: close the pages that lie elsewhere now. Others open with its next report."""
    query = (
        select(Attempt)
        .join(Replica, Replica.attempt_id == Attempt.id)
        .where(Attempt.site_id == site.id, Attempt.done.is_(False), Attempt.endpoint != "")
    )
    networks = resources.page_networks(site)
    for attempt in await tx.scalars(query):
        place = addresses.endpoint(attempt.endpoint)
        if place is None or not addresses.is_within(place.address, networks):
            attempt.endpoint = ""
            await edge.drop_route(tx, attempt.replica_id)
    await resources.bump(tx, site.id)


async def require_reachable(tx: Tx, replica: Replica) -> None:
    """Raise Conflict, in words, when the page of a replica that runs is one to which the edge has no way."""
    if await edge.has_route(tx, replica.id) or replica.site_id is None:
        return
    site = await tx.get_one(Site, replica.site_id)
    if site.local and not site.engine_networks:
        raise Conflict(f"The networks of site {site.name!r} are not known yet.", cure="Wait a moment.", code="not_open")
    if not resources.page_networks(site):
        raise Conflict(
            f"Pages of distant sites do not open yet, and site {site.name!r} is not on the platform's own host.",
            cure="Use a pool on the platform's own host, or ask an operator whether the platform reaches that site's "
            "containers: then they can enter its networks.",
            code="page_of_distant_site",
        )
    raise Conflict(
        f"The page's address lies outside the networks that are allowed for site {site.name!r}.",
        cure="Ask an operator to enter the networks of that site's containers.",
        code="page_outside_networks",
    )
