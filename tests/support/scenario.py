"""One small cloud for the rules: a miner with a site and a pool, an offer, and renters with money.

``Scenario.build`` makes all of it, ``Scenario.bare`` the miner's hardware alone. Time passes, and the site is heard,
when a test says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.factories import (
    CHIP,
    FEE_PPM,
    GB,
    PRICE,
    CustomResourceFactory,
    ImageFactory,
    ObservedReplicaFactory,
    PoolSpecFactory,
    SiteReportFactory,
    SpecFactory,
    SpecItemFactory,
    UserFactory,
    actor_of,
    node_report,
)
from tests.support.money import fund, meter_of
from utcloud.accounts.auth import Actor
from utcloud.billing import journal, payers
from utcloud.billing.models import Meter
from utcloud.common.money import MICRO
from utcloud.db import Database, Tx
from utcloud.protocol import DesiredState, NodeReport, ObservedReplica, Phase
from utcloud.resources import reports, service
from utcloud.resources.models import ChipClaim, Site
from utcloud.workloads import loops, notebooks, observed, pages
from utcloud.workloads.desired import desired_state
from utcloud.workloads.models import Attempt, Replica, Workload
from utcloud.workloads.schemas import NotebookCreate, State

# Parts that a test may also put together by itself


async def add_user(tx: Tx, name: str, **roles: bool) -> Actor:
    """A user with no role but those given, such as ``is_miner=True``."""
    return actor_of(await UserFactory.insert(tx, username=name, **{"is_renter": False} | roles))


async def add_site(tx: Tx, miner: Actor, name: str = "local") -> str:
    """The id of a new site of the miner's."""
    site, token = await service.ensure_site(tx, miner.id, name)
    assert token, "it is new"
    return site.id


async def heard(tx: Tx, now: datetime, site_id: str, *nodes: NodeReport, sent_at: datetime | None = None) -> bool:
    """Let the site's agent report ``nodes``; whether that changed anything."""
    site = await tx.get_one(Site, site_id)
    return await reports.apply(tx, now, site, SiteReportFactory.build(sent_at=sent_at or now, nodes=list(nodes)))


async def add_spec(
    tx: Tx,
    miner: Actor,
    items: dict[str, int],
    *,
    price: int = PRICE,
    name: str = "",
    pool_id: str = "",
    purposes: Sequence[str] = ("notebook", "training"),
) -> str:
    """The id of a new specification, offered in the miner's default pool unless told; quantities in base units."""
    named = {"name": name} if name else {}
    spec = await SpecFactory.insert(tx, miner_id=miner.id, price=price, **named)
    pool_id = pool_id or (await service.default_pool(tx, miner.id)).id
    tx.add_all(SpecItemFactory.build(spec_id=spec.id, resource=key, quantity=value) for key, value in items.items())
    tx.add_all(PoolSpecFactory.build(pool_id=pool_id, spec_id=spec.id, purpose=purpose) for purpose in purposes)
    await tx.flush()
    return spec.id


