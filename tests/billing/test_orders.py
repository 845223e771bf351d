"""Orders: made at each start, limited as asked, explained to the micro-UNC, credited for faults, rated."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.factories import FEE_PPM, GB, PRICE, CapFactory, GroupFactory, GroupMemberFactory
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import GroupMember
from utcloud.billing import faults, journal, loops, meters, service
from utcloud.billing.funds import hold_for
from utcloud.billing.models import BillingEvent, Entry, Order
from utcloud.billing.order_schemas import EstimateCreate, OrderDetail, RatingCreate
from utcloud.billing.verify import verified
from utcloud.billing.watch import Watch
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.money import MICRO, amount_for, parse_unc
from utcloud.protocol import Phase
from utcloud.resources.models import Pool, PoolGroup, Spec
from utcloud.workloads.loops import stop_dry
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres


async def orders_of(world: Scenario) -> list[Order]:
    async with world.db.read() as tx:
        return list(await tx.scalars(select(Order).order_by(Order.id)))


async def detail(world: Scenario, order_id: str, actor: Actor | None = None) -> OrderDetail:
    async with world.db.read() as tx:
        return await service.get_order(tx, actor or world.renter, order_id)


async def look(world: Scenario) -> None:
    """What the loop does, at the world's time."""

    async def stop(attempts: list[str], reason: str) -> None:
        await stop_dry(world.db, FakeClock(world.now), attempts, reason)

    await Watch(world.db, FakeClock(world.now), stop).look()


async def test_each_start_makes_an_order_that_explains_every_micro_unc(world: Scenario) -> None:
    notebook = await world.create(tasks=2)
    first, second = await world.run(notebook)
    world.later(1234.567)
    await world.end(first)
    async with world.db.write() as tx:
        await meters.witness(tx, [second], world.later(3600 * 2.5))
    await loops.settle_due(world.db, world.now)
    world.later(1)
    await world.end(second)
    (order,) = await orders_of(world)
    cost = amount_for(PRICE, 1_234_567) + amount_for(PRICE, 1_234_567 + 9_001_000)
    assert (order.state, order.cost, order.unit_price, order.replicas) == ("settled", cost, PRICE, 2)
    assert order.elapsed_ms == 2 * 1_234_567 + 9_001_000
    told = await detail(world, order.id)
    assert told.cost == cost == sum(one.paid for one in told.subtasks)
    for subtask in told.subtasks:
        assert subtask.paid == sum(one.paid for one in subtask.replicas)
        for replica in subtask.replicas:
            assert replica.paid == sum(one.paid for one in replica.attempts)
    lines = [one for subtask in told.subtasks for replica in subtask.replicas for one in replica.attempts]
    (line,) = [one for one in lines if one.attempt_id == first]
    assert line.formula == "1.5 UNC/h × 1234567 ms ÷ 3600000 ms = 0.514402 UNC"
    async with world.db.read() as tx:
        entries, _ = await service.list_order_entries(tx, world.renter, order.id, limit=100)
    assert len(entries) == sum(one.entries for one in lines) == 3
    assert cost == sum(-post.amount for entry in entries for post in entry.postings if post.account == "wallet")
    await world.start(notebook)
    assert [one.state for one in await orders_of(world)] == ["settled", "open"]


async def test_a_new_price_does_not_touch_what_was_ordered(world: Scenario) -> None:
    await world.create("a", tasks=3)
    waiting = await world.create("b")
    async with world.db.write() as tx:
        (await tx.get_one(Spec, world.spec_id)).price = 9 * PRICE
    for attempt in await world.run((await world.workload((await orders_of(world))[0].workload_id)).id):
        await world.end(attempt)
    await world.place_waiting()
    (attempt,) = await world.run(waiting)
    assert (await world.meter(attempt)).price == PRICE


async def test_orders_are_seen_by_renter_and_miner_alone(world: Scenario) -> None:
    await world.create()
    (order,) = await orders_of(world)
    await detail(world, order.id, world.miner)
    for actor in (world.other, Actor("us_x", "x", is_miner=True)):
        with pytest.raises(NotFound):
            await detail(world, order.id, actor)
    async with world.db.read() as tx:
        for actor, count in ((world.renter, 1), (world.other, 0)):
            found, _ = await service.list_orders(tx, actor, service.OrderFilter(), limit=9)
            assert len(found) == count
        found, _ = await service.list_orders(tx, world.miner, service.OrderFilter(role="payee"), limit=9)
        assert [one.id for one in found] == [order.id]


