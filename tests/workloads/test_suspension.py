"""A miner who was frozen, or is a miner no longer: nothing new comes to his hardware, what runs ends, what it earned is
held until an operator decides."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.support.factories import PRICE
from tests.support.scenario import Scenario
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.accounts.schemas import Role, Running, UserUpdate
from utcloud.billing import service as billing
from utcloud.billing.models import BillingEvent
from utcloud.billing.schemas import HeldDecision
from utcloud.billing.verify import verified
from utcloud.common.errors import Conflict
from utcloud.protocol import ObservedReplica, Phase, SiteReport
from utcloud.resources import reports
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.resources.reports import Incoming
from utcloud.server.wiring import wire
from utcloud.workloads import intake, suspension
from utcloud.workloads.models import Attempt

pytestmark = pytest.mark.postgres
OPERATOR = Actor("us_op", "op", is_operator=True)
TOKEN = "utcs_x"


@pytest.fixture(autouse=True)
async def token(world: Scenario) -> None:
    wire()
    async with world.db.write() as tx:
        (await tx.get_one(Site, world.site_id)).token_hash = resources.hash_of(TOKEN)


class _Stands:
    def __init__(self, world: Scenario) -> None:
        self._world = world

    def now(self) -> object:
        return self._world.now


async def tell(world: Scenario, *said: ObservedReplica) -> None:
    """The agent reports as it does, by its token."""
    report = SiteReport(sent_at=world.now, nodes=world.nodes, replicas=list(said or world.seen.values()))
    await intake.take_in(world.db, _Stands(world), TOKEN, Incoming(report))  # type: ignore[arg-type]


async def lose_role(world: Scenario) -> None:
    async with world.db.write() as tx:
        await accounts.update_user(tx, OPERATOR, world.miner.id, UserUpdate(roles=[Role.RENTER]))


async def freeze(world: Scenario) -> None:
    async with world.db.write() as tx:
        await accounts.freeze_user(tx, OPERATOR, world.miner.id, Running.KEEP, "fraud")


async def forgive(world: Scenario) -> None:
    async with world.db.write() as tx:
        await tx.execute(update(User).where(User.id == world.miner.id).values(status="active", is_miner=True))


async def decide(world: Scenario, to: str) -> None:
    async with world.db.write() as tx:
        body = HeldDecision.model_validate({"to": to, "reason": "looked into it"})
        await billing.decide_held(tx, world.now, OPERATOR, world.miner.id, body)


async def sound(world: Scenario) -> None:
    fault = (await verified(world.db)).fault
    assert fault is None, fault


@pytest.mark.parametrize("out", [freeze, lose_role])
async def test_nothing_new_comes_and_what_runs_ends_in_good_order(world: Scenario, out: object) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    waits = await world.create("waits", tasks=3)
    assert await world.states(waits) == ["pending"] * 3
    world.later(1800)
    await world.report()
    await out(world)  # type: ignore[operator]
    with pytest.raises(Conflict) as refused:
        await world.create("late", actor=world.other)
    assert refused.value.code == "miner_suspended"
    await suspension.look(world.db, world.now)
    assert await world.states(ident) == ["stopping"]
    assert await world.states(waits) == ["stopped"] * 3
    why = (await world.workload(ident)).reason
    assert "miner" in why
    assert "fraud" not in why
    async with world.db.read() as tx:
        told = [
            event.detail["reason"]
            for event in await tx.scalars(select(BillingEvent))
            if event.kind == "workload_stopped"
        ]
    assert told == [why, why]
    await world.place_waiting()
    assert [one.desired for one in (await world.desired()).replicas] == [Phase.STOPPED]
    world.later(10)
    world.seen[attempt] = world.seen[attempt].model_copy(
        update={"phase": Phase.ENDED, "ended_at": world.now, "exit_code": 0, "cause": "stopped"}
    )
    await tell(world)
    assert await world.states(ident) == ["stopped"]
    assert (await world.desired()).replicas == []
    assert await world.claims() == {}
    assert await world.balance("earnings", world.miner.id) == 0
    paid = PRICE * 1810 // 3600
    assert await world.balance("held", world.miner.id) == paid - paid * 5 // 100
    await sound(world)


async def test_the_token_opens_no_files_and_its_nodes_say_nothing(world: Scenario) -> None:
    await freeze(world)
    async with world.db.read() as tx:
        assert await resources.site_for_token(tx, TOKEN) is None
        assert await resources.site_for_token(tx, TOKEN, removed=True) is not None
    world.nodes[0].kernel = "new"
    await tell(world)
    async with world.db.read() as tx:
        nodes, _ = await resources.list_nodes(tx, world.now, world.miner, resources.NodeFilter(), limit=10)
        assert "new" not in {node.kernel for node in nodes}
        pools, _ = await resources.list_pools(
            tx, world.now, world.renter, resources.PoolFilter(role="renter"), limit=10
        )
        assert pools == []


async def test_a_suspended_site_earns_nothing_by_saying_that_it_runs_on(world: Scenario) -> None:
    """It ignores the stop: from the suspension on its word counts for nothing but an end."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    world.later(600)
    await world.report()
    await freeze(world)
    await suspension.look(world.db, world.now)
    for _ in range(7):
        world.later(10)
        await tell(world)
    await suspension.look(world.db, world.now)
    assert await world.states(ident) == ["stopped"]
    meter = await world.meter(attempt)
    assert meter.started_at is not None
    assert meter.ended_at == meter.started_at + timedelta(seconds=600)
    assert meter.closed
    async with world.db.read() as tx:
        assert (await tx.get_one(Attempt, attempt)).done
    late = ObservedReplica(replica_id="r", attempt_id=attempt, phase=Phase.ENDED, ended_at=world.now, exit_code=0)
    await tell(world, late)
    assert (await world.meter(attempt)).settled == meter.settled
    await sound(world)


