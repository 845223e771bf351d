"""Whose money goes where: a group's wallet, the price that was shown, caps of two levels, each member's share."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.billing.test_orders import a_group, look
from tests.support.factories import GB, PRICE, GroupMemberFactory, UserFactory
from tests.support.scenario import Scenario
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.accounts.schemas import GroupCreate
from utcloud.billing import caps, journal, meters, service
from utcloud.billing.models import Order, WalletPool
from utcloud.billing.order_schemas import EstimateCreate
from utcloud.billing.schemas import CapUpdate, WalletUpdate
from utcloud.common.errors import Conflict, Forbidden, Invalid
from utcloud.common.money import MICRO, parse_unc
from utcloud.common.settings import Settings
from utcloud.resources import service as resources
from utcloud.resources.models import PoolGroup, Spec
from utcloud.resources.schemas import PoolUpdate
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres
OPERATOR = Actor("us_op", "op", is_operator=True)


async def forbid(world: Scenario, group: str) -> str:
    """A group's wallet pays nowhere; its id."""
    async with world.db.write() as tx:
        wallet = await journal.account(tx, "wallet", group)
        await tx.delete(await tx.get_one(WalletPool, (wallet.id, world.pool_id)))
        return wallet.id


async def change(world: Scenario, wallet: str, actor: Actor, **body: Any) -> None:
    async with world.db.write() as tx:
        await service.update_wallet(tx, world.now, actor, wallet, WalletUpdate(**body))


# Groups' wallets


async def test_a_member_cannot_drain_the_groups_wallet_into_his_own_pocket(world: Scenario) -> None:
    """A plain member who is a miner starts at a price of his own making on his own hardware."""
    group = await a_group(world)
    async with world.db.write() as tx:
        (await tx.get_one(User, world.miner.id)).is_renter = True
        tx.add(GroupMemberFactory.build(group_id=group, user_id=world.miner.id, role="manager"))
        dear = await world.add_spec(tx, "dear", {"cpu": 100, "memory": GB}, price=50_000 * MICRO)
    both = Actor(world.miner.id, "miner", is_miner=True, is_renter=True)
    with pytest.raises(Forbidden) as caught:
        await world.create(actor=both, payer="group", group_id=group, spec_id=dear)
    assert (caught.value.code, caught.value.field) == ("own_hardware", "payer")
    async with world.db.write() as tx:
        body = EstimateCreate(pool_id=world.pool_id, spec_id=dear, payer="group", group_id=group)
        assert (await service.estimate(tx, world.now, both, body)).refusal == caught.value.detail
    assert await world.balance("wallet", group) == 10 * MICRO


async def test_a_groups_wallet_pays_only_where_its_managers_allow(world: Scenario) -> None:
    group = await a_group(world, world.other)
    wallet = await forbid(world, group)
    with pytest.raises(Forbidden, match="does not pay in pool 'lab'") as caught:
        await world.create(payer="group", group_id=group)
    assert caught.value.code == "pool_not_allowed"
    with pytest.raises(Forbidden):
        await change(world, wallet, world.renter, pool_ids=[world.pool_id])  # a plain member
    with pytest.raises(Invalid) as wrong:
        await change(world, wallet, world.other, pool_ids=["pool_none"])
    assert wrong.value.field == "pool_ids.0"
    await change(world, wallet, world.other, pool_ids=[world.pool_id])
    await world.create("allowed", payer="group", group_id=group)
    await change(world, wallet, world.other, pool_ids=[])
    with pytest.raises(Forbidden):
        await world.create("no longer", payer="group", group_id=group)


async def test_a_groups_wallet_pays_anywhere_up_to_its_highest_price(world: Scenario) -> None:
    group = await a_group(world, world.other)
    wallet = await forbid(world, group)
    await change(world, wallet, world.other, max_price="1.499999")
    with pytest.raises(Forbidden, match=r"pays 1\.499999 UNC per hour at most"):
        await world.create(payer="group", group_id=group)
    await change(world, wallet, world.other, max_price="1.5")
    notebook = await world.create(payer="group", group_id=group)
    for attempt in await world.run(notebook):
        await world.end(attempt)
    async with world.db.write() as tx:
        (await tx.get_one(Spec, world.spec_id)).price += 1
    with pytest.raises(Forbidden):
        await world.start(notebook)
    await change(world, wallet, world.other, max_price=None)
    async with world.db.read() as tx:
        assert (await service.get_wallet(tx, world.now, world.other, wallet)).max_price is None


