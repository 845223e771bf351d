"""What a tenant leaves in a chip is gone before the next one can have it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.site.engine_doubles import MemoryEngine, NoFirewall
from tests.site.server import SmallServer
from utcloud.protocol import ChipReport, DesiredReplica
from utcloud.site.agent import Agent
from utcloud.site.discovery.base import Finding, FoundChip
from utcloud.site.node import LABEL_NOT_CLEARED, node_report
from utcloud.site.replica import container_name

Make = Callable[..., DesiredReplica]


class Chips:
    """One chip that can be cleared; ``fault`` makes it fail."""

    def __init__(self, device: str) -> None:
        report = ChipReport(uid="chip-1", resource="x/chip", index=0, model="X", device_paths=["/dev/x0"])
        self.chip = FoundChip(report, (device,), scrub=self.scrub)
        self.fault = ""
        self.cleared = 0

    def scrub(self) -> None:
        if self.fault:
            raise OSError(self.fault)
        self.cleared += 1

    def find(self) -> Finding:
        return Finding(name="n", chips=[self.chip])


@pytest.mark.parametrize("fault", ["", "the driver hangs"])
async def test_a_chip_is_cleared_before_its_end_is_told(
    server: SmallServer, agent_of: Callable[..., Agent], replica: Make, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcloud.site.agent.SWEEP_S", 0.05)
    engine, chips = MemoryEngine(), Chips("/dev/null")
    agent_of(engine=engine, firewall=NoFirewall(), discoveries=[chips])
    wish = replica(devices=["chip-1"], port=None)
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    assert chips.cleared == 0
    chips.fault = fault
    engine.end(f"id-{container_name(wish.attempt_id)}", 0)
    await server.until_phase(wish.attempt_id, "ended")
    if not fault:
        assert chips.cleared == 1
        return

    def healthy() -> bool:
        return server.reports[-1].nodes[0].chips[0].healthy

    await server.until(lambda: not healthy(), 10, "not given out")
    assert "chip-1 could not be cleared after its last tenant: the driver hangs" in server.reports[-1].nodes[0].reason
    chips.fault = ""
    await server.until(healthy, 10, "cleared at last")
    await asyncio.sleep(0)


def test_a_node_names_the_models_that_are_not_cleared() -> None:
    chip = Chips("/dev/null").chip
    assert node_report(Finding(name="n", chips=[chip]), "", "").labels == {}
    kept = replace(chip, scrub=None)
    assert node_report(Finding(name="n", chips=[kept]), "", "").labels == {LABEL_NOT_CLEARED: "X"}
