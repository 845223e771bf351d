"""Nobody queues thousands: each renter has so many places in a pool's line, and no more."""

import pytest

from tests.support.factories import node_report
from tests.support.scenario import Scenario
from utcloud.common.errors import Conflict
from utcloud.workloads import quotas
from utcloud.workloads.schemas import State


@pytest.fixture(autouse=True)
def _three(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in ("create", "start"):
        from utcloud.workloads import notebooks

        monkeypatch.setitem(getattr(notebooks, function).__kwdefaults__, "max_waiting", 3)


async def fill(world: Scenario) -> list[str]:
    """Work of another's on every chip; the ids."""
    held: list[str] = []
    for number in range(100):
        ident = await world.create(f"held-{number}", actor=world.other)
        if await world.states(ident) == [State.PENDING]:
            async with world.db.write() as tx:
                from utcloud.workloads import notebooks

                await notebooks.stop(tx, world.now, world.other, ident)
            return held
        held.append(ident)
    raise AssertionError("the site has no end")


@pytest.mark.postgres
async def test_a_renter_has_so_many_places_in_a_pools_line(world: Scenario) -> None:
    await fill(world)
    waiting = [await world.create(f"waits-{number}") for number in range(3)]
    with pytest.raises(Conflict, match=r"3 of yours wait in pool 'lab' already: at most 3") as refused:
        await world.create("one-more")
    assert (refused.value.code, bool(refused.value.cure)) == ("quota_exceeded", True)
    assert [await world.states(ident) for ident in waiting] == [[State.PENDING]] * 3
    await world.create("anothers", actor=world.other)
    await world.stop(waiting[0])
    await world.create("again")


async def test_what_was_refused_left_nothing(world: Scenario) -> None:
    await fill(world)
    for number in range(3):
        await world.create(f"waits-{number}")
    with pytest.raises(Conflict):
        await world.create("one-more")
    stopped = await world.create("one-more", start=False)  # the name is free
    with pytest.raises(Conflict):
        await world.start(stopped)
    assert await world.states(stopped) == [State.STOPPED]


async def test_a_workload_counts_once_however_many_tasks_it_has(world: Scenario) -> None:
    await fill(world)
    for number in range(3):
        await world.create(f"gang-{number}", tasks=2)
    with pytest.raises(Conflict):
        await world.create("one-more")


async def test_what_finds_a_place_at_once_is_never_refused(world: Scenario) -> None:
    """Those who wait for chips do not stand in the way of what needs none."""
    await fill(world)
    for number in range(3):
        await world.create(f"waits-{number}")
    world.nodes.append(node_report("node-c", 0))
    await world.report()
    async with world.db.write() as tx:
        light = await world.add_spec(tx, "light", {"cpu": 1, "memory": 1_000_000})
    ident = await world.create("light", spec_id=light)
    assert await world.states(ident) == [State.ASSIGNED]


def test_the_default() -> None:
    assert quotas.MAX_WAITING == 20
