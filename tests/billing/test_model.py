"""Money against a model that knows only the truth: when each container really ran.

Renters start, stop and restart work with prices, limits and payers of all kinds; containers die of whatever; reports
are lost, doubled, late and out of order; servers are away for a while; clocks are moved by an hour; nodes are lost;
wallets are recharged and deducted from, twice with the same key, and beyond what is free; prices, the platform's fee
and caps change; members come and go; two servers settle and watch at the same time.

After each step: entries sum to zero and balances are their postings, no wallet is below zero, each attempt's total is
the formula's, at what was agreed, and just what was witnessed, less a site's own silence, wallets hold what was put in
and not used up, credits are the policy's, holds those of what is open, orders and pages come to what the journal says,
nothing is paid beyond a maximum, and the check of the whole journal finds nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Phases
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from tests.support.clock import FakeClock
from tests.support.db import SEALER, PostgresServer
from tests.support.factories import (
    GB,
    GroupFactory,
    GroupMemberFactory,
    ObservedReplicaFactory,
    SiteReportFactory,
    node_report,
)
from tests.support.lanes import Lane, chosen, examples
from tests.support.money import balances
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import GroupMember
from utcloud.billing import by_day, loops, service, uptime
from utcloud.billing.caps import EVER
from utcloud.billing.funds import hold_for
from utcloud.billing.models import Account, Meter, Order, Posting, Uptime
from utcloud.billing.schemas import CapUpdate, RechargeCreate
from utcloud.billing.solvency import Use, amount, elapsed_ms, outlook
from utcloud.billing.sums import use_of
from utcloud.billing.verify import verified
from utcloud.billing.watch import Watch
from utcloud.common.clock import to_ms
from utcloud.common.errors import Problem
from utcloud.common.ids import new_id
from utcloud.common.money import MICRO, amount_for
from utcloud.db import Database
from utcloud.protocol import SILENT_AFTER_S, Phase, SiteReport
from utcloud.resources import reports
from utcloud.resources.models import Site, Spec
from utcloud.workloads import nodes, observed, pages
from utcloud.workloads.loops import stop_dry
from utcloud.workloads.models import Attempt

pytestmark = pytest.mark.postgres

T = TypeVar("T")
HOUR = timedelta(hours=1)
Connect = Callable[[AsyncExitStack], Awaitable[Database]]
SILENCE = timedelta(seconds=SILENT_AFTER_S)
SECONDS = st.sampled_from([0.001, 0.999, 7, 25, 61, 61, 200, 1800, 3599.5, 9000])
DIES = st.tuples(st.integers(0, 10), st.sampled_from(["", "", "", "", "exited", "oom", "vanished", "engine"]))
"""Which of the running containers dies, if any."""


@dataclass
class Container:
    """What really happened. ``started`` and ``ended`` by the site's clock, ``began`` and ``over`` by the true one."""

    replica_id: str
    started: datetime
    began: datetime
    ended: datetime | None = None
    over: datetime | None = None
    cause: str = ""
    heard: datetime | None = None
    """When it was last spoken of in a report that arrived, by the true clock of the day it was written."""
    lost: datetime | None = None
    """When it was last heard of before the server took it for lost."""
    first: datetime | None = None
    """From when it is billed: no earlier than the report before the one that spoke of it first."""
    seen: datetime = EVER
    """Until when it was witnessed."""
    arrived: datetime = EVER
    """When a report that spoke of it arrived last."""
    silent: timedelta = timedelta()
    """What of its time is not billed, since its site was silent and a server listened."""
    done: bool = False


