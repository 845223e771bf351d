"""The one rule of allocation against a model that only counts, whatever comes in whatever order.

Sites report nodes that change, vanish, fall silent and come back; miners cordon, move, remove and restore them, and
give names to what is on them; attempts are placed singly, in gangs and in batches, and end. After each step the tables
say what the model says: nothing is given twice or beyond what there is, and in the end all is free.
"""

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from tests.support.db import SEALER
from tests.support.lanes import examples
from tests.support.scenario import add_site, add_spec, add_user, heard
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict
from utcloud.common.ids import new_id
from utcloud.db import Database
from utcloud.protocol import LOST_AFTER_S, SILENT_AFTER_S, ChipReport, NodeReport, ResourceReport
from utcloud.resources import service
from utcloud.resources.capacity import Demand, Grant, NodeState, Room, Shortage, load, release, reserve
from utcloud.resources.models import Allocation, Chip, ChipClaim, CustomResource, Node, Pool
from utcloud.resources.schemas import Cordon, Drain, NodeMove, WhenBusy

pytestmark = pytest.mark.postgres

CHIPS = ("sophgo.com/bm1684x", "nvidia.com/gpu")
NAMES = {"TPU": CHIPS[0], "ALSO": CHIPS[0], "GPU": CHIPS[1]}
"""``TPU`` and ``ALSO`` are two names over the same chips; ``ALSO`` holds on the first node alone."""
SITES, NODES, POOLS = 2, 2, 2
CPU = st.integers(3, 8)
ITEMS = ("cpu", "cpu", "TPU", "TPU", "GPU", "ALSO", *CHIPS)
COUNT = st.sampled_from([1, 1, 1, 2])
MOSTLY = st.sampled_from([True, True, True, True, False])
SELDOM = MOSTLY.map(lambda value: not value)
SPECS = st.lists(st.integers(0, 3), min_size=1, max_size=3)
POOL = st.integers(0, POOLS - 1)
WHERE = st.tuples(st.sampled_from(["", "", "", "site", "node"]), st.integers(0, 3))
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class ChipModel:
    resource: str
    healthy: bool = True
    present: bool = True


@dataclass
class NodeModel:
    """What a node has, as it was last reported."""

    name: str
    site: int
    pool: int
    ids: str = ""
    ready: bool = True
    named: bool = True
    """Its agent names it."""
    cordoned: bool = False
    """Cordoned or draining."""
    moving_to: int | None = None
    removed: bool = False
    cpu: int = 4
    chips: dict[str, ChipModel] = field(default_factory=dict)


@dataclass
class Held:
    """What an attempt holds."""

    node: str
    needs: Counter[str]
    chips: list[str]


