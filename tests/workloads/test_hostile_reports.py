"""What a site says of one replica, whether it lies or just passes on what a container wrote, harms that one alone."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.billing.verify import verified
from utcloud.common.errors import Conflict, TooMany
from utcloud.common.settings import Settings
from utcloud.edge import service as edge
from utcloud.edge.models import Route
from utcloud.protocol import ObservedReplica, Phase
from utcloud.resources import service as resources
from utcloud.resources.models import Node, Site
from utcloud.resources.schemas import SiteNetworks
from utcloud.server.wiring import wire
from utcloud.workloads import notebooks, observed
from utcloud.workloads.intake import Buckets

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("may_report_always")]
OPERATOR = Actor("us_op", "op", is_operator=True)
NASTY = "a\x00b\x1b[31mc\ud800d\x7fe\x85\u202ef"


def passes(world: Scenario, clock: FakeClock, seconds: int) -> None:
    world.later(seconds)
    clock.advance(seconds=seconds)


async def two(world: Scenario) -> tuple[str, str, str, str]:
    """Two renters' notebooks, placed: their ids and their attempts'."""
    one, other = await world.create("one"), await world.create("two", actor=world.other)
    of = {wish.workload_id: wish.attempt_id for wish in (await world.desired()).replicas}
    return one, other, of[one], of[other]


async def post(agent: httpx.AsyncClient, world: Scenario, *said: dict[str, Any]) -> httpx.Response:
    report = {
        "sent_at": world.now.isoformat(),
        "nodes": [node.model_dump(mode="json") for node in world.nodes],
        "replicas": list(said),
    }
    type_ = {"Content-Type": "application/json"}
    answer = await agent.post("agent/reports", content=json.dumps(report), headers=type_)
    await world.pages_answer()
    return answer


def said(world: Scenario, attempt_id: str, **fields: Any) -> dict[str, Any]:
    started = {"phase": "running", "started_at": world.now.isoformat()}
    return {"replica_id": "rp_x", "attempt_id": attempt_id, **started, **fields}


async def flags(world: Scenario) -> list[str]:
    async with world.db.read() as tx:
        return [flag for node in await tx.scalars(select(Node)) for flag in node.work_flags]


BAD: list[dict[str, Any]] = [
    {"endpoint": "[2001:db8::1%a]@127.0.0.1:9090"},
    {"endpoint": "127.0.0.1:5432"},
    {"endpoint": "x" * 3000},
    {"endpoint": "10.89.0.9:8888\x00"},
    {"phase": "ended", "log_tail": "x\x00y", "exit_code": 1, "cause": "exited"},
    {"phase": "ended", "log_tail": NASTY, "reason": NASTY, "cause": NASTY, "exit_code": 1},
    {"phase": "ended", "exit_code": 2**64, "cause": "exited"},
    {"phase": "ended", "exit_code": -(2**63) - 1, "cause": "exited"},
    {"phase": "ended", "started_at": "0001-01-01T00:00:00+14:00", "ended_at": "9999-12-31T23:59:59-14:00"},
    {"phase": "starting", "started_at": None, "reason": NASTY * 500},
    {"container_id": "\ud800\x00" * 500},
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: "-".join(bad))
async def test_one_replicas_nonsense_costs_the_other_nothing(
    world: Scenario, agent: httpx.AsyncClient, bad: dict[str, Any]
) -> None:
    one, other, first, second = await two(world)
    for _ in range(2):
        answer = await post(agent, world, said(world, first, **bad), said(world, second, endpoint="10.89.0.3:8888"))
        assert answer.status_code == 200, answer.text
    assert await world.states(other) == ["running"]
    async with world.db.read() as tx:
        assert [
            route.upstream for route in await tx.scalars(select(Route).where(Route.owner_id == world.other.id))
        ] == ["10.89.0.3:8888"]
    attempt = await world.attempt(first)
    kept = f"{(await world.workload(one)).reason}{attempt.log_tail}{attempt.cause}"
    assert not any((ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 for char in kept)
    assert (await verified(world.db)).fault is None


async def test_a_refused_endpoint_fails_its_replica_and_costs_nothing(
    world: Scenario, agent: httpx.AsyncClient, clock: FakeClock
) -> None:
    one, _other, first, second = await two(world)
    await post(agent, world, said(world, first, endpoint="127.0.0.1:1"), said(world, second))
    assert await world.states(one) == ["failed"]
    reason = (await world.workload(one)).reason
    assert reason == "its site named a place that cannot be its page's: 127.0.0.1:1 is no container's address."
    assert await flags(world) == [reason]
    wish = next(wish for wish in (await world.desired()).replicas if wish.attempt_id == first)
    assert wish.desired == Phase.STOPPED
    passes(world, clock, 60)
    await post(agent, world, said(world, first, endpoint="127.0.0.1:1"), said(world, second))
    assert (await world.meter(first)).settled == 0
    assert (await world.meter(second)).witnessed_until == world.now
    await post(agent, world, said(world, first, phase="ended", exit_code=0, cause="stopped"), said(world, second))
    assert (await world.attempt(first)).done
    assert (await world.meter(first)).settled == 0
    assert await flags(world) == []


async def test_what_the_database_refuses_is_set_aside_and_the_rest_taken(
    world: Scenario, agent: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that nobody thought of: storing one attempt's part fails inside the transaction."""
    one, other, first, second = await two(world)
    genuine = observed._alive

    async def faulty(tx: Any, now: Any, site: Any, attempt: Any, *said: Any) -> str:
        if attempt.id == first:
            attempt.token = "\x00" * 300  # PostgreSQL refuses it, when it is flushed
            await tx.flush()
            raise OverflowError("nor does SQLite get away")
        return await genuine(tx, now, site, attempt, *said)

    monkeypatch.setattr(observed, "_alive", faulty)
    answer = await post(agent, world, said(world, first), said(world, second, endpoint="10.89.0.3:8888"))
    assert answer.status_code == 200, answer.text
    assert await world.states(other) == ["running"]
    assert await world.states(one) == ["assigned"]
    assert await flags(world) == [f"what it says of attempt {first} cannot be stored, and was set aside"]
    monkeypatch.undo()
    await post(agent, world, said(world, first), said(world, second, endpoint="10.89.0.3:8888"))
    assert await world.states(one) == ["running"]
    assert await flags(world) == []


