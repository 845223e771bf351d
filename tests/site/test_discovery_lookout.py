"""Whatever a plug-in does, the rest of the node is seen."""

import asyncio
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.site.engine_doubles import MemoryEngine, NoFirewall
from utcloud.common.settings import Settings
from utcloud.protocol import ChipReport, ChipTelemetry, ResourceReport
from utcloud.site import discovery
from utcloud.site.agent import Agent
from utcloud.site.discovery.base import Discovery, Finding, FoundChip
from utcloud.site.discovery.lookout import MOST_CHIPS, MOST_LABELS, Lookout
from utcloud.site.node import node_report

HOST = Finding(name="n1", resources=[ResourceReport(name="cpu", capacity=4000)], labels={"a": "b"})


class Says:
    """A discovery that does what it is told."""

    def __init__(self, answer: Callable[[], Any]):
        self.answer = answer

    def find(self) -> Finding:
        return self.answer()  # type: ignore[no-any-return]


def chip(uid: str = "u", **fields: Any) -> FoundChip:
    values: dict[str, Any] = {
        "uid": uid,
        "resource": "acme.com/x",
        "index": 0,
        "model": "X",
        "device_paths": ["/dev/x0"],
    }
    return FoundChip(ChipReport(**(values | fields)), ("/dev/x0",))


def raises(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


async def look(*answers: Callable[[], Any], limit_s: float = 2.0) -> Finding:
    return await Lookout([Says(lambda: HOST), *map(Says, answers)], limit_s).look()


async def test_all_that_is_found_is_one_finding() -> None:
    found = await look(lambda: Finding(chips=[chip()], labels={"c": "d", "a": "other"}, name="impostor"))
    assert (found.name, found.labels, found.trouble) == ("n1", {"a": "b", "c": "d"}, "")
    assert [one.report.uid for one in found.chips] == ["u"]
    assert [one.name for one in found.resources] == ["cpu"]


@pytest.mark.parametrize(
    "error",
    [ValueError("no such sensor"), KeyError("x" * 10_000), SystemExit(1), KeyboardInterrupt(), RecursionError()],
)
async def test_one_that_raises_keeps_what_it_found_before(error: BaseException) -> None:
    plugin = Says(lambda: Finding(chips=[chip()]))
    lookout = Lookout([Says(lambda: HOST), plugin])
    assert len((await lookout.look()).chips) == 1
    plugin.answer = raises(error)
    found = await lookout.look()
    assert len(found.chips) == 1 and found.name == "n1"
    assert "tests.Says failed" in found.trouble and len(found.trouble) < 300
    plugin.answer = Finding
    found = await lookout.look()
    assert (found.chips, found.trouble) == ([], "")


async def test_one_that_hangs_is_not_waited_for_nor_asked_again() -> None:
    go_on, asked = threading.Event(), []

    def hang() -> Finding:
        asked.append(1)
        go_on.wait(20)
        return Finding(chips=[chip("late")])

    plugin = Says(lambda: Finding(chips=[chip("early")]))
    lookout = Lookout([Says(lambda: HOST), plugin], limit_s=0.1)
    await lookout.look()
    plugin.answer = hang
    began, said = time.monotonic(), set()
    for _ in range(3):
        found = await lookout.look()
        assert [one.report.uid for one in found.chips] == ["early"] and found.name == "n1"
        assert "has not answered since" in found.trouble
        said.add(found.trouble)  # a reason that changed each time would be news each time
    assert len(said) == 1
    assert time.monotonic() - began < 2 and asked == [1]
    go_on.set()
    for _ in range(100):
        found = await lookout.look()
        if found.chips[0].report.uid == "late":
            break
        await asyncio.sleep(0.02)
    assert found.chips[0].report.uid == "late" and found.trouble == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "instead of a Finding"),
        ("gpu", "instead of a Finding"),
        (Finding(chips=None), "failed"),  # type: ignore[arg-type]
        (Finding(labels=[1]), "failed"),  # type: ignore[arg-type]
        (Finding(chips=["gpu0"]), "a str is no chip"),  # type: ignore[list-item]
        (Finding(chips=[FoundChip({"uid": "u"}, ())]), "a ChipReport left out"),  # type: ignore[arg-type]
        (
            Finding(chips=[FoundChip(ChipReport.model_construct(uid="", resource="", index=-1, model=""), ())]),
            "a ChipReport left out",
        ),
        (Finding(chips=[FoundChip(chip().report, ())]), "as many device_paths as host_devices"),
        (Finding(resources=[ResourceReport.model_construct(name="x", capacity=-5)]), "a ResourceReport left out"),
        (Finding(resources=[ResourceReport.model_construct(name="x", capacity=math.nan)]), "a ResourceReport left out"),  # type: ignore[arg-type]
        (Finding(labels={f"k{i}": "" for i in range(100_000)}), "labels left out"),
        (Finding(labels={"k": "x" * 2**20}), "labels left out"),
        (Finding(labels={"k": None}), "labels left out"),  # type: ignore[dict-item]
        (Finding(resources=[ResourceReport(name=f"r{i}", capacity=1) for i in range(500)]), "more than a machine"),
        (Finding(trouble="x" * 2**20), "xxx"),
    ],
)
async def test_nonsense_is_left_out_and_named(answer: Any, said: str) -> None:
    found = await look(lambda: answer)
    assert said in found.trouble and found.name == "n1" and found.chips == []
    assert len(found.labels) <= MOST_LABELS
    report = node_report(found, "podman 5", "")
    assert report.ready and report.reason and report.resources[0].name == "cpu"


