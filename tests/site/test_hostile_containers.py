"""A container writes what no database can hold into its log, and ends: all of it, from the container to the table."""

from collections.abc import Callable

import pytest

from tests.site.server import SmallServer
from tests.site.small_image import IMAGE
from tests.support.clock import FakeClock
from tests.support.scenario import Scenario
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.protocol import Limits, ObservedReplica, Phase, SiteReport
from utcloud.resources import reports
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.server.wiring import wire
from utcloud.site.agent import Agent
from utcloud.workloads import intake

pytestmark = [pytest.mark.containers, pytest.mark.postgres]
PROGRAM = r"""
import os, sys
out = lambda data: os.write(1, data)
out(b"first\n" + bytes(range(1, 32)) * 3226 + b"\n")   # 100,000 control characters
out(b"nul \x00 half \xed\xa0\x80 and \xff\xfe c1 \xc2\x85 \xc2\x9b escape \x1b[31m\n")
out(b"18446744073709551616 \\ud800 last line\n")
sys.exit(3)
"""


async def test_what_a_container_writes_costs_nobody_his_report(
    db: Database, server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings
) -> None:
    wire()
    world = await Scenario.build(db)
    async with db.write() as tx:
        (await tx.get_one(Site, world.site_id)).token_hash = resources.hash_of("utcs_good")
    bad, good = await world.create("bad"), await world.create("good", actor=world.other)
    wishes = {wish.workload_id: wish for wish in (await world.desired()).replicas}
    limits = Limits(cpu_millicores=1000, memory_bytes=128 * 2**20, pids=64)
    changes = {
        "image": IMAGE,
        "command": ["python3", "-c", PROGRAM],
        "port": None,
        "mounts": [],
        "devices": [],
        "node": "",
        "limits": limits,
    }
    agent_of(real_settings)
    await server.want(wishes[bad].model_copy(update=changes))
    ended = await server.until_phase(wishes[bad].attempt_id, "ended")
    assert ended.exit_code == 3
    runs = ObservedReplica(
        replica_id="r", attempt_id=wishes[good].attempt_id, phase=Phase.RUNNING, started_at=world.now
    )
    sent = SiteReport(sent_at=world.now, nodes=world.nodes, replicas=[ended, runs])
    incoming = reports.parse(sent.model_dump_json().encode())
    await intake.take_in(db, FakeClock(world.now), "utcs_good", incoming)
    assert await world.states(good) == ["running"]
    assert await world.states(bad) == ["failed"]
    kept = (await world.attempt(wishes[bad].attempt_id)).log_tail
    assert kept.endswith("18446744073709551616 \\ud800 last line\n")
    assert "nul  half" in kept
    assert not any((ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 for char in kept)
    assert len(kept) < 20_000