async def test_an_order_that_waits_can_end_without_having_cost_anything(world: Scenario) -> None:
    await world.create("a", tasks=3)
    waiting = await world.create("b")
    await world.stop(waiting)
    order = (await orders_of(world))[1]
    assert (order.state, order.cost, order.reason) == ("settled", 0, "stopped by its owner")


# Limits


async def test_a_maximum_cost_is_never_exceeded(world: Scenario) -> None:
    notebook = await world.create(max_cost="0.5")
    (attempt,) = await world.run(notebook)
    seconds = 0.5 / 1.5 * 3600
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(seconds - 16))
    await look(world)
    assert await world.states(notebook) == [State.RUNNING]
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(2))
    await look(world)
    assert await world.states(notebook) == [State.STOPPING]
    assert (await world.replicas(notebook))[0].reason == "its maximum cost of 0.5 UNC is reached"
    world.later(3600)  # a stop that takes an hour is not the renter's fault
    await world.end(attempt)
    (order,) = await orders_of(world)
    assert (order.cost, order.state) == (500_000, "settled")
    assert order.waived == amount_for(PRICE, round((seconds - 14 + 3600) * 1000)) - 500_000
    async with world.db.read() as tx:
        kinds = list(await tx.scalars(select(BillingEvent.kind).order_by(BillingEvent.id)))
    assert kinds == ["workload_stopped", "order_settled"]
    assert (await verified(world.db)).fault is None


async def test_a_maximum_cost_holds_for_all_replicas_together(world: Scenario) -> None:
    notebook = await world.create(tasks=2, max_cost="1")
    attempts = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, attempts, world.later(3600))
    await loops.settle_due(world.db, world.now)
    assert sum([(await world.meter(one)).settled for one in attempts]) == MICRO
    for attempt in attempts:
        await world.end(attempt)
    (order,) = await orders_of(world)
    assert (order.cost, order.waived) == (MICRO, 2 * MICRO)
    assert await world.balance("wallet", world.renter.id) == 99 * MICRO


async def test_a_maximum_duration_stops_in_time(world: Scenario) -> None:
    notebook = await world.create(max_hours=0.5)
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(1800 - 14))
    await look(world)
    assert (await world.replicas(notebook))[0].reason == "its maximum duration of 0.5 h is over"
    assert (await orders_of(world))[0].estimate == amount_for(PRICE, 1_800_000)


async def test_a_maximum_duration_stops_also_what_is_free(world: Scenario) -> None:
    async with world.db.write() as tx:
        free = await world.add_spec(tx, "free", {"cpu": 500, "memory": GB}, price=0)
    notebook = await world.create(spec_id=free, max_hours=0.5)
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(1800 - 16))
    await look(world)
    assert await world.states(notebook) == [State.RUNNING]
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(2))
    await look(world)
    assert (await world.replicas(notebook))[0].reason == "its maximum duration of 0.5 h is over"


async def test_a_start_of_more_leaves_what_waits_its_order(world: Scenario) -> None:
    notebook = await world.create(tasks=2)
    first, second = await world.run(notebook)
    await world.end(first)
    await world.create("other", actor=world.other)
    await world.create("another", actor=world.other)
    await world.start(notebook)  # finds no chip, so it waits
    await world.end(second, exit_code=1)
    await world.create("third", actor=world.other)
    await world.start(notebook)
    mine = [order for order in await orders_of(world) if order.workload_id == notebook]
    assert [order.replicas for order in mine] == [2, 1, 1]
    assert sorted(one.order_id for one in await world.replicas(notebook)) == sorted(order.id for order in mine[1:])
    await world.stop(notebook)
    assert [order.state for order in await orders_of(world) if order.workload_id == notebook] == ["settled"] * 3


async def test_a_maximum_below_a_minutes_price_is_refused(world: Scenario) -> None:
    with pytest.raises(Invalid) as caught:
        await world.create(tasks=2, max_cost="0.049999")
    assert caught.value.field == "max_cost"
    assert "at least 0.05 UNC" in caught.value.detail
    await world.create(tasks=2, max_cost="0.05")


# Caps


async def cap(world: Scenario, owner_id: str, user_id: str = "", **limits: int | None) -> None:
    async with world.db.write() as tx:
        wallet = await service.wallet_of(tx, world.now, owner_id)
        none: dict[str, int | None] = {"daily": None, "monthly": None, "total": None}
        changed_at = world.now - timedelta(days=1)
        tx.add(CapFactory.build(wallet_id=wallet.id, user_id=user_id, changed_at=changed_at, **none | limits))


