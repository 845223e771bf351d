"""The agent's two loops and its replicas, with engines of which we decide the mood."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.site.engine_doubles import FailingEngine, LyingEngine, MemoryEngine, NoFirewall, SlowEngine
from tests.site.server import SmallServer
from utcloud.protocol import DesiredMount, DesiredReplica, ObservedReplica, Phase
from utcloud.site import agent as agent_module
from utcloud.site import replica as replica_module
from utcloud.site.agent import Agent
from utcloud.site.engines.base import Container, EngineRefused, Status
from utcloud.site.records import Record, Records, boot_id
from utcloud.site.replica import container_name, describe_exit

Make = Callable[..., DesiredReplica]
Start = Callable[..., Agent]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again soon."""
    monkeypatch.setattr(agent_module, "_LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(replica_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(replica_module, "_LONGEST_PAUSE_S", 0.1)


def stopped(wish: DesiredReplica, reason: str = "enough") -> DesiredReplica:
    return wish.model_copy(update={"desired": Phase.STOPPED, "reason": reason})


async def test_an_engine_that_is_away_is_asked_again_until_it_works(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = FailingEngine(times=2)
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    assert any("nobody there" in row.reason for row in server.seen_attempts[wish.attempt_id])
    await server.want(stopped(wish))
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.cause == "stopped" and engine.starts == [container_name(wish.attempt_id)]


async def test_a_refusal_ends_the_attempt_and_is_not_tried_again(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = FailingEngine(refuse=EngineRefused("no such image: x", "image"))
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.cause == "image" and wish.image in ended.reason
    await asyncio.sleep(0.3)
    assert engine.asked["ensure"] == 1


async def test_an_engine_that_lies_about_stopping_is_not_believed(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = LyingEngine(times=2)
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    await server.want(stopped(wish))
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert engine.times < 0 and ended.cause == "stopped"


async def test_the_sweep_finds_an_end_that_no_event_told(
    server: SmallServer, agent_of: Start, replica: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "SWEEP_S", 0.1)
    engine = LyingEngine(times=0)
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    engine.end(running.container_id, 7)
    ended = await server.until_phase(wish.attempt_id, "ended", 5)
    assert (ended.exit_code, ended.reason, ended.log_tail) == (7, "exited with code 7", "the last line\n")


async def test_a_stop_during_a_slow_start_still_leaves_a_witnessed_end(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = SlowEngine(0.4)
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    await asyncio.sleep(0.25)  # ensure is under way
    await server.want(stopped(wish))
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.started_at is not None and ended.ended_at is not None and ended.cause == "stopped"
    assert all(one.status is Status.ENDED for one in engine.containers.values())


async def test_what_is_stopped_before_it_started_never_starts(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = MemoryEngine()
    agent_of(engine=engine, firewall=NoFirewall())
    wish = stopped(replica(port=None), "changed my mind")
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert (ended.cause, ended.reason, ended.started_at) == ("stopped", "changed my mind", None)
    assert engine.starts == []


async def test_an_unlisted_running_container_is_stopped_removed_and_reported(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = MemoryEngine()
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    await server.want()
    await server.until(lambda: any(one.strays for one in server.reports), 10, "the stray is reported")
    assert [one.container_id for report in server.reports for one in report.strays] == [running.container_id]
    async with asyncio.timeout(5):
        while engine.containers or engine.nets:
            await asyncio.sleep(0.01)


async def test_after_a_reboot_what_ran_before_is_ended_not_started_again(
    server: SmallServer, agent_of: Start, replica: Make, home: Path
) -> None:
    wish = replica(port=None)
    started = datetime.now(UTC) - timedelta(hours=2)
    records = Records(home / "site" / "attempts")
    shown = ObservedReplica(
        replica_id=wish.replica_id, attempt_id=wish.attempt_id, phase=Phase.RUNNING, started_at=started
    )
    records.save(Record(attempt_id=wish.attempt_id, started=True, boot_id="before", ready=True, observed=shown))
    seen = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    os.utime(home / "site" / "attempts" / f"{wish.attempt_id}.json", (seen, seen))
    engine = MemoryEngine()
    name = container_name(wish.attempt_id)
    engine.containers[name] = Container(id="c", name=name, labels={}, status=Status.CREATED)
    agent_of(engine=engine, firewall=NoFirewall())
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.cause == "vanished" and engine.starts == []
    assert ended.started_at == started
    assert ended.ended_at is not None and abs(ended.ended_at.timestamp() - seen) < 1


async def test_a_container_made_and_never_started_is_completed(
    server: SmallServer, agent_of: Start, replica: Make, home: Path
) -> None:
    wish = replica(port=None)
    Records(home / "site" / "attempts").save(Record(attempt_id=wish.attempt_id, started=True, boot_id=boot_id()))
    engine = MemoryEngine()
    name = container_name(wish.attempt_id)
    engine.containers[name] = Container(id="c", name=name, labels={}, status=Status.CREATED)
    agent_of(engine=engine, firewall=NoFirewall())
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    assert engine.starts == [name]


async def test_reports_wait_for_the_desired_state_and_failed_ones_are_sent_again(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    server.fail_with = 500
    agent_of(engine=MemoryEngine(), firewall=NoFirewall())
    await asyncio.sleep(0.3)
    assert server.reports == []
    server.fail_with = None
    wish = replica(port=None)
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    assert wish.attempt_id in {row.attempt_id for row in server.reports[-1].replicas}


async def test_files_that_cannot_be_had_end_the_attempt_and_a_server_that_is_away_does_not(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    agent_of(engine=MemoryEngine(), firewall=NoFirewall())
    manifest = server.add_files("av_1", {"a.txt": b"right"})
    server.blobs[manifest.files[0].sha256] = b"wrong"
    wrong = replica(port=None, mounts=[DesiredMount(target="/w", volume="v_1", manifest_id="av_1")])
    missing = replica(port=None, mounts=[DesiredMount(target="/w", volume="v_2", manifest_id="av_none")])
    climbing = replica(port=None, mounts=[DesiredMount(target="/w", volume="../../etc")])
    await server.want(wrong, missing, climbing)
    for wish, word in ((wrong, "another content"), (missing, "av_none"), (climbing, "etc")):
        ended = await server.until_phase(wish.attempt_id, "ended")
        assert ended.cause == "files" and word in ended.reason


async def test_reports_never_overlap_and_changes_are_gathered(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    agent_of(engine=MemoryEngine(), firewall=NoFirewall())
    wishes = [replica(port=None) for _ in range(40)]
    await server.want(*wishes)
    await server.until(
        lambda: (
            bool(server.reports)
            and len(server.reports[-1].replicas) == 40
            and all(row.phase is Phase.RUNNING for row in server.reports[-1].replicas)
        ),
        20,
        "all run",
    )
    assert server.most_in_flight == 1
    assert len(server.reports) < 40


async def test_out_of_memory_counts_only_when_it_ended_the_program(
    server: SmallServer, agent_of: Start, replica: Make
) -> None:
    engine = MemoryEngine()
    agent_of(engine=engine, firewall=NoFirewall())
    wish = replica(port=None)
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    engine.end(running.container_id, 0, oom_killed=True)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert (ended.cause, ended.reason) == ("exited", "finished")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "finished"),
        (3, "exited with code 3"),
        (137, "killed by SIGKILL"),
        (255, "exited with code 255"),
        (None, "ended"),
    ],
)
def test_exit_codes_in_words(code: int | None, words: str) -> None:
    assert describe_exit(code) == words


def test_containers_are_told_apart_by_their_attempt() -> None:
    assert container_name("at_1") != container_name("at_2")
