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
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiodocker import Docker

from tests.site.conftest import AgentProcess
from tests.site.server import SmallServer
from utcloud.common import addresses
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
    agent = agent_of(real_settings)
    wish = replica()
    began = datetime.now(UTC)
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    place = addresses.endpoint(running.endpoint or "")
    assert place is not None and str(place) == running.endpoint
    assert addresses.is_within(place.address, agent.report().networks), "else the edge would not go to its page"
    assert not addresses.is_never(place.address) and not addresses.is_own(place.address)
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
    assert "GET / HTTP" in ended.log_tail
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


async def test_running_out_of_memory_is_said_with_the_limit(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make
) -> None:
    agent_of(real_settings)
    wish = replica(
        command=["python3", "-c", "x = []\nwhile True: x.append(bytearray(10**6))"],
        port=None,
        limits=Limits(cpu_millicores=1000, memory_bytes=64_000_000),
    )
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.cause == "oom" and ended.reason == "killed: out of memory (limit 64MB)"


async def test_an_exit_is_reported_with_its_code_its_time_and_the_end_of_its_log(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make
) -> None:
    agent_of(real_settings)
    code = "import time\nfor i in range(200): print('line', i)\ntime.sleep(0.3)\nraise SystemExit(3)"
    wish = replica(command=["python3", "-uc", code], port=None)
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert (ended.cause, ended.exit_code, ended.reason) == ("exited", 3, "exited with code 3")
    assert ended.started_at is not None and ended.ended_at is not None
    assert timedelta(seconds=0.3) <= ended.ended_at - ended.started_at < timedelta(seconds=5)
    lines = ended.log_tail.splitlines()
    assert lines[-1] == "line 199" and lines[0] == "line 150"


async def test_what_cannot_run_says_why(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make
) -> None:
    agent_of(real_settings)
    no_image = replica(image="localhost/none/such:9")
    no_chip = replica(devices=["sophgo-1"])
    no_program = replica(command=["/no/such/program"])
    mute = replica(command=["python3", "-uc", "import time; print('busy'); time.sleep(99)"], ready_timeout_s=1)
    elsewhere = replica(node="another-node")
    wishes = (no_image, no_chip, no_program, mute, elsewhere)
    await server.want(*wishes)
    ended = [await server.until_phase(one.attempt_id, "ended") for one in wishes]
    assert [one.cause for one in ended] == ["image", "device", "exited", "ready_timeout", "engine"]
    assert "localhost/none/such:9" in ended[0].reason
    assert "sophgo-1" in ended[1].reason
    assert ended[2].exit_code and "No such file" in ended[2].log_tail
    assert ended[3].reason == "Its page on port 8888 did not answer within 1 seconds." and "busy" in ended[3].log_tail
    assert "another-node" in ended[4].reason
    assert all(one.started_at is None for one in (ended[0], ended[1], ended[4]))


async def test_a_killed_agent_takes_its_containers_up_again(
    server: SmallServer, agent_process: AgentProcess, docker: Docker, replica: Make
) -> None:
    wish, brief = replica(), replica(command=["python3", "-uc", "import time; time.sleep(1.5)"], port=None)
    agent_process.start()
    await server.want(wish, brief)
    running = await server.until_phase(wish.attempt_id, "running")
    await server.until_phase(brief.attempt_id, "running")
    before = await shown(docker, wish.attempt_id)
    agent_process.kill(signal.SIGKILL)
    await asyncio.sleep(2)  # the second one ends while nobody looks
    count = len(server.reports)
    agent_process.start()
    await server.until(lambda: len(server.reports) > count, 10, "a report after the restart")
    ended = await server.until_phase(brief.attempt_id, "ended")
    again = server.replica(wish.attempt_id)
    assert again is not None
    assert (again.phase, again.container_id, again.started_at) == (
        Phase.RUNNING,
        running.container_id,
        running.started_at,
    )
    assert all(
        row.phase is Phase.RUNNING
        for report in server.reports[count:]
        for row in report.replicas
        if row.attempt_id == wish.attempt_id
    ), "it was never shown as anything but running"
    after = await shown(docker, wish.attempt_id)
    assert before["State"] == after["State"]
    state = (await shown(docker, brief.attempt_id))["State"]
    assert isinstance(state, dict)
    assert ended.cause == "exited" and ended.exit_code == 0
    assert ended.ended_at == datetime.fromisoformat(state["FinishedAt"])
    assert ended.ended_at - (ended.started_at or ended.ended_at) < timedelta(seconds=2.5)