class MoneyMachine(RuleBasedStateMachine):
    """Amounts in micro-UNC. ``true`` is the time that no clock of the world need agree with."""

    runner: asyncio.Runner
    connect: Connect

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(job)

    @initialize(prices=st.tuples(st.integers(1, 10**4), st.integers(10**5, 3 * 10**6)), funds=st.integers(10**5, 10**7))
    def begin(self, prices: tuple[int, int], funds: int) -> None:
        self.stack = AsyncExitStack()
        self.containers: dict[str, Container] = {}
        self.sent: list[tuple[datetime, SiteReport]] = []
        self.up: list[tuple[datetime, datetime]] = []  # when a server listened
        self.arrived: datetime | None = None
        self.server_skew = self.site_skew = self.moved = timedelta()
        self.notebooks: dict[str, int] = {}  # and the number of its specification
        self.policies: dict[str, str] = {}
        self.prices = list(prices)
        self.agreed: dict[str, tuple[int, int]] = {}  # price and fee of each order, as they were at its start
        self.run(self._begin(prices, funds))
        for spec in (0, 1):
            limits = {"max_cost": "0.2"} if spec else {}
            self.run(self._create(spec, {"tasks": 1 + spec, **limits}, "last_hour"))
        self.run(self._obey())
        self.ask_for_more(0, prices[0] + 1, 333_333, waiting=True)

    async def _begin(self, prices: tuple[int, int], funds: int) -> None:
        self.db = await type(self).connect(self.stack)
        self.others = self.db if self.db.is_sqlite else await self._other_server()
        self.world = await Scenario.build(self.db, nodes=[node_report("node-a", 3), node_report("node-b", 3)])
        self.true = self.arrived = self.world.now
        world = self.world
        self.operator = Actor("us_op", "op", is_operator=True)
        async with self.db.write() as tx:
            self.specs = [
                await world.add_spec(tx, f"spec-{number}", {"cpu": 4000, "memory": GB}, price=price)
                for number, price in enumerate(prices)
            ]
            group = GroupFactory.build(name="team")
            tx.add(group)
            await tx.flush()
            tx.add(GroupMemberFactory.build(group_id=group.id, user_id=world.renter.id))
            await world.recharge(tx, Actor(group.id, "team"), funds + 1)
            await world.agree(tx, group.id)
        self.group = group.id
        self.put_in = {world.renter.id: 100 * MICRO, world.other.id: 100 * MICRO, self.group: funds + 1}
        async with self.db.read() as tx:
            wallets = (await tx.scalars(select(Account).where(Account.kind == "wallet"))).all()
        self.wallets = {wallet.owner_id: wallet.id for wallet in wallets}
        await self._book(world.renter.id, "deduct", 100 * MICRO - funds - 1)

    async def _other_server(self) -> Database:
        other = Database(self.db.url.render_as_string(hide_password=False), SEALER)
        self.stack.push_async_callback(other.close)
        return other

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.run(self.stack.aclose())

    # What people do

    @rule(
        spec=st.integers(0, 1),
        tasks=st.integers(1, 2),
        payer=st.sampled_from(["user", "user", "group"]),
        max_cost=st.sampled_from([None, None, "0.1", "1"]),
        policy=st.sampled_from(["last_hour", "whole", "none"]),
    )
    def create(self, spec: int, tasks: int, payer: str, max_cost: str | None, policy: str) -> None:
        fields = {"tasks": tasks, "payer": payer, "max_cost": max_cost}
        if payer == "group":
            fields["group_id"] = self.group
        self.run(self._create(spec, fields, policy))
        self.go_on()

    async def _create(self, spec: int, fields: dict[str, Any], policy: str) -> None:
        try:
            ident = await self.world.create(f"n{len(self.notebooks)}", spec_id=self.specs[spec], **fields)
        except Problem:
            return
        self.notebooks[ident] = spec
        await self._agree(ident)
        async with self.db.write() as tx:
            for order in await tx.scalars(select(Order).where(Order.workload_id == ident)):
                order.fault_credit = self.policies.setdefault(order.id, policy)

    async def _agree(self, ident: str) -> None:
        async with self.db.read() as tx:
            orders = (await tx.scalars(select(Order.id).where(Order.workload_id == ident))).all()
        for order in orders:
            self.agreed.setdefault(order, (self.prices[self.notebooks[ident]], self.world.fee_ppm))

    @rule(which=st.integers(0, 10), stop=st.booleans())
    def stop_or_start(self, which: int, stop: bool) -> None:
        if self.notebooks:
            ident = list(self.notebooks)[which % len(self.notebooks)]
            self.run(self._try(self.world.stop(ident) if stop else self.world.start(ident)))
            self.run(self._agree(ident))
            self.go_on()

    async def _try(self, job: Awaitable[Any]) -> None:
        with suppress(Problem):
            await job

    @rule(
        spec=st.integers(0, 1),
        price=st.integers(0, 10**7),
        fee=st.sampled_from([0, 1, 50_000, 333_333, 1_000_000]),
        waiting=st.booleans(),
    )
    def ask_for_more(self, spec: int, price: int, fee: int, waiting: bool) -> None:
        """Price and fee change, perhaps while work that was ordered before waits for a node to be ready again."""

        async def change() -> None:
            async with self.db.write() as tx:
                (await tx.get_one(Spec, self.specs[spec])).price = price

        if waiting:
            self.outage(400)
            self.run(self._create(spec, {"tasks": 1}, "last_hour"))
        self.run(change())
        self.prices[spec], self.world.fee_ppm = price, fee
        self.go_on()

    @rule(
        group=st.booleans(),
        kind=st.sampled_from(["recharge", "deduct"]),
        change=st.one_of(st.integers(1, 10**4), st.integers(1, 3 * MICRO)),
        doubled=st.booleans(),
    )
    def book(self, group: bool, kind: str, change: int, doubled: bool) -> None:
        owner = self.group if group else self.world.renter.id
        key = new_id("key")
        self.run(self._try(self._book(owner, kind, change, key, times=1 + doubled)))
        self.go_on()

    async def _book(self, owner: str, kind: str, change: int, key: str | None = None, times: int = 1) -> None:
        body = RechargeCreate.model_construct(wallet_id=self.wallets[owner], amount=change, kind=kind, note="")
        async with self.db.read() as tx:
            before = await service.get_wallet(tx, self.world.now, self.operator, self.wallets[owner])
        for again in range(times):
            async with self.db.write() as tx:
                await service.create_recharge(tx, self.world.now, self.operator, body, key, issues=True)
            if not again:
                assert kind == "recharge" or change <= before.available, "what is held or used was taken"
                self.put_in[owner] += change if kind == "recharge" else -change

    @rule(group=st.booleans(), more=st.sampled_from([1, 1000]))
    def take_what_is_held(self, group: bool, more: int) -> None:
        owner = self.group if group else self.world.renter.id

        async def take() -> None:
            async with self.db.read() as tx:
                free = (await service.get_wallet(tx, self.world.now, self.operator, self.wallets[owner])).available
            with pytest.raises(Problem):
                await self._book(owner, "deduct", free + more)

        self.run(take())

    @rule()
    def come_or_go(self) -> None:
        """The renter leaves the group, or joins it again."""

        async def change() -> None:
            async with self.db.write() as tx:
                member = await tx.get(GroupMember, (self.group, self.world.renter.id))
                if member:
                    await tx.delete(member)
                else:
                    tx.add(GroupMemberFactory.build(group_id=self.group, user_id=self.world.renter.id))

        self.run(change())
        self.servers()
        self.run(self._no_strangers())

    async def _no_strangers(self) -> None:
        async with self.db.read() as tx:
            if await tx.get(GroupMember, (self.group, self.world.renter.id)):
                return
            at_its_cost = select(Meter.attempt_id).where(Meter.group_id == self.group, Meter.price > 0)
            query = select(func.count()).where(
                Attempt.id.in_(at_its_cost), Attempt.done.is_(False), Attempt.desired == Phase.RUNNING
            )
            assert await tx.scalar(query.select_from(Attempt)) == 0, "a group pays for who has left it"

    @rule(group=st.booleans(), daily=st.sampled_from([None, 1000, 10**5, MICRO]))
    def cap(self, group: bool, daily: int | None) -> None:
        async def change() -> None:
            wallet = self.wallets[self.group if group else self.world.renter.id]
            body = CapUpdate.model_construct(daily=daily, monthly=None, total=None, user_id=None)
            async with self.db.write() as tx:
                await service.put_cap(tx, self.world.now, self.operator, wallet, body)

        self.run(change())
        self.go_on()

    # What the site does, and what becomes of its word

    def _pass(self, seconds: float, *, up: bool = False) -> None:
        before, began = self.true, self.world.now
        self.true += timedelta(seconds=seconds)
        self.world.now = self.true + self.server_skew
        if up:
            self.up.append((before, self.true))
            self.run(self._listened(began))

    async def _listened(self, began: datetime) -> None:
        async with self.db.write() as tx:
            tx.add(Uptime(id=new_id("up"), began_at=began, until=self.world.now))

    def _covered(self, since: datetime, until: datetime) -> timedelta:
        spans = ((max(begin, since), min(end, until)) for begin, end in self.up)
        return sum((end - begin for begin, end in spans if end > begin), timedelta())

    def _listening(self, since: datetime, now: datetime) -> timedelta:
        """How long a server listened, by one that does so now: whoever did a few seconds ago has done so since."""
        last = max((end for _, end in self.up if now - uptime.KEEPS <= end <= now), default=now)
        return self._covered(since, now) + max(now - max(last, since), timedelta())

    def _hear(self, container: Container, written: datetime, ended: bool) -> None:
        """What a server makes of a word on a container, by the true clock."""
        now = self.true
        if container.done or container.lost:
            return
        if container.first is None:
            since = min(max(container.began, self.arrived or container.began), now)
            if ended:  # its page never answered: what a server listened to is not billed
                since += self._listening(since, now)
                if since >= now:
                    container.done = True
                    return
            if now - since > SILENCE:
                since += max(self._covered(since, now) - SILENCE, timedelta())
            container.first = container.seen = since
            container.arrived = now
        until = (container.over or now) if ended else written
        unheard, gap = now - container.arrived, until - container.seen
        if unheard > SILENCE:
            covered = self._covered(container.arrived, now)
            more = gap - SILENCE - (unheard - covered) if ended else min(covered - SILENCE, gap)
            container.silent += max(more, timedelta())
        container.seen, container.arrived = max(container.seen, until), now
        container.done = ended

    @property
    def site_time(self) -> datetime:
        return self.true + self.site_skew

    @rule(heard=st.sampled_from([True, True, True, True, False]), seconds=SECONDS, dies=DIES, up=st.booleans())
    def work(self, heard: bool, seconds: float, dies: tuple[int, str], up: bool = False) -> None:
        """The site does as it was told, and time passes; its report may be lost on the way."""
        self.run(self._obey())
        self._pass(seconds, up=up)
        self._die(*dies)
        self.sent.append((self.true, self._report()))
        if heard:
            self.run(self._send(*self.sent[-1]))

    async def _obey(self) -> None:
        desired = {one.attempt_id: one for one in (await self.world.desired()).replicas}
        for ident, one in desired.items():
            if one.desired == Phase.RUNNING and ident not in self.containers:
                self.containers[ident] = Container(one.replica_id, self.site_time, self.true)
            if one.desired == Phase.STOPPED:
                self._end(ident, "stopped")

    def _end(self, ident: str, cause: str) -> None:
        container = self.containers.get(ident)
        if container and container.ended is None:
            container.ended, container.over, container.cause = self.site_time, self.true, cause

    def go_on(self) -> None:
        """Whatever else happens, the site works on."""
        self.work(True, 300, (0, ""))

    def _die(self, which: int, cause: str) -> None:
        running = [ident for ident, one in self.containers.items() if one.ended is None]
        if running and cause:
            self._end(running[which % len(running)], cause)

    def _report(self) -> SiteReport:
        replicas = [
            ObservedReplicaFactory.build(
                replica_id=one.replica_id,
                attempt_id=ident,
                phase=Phase.RUNNING if one.ended is None else Phase.ENDED,
                started_at=one.started,
                ready_at=one.started,
                ended_at=one.ended,
                exit_code=None if one.ended is None else int(one.cause != "stopped"),
                cause=one.cause,
            )
            for ident, one in self.containers.items()
        ]
        return SiteReportFactory.build(sent_at=self.site_time, nodes=self.world.nodes, replicas=replicas)

    @rule(back=st.integers(1, 5))
    def repeat(self, back: int) -> None:
        """An old report comes again, or only now."""
        if self.sent:
            self.run(self._send(*self.sent[-min(back, len(self.sent))]))

    async def _send(self, written: datetime, report: SiteReport) -> None:
        now = self.world.now
        for one in report.replicas:
            container = self.containers[one.attempt_id]
            container.heard = max(container.heard or written, written)
            self._hear(container, written, one.phase == Phase.ENDED)
        self.arrived = self.true
        async with self.db.write() as tx:
            site = await tx.get_one(Site, self.world.site_id)
            before = site.last_seen_at
            await reports.apply(tx, now, site, report)
            await observed.apply(tx, now, site, report, before=before)
            await pages.answered(tx, now, list(await tx.scalars(select(Attempt.id))))
            await observed.witness(tx, now, {site.id: report})
        await self.world.place_waiting()

    @rule(late=st.sampled_from([200, 400, 4000]), up=st.booleans())
    def outage(self, late: float, up: bool = False) -> None:
        """The site is silent for long, or the server is away; what the server makes of it."""
        self._pass(late, up=up)
        self.run(self._lose())

    async def _lose(self) -> None:
        async with self.db.write() as tx:
            await nodes.fail_lost(tx, self.world.now, self.world.site_id)
        async with self.db.read() as tx:
            lost = await tx.scalars(select(Attempt.id).where(Attempt.cause == observed.NODE_LOST))
            for ident in lost:
                container = self.containers.get(ident)
                if container and container.lost is None:
                    container.lost = container.heard or container.began

    @rule(who=st.sampled_from(["server", "site"]), step=st.sampled_from([-HOUR, HOUR, timedelta(minutes=-4)]))
    def move_clock(self, who: str, step: timedelta) -> None:
        if self.moved < 6 * HOUR:
            self.moved += abs(step)
            if who == "server":
                self.server_skew += step
            else:
                self.site_skew += step
            self.go_on()

    @rule()
    def servers(self) -> None:
        """Two servers do at the same time what their loops do."""
        clock = FakeClock(self.world.now)

        async def stop(attempts: list[str], reason: str) -> None:
            await stop_dry(self.db, clock, attempts, reason)

        async def both() -> None:
            await asyncio.gather(
                loops.settle_due(self.db, clock.now()),
                loops.settle_due(self.others, clock.now()),
                Watch(self.db, clock, stop).look(),
                Watch(self.others, clock, stop).look(),
                self._send(self.true, self._report()),
            )

        self.run(both())
        self.go_on()

    # What must be so after each step

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "wallets"):
            self.run(self._compare())

    async def _compare(self) -> None:
        async with self.db.read() as tx:
            accounts = await balances(tx)
            meters = (await tx.scalars(select(Meter))).all()
            orders = {order.id: order for order in await tx.scalars(select(Order))}
            spent = await tx.execute(select(Posting.account_id, func.sum(Posting.amount)).group_by(Posting.account_id))
            booked = {account_id: int(total) for account_id, total in spent}
        for meter in meters:
            self._check_meter(meter)
            order = orders[meter.order_id]
            agreed = self.agreed[meter.order_id]
            assert (meter.price, meter.fee_ppm) == (order.unit_price, order.fee_ppm) == agreed, "what was agreed holds"
            assert meter.credited == self._credit(meter)
        paid: dict[str, int] = defaultdict(int)
        for meter in meters:
            paid[meter.order_id] += meter.settled - meter.credited
        for ident, order in orders.items():
            assert order.max_cost is None or paid[ident] <= order.max_cost
            if order.state == "settled":
                assert all(meter.closed for meter in meters if meter.order_id == ident)
                assert order.cost == paid[ident]
        for owner, wallet in self.wallets.items():
            used = sum(meter.settled - meter.credited for meter in meters if meter.wallet_id == wallet)
            assert accounts[f"wallet:{owner}"] == self.put_in[owner] - used
            assert all(meter.wallet_id == wallet for meter in meters if (meter.group_id or meter.payer_id) == owner)
        fees = sum(meter.settled_fee for meter in meters)
        earned = sum(meter.settled - meter.credited - meter.settled_fee for meter in meters)
        assert accounts.get("fee:platform", 0) == fees
        assert accounts.get(f"earnings:{self.world.miner.id}", 0) == earned
        await self._compare_pages(meters, booked)
        fault = (await verified(self.db)).fault
        assert fault is None, fault

    def _check_meter(self, meter: Meter) -> None:
        total = meter.price * elapsed_ms(meter) // 3_600_000
        assert total == amount(meter) >= 0
        assert 0 <= meter.credited <= meter.settled
        assert meter.settled_fee == (meter.settled - meter.credited) * meter.fee_ppm // MICRO
        assert meter.hold == (0 if meter.closed else hold_for(meter.price))
        if meter.closed:
            assert meter.settled + meter.waived == total
        container = self.containers.get(meter.attempt_id)
        if container is None:
            assert elapsed_ms(meter) == 0
            return
        known = min(container.over or self.true, container.heard or container.began)
        began = container.first or container.began
        ran = max(to_ms(known) - to_ms(began) - container.silent // timedelta(milliseconds=1), 0)
        slack = round(self.moved.total_seconds() * 1000)
        assert elapsed_ms(meter) <= ran + slack, "more than it was seen to run, and than clocks were moved"
        if slack:
            return
        if container.first is None:
            assert elapsed_ms(meter) == 0
        elif meter.closed and container.over and not container.lost:
            assert elapsed_ms(meter) == ran
            assert total == amount_for(meter.price, ran)
        elif container.lost:
            assert elapsed_ms(meter) <= max(to_ms(container.lost) - to_ms(began), 0)
            assert (
                meter.credited
                or container.silent
                or elapsed_ms(meter) >= min(ran, to_ms(container.lost) - to_ms(began))
            )
        elif not meter.closed:
            assert elapsed_ms(meter) == ran, "what was seen is charged at once"

    def _credit(self, meter: Meter) -> int:
        """What the policy gives back, for an end by no fault of the renter's."""
        policy = self.policies.get(meter.order_id, "last_hour")
        if not meter.closed or meter.cause not in ("node_lost", "vanished", "engine") or policy == "none":
            return 0
        before = 0 if policy == "whole" else amount_for(meter.price, elapsed_ms(meter) - 3_600_000)
        return max(meter.settled - before, 0)

    async def _compare_pages(self, meters: Any, booked: dict[str, int]) -> None:
        world = self.world
        async with self.db.read() as tx:
            earned = await service.earnings_of(tx, world.now, world.miner.id)
            days = await by_day.earned(tx, world.now, None)
            platform = await service.platform(tx, self.operator)
            recharges, _ = await service.list_recharges(tx, self.operator, service.RechargeFilter(), limit=500)
            charges, _ = await service.list_charges(tx, world.renter, service.ChargeFilter(), limit=500)
            orders, _ = await service.list_orders(tx, world.renter, service.OrderFilter(), limit=500)
            wallets, _ = await service.list_wallets(tx, world.now, self.operator, limit=500)
            uses = await use_of(tx, [wallet.id for wallet in wallets], world.now)
        assert len(charges) == len(meters)
        assert sum(one.settled for one in charges) == sum(meter.settled - meter.credited for meter in meters)
        assert sum(one.paid for one in charges) == sum(one.cost for one in orders)
        assert all(one.miner_share + one.platform_fee == one.paid for one in charges)
        share = sum(one.miner_share for one in charges)
        assert earned.balance + earned.accrued == share
        if not self.moved:
            assert earned.this_month == days.this_month == sum(amount for _, amount in days.days) == share
        assert sum(one.amount for one in recharges) == sum(self.put_in.values())
        assert platform.journal_sum == 0
        for wallet in wallets:
            own = [meter for meter in meters if meter.wallet_id == wallet.id and not meter.closed]
            use = Use.of(own, world.now)
            assert uses.get(wallet.id, Use()) == use, "the sums in SQL are those of the formula"
            state = outlook(booked.get(wallet.id, 0), use, world.now)
            assert (wallet.balance, wallet.available) == (booked.get(wallet.id, 0), state.available)
            assert wallet.balance >= 0


@pytest.mark.timeout(900)
def test_whatever_comes(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Some hundred steps; a failure prints the steps that lead to it, and how to have them again."""

    async def connect(stack: AsyncExitStack) -> Database:
        if database_kind == "sqlite":
            path = tmp_path / f"{new_id('db')}.db"
            copyfile(request.getfixturevalue("sqlite_template"), path)
            url = f"sqlite+aiosqlite:///{path}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            url = await stack.enter_async_context(server.fresh())
        db = Database(url, SEALER)
        stack.push_async_callback(db.close)
        return db

    with asyncio.Runner() as runner:
        machine = type("Machine", (MoneyMachine,), {"runner": runner, "connect": staticmethod(connect)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples(16 if database_kind == "sqlite" else 6),
                stateful_step_count=30 if chosen() is not Lane.FAST else 15,
                deadline=None,
                print_blob=True,
                phases=[Phases.explicit, Phases.reuse, Phases.generate],  # shrinking would take many minutes
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
