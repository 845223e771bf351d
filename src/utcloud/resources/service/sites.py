"""Sites: places with an agent of their own, which joins by a token."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select, update

from utcloud.accounts import audit
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.accounts.service import usernames
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit, paginate
from utcloud.protocol import SILENT_AFTER_S
from utcloud.resources.capacity import CAPACITY_SIGNAL, is_heard, is_lost, lock_pools
from utcloud.resources.models import Node, Site
from utcloud.resources.schemas import SiteCreate, SiteCreated, SiteNetworks, SiteOut, SiteSort
from utcloud.resources.service.agents import (
    allow_networks,
    hash_of,
    new_token,
    page_networks,
    replace_token,
    site_flags,
)
from utcloud.resources.service.attention import MOST_CLOCK_OFFSET_MS
from utcloud.resources.service.common import changed, flush_name, in_use, name_taken, some, visible
from utcloud.resources.service.lifecycle import on_nodes_removed
from utcloud.resources.service.moves import busy
from utcloud.resources.service.pools import default_pool

MOST_SITES = 100
"""So many sites a miner has, at most."""


def site_connected(site: Site, now: datetime) -> bool:
    """Whether the site's agent was heard of late."""
    return is_heard(site.last_seen_at, now)


async def ensure_site(tx: Tx, miner_id: str, name: str, *, renew_token: bool = False) -> tuple[Site, str | None]:
    """The miner's site on the server's own host, by name, and its token when it is new or ``renew_token`` asks for a
    new one."""
    site = await tx.scalar(select(Site).where(Site.miner_id == miner_id, Site.name == name, Site.removed_at.is_(None)))
    if site:
        site.local = True
    if site and not renew_token:
        await tx.flush()
        return site, None
    token = new_token()
    if site:
        site.token_hash = hash_of(token)
        audit.record(tx, SYSTEM, "site.renew_token", "site", site.id, site.name)
    else:
        site = await _add(tx, SYSTEM, miner_id, name, token, local=True)
    await tx.flush()
    return site, token


async def _add(tx: Tx, actor: Actor, miner_id: str, name: str, token: str, *, local: bool = False) -> Site:
    count = select(func.count()).select_from(Site).where(Site.miner_id == miner_id, Site.removed_at.is_(None))
    if (await tx.scalar(count) or 0) >= MOST_SITES:
        raise Conflict(
            f"You have {MOST_SITES} sites: there can be no more.",
            cure="Delete one that you no longer need; a site may have many servers.",
            code="too_many_sites",
        )
    if await tx.scalar(select(Site.id).where(Site.name == name)):
        raise name_taken("site", name)
    await default_pool(tx, miner_id)
    site = Site(id=new_id("site"), name=name, miner_id=miner_id, token_hash=hash_of(token), revision=0, local=local)
    tx.add(site)
    await flush_name(tx, "site", name)
    audit.record(tx, actor, "site.create", "site", site.id, site.name)
    changed(tx)
    return site


async def create_site(tx: Tx, now: datetime, actor: Actor, body: SiteCreate) -> SiteCreated:
    """Make a site; the answer holds its token, once."""
    actor.require_miner()
    token = new_token()
    site = await _add(tx, actor, actor.id, body.name, token)
    (out,) = await _sites_out(tx, now, [site])
    return SiteCreated(**out.model_dump(), token=token)


async def rotate_site_token(tx: Tx, now: datetime, actor: Actor, site_id: str) -> SiteCreated:
    """Give a site another token, shown once; the one before is good for ten minutes more."""
    site = await _get(tx, actor, site_id)
    token = replace_token(site, now)
    audit.record(tx, actor, "site.rotate_token", "site", site.id, site.name)
    await tx.flush()
    changed(tx)
    (out,) = await _sites_out(tx, now, [site])
    return SiteCreated(**out.model_dump(), token=token)


async def set_site_networks(tx: Tx, now: datetime, actor: Actor, site_id: str, body: SiteNetworks) -> SiteOut:
    """Say where a site's pages may be: an operator's decision, since the edge will go there."""
    site = await _get(tx, actor, site_id)
    await allow_networks(tx, actor, site, body.networks)
    changed(tx)
    return (await _sites_out(tx, now, [site]))[0]