async def test_a_daily_cap_stops_what_runs_refuses_starts_and_begins_anew_at_midnight(world: Scenario) -> None:
    await cap(world, world.renter.id, daily=MICRO)
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(2400 - 14))
    await look(world)
    reason = (await world.replicas(notebook))[0].reason
    assert reason == "the wallet's daily cap of 1 UNC is reached; it begins anew on 2026-01-02 at 00:00 UTC"
    await world.end(attempt)
    with pytest.raises(Forbidden) as caught:
        await world.start(notebook)
    assert caught.value.code == "cap_reached"
    assert "0.994166 UNC are spent; a start needs 0.025 UNC" in caught.value.detail
    world.later(86_400)
    await world.report()
    await world.start(notebook)


async def test_what_ran_over_midnight_counts_on_both_days(world: Scenario) -> None:
    await cap(world, world.renter.id, daily=10 * MICRO, monthly=100 * MICRO)
    world.later(86_400 - 3600)
    await world.report()
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(3 * 3600))
    async with world.db.read() as tx:
        (found,) = await service.list_caps(
            tx, world.now, world.renter, (await service.wallet_of(tx, world.now, world.renter.id)).id
        )
    assert found.daily
    assert found.monthly
    assert (found.daily.spent, found.monthly.spent) == (3 * MICRO, 4_500_000)
    assert found.daily.left == 10 * MICRO - 3 * MICRO - hold_for(PRICE)


# Groups


async def a_group(world: Scenario, *managers: Actor) -> str:
    async with world.db.write() as tx:
        ident = new_id("grp")
        group = GroupFactory.build(id=ident, name=f"team {ident}")
        tx.add(group)
        await tx.flush()
        for actor in (world.renter, world.other):
            role = "manager" if actor in managers else "member"
            tx.add(GroupMemberFactory.build(group_id=group.id, user_id=actor.id, role=role))
        await world.recharge(tx, Actor(group.id, "team"), 10 * MICRO)
        await world.agree(tx, group.id)
        return group.id


async def test_a_groups_wallet_pays_up_to_the_members_limit(world: Scenario) -> None:
    group = await a_group(world)
    await cap(world, group, world.renter.id, total=MICRO)
    notebook = await world.create(payer="group", group_id=group)
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(2400 - 14))
    await look(world)
    assert (await world.replicas(notebook))[0].reason == "your limit of 1 UNC is reached"
    await world.end(attempt)
    cost = amount_for(PRICE, 2_386_000)
    assert await world.balance("wallet", group) == 10 * MICRO - cost
    assert await world.balance("wallet", world.renter.id) == 100 * MICRO
    with pytest.raises(Forbidden, match="your limit of 1 UNC"):
        await world.start(notebook)
    await world.create("other", actor=world.other, payer="group", group_id=group)


async def test_only_a_member_can_let_a_group_pay(world: Scenario) -> None:
    group = await a_group(world)
    async with world.db.write() as tx:
        await tx.delete(await tx.get_one(GroupMember, (group, world.renter.id)))
    with pytest.raises(NotFound):
        await world.create(payer="group", group_id=group)
    with pytest.raises(Invalid) as caught:
        await world.create(payer="group")
    assert caught.value.field == "group_id"


async def leave(world: Scenario, group: str) -> None:
    async with world.db.write() as tx:
        await tx.delete(await tx.get_one(GroupMember, (group, world.renter.id)))


async def test_a_group_does_not_pay_on_for_who_has_left_it(world: Scenario) -> None:
    group = await a_group(world)
    notebook = await world.create(payer="group", group_id=group)
    await world.create("own")
    waiting = await world.create("waiting", payer="group", group_id=group, tasks=2)
    (attempt,) = await world.run(notebook)
    await look(world)
    assert await world.states(notebook) == [State.RUNNING]
    await leave(world, group)
    await look(world)
    (replica,) = await world.replicas(notebook)
    assert replica.state == State.STOPPING
    assert replica.reason.startswith("the group that pays for it no longer does")
    await world.end(attempt)
    for ident in [one.attempt_id for one in (await world.desired()).replicas]:
        await world.end(ident)  # there would be room for what waits
    await world.place_waiting()
    assert await world.states(waiting) == [State.PENDING] * 2
    assert "no longer does" in (await world.replicas(waiting))[0].reason
    with pytest.raises(Forbidden, match="no longer does"):
        await world.start(notebook)


