"""Rules of capacity that no quick test held: each fails for a mutation that survived (tests/mutations.toml)."""

import pytest

from tests.resources.test_capacity import NOW, demand
from tests.support.factories import node_report
from tests.support.scenario import Scenario, add_spec
from utcloud.db import Database
from utcloud.resources.capacity import Shortage, reserve


@pytest.mark.postgres
async def test_cpu_is_given_until_it_is_used_up_one_transaction_after_another(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(cpu=1000))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 500})
    outcomes = []
    for _ in range(3):
        async with db.write() as tx:
            outcomes.append(await reserve(tx, NOW, [demand(world, spec)]))
    assert [isinstance(one, Shortage) for one in outcomes] == [False, False, True]
