"""Quotas refuse new work with numbers; they never stop what runs."""

import asyncio
from typing import Any

import pytest

from tests.support.factories import CHIP, FEE_PPM, CustomResourceFactory, GroupFactory, GroupMemberFactory
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import GroupMember, User
from utcloud.accounts.schemas import QuotaOut, QuotaUpdate
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Unauthenticated
from utcloud.resources.models import Pool, PoolGroup
from utcloud.workloads import in_use, notebooks, quotas
from utcloud.workloads.quotas import Subject
from utcloud.workloads.schemas import NotebookCreate
from utcloud.workloads.states import TURNS

pytestmark = pytest.mark.postgres

OPERATOR = Actor("us_op", "op", is_operator=True)


def of_user(actor: Actor) -> Subject:
    return Subject("user", actor.id, actor.username)


async def limit(world: Scenario, subject: Subject, **body: Any) -> QuotaOut:
    async with world.db.write() as tx:
        return await quotas.put(tx, OPERATOR, subject, QuotaUpdate(**body))


async def shown(world: Scenario, subject: Subject) -> QuotaOut:
    async with world.db.read() as tx:
        return await quotas.get(tx, subject)


async def make_group(world: Scenario, name: str, *members: Actor, bound: bool = True) -> Subject:
    """A group, bound to the world's pool, which is open to groups alone from then on."""
    async with world.db.write() as tx:
        group = GroupFactory.build(name=name)
        tx.add(group)
        await tx.flush()
        tx.add_all(GroupMemberFactory.build(group_id=group.id, user_id=actor.id) for actor in members)
        if bound:
            tx.add(PoolGroup(pool_id=world.pool_id, group_id=group.id))
            await world.agree(tx, group.id)
            (await tx.get_one(Pool, world.pool_id)).open_to_all = False
    return Subject("group", group.id, name)


async def exceeded(world: Scenario, *args: Any, **fields: Any) -> Problem:
    with pytest.raises(Conflict) as caught:
        await world.create(*args, **fields)
    assert caught.value.code == "quota_exceeded"
    assert caught.value.cure
    return caught.value


async def test_use_is_what_waits_and_what_is_held(world: Scenario) -> None:
    await limit(world, of_user(world.renter), resources={CHIP: "8"})
    await world.create("runs", tasks=2)
    await world.create("takes the rest", actor=world.other)
    await world.create("waits", tasks=2)
    found = await shown(world, of_user(world.renter))
    assert found.used.resources == {"cpu": "2", "memory": "4GB", CHIP: "4"}
    assert (found.used.notebooks, found.used.tasks) == (2, 0)
    assert (found.resources, found.notebooks, found.tasks) == ({CHIP: "8"}, None, None)
    other = await shown(world, of_user(world.other))
    assert (other.used.resources[CHIP], other.resources) == ("1", {})


async def test_placing_what_waits_changes_nothing(world: Scenario) -> None:
    first = await world.create("first", tasks=2, actor=world.other)
    await world.create("waits", tasks=2)
    before = await shown(world, of_user(world.renter))
    for attempt in await world.run(first):
        await world.end(attempt)
    await world.place_waiting()
    assert await shown(world, of_user(world.renter)) == before
    assert (await shown(world, of_user(world.other))).used.notebooks == 0


async def test_too_many_chips_are_refused_with_numbers(world: Scenario) -> None:
    await limit(world, of_user(world.renter), resources={CHIP: "2"})
    await world.create("one")
    problem = await exceeded(world, "two more", tasks=2)
    assert problem.detail == f"Your quota is exceeded: at most 2 {CHIP}, 1 in use, 2 more needed."
    await world.create("one more")
    await world.create("not started", start=False)
    await exceeded(world, "third")


async def test_concurrent_notebooks(world: Scenario) -> None:
    await limit(world, of_user(world.renter), notebooks=1)
    first = await world.create("first", tasks=2)
    problem = await exceeded(world, "second")
    assert problem.detail == "Your quota is exceeded: at most 1 notebook at once, 1 in use."
    for attempt in await world.run(first):
        await world.end(attempt)
    await world.create("second")


async def test_a_restart_is_asked_too(world: Scenario) -> None:
    first = await world.create("first", tasks=2)
    attempts = await world.run(first)
    await limit(world, of_user(world.renter), resources={CHIP: "1"}, notebooks=1)
    assert await world.states(first) == ["running", "running"], "what runs goes on"
    await world.end(attempts[0])
    with pytest.raises(Conflict, match="1 in use, 1 more needed"):
        await world.start(first)
    await limit(world, of_user(world.renter), resources={CHIP: "2"}, notebooks=1)
    await world.start(first)


async def test_none_of_it(world: Scenario) -> None:
    await limit(world, of_user(world.renter), notebooks=0)
    assert "at most 0 notebooks" in (await exceeded(world)).detail
    found = await limit(world, of_user(world.renter), resources={CHIP: "0"})
    assert found.resources == {CHIP: "0"}
    assert "at most 0" in (await exceeded(world)).detail
    await limit(world, of_user(world.renter))
    await world.create()


async def test_a_groups_quota_counts_all_its_members(world: Scenario) -> None:
    lab = await make_group(world, "lab", world.renter, world.other)
    await limit(world, lab, resources={"TPU1684X": "2", "cpu": "0.75"})
    await world.create("hers")
    problem = await exceeded(world, "his", actor=world.other)
    assert problem.detail == "The quota of group 'lab' is exceeded: at most 0.75 CPU, 0.5 in use, 0.5 more needed."
    await limit(world, lab, resources={"TPU1684X": "2"})
    await world.create("his", actor=world.other)
    assert (await shown(world, lab)).used.notebooks == 2
    await exceeded(world, "third")