async def test_a_persons_own_wallet_is_bound_to_no_pool(world: Scenario) -> None:
    async with world.db.read() as tx:
        wallet = await service.wallet_of(tx, world.now, world.renter.id)
    bodies: list[dict[str, Any]] = [{"max_price": "1"}, {"pool_ids": []}]
    for body in bodies:
        with pytest.raises(Invalid) as caught:
            await change(world, wallet.id, world.renter, **body)
        assert caught.value.field in body


@pytest.mark.parametrize(
    ("who", "agreed"), [("operator", True), ("manager", True), ("miner", False)], ids=lambda value: str(value)
)
async def test_a_pool_that_a_miner_binds_counts_only_when_the_group_agrees(
    world: Scenario, who: str, agreed: bool
) -> None:
    group = await a_group(world)
    await forbid(world, group)
    actor = OPERATOR if who == "operator" else world.miner
    async with world.db.write() as tx:
        if who == "manager":
            tx.add(GroupMemberFactory.build(group_id=group, user_id=world.miner.id, role="manager"))
            await tx.flush()
        body = PoolUpdate(group_ids=[group], open_to_all=False)
        await resources.update_pool(tx, world.now, actor, world.pool_id, body)
    own = await world.create("own")
    assert (await world.workload(own)).group_id == (group if agreed else None), "whose quota counts"
    try:
        await world.create("groups", payer="group", group_id=group)
        assert agreed
    except Forbidden as refused:
        assert not agreed
        assert refused.code == "pool_not_allowed"


async def test_binding_again_does_not_allow_again(world: Scenario) -> None:
    """What a manager took back stays so when the pool is saved once more."""
    group = await a_group(world, world.other)
    async with world.db.write() as tx:
        tx.add(PoolGroup(pool_id=world.pool_id, group_id=group))
    wallet = await forbid(world, group)
    async with world.db.write() as tx:
        await resources.update_pool(tx, world.now, OPERATOR, world.pool_id, PoolUpdate(group_ids=[group]))
    async with world.db.read() as tx:
        assert (await service.get_wallet(tx, world.now, world.other, wallet)).pools == []


# The price


async def test_the_price_shown_is_the_price_ordered(world: Scenario) -> None:
    async with world.db.write() as tx:
        (await tx.get_one(Spec, world.spec_id)).price = 40 * PRICE
    with pytest.raises(Conflict) as caught:
        await world.create(expected_price="1.5")
    assert (caught.value.code, caught.value.field) == ("price_changed", "expected_price")
    assert caught.value.members == {"expected_price": "1.5", "price": "60"}
    async with world.db.read() as tx:
        assert (await tx.scalars(select(Order))).all() == [], "nothing was ordered"
    await world.create(expected_price="60")
    async with world.db.read() as tx:
        assert (await tx.scalars(select(Order))).one().unit_price == 60 * MICRO


async def test_a_restart_is_at_the_price_shown_too(world: Scenario) -> None:
    notebook = await world.create(expected_price="1.5")
    for attempt in await world.run(notebook):
        await world.end(attempt)
    async with world.db.write() as tx:
        (await tx.get_one(Spec, world.spec_id)).price = PRICE - 1
    with pytest.raises(Conflict) as caught:
        await world.start(notebook, expected_price=PRICE)
    assert caught.value.members["price"] == "1.499999", "a lower one is another one too"
    assert await world.states(notebook) == [State.STOPPED]
    await world.start(notebook, expected_price=PRICE - 1)


# Caps


async def put(world: Scenario, actor: Actor, owner: str, **body: Any) -> list[str]:
    """Set caps; who set those that there are then, sorted."""
    async with world.db.write() as tx:
        wallet = await journal.account(tx, "wallet", owner)
        found = await service.put_cap(tx, world.now, actor, wallet.id, CapUpdate(**body))
        return sorted(one.set_by for one in found)


