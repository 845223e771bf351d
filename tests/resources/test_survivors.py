"""Rules of capacity that no quick test held: each fails for a mutation that survived (tests/mutations.toml)."""

import pytest

from tests.resources.test_capacity import NOW, demand
from tests.support.factories import node_report
from tests.support.scenario import Scenario, add_spec
from utcloud.db import Database
from utcloud.resources.capacity import Shortage, reserve


@pytest.mark.postgres
async def test_what_is_left_of_a_cpu_is_what_was_not_given(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(cpu=1000))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 400})
    outcomes = []
    for _ in range(3):
        async with db.write() as tx:
            outcomes.append(await reserve(tx, NOW, [demand(world, spec)]))
    assert [isinstance(one, Shortage) for one in outcomes] == [False, False, True]