async def test_another_group_does_not_pay_instead(world: Scenario) -> None:
    group, other = await a_group(world), await a_group(world)
    async with world.db.write() as tx:
        (await tx.get_one(Pool, world.pool_id)).open_to_all = False
        tx.add_all(PoolGroup(pool_id=world.pool_id, group_id=one) for one in (group, other))
    notebook = await world.create(payer="group", group_id=group)
    for attempt in await world.run(notebook):
        await world.end(attempt)
    await leave(world, group)
    with pytest.raises(Forbidden, match="no longer does"):
        await world.start(notebook)
    assert await world.balance("wallet", other) == 10 * MICRO


# Credits


@pytest.mark.parametrize(
    ("policy", "cause", "given"),
    [
        ("last_hour", "node_lost", PRICE),
        ("whole", "engine", 3 * PRICE),
        ("none", "node_lost", 0),
        ("whole", "exited", 0),
        ("whole", "oom", 0),
    ],
)
async def test_a_fault_is_credited_as_the_order_says(world: Scenario, policy: str, cause: str, given: int) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        (await tx.scalars(select(Order))).one().fault_credit = policy
    world.later(3 * 3600)
    await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause=cause)
    (order,) = await orders_of(world)
    assert (order.cost, order.credited) == (3 * PRICE - given, given)
    assert await world.balance("wallet", world.renter.id) == 100 * MICRO - order.cost
    fee = order.cost * FEE_PPM // MICRO
    assert await world.balance("fee", "platform") == fee
    assert await world.balance("earnings", world.miner.id) == order.cost - fee
    async with world.db.read() as tx:
        notes = list(await tx.scalars(select(Entry.note).where(Entry.kind == "reversal")))
    assert notes == ([f"credit: {faults.FAULTS[cause]}"] if given else [])
    assert (await verified(world.db)).fault is None


async def test_a_credit_after_the_months_end_goes_to_who_paid_and_widens_no_cap(world: Scenario) -> None:
    group = await a_group(world)
    await cap(world, group, world.renter.id, daily=2 * MICRO, monthly=100 * MICRO)
    world.later(31 * 86_400 - 3600)
    await world.report()
    notebook = await world.create(payer="group", group_id=group)
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        (await tx.scalars(select(Order))).one().fault_credit = "whole"
        await meters.witness(tx, [attempt], world.later(3600 + 600))
    await loops.settle_due(world.db, world.now)
    assert await world.balance("wallet", group) == 10 * MICRO - PRICE * 7 // 6
    await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause="engine")
    await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause="engine")
    assert await world.balance("wallet", group) == 10 * MICRO
    assert await world.balance("wallet", world.renter.id) == 100 * MICRO
    assert await world.balance("fee", "platform") == await world.balance("earnings", world.miner.id) == 0
    async with world.db.read() as tx:
        wallet = await service.wallet_of(tx, world.now, group)
        for one in await service.list_caps(tx, world.now, world.renter, wallet.id):
            for found, limit in ((one.daily, 2 * MICRO), (one.monthly, 100 * MICRO)):
                assert found
                assert (found.spent, found.left) == (0, limit), "no more than in any other month"
    assert (await verified(world.db)).fault is None


async def test_waived_time_is_not_credited(world: Scenario) -> None:
    """Of two hours the maximum paid for one; the credit of the last hour finds nothing that was paid."""
    notebook = await world.create(max_cost="1.5")
    (attempt,) = await world.run(notebook)
    world.later(2 * 3600)
    await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause="engine")
    (order,) = await orders_of(world)
    assert (order.cost, order.waived, order.credited) == (PRICE, PRICE, 0)


async def test_what_the_renter_stops_is_not_credited_whatever_the_site_says(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    world.later(3600)
    await world.stop(notebook)
    await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause="vanished")
    assert (await orders_of(world))[0].credited == 0


async def test_a_miner_without_earnings_does_not_go_below_zero_the_platform_pays(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(3600))
    await loops.settle_due(world.db, world.now)
    async with world.db.write() as tx:  # he was paid out
        earnings = await journal.account(tx, "earnings", world.miner.id)
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
        lines = [(earnings.id, -earnings.balance), (issuance.id, earnings.balance)]
        await journal.post(tx, "deduct", "payout", lines, at=world.now)
    await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause="engine")
    assert await world.balance("wallet", world.renter.id) == 100 * MICRO
    assert await world.balance("earnings", world.miner.id) == 0
    async with world.db.read() as tx:
        (note,) = await tx.scalars(select(Entry.note).where(Entry.kind == "reversal"))
    assert note.endswith("the platform pays what the miner no longer has")
    assert (await verified(world.db)).fault is None