@pytest.mark.slow
async def test_killed_at_random_moments_the_agent_neither_loses_nor_doubles_a_container(
    server: SmallServer, agent_process: AgentProcess, docker: Docker, replica: Make, home: Path
) -> None:
    agent_process.start()
    await server.until(lambda: bool(server.reports), 20)
    for moment in (0.01, 0.05, 0.1, 0.2, 0.4):
        wish = replica()
        await server.want(wish)
        await asyncio.sleep(moment)
        agent_process.kill()
        agent_process.start()
        running = await server.until_phase(wish.attempt_id, "running")
        starts = {row.started_at for row in server.seen_attempts[wish.attempt_id] if row.started_at}
        assert starts == {running.started_at}
        await server.want(stopped(wish))
        await asyncio.sleep(moment)
        agent_process.kill()
        agent_process.start()
        ended = await server.until_phase(wish.attempt_id, "ended")
        assert ended.started_at == running.started_at and ended.ended_at is not None and ended.cause == "stopped"
        await server.want()
        await gone(partial(_has, docker, wish.attempt_id))
    await gone(lambda: networks(docker, home))


async def test_an_attempt_is_never_started_twice(
    server: SmallServer, agent_process: AgentProcess, docker: Docker, replica: Make
) -> None:
    wish = replica()
    agent_process.start()
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    agent_process.kill()
    await (await docker.containers.get(container_name(wish.attempt_id))).delete(force=True)
    agent_process.start()
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.cause == "vanished"
    assert ended.started_at == running.started_at
    assert ended.ended_at is not None and running.started_at is not None
    assert running.started_at <= ended.ended_at <= datetime.now(UTC)
    agent_process.kill()
    agent_process.start()
    await asyncio.sleep(1)
    assert not await _has(docker, wish.attempt_id)


async def test_strays_are_removed_and_reported_but_never_before_the_server_was_heard(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make, home: Path
) -> None:
    config: dict[str, Any] = {
        "Image": replica().image,
        "Cmd": ["sleep", "300"],
        "Labels": {
            "utcloud.site": server.state.site_id,
            "utcloud.home": str(home),
            "utcloud.attempt": "at_stray",
            "utcloud.replica": "rp_stray",
        },
    }
    stray = await docker.containers.create(config, name=f"stray-{home.name}")
    await stray.start()
    server.fail_with = 503
    agent_of(real_settings)
    await asyncio.sleep(1.5)
    assert f"stray-{home.name}" in await names(docker)
    server.fail_with = None
    await server.until(lambda: any(one.strays for one in server.reports), 20, "the stray is reported")
    rows = [row for one in server.reports for row in one.strays]
    assert {(row.container_id, row.replica_id, row.attempt_id) for row in rows} == {(stray.id, "rp_stray", "at_stray")}
    assert f"stray-{home.name}" not in await names(docker)


async def test_containers_go_on_while_the_server_is_away(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make
) -> None:
    agent_of(real_settings)
    wish, brief = replica(), replica(command=["python3", "-uc", "import time; time.sleep(1)"], port=None)
    await server.want(wish, brief)
    await server.until_phase(wish.attempt_id, "running")
    await server.stop()
    await asyncio.sleep(2)
    await server.start()
    ended = await server.until_phase(brief.attempt_id, "ended")
    assert ended.ended_at is not None and datetime.now(UTC) - ended.ended_at > timedelta(seconds=0.5)
    assert server.replica(wish.attempt_id).phase is Phase.RUNNING  # type: ignore[union-attr]


async def test_a_volume_is_filled_once_and_outlives_its_containers(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make, home: Path
) -> None:
    agent_of(real_settings)
    server.add_files("av_1", {"infer.py": b"print('hello')\n", "bin/run.sh": b"#!/bin/sh\n", "big": b"x" * 3_000_000})
    server.add_files("dv_1", {"data.csv": b"1,2\n"})
    mounts = [
        DesiredMount(target="/home/jovyan", volume="rp_vol", manifest_id="av_1", fill="algo"),
        DesiredMount(target="/datasets/d", manifest_id="dv_1"),
    ]
    edit = (
        "import os; p='/home/jovyan/algo/infer.py'; s=os.stat(p)\n"
        "print(s.st_uid == os.getuid() != 1000, oct(s.st_mode & 0o777),"
        " oct(os.stat('/home/jovyan/algo/bin/run.sh').st_mode & 0o777), open('/datasets/d/data.csv').read().strip())\n"
        "open(p,'a').write('# edited\\n'); open('/home/jovyan/note','w').write('mine')\n"
        "try: open('/datasets/d/data.csv','w')\nexcept OSError as e: print('read-only', e.errno)"
    )
    first = replica(command=["python3", "-uc", edit], port=None, mounts=mounts, workload_id="nb_v")
    await server.want(first)
    ended = await server.until_phase(first.attempt_id, "ended")
    assert ended.log_tail.splitlines() == ["True 0o644 0o755 1,2", "read-only 30"], ended
    look = "print(open('/home/jovyan/algo/infer.py').read(), open('/home/jovyan/note').read())"
    second = replica(command=["python3", "-uc", look], port=None, mounts=mounts, workload_id="nb_v")
    await server.want(second)
    ended = await server.until_phase(second.attempt_id, "ended")
    assert "# edited" in ended.log_tail and "mine" in ended.log_tail
    await server.want(drop_volumes=["rp_vol"])
    await server.until(lambda: server.reports[-1].dropped_volumes == ["rp_vol"], 20, "the volume is dropped")
    assert not list((home / "site").rglob("rp_vol*"))
    await server.want()
    await server.until(lambda: server.reports[-1].dropped_volumes == [], 20, "and is no longer mentioned")


