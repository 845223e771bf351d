"""What nodes hold is counted when it changed, and remembered when it did not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.db import SEALER
from tests.support.factories import CHIP, chip_report, node_report
from tests.support.scenario import Scenario, add_spec, heard
from utcloud.common.ids import new_id
from utcloud.db import Database
from utcloud.resources.capacity import Demand, NodeState, load, release, reserve

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def read(db: Database) -> tuple[NodeState, int]:
    """The only node's state, and how many statements it took."""
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    async with db.read() as tx:
        (state,) = await load(tx, NOW)
    event.remove(db.engine.sync_engine, "before_cursor_execute", note)
    return state, count


async def test_only_what_changed_is_counted_again(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=2))
    other = Database(db.url.render_as_string(hide_password=False), SEALER)
    try:
        assert [(await read(one))[1] for one in (db, db, other, other)] == [2, 1, 2, 1]
        async with db.write() as tx:
            spec = await add_spec(tx, world.miner, {"cpu": 500, CHIP: 1})
            demand = Demand(new_id("at"), spec, world.pool_id)
            assert isinstance(await reserve(tx, NOW, [demand]), list)
        for one in (db, other):
            state, statements = await read(one)
            assert (state.free[CHIP], state.allocated["cpu"], state.attempts, statements) == (1, 500, 1, 2)
        async with db.write() as tx:
            await release(tx, demand.attempt_id)
        for one in (db, other):
            state, statements = await read(one)
            assert (state.free[CHIP], state.allocated["cpu"], state.attempts, statements) == (2, 0, 0, 2)
            assert (await read(one))[1] == 1
    finally:
        await other.close()


async def test_what_is_rolled_back_is_never_remembered(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=2))
    async with db.write() as tx:
        pair, one = await add_spec(tx, world.miner, {CHIP: 2}), await add_spec(tx, world.miner, {CHIP: 1})
    with pytest.raises(KeyError):
        async with db.write() as tx:
            assert isinstance(await reserve(tx, NOW, [Demand(new_id("at"), pair, world.pool_id)]), list)
            assert [state.free[CHIP] for state in await load(tx, NOW)] == [0]
            raise KeyError
    assert (await read(db))[0].free[CHIP] == 2
    async with db.write() as tx:
        assert isinstance(await reserve(tx, NOW, [Demand(new_id("at"), one, world.pool_id)]), list)
    assert (await read(db))[0].free[CHIP] == 1


async def test_a_chip_that_falls_ill_or_goes_is_seen(db: Database) -> None:
    world = await Scenario.bare(
        db, NOW, node_report().model_copy(update={"chips": [chip_report("c-0"), chip_report("c-1", 1)]})
    )
    await read(db)
    for chips, expected in (
        ([chip_report("c-0"), chip_report("c-1", 1, healthy=False)], (2, 1)),
        ([chip_report("c-0")], (1, 1)),
    ):
        async with db.write() as tx:
            await heard(tx, NOW, world.site_id, node_report().model_copy(update={"chips": chips}))
        state, _ = await read(db)
        assert (state.capacity[CHIP], state.free[CHIP]) == expected
