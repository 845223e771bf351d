"""Rules of the edge: which replica has a page, and who may open it.

Every change sends the signal ``edge``, on which ``caddy.Pusher`` makes what Caddy reads equal to the table.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

from sqlalchemy import delete, select

from utcloud.common import addresses
from utcloud.common.errors import Conflict, Invalid
from utcloud.common.ids import new_secret
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit
from utcloud.edge.models import OpeningCode, Route

SIGNAL = "edge"
OUTSIDE = "endpoint_outside"
"""Code of the refusal of a place that is sound, and not in the networks of its site."""
CODE_LIFETIME = timedelta(seconds=60)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BASE32 = _LETTERS + "234567"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{0,100}")
_CODE = re.compile(r"[A-Za-z0-9_-]{43}")
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,250}")


async def put_route(
    tx: Tx,
    replica_id: str,
    owner_id: str,
    upstream: str,
    upstream_token: str,
    *,
    site_id: str,
    networks: Iterable[str],
) -> Route:
    """Make or update the route to a replica's page.

    ``upstream`` is ``address:port`` by the word of site ``site_id``, whose pages may lie in ``networks``. Raises
    Invalid with code ``endpoint`` for one that no page can have, ``endpoint_taken`` for one that another site's page
    has, and ``endpoint_outside`` for one that lies elsewhere. Within a site the newest word holds. The host stays the
    same as long as the replica exists; the secret until the route is dropped, as it is at each end.
    """
    place = _place(upstream, networks)
    await _take_over(tx, replica_id, site_id, place)
    if not _TOKEN.fullmatch(upstream_token):
        raise Invalid("The page's token has characters that it must not have.", field="token", cure="Make a new one.")
    route = await tx.get(Route, replica_id)
    if route is None:
        label = secrets.choice(_LETTERS) + "".join(secrets.choice(_BASE32) for _ in range(19))
        route = Route(replica_id=replica_id, host_label=label, secret=new_secret())
        tx.add(route)
    route.owner_id, route.site_id, route.upstream, route.upstream_token = owner_id, site_id, place, upstream_token
    await tx.flush()
    emit(tx, SIGNAL)
    return route


async def drop_route(tx: Tx, replica_id: str) -> None:
    """Take the replica's page away, with its secret and its opening codes. Its host name stays the replica's: a name
    for each start would need a certificate for each. Nothing happens when there is none.
    """
    await tx.execute(delete(OpeningCode).where(OpeningCode.replica_id == replica_id))
    if (route := await _live(tx, replica_id)) is not None:
        route.upstream, route.upstream_token, route.secret = "", "", new_secret()
        await tx.flush()
    emit(tx, SIGNAL)


async def forget_routes(tx: Tx, replica_ids: Collection[str]) -> None:
    """The replicas are deleted: nobody has their host names any more."""
    await tx.execute(delete(Route).where(Route.replica_id.in_(replica_ids)))
    emit(tx, SIGNAL)


async def issue_code(
    tx: Tx, now: datetime, settings: Settings, replica_id: str, path: str = "/lab"
) -> tuple[str, datetime]:
    """Return a link that opens the replica's page at ``path`` once, and the moment at which it ends.

    Raises Conflict while the replica has no page, Invalid for a path that leaves the replica's own host.
    """
    route = await _live(tx, replica_id)
    if route is None:
        raise Conflict("This page cannot be opened yet.", cure="Wait until it is running.", code="not_open")
    if not _LOCAL_PATH.fullmatch(path):
        raise Invalid("The path does not lie on the page's own host.", field="path", cure="Use a path such as /lab.")
    code, expires_at = new_secret(), now + CODE_LIFETIME
    tx.add(OpeningCode(code_hash=_hash(code), replica_id=replica_id, path=path, expires_at=expires_at))
    await tx.flush()
    return f"{settings.replica_origin(route.host_label)}/_utcloud/open?code={code}", expires_at


def local_path(start: str, name: str) -> str:
    """The path of the folder ``name`` below ``start``, as a link says it; ``start`` where that would be too long."""
    path = f"{start}/{quote(name, safe='')}"
    return path if _LOCAL_PATH.fullmatch(path) else start


async def is_code(tx: Tx, code: str) -> bool:
    """Whether there is such an opening code; what cannot be one is not looked for."""
    if not _CODE.fullmatch(code):
        return False
    return await tx.get(OpeningCode, _hash(code)) is not None


async def redeem(tx: Tx, now: datetime, host: str, code: str) -> tuple[str, str] | None:
    """Use an opening code up; return the route's secret and the path to go to.

    None when the code is unknown, used or ended, or belongs to another ``host`` (a Host header); it is used up then
    as well.
    """
    taken = (
        await tx.execute(
            delete(OpeningCode)
            .where(OpeningCode.code_hash == _hash(code))
            .returning(OpeningCode.replica_id, OpeningCode.path, OpeningCode.expires_at)
        )
    ).one_or_none()
    if taken is None or taken.expires_at <= now:
        return None
    route = await _live(tx, taken.replica_id)
    if route is None or route.host_label != host.partition(".")[0].lower():
        return None
    return route.secret, taken.path


async def rotate(tx: Tx, owner_id: str) -> None:
    """Give all routes of an owner new secrets and void their codes: whoever has a page open must open it anew.

    Streams that are open, such as a terminal's WebSocket, are closed by ``caddy.Pusher`` once the old secret is gone.
    """
    routes = (await tx.scalars(select(Route).where(Route.owner_id == owner_id, Route.upstream != ""))).all()
    for route in routes:
        route.secret = new_secret()
    await tx.execute(delete(OpeningCode).where(OpeningCode.replica_id.in_([route.replica_id for route in routes])))
    await tx.flush()
    emit(tx, SIGNAL)


async def expire_codes(tx: Tx, now: datetime) -> None:
    """Forget the codes that nobody used in time."""
    await tx.execute(delete(OpeningCode).where(OpeningCode.expires_at <= now))


async def all_routes(tx: Tx) -> list[Route]:
    """All routes that lead somewhere, in a lasting order."""
    return list((await tx.scalars(select(Route).where(Route.upstream != "").order_by(Route.replica_id))).all())


async def has_route(tx: Tx, replica_id: str) -> bool:
    """Whether the edge leads to the replica's page."""
    return await _live(tx, replica_id) is not None