async def test_the_group_is_the_one_through_which_the_pool_is_open(world: Scenario) -> None:
    plain = await world.create("open to all")
    assert (await world.workload(plain)).group_id is None
    far = await make_group(world, "far", world.renter, bound=False)
    lab = await make_group(world, "lab", world.renter)
    zoo = await make_group(world, "zoo", world.renter)
    assert (await world.workload(await world.create("left out"))).group_id == lab.id
    assert (await world.workload(await world.create("chosen", group_id=zoo.id))).group_id == zoo.id
    with pytest.raises(Invalid, match="not open to group 'far'") as caught:
        await world.create("far", group_id=far.id)
    assert caught.value.field == "group_id"
    assert "lab, zoo" in (caught.value.cure or "")
    with pytest.raises(NotFound):
        await world.create("not his", actor=world.other, group_id=lab.id)


async def test_whoever_left_the_group_starts_again_through_another(world: Scenario) -> None:
    lab = await make_group(world, "lab", world.renter)
    zoo = await make_group(world, "zoo", world.renter)
    ident = await world.create(start=False)
    assert (await world.workload(ident)).group_id == lab.id
    async with world.db.write() as tx:
        await tx.delete(await tx.get_one(GroupMember, (lab.id, world.renter.id)))
    await world.start(ident)
    assert (await world.workload(ident)).group_id == zoo.id


async def test_many_at_once_keep_within_it(world: Scenario) -> None:
    lab = await make_group(world, "lab", world.renter, world.other)
    await limit(world, lab, resources={CHIP: "2"})

    async def create(number: int) -> bool:
        wish = NotebookCreate(name=f"n{number}", image_id=world.image_id, pool_id=world.pool_id, spec_id=world.spec_id)
        try:
            async with world.db.write(TURNS) as tx:
                actor = (world.renter, world.other)[number % 2]
                await notebooks.create(tx, world.now, actor, wish, fee_ppm=FEE_PPM)
        except Conflict as problem:
            assert problem.code == "quota_exceeded"
            return False
        return True

    made = await asyncio.gather(*(create(number) for number in range(8)))
    assert sum(made) == 2
    assert (await shown(world, lab)).used.resources[CHIP] == "2"


async def test_two_operators_at_once(world: Scenario) -> None:
    subject = of_user(world.renter)
    await asyncio.gather(*(limit(world, subject, notebooks=number) for number in range(4)))
    assert (await shown(world, subject)).notebooks in range(4)


@pytest.mark.parametrize(
    ("resources", "field", "words"),
    [
        ({"gpu": "1"}, "resources.gpu", "no resource 'gpu'"),
        ({"cpu": "-1"}, "resources.cpu", "CPU"),
        ({"cpu": "1e400"}, "resources.cpu", "quantity"),
        ({"memory": "5 xb"}, "resources.memory", "unit"),
        ({CHIP: "0.5"}, f"resources.{CHIP}", "quantity"),
        ({CHIP: "1", "TPU1684X": "1"}, "resources.TPU1684X", "twice"),
        ({"memory": "1" * 17}, "resources.memory", "quantity"),
    ],
)
async def test_bad_quotas_name_the_field(world: Scenario, resources: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        await limit(world, of_user(world.renter), resources=resources)
    assert caught.value.field == field
    assert words.lower() in f"{caught.value.detail} {caught.value.cure}".lower()
    assert (await shown(world, of_user(world.renter))).resources == {}


async def test_a_name_that_means_two_things(world: Scenario) -> None:
    async with world.db.write() as tx:
        tx.add(
            CustomResourceFactory.build(
                id="cr_x", miner_id=world.other.id, name="TPU1684X", system_resource="other/chip"
            )
        )
    with pytest.raises(Invalid) as caught:
        await limit(world, of_user(world.renter), resources={"TPU1684X": "1"})
    assert f"other/chip, {CHIP}" in (caught.value.cure or "")


async def test_only_operators_set_them(world: Scenario) -> None:
    for actor in (world.renter, world.miner):
        with pytest.raises(Forbidden):
            async with world.db.write() as tx:
                await quotas.put(tx, actor, of_user(world.renter), QuotaUpdate())


async def test_others_quotas_are_not_found(world: Scenario) -> None:
    lab = await make_group(world, "lab", world.renter)
    async with world.db.read() as tx:
        assert (await quotas.group_subject(tx, world.renter, lab.id)).name == "lab"
        assert (await quotas.user_subject(tx, world.renter, world.renter.id)).name == "renter"
        with pytest.raises(NotFound):
            await quotas.group_subject(tx, world.other, lab.id)
        with pytest.raises(NotFound):
            await quotas.user_subject(tx, world.other, world.renter.id)


async def test_a_user_who_was_frozen_a_moment_ago_starts_nothing(world: Scenario) -> None:
    ident = await world.create(start=False)
    async with world.db.write() as tx:
        (await tx.get_one(User, world.renter.id)).status = "frozen"
    with pytest.raises(Unauthenticated):
        await world.start(ident)
    with pytest.raises(Unauthenticated):
        await world.create("another")


async def test_a_group_in_whose_name_work_runs_is_in_use(world: Scenario) -> None:
    lab = await make_group(world, "lab", world.renter)
    await world.create("hers")
    async with world.db.read() as tx:
        assert "1 notebook ('hers')" in (await in_use.of_group(tx, lab.id) or "")