async def test_no_number_is_no_measurement() -> None:
    wild = ChipTelemetry.model_construct(temperature_c=math.nan, power_w=math.inf, utilization_percent=3.0)
    report = chip().report.model_copy(update={"telemetry": wild})
    found = await look(lambda: Finding(chips=[FoundChip(report, ("/dev/x0",))]))
    assert found.chips[0].report.telemetry == ChipTelemetry(utilization_percent=3)
    assert "temperature_c, power_w" in found.trouble


async def test_one_chip_that_two_find_is_the_firsts_and_a_plug_in_adds_no_cpu() -> None:
    mine = Finding(chips=[chip(model="first")], resources=[ResourceReport(name="cpu", capacity=10**9)])
    found = await look(lambda: mine, lambda: Finding(chips=[chip(model="second"), chip("v")]))
    assert [one.report.model for one in found.chips] == ["first", "X"]
    assert found.resources == HOST.resources
    many = await look(*[lambda n=n: Finding(chips=[chip(f"{n}-{i}") for i in range(600)]) for n in range(2)])
    assert len(many.chips) == MOST_CHIPS and node_report(many, "", "").ready


async def test_a_host_that_cannot_be_looked_at_has_no_name() -> None:
    assert (await Lookout([Says(raises(OSError("no /proc")))]).look()).name == "unknown"


def test_a_plug_in_that_cannot_be_loaded_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        value = "acme:Chips"

        def load(self) -> object:
            raise ImportError("acme is gone")

    monkeypatch.setattr(discovery, "entry_points", lambda group: [Entry()])
    found = discovery.all_discoveries(settings)
    assert len(found) == 5
    assert found[-1].find().trouble == "the discovery plug-in acme:Chips cannot be loaded: acme is gone"


async def test_the_agent_stays_ready_and_says_what_is_wrong(settings: Settings) -> None:
    discoveries: list[Discovery] = [Says(lambda: HOST), Says(raises(RuntimeError("the sensor is gone")))]
    agent = Agent(settings, engine=MemoryEngine(), firewall=NoFirewall(), discoveries=discoveries)
    await agent._look_around()
    (node,) = agent.report().nodes
    assert node.ready and "the sensor is gone" in node.reason


async def test_new_measurements_alone_wait_for_the_heartbeat(settings: Settings) -> None:
    heat = [20.0]

    def answer() -> Finding:
        return Finding(chips=[chip(telemetry=ChipTelemetry(temperature_c=heat[0]))])

    agent = Agent(
        settings, engine=MemoryEngine(), firewall=NoFirewall(), discoveries=[Says(lambda: HOST), Says(answer)]
    )
    await agent._look_around()
    assert agent._changed.is_set()
    agent._changed.clear()
    heat[0] = 30.0
    await agent._look_around()
    assert not agent._changed.is_set()
    measured = agent.report().nodes[0].chips[0].telemetry
    assert measured and measured.temperature_c == 30


def test_the_bindings_are_not_loaded_where_there_is_no_driver() -> None:
    """They take 19 MB; the agent shall stay small."""
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a driver")
    code = "import sys, utcloud.site.discovery.nvidia as n; n.NvidiaDiscovery().find(); print('pynvml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
