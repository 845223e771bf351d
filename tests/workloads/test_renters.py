"""A miner sees of users those who rent from him, and of them who they are."""

import pytest

from tests.support.factories import GroupFactory, GroupMemberFactory
from tests.support.scenario import Scenario, add_site, add_user
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.billing import service as billing
from utcloud.common.errors import NotFound
from utcloud.resources.models import PoolGroup
from utcloud.server.wiring import wire
from utcloud.workloads import quotas

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _wired() -> None:
    wire()


async def seen(world: Scenario, actor: Actor, **query: str) -> list[str]:
    async with world.db.read() as tx:
        found, _ = await accounts.list_users(tx, actor, limit=50, **query)  # type: ignore[arg-type]
        return [user.username for user in found]


async def test_a_miner_sees_who_rents_from_him_and_goes_on_to(world: Scenario) -> None:
    async with world.db.write() as tx:
        rival = await add_user(tx, "rival", is_miner=True)
        await add_site(tx, rival, "elsewhere")
    assert await seen(world, world.miner) == ["miner"]
    ident = await world.create()
    assert await seen(world, world.miner) == ["miner", "renter"], "also who waits"
    assert await seen(world, rival) == ["rival"]
    (attempt,) = await world.run(ident)
    world.later(60)
    await world.end(attempt)
    await world.report(dropped=[replica.id for replica in await world.replicas(ident)])
    await world.remove(ident)
    assert await seen(world, world.miner) == ["miner", "renter"], "whose records he has"


async def test_a_miner_reads_names_and_nothing_else(world: Scenario) -> None:
    async with world.db.write() as tx:
        renter = await tx.get_one(User, world.renter.id)
        renter.email, renter.last_seen_at = "rita@example.org", world.now
    await world.create()
    async with world.db.read() as tx:
        shown = accounts.names_of([await accounts.visible_user(tx, world.miner, world.renter.id)])[0]
        with pytest.raises(NotFound):
            await accounts.visible_user(tx, world.miner, world.other.id)
        with pytest.raises(NotFound):
            await quotas.user_subject(tx, world.miner, world.renter.id)
    assert (shown.username, shown.email, shown.last_seen_at, shown.groups) == ("renter", "", None, [])
    assert await seen(world, world.miner, search="rita@") == [], "nor finds anybody by an address"


async def test_of_a_group_a_miner_sees_those_who_rent_from_him(world: Scenario) -> None:
    await world.create()
    async with world.db.write() as tx:
        group = await GroupFactory.insert(tx, name="lab")
        for actor in (world.renter, world.other):
            await GroupMemberFactory.insert(tx, group_id=group.id, user_id=actor.id)
    async with world.db.read() as tx:
        detail = await accounts.group_detail(tx, world.miner, group.id)
        assert [one.user.username for one in detail.members] == ["renter"]
        inside = await accounts.group_detail(tx, world.other, group.id)
        assert len(inside.members) == 2


@pytest.mark.parametrize("issues", [False, True])
async def test_wallets_are_seen_by_who_may_put_machine_hours_in(world: Scenario, issues: bool) -> None:
    """Of groups that a miner's pools are bound to, and of their members; where only operators recharge, none."""
    async with world.db.write() as tx:
        group = await GroupFactory.insert(tx, name="lab")
        await GroupMemberFactory.insert(tx, group_id=group.id, user_id=world.renter.id)
        tx.add(PoolGroup(pool_id=world.pool_id, group_id=group.id))
        await billing.make_wallets(tx)
    miner = Actor(world.miner.id, "miner", is_miner=True, is_issuer=issues)
    async with world.db.read() as tx:
        found, _ = await billing.list_wallets(tx, world.now, miner, limit=50)
    assert sorted(wallet.owner_name for wallet in found) == (["lab", "renter"] if issues else [])
