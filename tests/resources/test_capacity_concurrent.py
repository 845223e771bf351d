"""Many connections at once, on PostgreSQL: in the same pool they take turns, in different ones they do not."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from tests.support.db import SEALER, PostgresServer, postgres_bin
from tests.support.factories import CHIP, PoolFactory, node_report
from tests.support.scenario import add_site, add_spec, add_user, heard
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict
from utcloud.common.ids import new_id
from utcloud.db import Database, Tx
from utcloud.resources import service
from utcloud.resources.capacity import Demand, Room, Shortage, load, release, reserve
from utcloud.resources.models import Allocation, Chip, ChipClaim, Node, NodeResource
from utcloud.resources.schemas import NodeMove

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NODES, CHIPS, POOLS = 9, 2, 3
WORKERS, ROUNDS = 6, 20

pytestmark = pytest.mark.skipif(not postgres_bin(), reason="PostgreSQL is not installed")


class Fleet:
    """One miner with a site of nine nodes in three pools."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.miner: Actor
        self.pools: list[str] = []
        self.specs: list[str] = []
        self.nodes: list[str] = []

    async def build(self) -> "Fleet":
        async with self.db.write() as tx:
            self.miner = await add_user(tx, "mina", is_miner=True)
            site = await add_site(tx, self.miner)
            self.pools = [(await service.default_pool(tx, self.miner.id)).id]
            for number in range(1, POOLS):
                pool = PoolFactory.build(miner_id=self.miner.id, name=f"pool-{number}")
                tx.add(pool)
                self.pools.append(pool.id)
            await tx.flush()
            await heard(tx, NOW, site, *(node_report(f"n{number}", cpu=4000, chips=CHIPS) for number in range(NODES)))
            self.nodes = list(await tx.scalars(select(Node.id).order_by(Node.name)))
            for number, ident in enumerate(self.nodes):
                (await tx.get_one(Node, ident)).pool_id = self.pools[number % POOLS]
            for items in ({"cpu": 1000, CHIP: 1}, {"cpu": 500, CHIP: 2}, {"cpu": 1500}):
                self.specs.append(await add_spec(tx, self.miner, items))
        return self

    def demands(self, chance: random.Random) -> list[Demand]:
        """Of a gang, mostly in one pool; sometimes over two."""
        pools = chance.sample(self.pools, 2 if chance.random() < 0.2 else 1)
        return [
            Demand(new_id("at"), chance.choice(self.specs), chance.choice(pools)) for _ in range(chance.randint(1, 4))
        ]


@pytest.fixture
async def fleet(postgres: PostgresServer) -> AsyncIterator[Fleet]:
    async with postgres.fresh() as url:
        db = Database(url, SEALER)
        yield await Fleet(db).build()
        await db.close()