@dataclass
class Scenario:
    """Who and what there is. Amounts in micro-UNC."""

    db: Database
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    fee_ppm: int = FEE_PPM
    nodes: list[NodeReport] = field(default_factory=lambda: [node_report("node-a", 2), node_report("node-b", 1)])
    edge_answers: bool = True
    """Whether a page answers at the edge as soon as its site says so."""
    seen: dict[str, ObservedReplica] = field(default_factory=dict)
    """The site's memory: what it will say of each attempt, by attempt id."""
    renter: Actor = field(init=False)
    other: Actor = field(init=False)
    miner: Actor = field(init=False)
    site_id: str = field(init=False)
    pool_id: str = field(init=False)
    spec_id: str = field(init=False)
    image_id: str = field(init=False)

    @classmethod
    async def build(cls, db: Database, **parts: Any) -> "Scenario":
        """Hardware, an offer, and two renters with 100 UNC each."""
        one = cls(db, **parts)
        async with db.write() as tx:
            await one._add_hardware(tx, "miner", "site")
            await one._add_offer(tx)
            await one._add_renters(tx)
        await one.report()
        return one

    @classmethod
    async def bare(cls, db: Database, now: datetime, *nodes: NodeReport, miner: str = "mina") -> "Scenario":
        """A miner with a site of ``nodes`` in a default pool."""
        one = cls(db, now=now, nodes=list(nodes))
        async with db.write() as tx:
            await one._add_hardware(tx, miner, f"site-{miner}")
            await heard(tx, now, one.site_id, *nodes)
        return one

    async def _add_hardware(self, tx: Tx, miner: str, site: str) -> None:
        self.miner = await add_user(tx, miner, is_miner=True)
        self.site_id = await add_site(tx, self.miner, site)
        place = await tx.get_one(Site, self.site_id)
        place.local, place.networks = False, ["10.89.0.0/16"]
        self.pool_id = (await service.default_pool(tx, self.miner.id)).id

    async def _add_offer(self, tx: Tx) -> None:
        (await service.default_pool(tx, self.miner.id)).name = "lab"
        image = await ImageFactory.insert(tx, owner_id=self.miner.id, name="jupyter", reference="localhost/jupyter:1")
        self.image_id = image.id
        await CustomResourceFactory.insert(tx, miner_id=self.miner.id, name="TPU1684X", system_resource=CHIP)
        self.spec_id = await self.add_spec(tx, "0.5CPU-1GB-1TPU1684X", {"cpu": 500, "memory": GB, "TPU1684X": 1})

    async def _add_renters(self, tx: Tx) -> None:
        self.renter = await add_user(tx, "renter", is_renter=True)
        self.other = await add_user(tx, "other", is_renter=True)
        for actor in (self.renter, self.other):
            await self.recharge(tx, actor, 100 * MICRO)

    async def add_spec(self, tx: Tx, name: str, items: dict[str, int], price: int = PRICE) -> str:
        """Offer another specification in the pool, for notebooks; its id."""
        return await add_spec(
            tx, self.miner, items, price=price, name=name, pool_id=self.pool_id, purposes=("notebook",)
        )

    async def recharge(self, tx: Tx, actor: Actor, amount: int) -> None:
        await fund(tx, actor.id, amount, self.now)

    async def agree(self, tx: Tx, group_id: str) -> None:
        """A manager lets the group's wallet pay in the world's pool."""
        await payers.allow(tx, (await journal.account(tx, "wallet", group_id)).id, [self.pool_id])

    def later(self, seconds: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self.now

    # The renter

    async def create(self, name: str = "first", *, actor: Actor | None = None, **fields: Any) -> str:
        """Create a notebook; its id."""
        wish = NotebookCreate(
            **{"name": name, "image_id": self.image_id, "pool_id": self.pool_id, "spec_id": self.spec_id} | fields
        )
        async with self.db.write() as tx:
            made = await notebooks.create(tx, self.now, actor or self.renter, wish, fee_ppm=self.fee_ppm)
            return made.id

    async def start(self, ident: str, **fields: Any) -> None:
        async with self.db.write() as tx:
            await notebooks.start(tx, self.now, self.renter, ident, fee_ppm=self.fee_ppm, **fields)

    async def stop(self, ident: str) -> None:
        async with self.db.write() as tx:
            await notebooks.stop(tx, self.now, self.renter, ident)

    async def remove(self, ident: str, actor: Actor | None = None) -> None:
        async with self.db.write() as tx:
            await notebooks.remove(tx, self.now, actor or self.renter, ident)

    # The site

    async def desired(self) -> DesiredState:
        async with self.db.read() as tx:
            return await desired_state(tx, await tx.get_one(Site, self.site_id), None)

    async def report(self, *replicas: ObservedReplica, dropped: Sequence[str] = (), at: datetime | None = None) -> int:
        """The site says what it sees: ``replicas``, or else all it remembers. Returns the revision."""
        report = SiteReportFactory.build(
            sent_at=at or self.now,
            nodes=self.nodes,
            replicas=list(replicas or self.seen.values()),
            dropped_volumes=list(dropped),
        )
        async with self.db.write() as tx:
            site = await tx.get_one(Site, self.site_id)
            before = site.last_seen_at
            await reports.apply(tx, self.now, site, report)
            await observed.apply(tx, self.now, site, report, before=before)
            if self.edge_answers:
                await pages.answered(tx, self.now, await self._seen_by_the_edge(tx))
                await observed.witness(tx, self.now, {self.site_id: report})
            return site.revision

    async def pages_answer(self) -> None:
        """The edge asks the pages that are said to answer; they do."""
        async with self.db.write() as tx:
            await pages.answered(tx, self.now, await self._seen_by_the_edge(tx))

    async def _seen_by_the_edge(self, tx: Tx) -> list[str]:
        """All but what names a place where the edge does not go."""
        waiting = await tx.scalars(select(Attempt.id).where(Attempt.page_since.is_not(None)))
        routed = {ident for ident, page in (await pages.waiting(tx)).items() if page.upstream}
        return [one for one in waiting if one in routed or one not in self.seen or not self.seen[one].endpoint]

    async def see(self, attempt_id: str, phase: Phase, **fields: Any) -> ObservedReplica:
        """Witness something of one attempt, remember it and report it with all else."""
        before = self.seen.get(attempt_id)
        kept = before.model_dump(include={"started_at", "endpoint"}) if before else {}
        attempt = await self.attempt(attempt_id)
        self.seen[attempt_id] = ObservedReplicaFactory.build(
            **{"replica_id": attempt.replica_id, "attempt_id": attempt_id, "phase": phase} | kept | fields
        )
        await self.report()
        return self.seen[attempt_id]

    async def run(self, ident: str) -> list[str]:
        """Bring all that a notebook was given to running, as a site would; the attempts' ids."""
        attempts = [one.attempt_id for one in (await self.desired()).replicas if one.workload_id == ident]
        for attempt_id in attempts:
            await self.see(
                attempt_id, Phase.RUNNING, started_at=self.now, endpoint=f"10.89.0.{2 + len(self.seen)}:8888"
            )
        return attempts

    async def end(self, attempt_id: str, **fields: Any) -> None:
        """Its container ends now."""
        await self.see(attempt_id, Phase.ENDED, **{"ended_at": self.now, "exit_code": 0, "cause": "stopped"} | fields)

    async def place_waiting(self) -> None:
        """What the loop does when capacity has come free."""
        await loops.place_waiting(self.db, FakeClock(self.now), fee_ppm=self.fee_ppm)

    # What became of it

    async def workload(self, ident: str) -> Workload:
        async with self.db.read() as tx:
            return await tx.get_one(Workload, ident)

    async def replicas(self, ident: str) -> list[Replica]:
        async with self.db.read() as tx:
            query = select(Replica).where(Replica.workload_id == ident).order_by(Replica.id)
            return list((await tx.scalars(query)).all())

    async def states(self, ident: str) -> list[State]:
        return [State(one.state) for one in await self.replicas(ident)]

    async def attempt(self, attempt_id: str) -> Attempt:
        async with self.db.read() as tx:
            return await tx.get_one(Attempt, attempt_id)

    async def meter(self, attempt_id: str) -> Meter:
        async with self.db.read() as tx:
            return await meter_of(tx, attempt_id)

    async def balance(self, kind: str, owner_id: str) -> int:
        async with self.db.write() as tx:
            return (await journal.account(tx, kind, owner_id)).balance

    async def claims(self) -> dict[str, str]:
        """Chip id → attempt id."""
        async with self.db.read() as tx:
            rows = await tx.execute(select(ChipClaim.chip_id, ChipClaim.attempt_id))
            return {row.chip_id: row.attempt_id for row in rows}