async def test_what_ends_beside_a_faulty_one_is_settled_once(
    world: Scenario, agent: httpx.AsyncClient, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _one, _other, first, second = await two(world)
    await post(agent, world, said(world, first), said(world, second))
    genuine = observed._alive

    async def faulty(*given: Any) -> str:
        if given[3].id == first:
            raise OverflowError
        return await genuine(*given)

    monkeypatch.setattr(observed, "_alive", faulty)
    passes(world, clock, 3600)
    ended = said(world, second, phase="ended", ended_at=world.now.isoformat(), exit_code=0)
    answer = await post(agent, world, said(world, first), {**ended, "started_at": None})
    assert answer.status_code == 200
    assert (await world.attempt(second)).done
    assert (await world.meter(second)).settled == 1_500_000
    assert (await verified(world.db)).fault is None


async def test_a_site_cannot_take_another_sites_live_page(world: Scenario, agent: httpx.AsyncClient) -> None:
    one, _, first, _ = await two(world)
    async with world.db.write() as tx:
        tx.add(
            Route(
                replica_id="rp_elsewhere",
                owner_id=world.other.id,
                site_id="si_other",
                host_label="x",
                secret="s",
                upstream="10.89.0.9:8888",
            )
        )
    await post(agent, world, said(world, first, endpoint="10.89.0.9:8888"))
    assert await world.states(one) == ["failed"]
    async with world.db.read() as tx:
        assert [route.replica_id for route in await edge.all_routes(tx)] == ["rp_elsewhere"]


async def test_an_address_may_come_to_the_next_container_of_the_site(world: Scenario) -> None:
    _one, other, first, second = await two(world)
    await world.see(first, Phase.RUNNING, started_at=world.now, endpoint="10.89.0.2:8888")
    world.seen[second] = ObservedReplica(
        replica_id="r", attempt_id=second, phase=Phase.RUNNING, started_at=world.now, endpoint="10.89.0.2:8888"
    )
    await world.end(first)
    assert await world.states(other) == ["running"]
    async with world.db.read() as tx:
        (route,) = await edge.all_routes(tx)
    assert route.owner_id == world.other.id


async def test_work_of_a_distant_site_runs_and_its_page_says_that_it_cannot_be_opened(world: Scenario) -> None:
    wire()
    async with world.db.write() as tx:
        (await tx.get_one(Site, world.site_id)).networks = []
    ident = await world.create()
    (_attempt,) = await world.run(ident)
    assert await world.states(ident) == ["running"]
    await _refused(world, ident, "page_of_distant_site")
    await _allow(world, ["10.90.0.0/16"])
    await world.report()
    await _refused(world, ident, "page_outside_networks")
    await _allow(world, ["10.89.0.0/16"])
    await world.report()
    assert "_utcloud/open?code=" in await _open(world, ident)
    await _allow(world, [])
    await _refused(world, ident, "page_of_distant_site")
    async with world.db.read() as tx:
        assert not await edge.all_routes(tx)


async def _allow(world: Scenario, networks: list[str]) -> None:
    async with world.db.write() as tx:
        await resources.set_site_networks(tx, world.now, OPERATOR, world.site_id, SiteNetworks(networks=networks))


async def _open(world: Scenario, ident: str) -> str:
    async with world.db.write() as tx:
        return (await notebooks.open_page(tx, world.now, Settings(), world.renter, ident, None)).url


async def _refused(world: Scenario, ident: str, code: str) -> None:
    with pytest.raises(Conflict) as refused:
        await _open(world, ident)
    assert refused.value.code == code
    assert refused.value.cure


async def test_only_news_of_an_attempt_makes_others_wait(
    world: Scenario, agent: httpx.AsyncClient, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _one, _, first, second = await two(world)
    taken: list[str | None] = []
    genuine = world.db.write

    def noted(turns: str | None = None) -> Any:
        taken.append(turns)
        return genuine(turns)

    monkeypatch.setattr(world.db, "write", noted)
    await post(agent, world, said(world, first), said(world, second))
    assert "workloads" in taken
    for number in range(3):
        taken.clear()
        passes(world, clock, 1)
        world.nodes[0].kernel = f"6.{number}"
        unknown = [said(world, f"at_{number}_{one}", phase="ended") for one in range(3)]
        answer = await post(agent, world, said(world, first), said(world, second), *unknown)
        assert answer.status_code == 200
        assert taken
        assert set(taken) == {None}
        assert (await world.meter(first)).witnessed_until == world.now
    async with world.db.read() as tx:
        assert "6.2" in {node.kernel for node in await tx.scalars(select(Node))}
    taken.clear()
    await post(agent, world, said(world, first, endpoint="10.89.0.2:8888"), said(world, second))
    assert "workloads" in taken


def test_a_bucket_lets_so_many_through_and_no_more() -> None:
    now = 0.0
    buckets = Buckets(lambda: now, rate=10, burst=60)
    for _ in range(60):
        buckets.take("a")
    for _ in range(5):
        with pytest.raises(TooMany) as refused:
            buckets.take("a")
    assert refused.value.retry_after_s == 1
    buckets.take("b")
    now = 1.0
    for _ in range(10):
        buckets.take("a")
    with pytest.raises(TooMany):
        buckets.take("a")
    for number in range(20_000):
        buckets.take(f"c{number}")
    assert len(buckets._left) <= 10_000


async def test_who_reports_too_often_is_told_when_to_come_again(world: Scenario, agent: httpx.AsyncClient) -> None:
    agent._transport.app.state.buckets = Buckets(lambda: 0.0, burst=2)  # type: ignore[attr-defined]
    answers = [await post(agent, world) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "1"


async def test_two_agents_on_one_token_are_flagged(world: Scenario, agent: httpx.AsyncClient, clock: FakeClock) -> None:
    async def speak(name: str) -> list[str]:
        passes(world, clock, 1)
        body = {"sent_at": world.now.isoformat(), "agent_id": name}
        assert (await agent.post("agent/reports", json=body)).status_code == 200
        async with world.db.read() as tx:
            return (await resources.get_site(tx, world.now, world.miner, world.site_id)).flags

    assert await speak("a") == []
    assert await speak("b") == []  # it was started anew
    assert await speak("b") == []
    (flag,) = await speak("a")
    assert "Two agents" in flag
    world.later(601)
    assert await speak("a") == []


async def test_a_token_is_replaced_without_a_gap(world: Scenario, agent: httpx.AsyncClient, clock: FakeClock) -> None:
    async with world.db.write() as tx:
        made = await resources.rotate_site_token(tx, clock.now(), world.miner, world.site_id)
    assert (await post(agent, world)).status_code == 200
    passes(world, clock, 599)
    assert (await post(agent, world)).status_code == 200
    passes(world, clock, 1)
    assert (await post(agent, world)).status_code == 401
    agent.headers["Authorization"] = f"Bearer {made.token}"
    assert (await post(agent, world)).status_code == 200
    async with world.db.write() as tx:
        (await tx.get_one(Site, world.site_id)).local = True
    with pytest.raises(Conflict) as refused:
        async with world.db.write() as tx:
            await resources.rotate_site_token(tx, clock.now(), world.miner, world.site_id)
    assert refused.value.code == "local_site"
