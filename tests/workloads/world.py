"""A small world for the rules of workloads: one site of two nodes, heard when a test says so, at a time it chooses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from tests.support.clock import FakeClock
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.assets.models import Image
from utcloud.billing import journal, meters
from utcloud.billing.models import Meter
from utcloud.common.ids import new_id
from utcloud.common.money import MICRO
from utcloud.db import Database, Tx
from utcloud.protocol import (
    ChipReport,
    DesiredState,
    NodeReport,
    ObservedReplica,
    Phase,
    ResourceReport,
    SiteReport,
)
from utcloud.resources import reports
from utcloud.resources.models import ChipClaim, CustomResource, Pool, PoolSpec, Site, Spec, SpecItem
from utcloud.workloads import loops, notebooks, observed
from utcloud.workloads.desired import desired_state
from utcloud.workloads.models import Attempt, Replica, Workload
from utcloud.workloads.schemas import NotebookCreate, State

CHIP = "sophgo.com/bm1684x"
PRICE = 1_500_000
FEE_PPM = meters.fee_ppm(5.0)
GB = 10**9


def node_report(name: str, chips: int, *, ready: bool = True, cpu: int = 8000) -> NodeReport:
    """What an agent says of a node with ``chips`` simulated chips."""
    return NodeReport(
        name=name,
        ip="10.0.0.1",
        ready=ready,
        engine="podman",
        resources=[
            ResourceReport(name="cpu", capacity=cpu),
            ResourceReport(name="memory", capacity=16 * GB),
            ResourceReport(name=CHIP, capacity=chips, simulated=True),
        ],
        chips=[
            ChipReport(
                uid=f"{name}-chip-{index}",
                resource=CHIP,
                index=index,
                model="BM1684X",
                device_paths=[f"/dev/bm-sophon{index}"],
                simulated=True,
            )
            for index in range(chips)
        ],
    )


@dataclass
class World:
    """Who and what there is. Amounts in micro-UNC."""

    db: Database
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    fee_ppm: int = FEE_PPM
    nodes: list[NodeReport] = field(default_factory=lambda: [node_report("node-a", 2), node_report("node-b", 1)])
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
    async def build(cls, db: Database, **parts: Any) -> "World":
        world = cls(db, **parts)
        async with db.write() as tx:
            await world._people_and_hardware(tx)
        await world.report()
        return world

    async def _people_and_hardware(self, tx: Tx) -> None:
        people = {}
        for name, flags in (
            ("renter", {}),
            ("other", {}),
            ("miner", {"is_miner": True, "is_renter": False}),
        ):
            user = User(id=new_id("us"), username=name, password_hash="-", **flags)
            tx.add(user)
            people[name] = user
        await tx.flush()
        self.renter = Actor(people["renter"].id, "renter", is_renter=True)
        self.other = Actor(people["other"].id, "other", is_renter=True)
        self.miner = Actor(people["miner"].id, "miner", is_miner=True)
        site = Site(id=new_id("si"), name="site", miner_id=self.miner.id, token_hash="-")
        pool = Pool(id=new_id("po"), miner_id=self.miner.id, name="lab", is_default=True, open_to_all=True)
        image = Image(id=new_id("im"), owner_id=self.miner.id, name="jupyter", reference="localhost/jupyter:1")
        custom = CustomResource(id=new_id("cr"), miner_id=self.miner.id, name="TPU1684X", system_resource=CHIP)
        tx.add_all([site, pool, image, custom])
        await tx.flush()
        self.site_id, self.pool_id, self.image_id = site.id, pool.id, image.id
        self.spec_id = await self.add_spec(tx, "0.5CPU-1GB-1TPU1684X", {"cpu": 500, "memory": GB, "TPU1684X": 1})
        for actor in (self.renter, self.other):
            await self.recharge(tx, actor, 100 * MICRO)

    async def add_spec(self, tx: Tx, name: str, items: dict[str, int], price: int = PRICE) -> str:
        spec = Spec(id=new_id("sp"), miner_id=self.miner.id, name=name, price=price)
        tx.add(spec)
        await tx.flush()
        tx.add_all(SpecItem(spec_id=spec.id, resource=key, quantity=value) for key, value in items.items())
        tx.add(PoolSpec(pool_id=self.pool_id, spec_id=spec.id, purpose="notebook"))
        await tx.flush()
        return spec.id

    async def recharge(self, tx: Tx, actor: Actor, amount: int) -> None:
        wallet = await journal.account(tx, "wallet", actor.id)
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
        lines = [(wallet.id, amount), (issuance.id, -amount)]
        await journal.post(tx, "recharge" if amount > 0 else "deduct", new_id("key"), lines, at=self.now)

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

    async def start(self, ident: str) -> None:
        async with self.db.write() as tx:
            await notebooks.start(tx, self.now, self.renter, ident, fee_ppm=self.fee_ppm)

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
        report = SiteReport(
            sent_at=at or self.now,
            nodes=self.nodes,
            replicas=list(replicas or self.seen.values()),
            dropped_volumes=list(dropped),
        )
        async with self.db.write() as tx:
            site = await tx.get_one(Site, self.site_id)
            await reports.apply(tx, self.now, site, report)
            await observed.apply(tx, self.now, site, report)
            return site.revision

    async def see(self, attempt_id: str, phase: Phase, **fields: Any) -> ObservedReplica:
        """Witness something of one attempt, remember it and report it with all else."""
        before = self.seen.get(attempt_id)
        kept = before.model_dump(include={"started_at", "endpoint"}) if before else {}
        attempt = await self.attempt(attempt_id)
        self.seen[attempt_id] = ObservedReplica(
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
            return (await tx.scalars(select(Meter).where(Meter.attempt_id == attempt_id))).one()

    async def balance(self, kind: str, owner_id: str) -> int:
        async with self.db.write() as tx:
            return (await journal.account(tx, kind, owner_id)).balance

    async def claims(self) -> dict[str, str]:
        """Chip id → attempt id."""
        async with self.db.read() as tx:
            rows = await tx.execute(select(ChipClaim.chip_id, ChipClaim.attempt_id))
            return {row.chip_id: row.attempt_id for row in rows}