async def test_an_operators_cap_is_not_a_managers_to_lift(world: Scenario) -> None:
    group = await a_group(world, world.renter)
    assert await put(world, OPERATOR, group, daily="0") == ["operator"]
    assert await put(world, world.renter, group, daily=None) == ["operator"], "the manager has none to lift"
    assert await put(world, world.renter, group, daily="100") == ["keeper", "operator"]
    with pytest.raises(Forbidden, match="daily cap of 0 UNC"):
        await world.create(payer="group", group_id=group)
    with pytest.raises(Forbidden, match="Only an operator"):
        await put(world, world.renter, group, daily="100", set_by="operator")
    assert await put(world, OPERATOR, group) == ["keeper"]
    await world.create(payer="group", group_id=group)


async def test_a_managers_cap_may_be_lower_than_an_operators(world: Scenario) -> None:
    group = await a_group(world, world.renter)
    await put(world, OPERATOR, group, daily="5")
    await put(world, world.renter, group, daily="0")
    with pytest.raises(Forbidden, match="daily cap of 0 UNC"):
        await world.create(payer="group", group_id=group)
    assert await put(world, OPERATOR, group, set_by="keeper") == ["operator"], "an operator may lift both"
    await world.create(payer="group", group_id=group)


async def test_each_member_of_a_new_group_has_a_daily_cap(world: Scenario) -> None:
    settings = Settings(group_member_per_day=1)
    body = GroupCreate(name="new", user_ids=[world.other.id], manager_ids=[world.renter.id])
    async with world.db.write() as tx:
        await UserFactory.insert(tx, id=OPERATOR.id, username="op", is_operator=True)
        group = (await accounts.create_group(tx, OPERATOR, body, world.now, settings)).id
        await world.recharge(tx, Actor(group, "new"), 50 * MICRO)
        await world.agree(tx, group)
    notebook = await world.create(payer="group", group_id=group)
    (attempt,) = await world.run(notebook)
    async with world.db.write() as tx:
        await meters.witness(tx, [attempt], world.later(2400 - 14))
    await look(world)
    reason = (await world.replicas(notebook))[0].reason
    assert reason == "your daily cap of 1 UNC is reached; it begins anew on 2026-01-02 at 00:00 UTC"
    await world.end(attempt)
    with pytest.raises(Forbidden, match="your daily cap of 1 UNC"):
        await world.start(notebook)
    async with world.db.read() as tx:
        wallet = await service.wallet_of(tx, world.now, group)
        (shown,) = await service.list_caps(tx, world.now, world.other, wallet.id)
    assert (shown.user_id, shown.set_by) == (caps.EACH, "keeper")
    await world.create("theirs", actor=world.other, payer="group", group_id=group)  # each for themselves
    await put(world, world.renter, group, user_id=world.renter.id, daily="20")
    await world.start(notebook)  # their own in the place of each one's


async def test_each_member_is_held_to_their_share_at_settling(world: Scenario) -> None:
    group = await a_group(world)
    await put(world, OPERATOR, group, user_id=caps.EACH, daily="3")
    world.later(120)
    await world.report()
    attempts = []
    for actor in (world.renter, world.other):
        notebook = await world.create(actor=actor, payer="group", group_id=group)
        attempts += await world.run(notebook)
    world.later(10 * 3600)  # nobody was there to stop it
    for attempt in attempts:
        await world.end(attempt)
    assert [(await world.meter(one)).settled for one in attempts] == [3 * MICRO, 3 * MICRO]


async def test_waiting_starts_of_several_members_count_each_for_themselves(world: Scenario) -> None:
    group = await a_group(world)
    await put(world, OPERATOR, group, user_id=caps.EACH, total="0.03")
    async with world.db.write() as tx:

        def opening(number: int, payer: str) -> meters.Opening:
            return meters.Opening(f"at_{number}", payer, world.miner.id, PRICE, 0, {}, group_id=group)

        wanted = [(world.renter, 1), (world.other, 2), (world.renter, 3)]
        refused = await meters.open_many(tx, [[opening(n, who.id)] for who, n in wanted], world.now)
    assert [one is None for one in refused] == [True, True, False], "a start holds 0.025 UNC"


def test_amounts_in_settings_are_unc() -> None:
    assert Settings(group_member_per_day="2.5").group_member_per_day == parse_unc("2.5")
    assert Settings(group_member_per_day="").group_member_per_day is None
    assert Settings().recharge_by == "operators"