class CapacityMachine(RuleBasedStateMachine):
    """One miner with two sites of two nodes and two pools. Quantities of CPU are cores."""

    runner: asyncio.Runner
    db: Database

    gangs = Bundle("gangs")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.mark = new_id("x")[-10:]
        self.heard_at = [START] * SITES
        self.nodes: dict[str, NodeModel] = {}
        self.held: dict[str, Held] = {}
        self.items: list[Counter[str]] = []

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    # The beginning

    @initialize(
        chips=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0, 0, 1])), min_size=4, max_size=4),
        cpu=st.lists(CPU, min_size=4, max_size=4),
        specs=st.lists(st.dictionaries(st.sampled_from(ITEMS), COUNT, min_size=1, max_size=2), min_size=3, max_size=4),
    )
    def begin(self, chips: list[tuple[int, int]], cpu: list[int], specs: list[dict[str, int]]) -> None:
        for number in range(SITES * NODES):
            node = NodeModel(f"n{number}", site=number // NODES, pool=number % POOLS, cpu=cpu[number])
            for index in range(chips[number][0]):
                node.chips[f"{self.mark}-{number}-{index}"] = ChipModel(CHIPS[chips[number][1]])
            self.nodes[node.name] = node
        self.items = [Counter(spec) for spec in specs]
        self.run(self._begin())

    async def _begin(self) -> None:
        async with self.db.write() as tx:
            self.miner: Actor = await add_user(tx, f"miner-{self.mark}", is_miner=True)
            self.sites = [await add_site(tx, self.miner, f"{self.mark}-{number}") for number in range(SITES)]
            default = await service.default_pool(tx, self.miner.id)
            other = Pool(id=new_id("pool"), miner_id=self.miner.id, name="other")
            tx.add(other)
            self.pools = [default.id, other.id]
            self.pool_names = [default.name, "other"]
            for site in range(SITES):
                await self._report(tx, site)
            for node in self.nodes.values():
                query = select(Node.id).where(Node.site_id == self.sites[node.site], Node.name == node.name)
                node.ids = (await tx.scalars(query)).one()
                await tx.execute(update(Node).where(Node.id == node.ids).values(pool_id=self.pools[node.pool]))
            for name, system in NAMES.items():
                chosen = [self.nodes["n0"].ids] if name == "ALSO" else []
                tx.add(
                    CustomResource(
                        id=new_id("cr"), miner_id=self.miner.id, name=name, system_resource=system, node_ids=chosen
                    )
                )
            self.specs = [
                await add_spec(tx, self.miner, {name: self._base(name, count) for name, count in items.items()})
                for items in self.items
            ]

    @staticmethod
    def _base(name: str, count: int) -> int:
        return count * 1000 if name == "cpu" else count

    # What sites say

    async def _report(self, tx: Any, site: int) -> None:
        self.heard_at[site] = self.now
        await heard(tx, self.now, self.sites[site], *self._said(site))

    def _said(self, site: int) -> list[NodeReport]:
        return [
            NodeReport(
                name=node.name,
                ready=node.ready,
                resources=[ResourceReport(name="cpu", capacity=node.cpu * 1000)],
                chips=[
                    ChipReport(uid=uid, resource=chip.resource, index=int(uid[-1]), model="chip", healthy=chip.healthy)
                    for uid, chip in node.chips.items()
                    if chip.present
                ],
            )
            for node in self.nodes.values()
            if node.site == site and node.named
        ]

    def _say(self, *sites: int) -> None:
        async def work() -> None:
            for site in sites or range(SITES):
                async with self.db.write() as tx:
                    await self._report(tx, site)

        self.run(work())

    @rule(
        seconds=st.sampled_from([5, SILENT_AFTER_S + 1, LOST_AFTER_S + 1]), silent=st.sampled_from([None, None, 0, 1])
    )
    def time_passes(self, seconds: int, silent: int | None) -> None:
        """One site may have fallen silent; an agent that comes back says the same as before."""
        self.now += timedelta(seconds=seconds)
        self._say(*(site for site in range(SITES) if site != silent))

    @rule(number=st.integers(0, 3), ready=MOSTLY, named=MOSTLY, cpu=CPU)
    def a_node_changes(self, number: int, ready: bool, named: bool, cpu: int) -> None:
        node = self.nodes[f"n{number}"]
        node.ready, node.named, node.cpu = ready, named, cpu
        self._say(node.site)

    @rule(number=st.integers(0, 3), index=st.integers(0, 2), healthy=MOSTLY, present=MOSTLY)
    def a_chip_changes(self, number: int, index: int, healthy: bool, present: bool) -> None:
        node = self.nodes[f"n{number}"]
        chip = node.chips.get(f"{self.mark}-{number}-{index}")
        if chip:
            chip.healthy, chip.present = healthy, present
            node.named = True
            self._say(node.site)

    # What the miner does

    @rule(number=st.integers(0, 3), cordoned=SELDOM, drains=st.booleans())
    def cordon(self, number: int, cordoned: bool, drains: bool) -> None:
        node = self.nodes[f"n{number}"]
        if node.removed:
            return
        node.cordoned = cordoned
        node.moving_to = node.moving_to if cordoned else None

        async def work() -> None:
            async with self.db.write() as tx:
                if not cordoned:
                    await service.uncordon_node(tx, self.now, self.miner, node.ids)
                elif drains:
                    await service.drain_node(tx, self.now, self.miner, node.ids, Drain(reason="new cooling"))
                else:
                    await service.cordon_node(tx, self.now, self.miner, node.ids, Cordon())

        self.run(work())

    @rule(number=st.integers(0, 3), pool=POOL, waits=st.booleans())
    def move(self, number: int, pool: int, waits: bool) -> None:
        """A node changes its pool; while work holds something on it, that is refused, or it waits."""
        node = self.nodes[f"n{number}"]
        if node.removed or node.moving_to is not None or node.pool == pool:
            return
        busy = self._is_busy(node)
        how = WhenBusy.WAIT if waits else WhenBusy.REFUSE

        async def work() -> None:
            async with self.db.write() as tx:
                to = NodeMove(pool_id=self.pools[pool], when_busy=how)
                await service.move_node(tx, self.now, self.miner, node.ids, to)

        try:
            self.run(work())
        except Conflict:
            assert busy
            assert not waits
            return
        if busy:
            node.moving_to = pool
        else:
            node.pool = pool

    def _is_busy(self, node: NodeModel) -> bool:
        return any(held.node == node.name for held in self.held.values())

    def _nodes_arrive(self) -> None:
        """Those that wait to move do so as soon as nothing is held there."""

        async def work() -> list[str]:
            async with self.db.write() as tx:
                own = {node.ids for node in self.nodes.values()}
                free = [ident for ident in await service.waiting_to_move(tx) if ident in own]
                for ident in free:
                    await service.arrive(tx, ident)
                return free

        arrived = self.run(work())
        movers = [node for node in self.nodes.values() if node.moving_to is not None and not self._is_busy(node)]
        assert sorted(arrived) == sorted(node.ids for node in movers)
        for node in movers:
            node.pool, node.moving_to = node.moving_to or 0, None

    @rule(number=st.integers(0, 3), removed=SELDOM)
    def remove_or_restore(self, number: int, removed: bool) -> None:
        node = self.nodes[f"n{number}"]
        if node.removed == removed or (removed and self._is_busy(node)):
            return
        node.removed, node.cordoned, node.moving_to = removed, False, None

        async def work() -> None:
            async with self.db.write() as tx:
                if removed:
                    await service.remove_node(tx, self.now, self.miner, node.ids)
                else:
                    await service.restore_node(tx, self.now, self.miner, node.ids)

        self.run(work())
        if not removed:
            self._say(node.site)

    # What renters do

    @rule(target=gangs, specs=SPECS, pool=POOL, where=WHERE)
    def reserve(self, specs: list[int], pool: int, where: tuple[str, int]) -> list[str]:
        """A gang of one to three, perhaps where its files lie."""
        return self._reserve(specs, pool, *where)

    @rule(target=gangs, spec=st.integers(0, 3), pool=POOL)
    def reserve_one(self, spec: int, pool: int) -> list[str]:
        return self._reserve([spec], pool)

    @rule(target=gangs, spec=st.integers(0, 3), pool=POOL, size=st.integers(2, 4))
    def reserve_some_alike(self, spec: int, pool: int, size: int) -> list[str]:
        return self._reserve([spec] * size, pool)

    def _reserve(self, specs: list[int], pool: int, bound: str = "", where: int = 0) -> list[str]:
        demands = self._demands(specs, pool, bound, where)

        async def work() -> list[Grant] | Shortage:
            async with self.db.write() as tx:
                return await reserve(tx, self.now, demands)

        return self._note(demands, self.run(work()))

    @rule(
        gangs=st.lists(st.tuples(SPECS, MOSTLY), min_size=2, max_size=5),
        pool=POOL,
        patient=st.booleans(),
        commit=st.sampled_from([True, True, False]),
    )
    def place_in_a_batch(self, gangs: list[tuple[list[int], bool]], pool: int, patient: bool, commit: bool) -> None:
        """Several gangs from one room, some given back because they cannot be paid; perhaps all is rolled back."""
        asked = [(self._demands(specs, pool, "", 0), paid) for specs, paid in gangs]

        async def work() -> list[tuple[list[Demand], list[Grant]]]:
            placed = []
            async with self.db.write() as tx:
                room = await Room.open(tx, self.now, [self.pools[pool]], self.specs)
                for demands, paid in asked:
                    outcome = room.take(demands)
                    if isinstance(outcome, Shortage):
                        if patient and not room.keeps(self.pools[pool]):
                            room.keep_for(demands)
                    elif paid:
                        placed.append((demands, outcome))
                    else:
                        room.give_back(outcome)
                        again = room.take(demands)
                        assert again == outcome, "what was given back is there again"
                        room.give_back(outcome)
                await room.lock_sites()
                await room.write()
                if not commit:
                    raise _ChangedMyMindError
            return placed

        try:
            placed = self.run(work())
        except _ChangedMyMindError:
            return
        for demands, grants in placed:
            self._note(demands, grants)

    def _demands(self, specs: list[int], pool: int, bound: str, where: int) -> list[Demand]:
        node = self.nodes[f"n{where}"]
        place = {"site": {"site_id": self.sites[node.site]}, "node": {"node_id": node.ids}}.get(bound, {})
        return [
            Demand(new_id("at"), self.specs[number % len(self.specs)], self.pools[pool], **place) for number in specs
        ]

    @rule(gang=gangs)
    def ends(self, gang: list[str]) -> None:
        """All replicas of a workload end; again and again does no harm."""
        self._release(gang)

    @precondition(lambda self: bool(self.held))
    @rule(which=st.integers(0, 100))
    def one_fails(self, which: int) -> None:
        self._release([list(self.held)[which % len(self.held)]])

    @rule(number=st.integers(0, 3))
    def a_node_fails(self, number: int) -> None:
        """It restarts: all that ran there has ended, and its agent says the same again."""
        self._release([ident for ident, held in self.held.items() if held.node == f"n{number}"])
        self._say(self.nodes[f"n{number}"].site)

    def _release(self, attempts: list[str]) -> None:
        async def work() -> None:
            async with self.db.write() as tx:
                for ident in attempts:
                    await release(tx, ident)

        self.run(work())
        for ident in attempts:
            self.held.pop(ident, None)
        self._nodes_arrive()

    # What must hold

    def _note(self, demands: list[Demand], outcome: list[Grant] | Shortage) -> list[str]:
        """Check an answer against the model, and take it over."""
        if isinstance(outcome, Shortage):
            self._check_refusal(demands, outcome)
            return []
        assert [grant.attempt_id for grant in outcome] == [demand.attempt_id for demand in demands], "all or none"
        for demand, grant in zip(demands, outcome, strict=True):
            node = self.nodes[grant.node_name]
            assert (grant.node_id, grant.site_id) == (node.ids, self.sites[node.site])
            assert demand.pool_id == self.pools[node.pool]
            assert demand.site_id in (None, grant.site_id)
            assert demand.node_id in (None, grant.node_id)
            assert self._takes_work(node), "it takes no new work"
            needs = self._needs(node, demand)
            assert needs is not None, "one of the names does not hold there"
            assert grant.resources == {name: self._base(name, count) for name, count in needs.items()}
            free, chips = self._free(node), self._free_chips(node)
            assert all(free[name] >= count for name, count in needs.items()), "more than is free"
            assert all(uid in chips for uid in grant.chip_uids), "a chip that is not free"
            assert Counter(node.chips[uid].resource for uid in grant.chip_uids) == Counter(
                {name: count for name, count in needs.items() if name in self._chip_kinds(node)}
            )
            self.held[grant.attempt_id] = Held(node.name, needs, list(grant.chip_uids))
        return [grant.attempt_id for grant in outcome]

    def _check_refusal(self, demands: list[Demand], shortage: Shortage) -> None:
        """There is a reason, its numbers are true, and one kind alone is never refused what is free."""
        assert shortage.code == "waiting"
        assert shortage.detail
        pool = self.pools.index(demands[0].pool_id)
        assert self.pool_names[pool] in shortage.detail
        if len({demand.spec_id for demand in demands}) == 1:
            fits = 0
            for node in self._open_to(demands[0]):
                needs = self._needs(node, demands[0])
                if needs:
                    free = self._free(node)
                    fits += min(free[name] // count for name, count in needs.items())
            assert fits < len(demands), f"there is a place: {shortage.detail}"
        told = re.search(r"needs \d+ (\S+) on one node.* has (\d+) free of (\d+)", shortage.detail)
        if told and told[1] in (*CHIPS, *NAMES):
            where = [node for node in self._open_to(demands[0]) if told[1] != "ALSO" or node.name == "n0"]
            system = NAMES.get(told[1], told[1])
            there = sum(chip.present and chip.resource == system for node in where for chip in node.chips.values())
            unused = sum(self._free(node)[system] for node in where)
            assert (int(told[2]), int(told[3])) == (unused, there), shortage.detail

    def _open_to(self, demand: Demand) -> list[NodeModel]:
        return [
            node
            for node in self.nodes.values()
            if self._takes_work(node)
            and self.pools[node.pool] == demand.pool_id
            and demand.site_id in (None, self.sites[node.site])
            and demand.node_id in (None, node.ids)
        ]

    def _takes_work(self, node: NodeModel) -> bool:
        silent = (self.now - self.heard_at[node.site]).total_seconds() > SILENT_AFTER_S
        stays = not node.cordoned and node.moving_to is None
        return node.ready and node.named and stays and not node.removed and not silent

    def _needs(self, node: NodeModel, demand: Demand) -> Counter[str] | None:
        needs: Counter[str] = Counter()
        for name, count in self.items[self.specs.index(demand.spec_id)].items():
            if name == "ALSO" and node.name != "n0":
                return None
            needs[NAMES.get(name, name)] += count
        return needs

    @staticmethod
    def _chip_kinds(node: NodeModel) -> set[str]:
        return {chip.resource for chip in node.chips.values()}

    def _free(self, node: NodeModel) -> dict[str, int]:
        used = sum(held.needs["cpu"] for held in self.held.values() if held.node == node.name)
        free = defaultdict(int, {"cpu": max(node.cpu - used, 0)})
        for uid in self._free_chips(node):
            free[node.chips[uid].resource] += 1
        return free

    def _free_chips(self, node: NodeModel) -> set[str]:
        taken = {uid for held in self.held.values() for uid in held.chips}
        return {uid for uid, chip in node.chips.items() if chip.present and chip.healthy and uid not in taken}

    @invariant()
    def the_tables_say_what_the_model_says(self) -> None:
        if self.nodes:
            self.run(self._compare())

    async def _compare(self) -> None:
        ids = {node.ids: node for node in self.nodes.values()}
        async with self.db.read() as tx:
            rows = await tx.execute(
                select(Allocation.attempt_id, Allocation.node_id, Allocation.resource, Allocation.quantity).where(
                    Allocation.node_id.in_(ids)
                )
            )
            allocations = {(row[0], ids[row[1]].name, row[2]): row[3] for row in rows}
            claimed = await tx.execute(
                select(Chip.uid, ChipClaim.attempt_id)
                .join(ChipClaim, ChipClaim.chip_id == Chip.id)
                .where(Chip.node_id.in_(ids))
            )
            claims = sorted((row[0], row[1]) for row in claimed)
            states = {state.name: state for state in await load(tx, self.now, Node.id.in_(ids))}
        assert allocations == {
            (ident, held.node, name): self._base(name, count)
            for ident, held in self.held.items()
            for name, count in held.needs.items()
        }
        assert claims == sorted((uid, ident) for ident, held in self.held.items() for uid in held.chips)
        assert len({uid for uid, _ in claims}) == len(claims), "a chip was given twice"
        assert set(states) == {node.name for node in self.nodes.values() if self._is_known(node)}
        for name, state in states.items():
            self._compare_node(self.nodes[name], state)

    def _is_known(self, node: NodeModel) -> bool:
        return node.named and not node.removed

    def _compare_node(self, node: NodeModel, state: NodeState) -> None:
        assert state.ready == self._takes_work(node), (state.resting, node)
        assert state.pool_id == self.pools[node.pool]
        free = self._free(node)
        assert state.free == {name: self._base(name, free[name]) for name in state.free}
        for name in self._chip_kinds(node) & set(state.chips):
            there = [chip for chip in node.chips.values() if chip.present and chip.resource == name]
            assert (state.capacity[name], state.usable[name]) == (len(there), sum(chip.healthy for chip in there))

    def teardown(self) -> None:
        """When all has ended, all is free: nothing has leaked."""
        if not self.nodes:
            return
        self._release(list(self.held))
        self.run(self._compare())


class _ChangedMyMindError(Exception):
    """Rolls a transaction back."""


def test_whatever_comes(database_url: str) -> None:
    """About a thousand steps; a failure prints the steps that lead to it, and how to have them again."""
    with asyncio.Runner() as runner:

        async def connect() -> Database:
            return Database(database_url, SEALER)

        db = runner.run(connect())
        machine = type("Machine", (CapacityMachine,), {"runner": runner, "db": db})
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=examples(35 if db.is_sqlite else 20),
                    stateful_step_count=30,
                    deadline=None,
                    print_blob=True,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
        finally:
            runner.run(db.close())