async def test_an_unchanged_report_of_a_suspended_site_witnesses_nothing(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await tell(world)
    before = (await world.meter(attempt)).witnessed_until
    await freeze(world)
    world.later(10)
    incoming = Incoming(SiteReport(sent_at=world.now, nodes=world.nodes, replicas=list(world.seen.values())))
    async with world.db.write() as tx:
        said = {resources.hash_of(TOKEN): (incoming, "".join(incoming.digest()))}
        assert await reports.unchanged(tx, world.now, said) == {}
    assert (await world.meter(attempt)).witnessed_until == before


async def earn(world: Scenario) -> tuple[str, int, int]:
    """Half an hour before, ten seconds after the suspension: the notebook, what was earned and what is held."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    world.later(1800)
    await world.report()
    async with world.db.write() as tx:
        from utcloud.billing import meters
        from utcloud.billing.models import Meter

        meter = (await tx.scalars(select(Meter))).one()
        await meters.settle(tx, meter, world.now)
    earned = await world.balance("earnings", world.miner.id)
    assert earned > 0
    await freeze(world)
    await suspension.look(world.db, world.now)
    world.later(9)
    world.seen[attempt] = world.seen[attempt].model_copy(
        update={"phase": Phase.ENDED, "ended_at": world.now, "exit_code": 0, "cause": "stopped"}
    )
    await tell(world)
    held = await world.balance("held", world.miner.id)
    assert held > 0
    return ident, earned, held


async def test_what_is_held_is_released(world: Scenario) -> None:
    _, earned, held = await earn(world)
    async with world.db.read() as tx:
        ((row,), _) = await billing.list_held(tx, OPERATOR, limit=10)
        assert (row.miner_name, row.amount, row.suspended) == ("miner", held, True)
        out = await billing.earnings_of(tx, world.now, world.miner.id)
        assert (out.balance, out.held) == (earned, held)
    await decide(world, "miner")
    assert await world.balance("earnings", world.miner.id) == earned + held
    assert await world.balance("held", world.miner.id) == 0
    with pytest.raises(Conflict) as refused:
        await decide(world, "miner")
    assert refused.value.code == "nothing_held"
    await sound(world)


async def test_what_is_held_is_returned_to_those_who_paid(world: Scenario) -> None:
    before = await world.balance("wallet", world.renter.id)
    _, earned, _held = await earn(world)
    await decide(world, "payers")
    assert await world.balance("earnings", world.miner.id) == earned
    assert await world.balance("held", world.miner.id) == 0
    paid = before - await world.balance("wallet", world.renter.id)
    assert paid == PRICE // 2
    assert await world.balance("fee", "platform") == paid - earned
    await sound(world)


async def test_what_runs_still_is_waited_for(world: Scenario) -> None:
    await earn(world)
    await forgive(world)
    await suspension.look(world.db, world.now)
    await tell(world)
    await world.run(await world.create("again"))
    with pytest.raises(Conflict) as refused:
        await decide(world, "payers")
    assert refused.value.code == "still_running"


async def test_who_is_let_in_again_works_on_and_what_was_released_is_not_returned(world: Scenario) -> None:
    _, earned, held = await earn(world)
    await decide(world, "miner")
    await forgive(world)
    await suspension.look(world.db, world.now)
    await tell(world)
    again = await world.create("again")
    assert await world.states(again) == ["assigned"]
    (attempt,) = await world.run(again)
    world.later(3600)
    await world.end(attempt)
    total = await world.balance("earnings", world.miner.id)
    assert total == earned + held + PRICE * 95 // 100
    assert await world.balance("held", world.miner.id) == 0
    await earn2(world)
    await decide(world, "payers")
    assert await world.balance("held", world.miner.id) == 0
    assert await world.balance("earnings", world.miner.id) == total
    await sound(world)


async def earn2(world: Scenario) -> None:
    (attempt,) = await world.run(await world.create("third"))
    await freeze(world)
    await suspension.look(world.db, world.now)
    world.later(8)
    world.seen[attempt] = world.seen[attempt].model_copy(
        update={"phase": Phase.ENDED, "ended_at": world.now, "exit_code": 0, "cause": "stopped"}
    )
    await tell(world)
    assert await world.balance("held", world.miner.id) > 0
