"""Rules of money that no quick test held: each of these fails for a mutation that survived (tests/mutations.toml)."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.billing.test_verify import some_books, tamper
from tests.support.factories import NOW, PRICE
from tests.support.money import UNC, balances, begin, fund, meter_of
from tests.support.scenario import Scenario
from utcloud.billing import chain, meters
from utcloud.billing.models import Meter, Posting
from utcloud.billing.solvency import MS_PER_HOUR, Use
from utcloud.billing.sums import use_of
from utcloud.billing.verify import verified
from utcloud.db import Database
from utcloud.protocol import SILENT_AFTER_S

pytestmark = pytest.mark.postgres


@pytest.mark.postgres
async def test_an_entry_forged_with_a_hash_of_its_own_is_found_at_the_next_one(db: Database) -> None:
    first, second, third, *_ = await some_books(db)
    async with db.read() as tx:
        rows = await tx.execute(select(Posting.account_id, Posting.amount).where(Posting.entry_id == second.id))
        lines = [(ident, amount) for ident, amount in rows]
    forged = chain.entry_hash(
        first.hash,
        seq=second.seq,
        ident=second.id,
        key=second.idempotency_key,
        kind=second.kind,
        cause_type=second.cause_type,
        cause_id=second.cause_id,
        note="forged",
        actor_id=second.actor_id,
        actor_name=second.actor_name,
        at=second.at,
        lines=lines,
        facts=second.facts,
    )
    await tamper(db, "UPDATE journal_entries SET note = 'forged', hash = :forged WHERE seq = 2", forged=forged)
    fault = (await verified(db)).fault
    assert fault
    assert (fault.what, fault.ident, fault.seq) == ("entry", third.id, 3)


@pytest.mark.postgres
async def test_what_was_credited_does_not_go_back_once_more(db: Database) -> None:
    """A lost node's run is credited; then the node returns and says that it ended an hour earlier."""
    world = await Scenario.build(db)
    (attempt,) = await world.run(await world.create())
    world.later(3 * 3600)
    async with db.write() as tx:
        await meters.close(tx, attempt, world.now, now=world.now, cause="node_lost")
    before = await world.balance("wallet", world.renter.id)
    assert (await world.meter(attempt)).credited == PRICE
    async with db.write() as tx:
        await meters.close(tx, attempt, world.now - timedelta(hours=1), now=world.now)
    assert await world.balance("wallet", world.renter.id) == before
    assert (await verified(db)).fault is None


@pytest.mark.postgres
async def test_the_fee_is_a_share_of_the_whole_not_of_each_settlement(db: Database) -> None:
    """Half of a micro-UNC, three times, is one: a share of each would round all of it away."""
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita", price=MS_PER_HOUR // 1000, fee_ppm=500_000)
        for seconds in (1, 2, 3):
            await meters.witness(tx, [attempt], NOW + timedelta(seconds=seconds))
            await meters.settle(tx, await meter_of(tx, attempt), NOW + timedelta(seconds=seconds))
        found = await balances(tx)
        assert (found["fee:platform"], found["earnings:usr_miner"]) == (1, 2)


@pytest.mark.postgres
async def test_a_silent_site_costs_nothing_more_in_sql_either(db: Database) -> None:
    async with db.write() as tx:
        wallet = await fund(tx, "rita", 10 * UNC)
        attempt = await begin(tx, "rita", price=5 * UNC)
        seen = NOW + timedelta(minutes=1)
        await meters.witness(tx, [attempt], seen)
        for after_s, burn in ((SILENT_AFTER_S, 5 * UNC), (SILENT_AFTER_S + 1, 0)):
            now = seen + timedelta(seconds=after_s)
            use = (await use_of(tx, [wallet.id], now))[wallet.id]
            assert use.burn == burn
            assert use == Use.of(await tx.scalars(select(Meter)), now)
