"""A renter's list of notebooks."""

import pytest

from tests.support.scenario import Scenario
from utcloud.common.errors import Invalid
from utcloud.common.paging import encode_cursor
from utcloud.workloads import queries
from utcloud.workloads.queries import Row
from utcloud.workloads.schemas import NotebookSort, State

pytestmark = pytest.mark.postgres


async def listed(
    world: Scenario, sort: NotebookSort, *, limit: int = 50, search: str = "", states: tuple[State, ...] = ()
) -> list[Row]:
    """All of them, page by page."""
    found: list[Row] = []
    cursor: str | None = None
    while True:
        async with world.db.read() as tx:
            items, cursor = await queries.notebooks(
                tx, world.renter, limit=limit, cursor=cursor, search=search, states=states, sort=sort
            )
        found += items
        if cursor is None:
            return found


@pytest.mark.parametrize("sort", list(NotebookSort))
async def test_every_order_pages_through_all_once(world: Scenario, sort: NotebookSort) -> None:
    for name, tasks in (("beta", 1), ("alpha", 2), ("delta", 1), ("gamma", 1), ("epsilon", 1)):
        await world.create(name, tasks=tasks)
        world.later(1)
    await world.create("not-mine", actor=world.other)
    whole = await listed(world, sort)
    assert {one["name"] for one in whole} == {"alpha", "beta", "gamma", "delta", "epsilon"}
    assert await listed(world, sort, limit=2) == whole
    assert [len(one["replicas"]) for one in whole if one["name"] == "alpha"] == [2]
    key = sort.removeprefix("-")
    values = [(one[key], one["id"]) for one in whole]
    assert values == sorted(values, reverse=sort.startswith("-"))
    pending = await listed(world, sort, limit=1, states=(State.PENDING,))
    assert pending == [one for one in whole if one["state"] == "pending"]
    assert await listed(world, sort, limit=1, search="LTA") == [one for one in whole if one["name"] == "delta"]


@pytest.mark.parametrize("sort", list(NotebookSort))
@pytest.mark.parametrize("cursor", [encode_cursor(1), encode_cursor(1, 2), encode_cursor("a", "b", "c"), "rubbish"])
async def test_a_cursor_of_another_list(world: Scenario, sort: NotebookSort, cursor: str) -> None:
    async with world.db.read() as tx:
        with pytest.raises(Invalid):
            await queries.notebooks(tx, world.renter, limit=2, cursor=cursor, sort=sort)
