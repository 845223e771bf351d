"""What a site's agent may do and how it is known: its token, the networks of its pages, what is flagged of its work."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Text, and_, cast, or_, select, update

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.accounts.service import in_standing
from utcloud.common import addresses
from utcloud.common.errors import Conflict
from utcloud.common.ids import new_secret
from utcloud.common.texts import clean
from utcloud.db import Tx
from utcloud.resources.models import Node, Site

TOKEN_PREFIX = "utcs_"  # noqa: S105 - what site tokens begin with
OVERLAP = timedelta(minutes=10)
"""So long a token is good after another has taken its place."""
TWICE_FOR = timedelta(minutes=10)
"""So long a site is said to have two agents after both were heard last."""
_MOST_FLAGS = 50

Rerouting = Callable[[Tx, Site], Awaitable[None]]
on_networks: list[Rerouting] = []
"""Called in the transaction that changes where a site's pages may be. Rooms above add theirs."""


def hash_of(token: str) -> str:
    """What is kept of a site's token."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def new_token() -> str:
    return TOKEN_PREFIX + new_secret()


async def site_for_token(tx: Tx, token: str, *, now: datetime | None = None, removed: bool = False) -> Site | None:
    """The site whose agent holds ``token``.

    One that was removed, or whose miner may not have work (``accounts.in_standing``), only if ``removed`` allows it.
    """
    if not token.startswith(TOKEN_PREFIX):
        return None
    digest, now = hash_of(token), now or datetime.now(UTC)
    old = and_(Site.old_token_hash == digest, Site.old_token_until > now)
    query = select(Site, in_standing()).join(User, User.id == Site.miner_id)
    found = (await tx.execute(query.where(or_(Site.token_hash == digest, old)))).one_or_none()
    if found is None:
        return None
    site, good = found
    return site if removed or (good and site.removed_at is None) else None


async def is_suspended(tx: Tx, site: Site) -> bool:
    """Whether its miner may not have work now."""
    return not await tx.scalar(select(in_standing()).where(User.id == site.miner_id))


def replace_token(site: Site, now: datetime) -> str:
    """Give the site a new token; the one before stays good for a while, so that its agent is not cut off."""
    if site.local:
        raise Conflict(
            f"The platform keeps the token of its own site {site.name!r} by itself.",
            cure="Take the platform down, remove run/site-token from its home folder, and bring it up again.",
            code="local_site",
        )
    token = new_token()
    site.old_token_hash, site.old_token_until = site.token_hash, now + OVERLAP
    site.token_hash, site.two_agents_at = hash_of(token), None
    return token


def page_networks(site: Site) -> list[str]:
    """Where its pages may be: an operator's word, and of a site on the server's own host its engine's."""
    return [*site.networks, *(site.engine_networks if site.local else ())]


async def allow_networks(tx: Tx, actor: Actor, site: Site, texts: Sequence[str]) -> None:
    """Say where the site's pages may be; the edge follows at once."""
    actor.require_operator()
    before, site.networks = site.networks, addresses.networks(texts)
    detail = {"before": before, "networks": site.networks}
    audit.record(tx, actor, "site.networks", "site", site.id, site.name, detail)
    await tx.flush()
    for hook in on_networks:
        await hook(tx, site)


def engine_networks(texts: Sequence[str]) -> list[str]:
    """What an agent says of its engine's networks, without what makes no sense."""
    found = []
    for text in texts:
        try:
            found.append(addresses.network(text))
        except ValueError:
            continue
    return sorted(set(found))


def agents_heard(site: Site, agent_id: str, now: datetime) -> dict[str, object]:
    """What to keep of which agent speaks: one that speaks again after another has spoken is not alone."""
    if not agent_id or agent_id == site.agent_id:
        return {}
    values: dict[str, object] = {"agent_id": agent_id, "agent_before": site.agent_id}
    return values | ({"two_agents_at": now} if agent_id == site.agent_before else {})


def site_flags(site: Site, now: datetime) -> list[str]:
    """What is wrong with a site as a whole, for a person."""
    flags = []
    if site.two_agents_at is not None and now - site.two_agents_at <= TWICE_FOR:
        flags.append("Two agents speak with its token at once: give it a new token, and only one of them.")
    if site.suspended_at is not None:
        flags.append("Its miner may not have work: it takes nothing new, and what it earned is held.")
    return flags


async def flag_work(tx: Tx, site_id: str, flags: Mapping[str, Sequence[str]]) -> None:
    """Let the nodes of a site show what of its last report of work was set aside; ``flags`` by node."""
    flagged = (Node.site_id == site_id, cast(Node.work_flags, Text) != "[]")
    wanted = {ident: [clean(flag, 300) for flag in dict.fromkeys(said)][:_MOST_FLAGS] for ident, said in flags.items()}
    cleared = update(Node).where(*flagged, Node.id.not_in(wanted)).values(work_flags=[])
    await tx.execute(cleared.execution_options(synchronize_session=False))
    for node_id, said in wanted.items():
        chosen = update(Node).where(Node.id == node_id, Node.site_id == site_id).values(work_flags=said)
        await tx.execute(chosen.execution_options(synchronize_session=False))