async def test_a_volume_in_use_is_not_dropped(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make, home: Path
) -> None:
    agent_of(real_settings)
    wish = replica(mounts=[DesiredMount(target="/home/jovyan", volume="rp_used")])
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    await server.want(wish, drop_volumes=["rp_used"])
    await asyncio.sleep(0.5)
    assert (home / "site" / "mounts" / "rp_used" / "files").is_dir()
    assert not server.reports[-1].dropped_volumes


async def test_each_container_sees_only_its_own_chips_numbered_from_0(
    server: SmallServer, agent_of: Start, real_settings: Settings, docker: Docker, replica: Make, home: Path
) -> None:
    chips = []
    for index in range(3):
        node = home / f"chip{index}"
        os.mknod(node, 0o20600, os.makedev(1, (3, 5, 8)[index]))  # null, zero, random: they do no harm
        chips.append(
            {
                "index": index,
                "model": "BM1684X",
                "card": "SC7",
                "serial": f"SIM{index}",
                "device_path": f"/dev/bm-sophon{index}",
                "host_device": str(node),
            }
        )
    real_settings.simulated_chips_file.write_text(json.dumps(chips))
    host = HostDiscovery(home)
    agent_of(real_settings, discoveries=[host, SimulatedDiscovery(real_settings.simulated_chips_file, "m")])
    look = (
        "import os\nfor n in sorted(os.listdir('/dev')):\n"
        "  if n.startswith('bm-'): open('/dev/'+n,'r+b',0).write(b'x'); print(n)\n"
        "print(os.environ.get('UTCLOUD_SIMULATED_CHIPS'))"
    )
    one = replica(command=["python3", "-uc", look], port=None, devices=["simulated-m-SIM2"])
    two = replica(command=["python3", "-uc", look], port=None, devices=["simulated-m-SIM1", "simulated-m-SIM0"])
    none = replica(command=["python3", "-uc", look], port=None)
    await server.want(one, two, none)
    ended = [await server.until_phase(wish.attempt_id, "ended") for wish in (one, two, none)]
    assert [row.log_tail.split() for row in ended] == [
        ["bm-sophon0", "BM1684X"],
        ["bm-sophon0", "bm-sophon1", "BM1684X,BM1684X"],
        ["None"],
    ]
    node_report = server.reports[-1].nodes[0]
    pieces = next(row for row in node_report.resources if row.name == "sophgo.com/bm1684x")
    assert (pieces.capacity, pieces.simulated) == (3, True)
    assert [chip.uid for chip in node_report.chips] == ["simulated-m-SIM0", "simulated-m-SIM1", "simulated-m-SIM2"]


@pytest.mark.slow
async def test_draining_ends_all_in_good_order_and_leaves_nothing(
    server: SmallServer, agent_process: AgentProcess, real_settings: Settings, docker: Docker, replica: Make, home: Path
) -> None:
    agent_process.start()
    wish = replica()
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    agent_process.kill(signal.SIGTERM)
    assert await _has(docker, wish.attempt_id), "the agent's end is not the containers'"
    await server.stop()  # nobody hears of the end now
    code = "from utcloud.site import drain; from utcloud.common.settings import Settings; drain(Settings(), 20)"
    environment = os.environ | {"UTCLOUD_HOME": str(home), "UTCLOUD_ENGINE_URL": real_settings.engine_url}
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], env=environment, check=True)
    assert not await _has(docker, wish.attempt_id)
    assert not await networks(docker, home)
    drained_at = datetime.now(UTC)
    await server.start()
    agent_process.start()
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert (ended.cause, ended.reason) == ("stopped", "the site was shut down")
    assert ended.ended_at is not None and ended.ended_at < drained_at


@pytest.mark.slow
async def test_a_silent_agent_still_sends_heartbeats_and_uses_little_memory(
    server: SmallServer, agent_process: AgentProcess, docker: Docker, replica: Make
) -> None:
    agent_process.start()
    wish = replica()
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    count, began = len(server.reports), time.monotonic()
    await server.until(lambda: len(server.reports) > count, 15, "a heartbeat")
    assert time.monotonic() - began > 1
    status = Path(f"/proc/{agent_process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident < 60_000, f"{resident} kB"
