"""Pages of replicas: which the edge may reach, by their site's word, and why one cannot be opened."""

from sqlalchemy import select

from utcloud.common import addresses
from utcloud.common.errors import Conflict, Invalid
from utcloud.db import Tx
from utcloud.edge import service as edge
from utcloud.protocol import ObservedReplica, Phase
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.workloads.models import Attempt, Replica, Workload


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
