"""The state machine: only the transitions of the design, each with its timeline event, however they are tried."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.support.scenario import Scenario
from utcloud.workloads.models import Replica, TimelineEvent
from utcloud.workloads.schemas import State
from utcloud.workloads.states import FINAL, IllegalTransitionError, combined, move, move_many

pytestmark = pytest.mark.postgres

ALLOWED = {
    ("pending", "assigned"),
    ("pending", "stopped"),
    ("pending", "failed"),
    *(("assigned", to) for to in ("starting", "running", "stopping", "succeeded", "failed", "stopped")),
    *(("starting", to) for to in ("running", "stopping", "succeeded", "failed", "stopped")),
    *(("running", to) for to in ("stopping", "succeeded", "failed", "stopped")),
    *(("stopping", to) for to in ("succeeded", "failed", "stopped")),
    *((ended, "pending") for ended in ("succeeded", "failed", "stopped")),
}


async def test_exactly_the_transitions_of_the_design(world: Scenario) -> None:
    """Every pair of states is tried; those that are not in the design are refused and leave no trace."""
    ident = await world.create(start=False)
    for before in State:
        for after in State:
            async with world.db.write() as tx:
                replica = (await tx.scalars(select(Replica))).one()
                replica.state = before
                await tx.flush()
                events = len((await tx.scalars(select(TimelineEvent))).all())
                if before == after:
                    await move(tx, world.now, replica, after, "again")
                    expected = events
                elif (before, after) in ALLOWED:
                    await move(tx, world.now, replica, after, "why")
                    assert replica.state == after
                    expected = events + 1
                else:
                    with pytest.raises(IllegalTransitionError, match=f"{before} → {after}"):
                        await move(tx, world.now, replica, after, "why")
                    assert replica.state == before
                    expected = events
                await tx.flush()
                assert len((await tx.scalars(select(TimelineEvent))).all()) == expected
    assert (await world.workload(ident)).wanted == "stopped"


async def test_the_timeline_says_when_from_what_to_what_and_why(world: Scenario) -> None:
    ident = await world.create()
    world.later(3)
    await world.run(ident)
    async with world.db.read() as tx:
        events = (await tx.scalars(select(TimelineEvent).order_by(TimelineEvent.id))).all()
    assert [(one.from_state, one.to_state) for one in events] == [
        ("pending", "assigned"),
        ("assigned", "starting"),
        ("starting", "running"),
    ]
    assert events[0].reason.startswith("placed on node-")
    assert events[1].at == world.now


async def test_many_move_together_or_not_at_all(world: Scenario) -> None:
    idents = [await world.create(name, tasks=2, start=False) for name in ("a", "b")]
    async with world.db.write() as tx:
        replicas = (await tx.scalars(select(Replica).order_by(Replica.id))).all()
        replicas[-1].state = State.RUNNING
        await tx.flush()
        with pytest.raises(IllegalTransitionError, match=replicas[-1].id):
            await move_many(tx, world.now, [(replica, State.PENDING, "again") for replica in replicas])
        assert [replica.state for replica in replicas] == ["stopped"] * 3 + ["running"]
        await move_many(tx, world.now, [(replica, State.PENDING, "again") for replica in replicas[:3]])
        events = (await tx.scalars(select(TimelineEvent))).all()
        assert sorted(event.replica_id for event in events) == [replica.id for replica in replicas[:3]]
    assert [(await world.workload(ident)).state for ident in idents] == ["pending", "pending"]


states = st.sampled_from(list(State))


@given(st.lists(states, min_size=1, max_size=6))
def test_a_workload_is_as_far_as_its_least_advanced_replica(present: list[State]) -> None:
    whole = combined(present)
    assert whole in present
    assert combined(reversed(present)) == whole
    if any(state not in FINAL for state in present):
        order = [State.PENDING, State.ASSIGNED, State.STARTING, State.RUNNING, State.STOPPING]
        assert whole == min((state for state in present if state not in FINAL), key=order.index)
    else:
        worst = [State.FAILED, State.STOPPED, State.SUCCEEDED]
        assert whole == min(present, key=worst.index)


@given(st.lists(states, min_size=1, max_size=4), states)
def test_a_workload_never_ends_while_a_replica_goes_on(present: list[State], more: State) -> None:
    if more not in FINAL:
        assert combined([*present, more]) not in FINAL
