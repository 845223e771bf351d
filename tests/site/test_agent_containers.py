"""The agent with a real engine and real containers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiodocker import Docker

from tests.site.conftest import AgentProcess
from tests.site.server import SmallServer
from utcloud.common.settings import Settings
from utcloud.protocol import DesiredMount, DesiredReplica, Limits, Phase
from utcloud.site.agent import Agent
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.discovery.simulated import SimulatedDiscovery
from utcloud.site.replica import container_name

pytestmark = pytest.mark.containers
Make = Callable[..., DesiredReplica]
Start = Callable[..., Agent]


def stopped(wish: DesiredReplica, reason: str = "stopped by its owner") -> DesiredReplica:
    return wish.model_copy(update={"desired": Phase.STOPPED, "reason": reason})


async def shown(docker: Docker, attempt_id: str) -> dict[str, object]:
    return await (await docker.containers.get(container_name(attempt_id))).show()


async def names(docker: Docker) -> set[str]:
    return {name.lstrip("/") for one in await docker.containers.list(all="1") for name in one._container["Names"]}


async def networks(docker: Docker, home: Path) -> list[str]:
    rows = await docker.networks.list()
    return [row["Name"] for row in rows if (row.get("Labels") or {}).get("utcloud.home") == str(home)]


async def gone(check: Callable[[], object], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while await check():  # type: ignore[misc]
            await asyncio.sleep(0.05)


async def test_a_replica_lives_from_starting_to_running_to_stopped(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make, home: Path
) -> None:
    agent_of(real_settings)
    wish = replica()
    began = datetime.now(UTC)
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    assert running.started_at is not None and began <= running.started_at <= datetime.now(UTC)
    assert running.endpoint is not None and running.endpoint.endswith(":8888")
    before = [row for row in server.seen_attempts[wish.attempt_id] if row.phase is Phase.STARTING]
    assert any(row.endpoint == running.endpoint for row in before), "the endpoint comes before the page answers"

    await server.want(stopped(wish))
    ended = await server.until_phase(wish.attempt_id, "ended")
    facts = await shown(docker, wish.attempt_id)
    state = facts["State"]
    assert isinstance(state, dict)
    assert ended.cause == "stopped" and ended.reason == "stopped by its owner"
    assert ended.started_at == running.started_at
    assert ended.ended_at == datetime.fromisoformat(state["FinishedAt"])
    assert 'GET / HTTP' in ended.log_tail
    assert container_name(wish.attempt_id) in await names(docker), "kept until it is no longer listed"

    await server.want()
    await gone(lambda: _has(docker, wish.attempt_id))
    await gone(lambda: networks(docker, home))
    assert not list((home / "site" / "attempts").iterdir())
    assert server.most_in_flight == 1


async def _has(docker: Docker, attempt_id: str) -> bool:
    return container_name(attempt_id) in await names(docker)


async def test_a_graceful_stop_lets_the_program_finish_and_a_stubborn_one_is_killed(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make
) -> None:
    agent_of(real_settings)
    kind = (
        "import signal,sys,time\nsignal.signal(15, lambda *_: (print('saved'), sys.exit(0)))\nprint('up',flush=True)\n"
    )
    polite = replica(command=["python3", "-uc", kind + "time.sleep(100)"], port=None)
    deaf = replica(
        command=["python3", "-uc", "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(100)"],
        port=None,
        stop_grace_s=1,
    )
    await server.want(polite, deaf)
    await server.until_phase(polite.attempt_id, "running")
    await server.until_phase(deaf.attempt_id, "running")
    await asyncio.sleep(0.5)
    await server.want(stopped(polite), stopped(deaf))
    first = await server.until_phase(polite.attempt_id, "ended")
    second = await server.until_phase(deaf.attempt_id, "ended")
    assert (first.cause, first.exit_code) == ("stopped", 0) and "saved" in first.log_tail
    assert (second.cause, second.exit_code) == ("stopped", 137)
