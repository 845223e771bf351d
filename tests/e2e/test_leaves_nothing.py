"""`utcloud down` leaves data and nothing else behind, and the next `up` is ready in seconds with all of it."""

import os
import socket

import pytest

from tests.e2e.cloud import Cloud
from tests.support.api import wait_for
from tests.support.stack import Stack, Traces
from utcloud.cli.up import chips
from utcloud.site.firewall import Nftables, bridge_prefix

pytestmark = [pytest.mark.in_order, pytest.mark.containers, pytest.mark.slow]

QUICK_S = 20
"""The second start; the machine may be busy with other tests."""


def range_of(port: int) -> set[int]:
    """The edge's port and those of metrics, its neighbours."""
    return set(range(port, port + 5))


def test_down_leaves_nothing_and_up_finds_everything(stack: Stack, cloud: Cloud, before: Traces) -> None:
    running = cloud.create("left-running", tasks=2)
    waiting = cloud.create("left-waiting", tasks=2)
    cloud.renter.wait_state(running["id"], "running")
    assert cloud.renter.notebook(waiting["id"])["state"] == "pending"
    bridges = stack.bridges()
    table = f"table {Nftables(bridge_prefix(stack.home / 'site')).table}"
    during = Traces.of(stack)
    assert bridges <= during.interfaces
    assert during.processes
    assert stack.port in during.listening
    devices = {chip.host_device for chip in chips.read(stack.home / "simulated-chips.json")}
    assert len(devices) == 3
    assert devices <= during.devices

    said = stack.down()

    assert "stopped" in said
    after = Traces.of(stack)
    assert after.processes == frozenset()
    assert after.mounts == before.mounts == frozenset()
    assert not bridges & after.interfaces
    assert not devices & after.devices
    assert not range_of(stack.port) & after.listening
    if os.environ.get("UTCLOUD_TEST_ENGINE_URL"):
        assert stack.containers() == []
    assert table in during.tables
    assert table not in after.tables
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", stack.port), timeout=1)

    seconds = stack.up()

    assert seconds < QUICK_S
    stack.wait_until_heard(cloud.operator)
    ended = cloud.renter.wait_state(running["id"], "stopped", "failed", "running")
    assert ended["replicas"][0]["attempt"] >= 1
    charges = [one for one in cloud.renter.all("/charges") if one["workload_id"] == running["id"]]
    assert [one["open"] for one in charges if one["attempt"] == 1] == [False, False], "the end was witnessed and billed"
    wait_for(lambda: cloud.renter.notebook(waiting["id"])["state"] == "running", "what waited now runs", 60)


def test_up_when_it_runs_already_changes_nothing(stack: Stack) -> None:
    pids = {name: stack.pid(name) for name in ("server", "agent", "edge")}
    assert stack.up() < QUICK_S
    assert {name: stack.pid(name) for name in pids} == pids
    assert "running" in stack.command("status").stdout