async def _get(tx: Tx, actor: Actor, site_id: str) -> Site:
    site = await tx.scalar(
        select(Site).where(Site.id == site_id, Site.removed_at.is_(None), visible(actor, Site.miner_id))
    )
    if site is None:
        raise NotFound.of("site", site_id)
    return site


async def get_site(tx: Tx, now: datetime, actor: Actor, site_id: str) -> SiteOut:
    return (await _sites_out(tx, now, [await _get(tx, actor, site_id)]))[0]


async def list_sites(
    tx: Tx,
    now: datetime,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    clock_off: bool | None = None,
    sort: SiteSort = SiteSort.NAME,
) -> tuple[list[SiteOut], str | None]:
    """One page of sites."""
    query = select(Site).where(Site.removed_at.is_(None), visible(actor, Site.miner_id))
    if search:
        query = query.where(Site.name.icontains(search, autoescape=True))
    if clock_off is not None:
        query = query.where(_is_clock_off(now) if clock_off else ~_is_clock_off(now))
    sites, after = await paginate(
        tx, query, Site.id, limit=limit, cursor=cursor, sort=sort, columns={"name": Site.name}
    )
    return await _sites_out(tx, now, sites), after


def _is_clock_off(now: datetime) -> ColumnElement[bool]:
    """That its clock is wrong: of a site that is not heard nobody knows."""
    heard = Site.last_seen_at >= now - timedelta(seconds=SILENT_AFTER_S)
    return and_(heard.is_(True), func.abs(Site.clock_offset_ms) > MOST_CLOCK_OFFSET_MS)


async def delete_site(tx: Tx, now: datetime, actor: Actor, site_id: str) -> None:
    """Take a site away: its nodes are gone, and its agent may no longer report; it only hears that nothing is wanted.

    Refused while work runs there; but work on a site that is lost is failed, and freed.
    """
    site = await _get(tx, actor, site_id)
    nodes = select(Node.id).where(Node.site_id == site.id)
    if is_lost(site.last_seen_at, now):
        for hook in on_nodes_removed:
            await hook(tx, now, list(await tx.scalars(nodes)), f"node lost: site {site.name} was removed by its miner")
    await lock_pools(tx, await tx.scalars(select(Node.pool_id).where(Node.site_id == site.id).distinct()))
    held = await busy(tx, list(await tx.scalars(nodes)))
    if held:
        raise in_use(
            f"Site {site.name!r}",
            f"work on {some(list(held.values()))}",
            "Drain these nodes first, or stop what runs there.",
        )
    audit.record(tx, actor, "site.delete", "site", site.id, site.name)
    site.removed_at = now
    site.name = f"{site.name[:30]} ({site.id})"  # frees the name
    await tx.execute(
        update(Node)
        .where(Node.site_id == site.id, Node.gone.is_(False))
        .values(
            gone=True,
            ready=False,
            ready_since=now,
            reason="its site was removed",
            cordoned=False,
            drain_at=None,
            moving_to_pool_id=None,
        )
        .execution_options(synchronize_session=False)
    )
    await tx.flush()
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)


async def _sites_out(tx: Tx, now: datetime, sites: list[Site]) -> list[SiteOut]:
    names = await usernames(tx, {site.miner_id for site in sites})
    counts = await tx.execute(
        select(Node.site_id, func.count())
        .where(Node.site_id.in_([site.id for site in sites]), Node.gone.is_(False))
        .group_by(Node.site_id)
    )
    nodes: dict[str, int] = {row[0]: row[1] for row in counts}
    return [
        SiteOut(
            id=site.id,
            name=site.name,
            miner_id=site.miner_id,
            miner_name=names.get(site.miner_id, ""),
            nodes=nodes.get(site.id, 0),
            connected=site_connected(site, now),
            agent_version=site.agent_version or "",
            clock_offset_ms=site.clock_offset_ms or 0,
            local=site.local,
            networks=site.networks,
            page_networks=page_networks(site),
            flags=site_flags(site, now),
            last_seen_at=site.last_seen_at,
            created_at=site.created_at,
        )
        for site in sites
    ]