# Ratings and estimates


async def test_an_order_is_rated_by_its_renter_when_it_has_ended_and_for_thirty_days(world: Scenario) -> None:
    notebook = await world.create()
    (order,) = await orders_of(world)

    async def rate(stars: int, actor: Actor | None = None) -> Any:
        async with world.db.write() as tx:
            return await service.rate(
                tx, world.now, actor or world.renter, order.id, RatingCreate(stars=stars, comment="fine")
            )

    with pytest.raises(Conflict, match="not ended"):
        await rate(4)
    for attempt in await world.run(notebook):
        await world.end(attempt)
    with pytest.raises(Forbidden):
        await rate(5, world.miner)
    await rate(2)
    world.later(29 * 86_400)
    assert (await rate(4)).stars == 4
    async with world.db.read() as tx:
        found = await service.ratings(tx, world.miner.id, None)
        assert (found.average, found.count, found.stars[4]) == (4.0, 1, 1)
        assert (await service.ratings(tx, "us_other", None)).average is None
    world.later(2 * 86_400)
    with pytest.raises(Conflict, match="until 2026-01-31"):
        await rate(1)


async def test_an_estimate_says_what_it_costs_and_what_ends_it(world: Scenario) -> None:
    async def ask(**more: Any) -> Any:
        body = EstimateCreate(pool_id=world.pool_id, spec_id=world.spec_id, **more)
        async with world.db.write() as tx:
            return await service.estimate(tx, world.now, world.renter, body)

    plain = await ask(tasks=2, hours=10)
    assert (plain.price, plain.cost, plain.hold) == (3 * MICRO, 30 * MICRO, 50_000)
    assert (round(plain.hours_possible, 6), plain.ends_by, plain.refusal) == (33.333333, "wallet", None)
    assert (await ask(hours=10, max_cost="3")).ends_by == "max_cost"
    assert (await ask(hours=10, max_cost="3")).cost == 3 * MICRO
    assert (await ask(max_hours=0.1)).cost == amount_for(PRICE, 360_000)
    await cap(world, world.renter.id, daily=10_000)
    refused = await ask()
    assert "daily cap of 0.01 UNC" in refused.refusal
    with pytest.raises(NotFound):
        await ask(payer="group", group_id="grp_none")


@pytest.mark.parametrize(
    ("daily", "hours", "ends_by"),
    [
        ("15", 10.0, "daily cap of 15 UNC"),  # used up at 22:00, before it begins anew
        ("20", 25.333333, "daily cap of 20 UNC"),  # not today: 12 h until midnight, and 13 h 20 min of the next day
        ("40", 66.666667, "wallet"),  # a whole day costs 36: never
    ],
)
async def test_an_estimate_knows_that_a_cap_begins_anew(
    world: Scenario, daily: str, hours: float, ends_by: str
) -> None:
    world.later(12 * 3600)
    await cap(world, world.renter.id, daily=parse_unc(daily))
    async with world.db.write() as tx:
        body = EstimateCreate(pool_id=world.pool_id, spec_id=world.spec_id)
        found = await service.estimate(tx, world.now, world.renter, body)
    assert round(found.hours_possible or 0, 6) == hours and found.ends_by.endswith(ends_by)


# Warnings


async def test_the_owner_of_a_low_wallet_is_warned_once(world: Scenario) -> None:
    notebook = await world.create(tasks=3)
    attempts = await world.run(notebook)

    async def warnings() -> list[dict[str, Any]]:
        await look(world)
        async with world.db.read() as tx:
            query = select(BillingEvent.detail).where(BillingEvent.kind == "low_balance")
            return list(await tx.scalars(query))

    assert await warnings() == []
    async with world.db.write() as tx:
        await meters.witness(tx, attempts, world.later(21.3 * 3600))
    (told,) = await warnings()
    assert told["burn_per_hour"] == "4.5"
    assert told["runs_out_at"] == (world.now + timedelta(seconds=80_000 - 76_680)).isoformat()
    assert len(await warnings()) == 1
    async with world.db.write() as tx:
        assert (await service.wallet_of(tx, world.now, world.renter.id)).low
        await world.recharge(tx, world.renter, 100 * MICRO)
    assert len(await warnings()) == 1
    async with world.db.write() as tx:
        await meters.witness(tx, attempts, world.later(22.5 * 3600))
    assert len(await warnings()) == 2
