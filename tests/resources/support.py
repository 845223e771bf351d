"""What the tests of resources and billing stand on: miners, sites, reports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.common.ids import new_id
from utcloud.db import Database, Tx
from utcloud.protocol import ChipReport, NodeReport, ResourceReport, SiteReport
from utcloud.resources import reports, service
from utcloud.resources.models import Pool, PoolSpec, Site, Spec, SpecItem

CHIP = "sophgo.com/bm1684x"


async def add_user(tx: Tx, name: str, **roles: bool) -> Actor:
    """A user; with ``is_miner=True`` and the like."""
    user = User(id=new_id("usr"), username=name, password_hash="-", **{"is_renter": False, **roles})
    tx.add(user)
    await tx.flush()
    return Actor(user.id, name, user.is_operator, user.is_miner, user.is_renter)


def node(
    name: str = "node-1",
    *,
    cpu: int = 8000,
    memory: int = 16 * 10**9,
    chips: int = 0,
    uid: str = "",
    simulated: bool = False,
    cards: Sequence[str] = (),
    **more: Any,
) -> NodeReport:
    """A node with ``chips`` chips whose uids begin with ``uid`` (its name unless given), or one for each serial number
    of ``cards``."""
    serials = cards or [""] * chips
    return NodeReport(
        name=name,
        resources=[ResourceReport(name="cpu", capacity=cpu), ResourceReport(name="memory", capacity=memory)],
        chips=[
            chip(f"{uid or name}-{index}", index, serial=serial, simulated=simulated)
            for index, serial in enumerate(serials)
        ],
        **more,
    )


def chip(uid: str, index: int = 0, **more: Any) -> ChipReport:
    return ChipReport(**{"uid": uid, "resource": CHIP, "index": index, "model": "BM1684X", **more})


async def heard(tx: Tx, now: datetime, site_id: str, *nodes: NodeReport, sent_at: datetime | None = None) -> bool:
    """The site's agent reports ``nodes``."""
    site = await tx.get_one(Site, site_id)
    return await reports.apply(tx, now, site, SiteReport(sent_at=sent_at or now, nodes=list(nodes)))


async def add_site(tx: Tx, miner: Actor, name: str = "local") -> str:
    site, token = await service.ensure_site(tx, miner.id, name)
    assert token
    return site.id


async def add_spec(tx: Tx, miner: Actor, items: dict[str, int], *, price: int = 1_500_000, name: str = "") -> str:
    """A specification offered in the miner's default pool; quantities in base units."""
    spec = Spec(id=new_id("spec"), miner_id=miner.id, name=name or new_id("s"), price=price)
    tx.add(spec)
    await tx.flush()
    tx.add_all(SpecItem(spec_id=spec.id, resource=key, quantity=value) for key, value in items.items())
    pool = await service.default_pool(tx, miner.id)
    tx.add_all(PoolSpec(pool_id=pool.id, spec_id=spec.id, purpose=purpose) for purpose in ("notebook", "training"))
    await tx.flush()
    return spec.id


class World:
    """One miner with one site and its default pool."""

    def __init__(self, db: Database, miner: Actor, site_id: str, pool: Pool) -> None:
        self.db, self.miner, self.site_id, self.pool = db, miner, site_id, pool

    @classmethod
    async def make(cls, db: Database, now: datetime, *nodes: NodeReport, miner: str = "mina") -> "World":
        async with db.write() as tx:
            actor = await add_user(tx, miner, is_miner=True)
            site_id = await add_site(tx, actor, f"site-{miner}")
            pool = await service.default_pool(tx, actor.id)
            await heard(tx, now, site_id, *nodes)
        return cls(db, actor, site_id, pool)
