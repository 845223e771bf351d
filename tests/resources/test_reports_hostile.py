"""Reports that were made to cost: each is refused, or cut, after little work and little memory."""

import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.resources.test_reports_bad import node, report
from tests.support import lanes
from utcloud.common import bodies
from utcloud.common.errors import Invalid
from utcloud.resources.reports import incoming, parse

MIB = 2**20
SIZE = lanes.amount(2 * MIB, bodies.REPORT)


def whole(text: str, filling: str) -> bytes:
    """``text`` with its ``…`` made so long that it is ``SIZE`` bytes."""
    before, after = text.split("…")
    body = before + filling * ((SIZE - len(text)) // len(filling)) + after
    return body.encode()


START = '{"sent_at":"2026-01-01T00:00:00Z",'


@contextmanager
def cheaply(*, seconds: float = 5.0, mib: int = 64) -> Iterator[None]:
    """Processor time, generously (this machine may be busy; it was minutes), and memory beside the body itself.

    Not memory in the fast lane: counting it takes several times as long as the work.
    """
    if lanes.chosen() is not lanes.Lane.FAST:
        tracemalloc.start()
    begin = time.thread_time()
    try:
        yield
        spent, (_, peak) = time.thread_time() - begin, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert spent < seconds
    assert peak < mib * MIB


@pytest.mark.parametrize(
    ("text", "filling"),
    [
        (START + '"replicas":[…1]}', "1,"),
        (START + '"replicas":[…[]]}', "[],"),
        (START + '"nodes":[…{}]}', "{},"),
        (START + '"dropped_volumes":[…""]}', '"",'),
        (START + '"x":[…1]}', "1,"),  # a field that nobody knows
        ("[…1]", "1,"),
        ("…", "["),
        ("…", '{"a":['),
        (START + '"nodes":…', '[{"chips":'),
    ],
)
def test_millions_of_small_values(text: str, filling: str) -> None:
    body = whole(text, filling)
    assert len(body) > SIZE - 100
    with cheaply(), pytest.raises(Invalid) as refused:
        parse(body)
    assert refused.value.cure
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("text", ['"…"', START + '"agent_version":"…"}', START + '"nodes":[{"name":"n","os":"…"}]}'])
@pytest.mark.parametrize("filling", ["x", '\\"', "[", ",", "\\\\"])
def test_one_text_as_long_as_the_report(text: str, filling: str) -> None:
    """A text that is too long is cut; what it is made of is not taken for values."""
    body = whole(text, filling)
    with cheaply(mib=200):
        try:
            assert len(parse(body).report.nodes) < 2
        except Invalid as refused:
            assert "values" not in refused.detail
            assert "deep" not in refused.detail


def test_a_hundred_thousand_faults_are_given_up() -> None:
    bad = {"replica_id": 1, "attempt_id": 2, "phase": 3}
    with cheaply(), pytest.raises(Invalid, match="more than 200 faults"):
        parse(json.dumps(report(replicas=[bad] * 15_000)).encode())


@pytest.mark.parametrize("field", ["labels"])
def test_a_mapping_of_a_hundred_thousand_bad_values_is_one_fault(field: str) -> None:
    many = {f"{number:x}": number for number in range(100_000)}
    with cheaply():
        found = parse(json.dumps(report(node("node-1", **{field: many}))).encode())
    assert len(found.report.nodes[0].labels) == 0
    assert len(found.flags[0]) <= incoming.MOST_FAULTS


def test_as_many_faults_as_are_taken_are_flagged() -> None:
    bad = [{"replica_id": "rp", "attempt_id": "at", "phase": "dancing"}] * 60
    found = parse(json.dumps(report(replicas=bad)).encode())
    assert found.report.replicas == []
    assert found.flags[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("replicas", "exit_code"), 2**63),
        (("replicas", "exit_code"), -(2**200)),
        (("replicas", "endpoint"), "1" * 300 + ":80"),
        (("replicas", "container_id"), "c" * 10_000),
        (("replicas", "replica_id"), "r" * 10_000),
        (("strays", "container_id"), "c" * 10_000),
        (("chips", "index"), 2**70),
        (("chips", "memory_bytes"), 2**70),
        (("resources", "capacity"), 2**70),
    ],
)
def test_what_no_column_holds_is_left_out_or_cut(path: tuple[str, str], value: Any) -> None:
    data: dict[str, Any] = report(
        node(), replicas=[{"replica_id": "rp", "attempt_id": "at", "phase": "running"}], strays=[{"container_id": "c"}]
    )
    inside = data["nodes"][0] if path[0] in ("chips", "resources") else data
    inside[path[0]][0][path[1]] = value
    found = parse(json.dumps(data).encode())
    assert found.flags[0]
    kept = found.report.model_dump_json()
    assert str(value)[:300] not in kept


def test_lists_have_an_end() -> None:
    data = report(dropped_volumes=["v"] * 10_001, strays=[{"container_id": "c"}] * 10_001)
    found = parse(json.dumps(data).encode())
    assert len(found.report.dropped_volumes) == len(found.report.strays) == 10_000
    assert len(found.flags[0]) == 2


def test_a_site_as_large_as_they_come_is_far_from_the_bounds() -> None:
    """A thousand nodes of eight chips, twenty labels each, and logs full of commas."""
    labels = {f"example.com/label-{number}": "value" * 4 for number in range(20)}
    telemetry = {"temperature_c": 40, "power_w": 30, "utilization_percent": 90, "memory_used_bytes": 10**9}
    chips = [
        {"resource": "sophgo.com/bm1684x", "index": index, "model": "BM1684X", "telemetry": telemetry}
        for index in range(8)
    ]
    nodes = [
        node(f"n-{number}", labels=labels, chips=[{**one, "uid": f"{number}-{one['index']}"} for one in chips])
        for number in range(1000)
    ]
    log = '{"level":"info","step":1,"loss":0.5,"tags":["a","b"]}\n' * 370
    ended = [
        {"replica_id": f"rp{number}", "attempt_id": f"at{number}", "phase": "ended", "log_tail": log}
        for number in range(300)
    ]
    body = json.dumps(report(*nodes, replicas=ended)).encode()
    assert body.count(b",") > incoming.MOST_VALUES, "else this shows nothing"
    found = parse(body)
    assert (len(found.report.nodes), len(found.report.replicas), found.flags) == (1000, 300, {})