class _ChangedMyMindError(Exception):
    """Rolls a transaction back."""


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_given_twice_whoever_comes_when(fleet: Fleet, seed: int) -> None:
    """Six connections reserve, place batches, change their minds, release; nodes move; somebody always looks."""
    held: dict[str, set[str]] = {}
    outcomes: Counter[str] = Counter()
    done = asyncio.Event()

    async def work(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        mine: list[str] = []
        for _ in range(ROUNDS):
            await asyncio.sleep(chance.random() * 0.005)
            if len(mine) > 3 or (mine and chance.random() < 0.5):
                async with fleet.db.write() as tx:
                    ident = mine.pop(chance.randrange(len(mine)))
                    await release(tx, ident)
                    await asyncio.sleep(chance.random() * 0.003)
                held.pop(ident)
                continue
            gangs = [fleet.demands(chance) for _ in range(chance.randint(1, 2))]
            try:
                async with fleet.db.write() as tx:
                    took = await _take(tx, gangs)
                    await asyncio.sleep(chance.random() * 0.003)
                    if chance.random() < 0.2:
                        raise _ChangedMyMindError
            except _ChangedMyMindError:
                outcomes["rolled back"] += 1
                continue
            for ident, uids in took.items():
                assert ident not in held
                held[ident] = uids
                mine.append(ident)
            outcomes["placed" if took else "refused"] += 1

    async def move_nodes() -> None:
        chance = random.Random(seed)
        while not done.is_set():
            try:
                async with fleet.db.write() as tx:
                    to = NodeMove(pool_id=chance.choice(fleet.pools))
                    await service.move_node(tx, NOW, fleet.miner, chance.choice(fleet.nodes), to)
                outcomes["moved"] += 1
            except Conflict:
                outcomes["not moved"] += 1
            await asyncio.sleep(0.003)

    async def look() -> None:
        while not done.is_set():
            async with fleet.db.read() as tx:
                await _check(tx)
            await asyncio.sleep(0.005)

    watchers = [asyncio.create_task(move_nodes()), asyncio.create_task(look())]
    await asyncio.gather(*(work(number) for number in range(WORKERS)))
    done.set()
    await asyncio.gather(*watchers)
    async with fleet.db.read() as tx:
        assert set(await tx.scalars(select(Allocation.attempt_id).distinct())) == set(held)
        assert set(await tx.scalars(select(ChipClaim.attempt_id).distinct())) == {
            ident for ident, uids in held.items() if uids
        }
    assert min(outcomes[what] for what in ("placed", "refused", "rolled back")) > 0, outcomes
    assert outcomes["moved"] + outcomes["not moved"] > 0, outcomes
    async with fleet.db.write() as tx:
        for ident in held:
            await release(tx, ident)
        for state in await load(tx, NOW):
            assert state.free == state.capacity, "all has ended and not all is free"


async def _take(tx: Tx, gangs: list[list[Demand]]) -> dict[str, set[str]]:
    """Reserve one gang, or several from one room; chips by attempt."""
    if len(gangs) == 1:
        outcome = await reserve(tx, NOW, gangs[0])
        return {} if isinstance(outcome, Shortage) else {one.attempt_id: set(one.chip_uids) for one in outcome}
    every = [demand for gang in gangs for demand in gang]
    room = await Room.open(tx, NOW, {one.pool_id for one in every}, {one.spec_id for one in every})
    grants = [outcome for gang in gangs if not isinstance(outcome := room.take(gang), Shortage)]
    await room.lock_sites()
    await room.write()
    return {one.attempt_id: set(one.chip_uids) for gang in grants for one in gang}


async def _check(tx: Tx) -> None:
    """In what is committed now, nothing is over-allocated, and an attempt holds as many chips as it was given."""
    await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    used = select(Allocation.node_id, Allocation.resource, func.sum(Allocation.quantity).label("sum")).group_by(
        Allocation.node_id, Allocation.resource
    )
    sums = used.subquery()
    beyond = (
        select(sums.c.node_id, sums.c.resource, sums.c.sum)
        .join(NodeResource, (NodeResource.node_id == sums.c.node_id) & (NodeResource.name == sums.c.resource))
        .where(sums.c.sum > NodeResource.capacity)
    )
    assert (await tx.execute(beyond)).all() == []
    given = select(Allocation.attempt_id, Allocation.node_id, Allocation.quantity).where(Allocation.resource == CHIP)
    claimed = (
        select(ChipClaim.attempt_id, Chip.node_id, func.count())
        .join(Chip, Chip.id == ChipClaim.chip_id)
        .group_by(ChipClaim.attempt_id, Chip.node_id)
    )
    assert sorted(map(tuple, await tx.execute(given))) == sorted(map(tuple, await tx.execute(claimed)))


async def test_other_pools_need_not_wait(fleet: Fleet) -> None:
    """Who has a pool's room keeps others out of it until he is done, and only out of that one."""

    async def take(pool: str) -> bool:
        async with fleet.db.write() as tx:
            return isinstance(await reserve(tx, NOW, [Demand(new_id("at"), fleet.specs[0], pool)]), list)

    async with fleet.db.write() as tx:
        await Room.open(tx, NOW, [fleet.pools[0]], fleet.specs)
        assert await asyncio.wait_for(take(fleet.pools[1]), 5)
        same = asyncio.create_task(take(fleet.pools[0]))
        done, _ = await asyncio.wait([same], timeout=0.2)
        assert not done
    assert await asyncio.wait_for(same, 5)