async def is_host(tx: Tx, label: str) -> bool:
    """Whether some replica has this host label, running or not."""
    return await tx.scalar(select(Route.replica_id).where(Route.host_label == label)) is not None


async def _live(tx: Tx, replica_id: str) -> Route | None:
    """The replica's route, where it leads somewhere."""
    route = await tx.get(Route, replica_id)
    return route if route is not None and route.upstream else None


def _place(upstream: str, networks: Iterable[str]) -> str:
    """The address and port that ``upstream`` names, written anew: nothing else of a site's words comes to Caddy."""
    found = addresses.endpoint(upstream)
    if found is None:
        raise Invalid(
            f"{upstream[:80]!r} is not the address and port of a page.",
            field="endpoint",
            cure="Report the container's address, such as 10.89.0.2:8888.",
            code="endpoint",
        )
    if addresses.is_never(found.address) or addresses.is_own(found.address):
        raise Invalid(
            f"{found} is no container's address.",
            field="endpoint",
            cure="Report the container's bridge address.",
            code="endpoint",
        )
    if not addresses.is_within(found.address, networks):
        raise Invalid(
            f"{found} lies outside the networks where pages of its site may be.",
            field="endpoint",
            cure="Ask an operator to enter the networks of the site's containers.",
            code=OUTSIDE,
        )
    return str(found)


async def _take_over(tx: Tx, replica_id: str, site_id: str, place: str) -> None:
    """Let nobody else have ``place``: a container of the same site that had it is gone; another site keeps it."""
    holder = await tx.scalar(select(Route).where(Route.upstream == place, Route.replica_id != replica_id))
    if holder is None:
        return
    if holder.site_id != site_id:
        raise Invalid(
            f"{place} is the address of a page of another site.",
            field="endpoint",
            cure="Give the sites' containers networks of their own.",
            code="endpoint_taken",
        )
    await drop_route(tx, holder.replica_id)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
