"""Reports with nonsense in them: flagged on the node that it is about; never a crash, never a silent site."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.lanes import examples
from utcloud.common.errors import Invalid
from utcloud.protocol import SiteReport
from utcloud.resources.reports import parse
from utcloud.resources.reports.sense import measurements, sensible

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def chip(uid: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"uid": uid, "resource": "sophgo.com/bm1684x", "index": index, "model": "BM1684X", **more}


def node(name: str = "node-1", **more: Any) -> dict[str, Any]:
    return {"name": name, "resources": [{"name": "cpu", "capacity": 8000}], "chips": [chip(f"{name}-0")], **more}


def report(*nodes: Any, **more: Any) -> dict[str, Any]:
    return {"sent_at": NOW.isoformat(), "nodes": list(nodes) or [node()], **more}


def flags(data: dict[str, Any]) -> dict[str, list[str]]:
    """By node, after all that looks for nonsense has looked."""
    incoming = parse(json.dumps(data).encode())
    return {name: seen.flags for name, seen in sensible(incoming.report.nodes, incoming.flags).items()}


def test_a_sound_report_has_no_flags() -> None:
    assert flags(report(node(), node("node-2"))) == {"node-1": [], "node-2": []}


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e400", "-300", "1e9", '"hot"', "[]", "{}", "true" * 3]
)
def test_absurd_telemetry_is_dropped_and_flagged(value: str) -> None:
    if value == "truetruetrue":
        value = '"true"'
    data = report(node(chips=[chip("x", telemetry={"temperature_c": 0, "power_w": 30}), chip("y", 1)]), node("other"))
    body = json.dumps(data).replace('"temperature_c": 0', f'"temperature_c": {value}')
    incoming = parse(body.encode())
    seen = sensible(incoming.report.nodes, incoming.flags)
    assert list(seen["node-1"].chips) == ["x", "y"], "the chip itself is sound"
    assert len(seen["node-1"].flags) == 1
    assert "chip x" in seen["node-1"].flags[0]
    assert "temperature_c" in seen["node-1"].flags[0]
    assert seen["other"].flags == []
    assert measurements(incoming.report.nodes) == {"x": {"power_w": 30}}


def test_one_bad_chip_silences_nobody() -> None:
    bad = [{"uid": "no-resource"}, "not a chip", chip("", 1), chip("neg", -1), chip("text", 2) | {"index": "three"}]
    found = flags(report(node(chips=[chip("good"), *bad]), node("other")))
    assert found["other"] == []
    assert len(found["node-1"]) >= len(bad)
    text = " ".join(found["node-1"])
    for name in ("no-resource", "neg", "text"):
        assert f"chip {name}" in text
    incoming = parse(json.dumps(report(node(chips=[chip("good"), *bad]))).encode())
    assert [one.uid for one in incoming.report.nodes[0].chips] == ["good"]


def test_1e400_memory_and_negative_quantities_are_left_out() -> None:
    body = json.dumps(report(node(resources=[{"name": "memory", "capacity": 0}, {"name": "cpu", "capacity": -5}])))
    incoming = parse(body.replace('"capacity": 0', '"capacity": 1e400').encode())
    assert incoming.report.nodes[0].resources == []
    assert [flag.split(":")[0] for flag in incoming.flags[0]] == ["resource memory", "resource cpu"]


def test_a_megabyte_of_labels() -> None:
    labels = {f"label-{number}": "x" * 900 for number in range(1200)}
    incoming = parse(json.dumps(report(node(labels=labels), node("other"))).encode())
    seen = sensible(incoming.report.nodes, incoming.flags)
    assert len(seen["node-1"].labels) == 64
    assert max(map(len, seen["node-1"].labels.values())) <= 255
    assert seen["node-1"].flags[0].startswith("labels was cut")
    assert seen["other"].flags == []


def test_labels_that_are_no_text() -> None:
    found = flags(report(node(labels={"rack": 4, "room": "north", "x": None})))
    assert len(found["node-1"]) == 2
    assert parse(json.dumps(report(node(labels={"rack": 4, "room": "n"}))).encode()).report.nodes[0].labels == {
        "room": "n"
    }


def test_too_long_a_text_is_cut() -> None:
    incoming = parse(json.dumps(report(node(os="o" * 5000, chips=[], name="n" * 300))).encode())
    assert len(incoming.report.nodes[0].os) == 200
    assert len(incoming.report.nodes[0].name) == 253
    assert len(incoming.flags[0]) == 2


def test_half_a_character() -> None:
    """Wherever it stands, it leaves nothing that cannot be written down or shown."""
    labels = {"\udc00": "x", "room": "\ud800"}
    incoming = parse(json.dumps(report(node(os="\ud800", ip=7, labels=labels), node("other"))).encode())
    assert [one.name for one in incoming.report.nodes] == ["node-1", "other"]
    assert "half a character" in incoming.flags[0][0]
    assert "\ufffd" in incoming.report.nodes[0].labels["room"]
    incoming.digest()
    str(incoming.flags).encode()


@pytest.mark.parametrize("blank", ["\n", " ", "\x00", "\u200b", "\u2028"])
def test_names_that_nobody_sees(blank: str) -> None:
    """A line break in a resource's name must not look like two resources."""
    chips = [chip(blank), chip("b", 1) | {"resource": blank}, chip(f"c{blank}d", 2)]
    resources = [{"name": blank, "capacity": 1}, {"name": f"x{blank}=y", "capacity": 2}]
    incoming = parse(json.dumps(report(node(blank, chips=chips, resources=resources))).encode())
    seen = sensible(incoming.report.nodes, incoming.flags)["unnamed"]
    assert all(name.isprintable() for name in (*seen.resources, *seen.chips))
    assert (len(seen.resources), len(seen.chips), len(seen.flags)) == (1, 1, 3)


def test_a_node_that_is_none_is_told_of_another() -> None:
    found = flags(report("not a node", {"ip": "192.0.2.1"}, node()))
    assert list(found) == ["node-1"]
    assert len(found["node-1"]) == 2


def test_duplicates_are_flagged() -> None:
    twins = [chip("a", 0, serial="S1"), chip("a", 1)]
    found = flags(report(node(chips=twins), node("node-2", chips=[chip("b", serial="S1")]), node("node-2")))
    assert "chip a was reported twice; the first holds" in found["node-1"]
    assert "serial number S1 is reported of node-2 too" in found["node-1"]
    assert "was reported twice; the first report holds" in found["node-2"]


def test_chips_of_one_card_share_its_serial_number() -> None:
    assert flags(report(node(chips=[chip("a", 0, serial="S1"), chip("b", 1, serial="S1")]))) == {"node-1": []}


def test_a_bad_word_about_work_leaves_the_rest() -> None:
    good = {"replica_id": "rp", "attempt_id": "at", "phase": "running"}
    incoming = parse(json.dumps(report(replicas=[good, {**good, "phase": "dancing"}, 7])).encode())
    assert [one.attempt_id for one in incoming.report.replicas] == ["at"]
    assert len(incoming.flags[0]) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b"{}",
        b'{"sent_at": "yesterday", "nodes": []}',
        b'{"sent_at": "2026-01-01T00:00:00Z", "nodes": {}}',
        b'{"sent_at": "2026-01-01T00:00:00Z", "nodes": [], "replicas": 7}',
        b"[" * 100_000,
        b'{"sent_at": "2026-01-01T00:00:00Z", "nodes": ' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse(body)


def test_the_digest_knows_what_is_new() -> None:
    def digest(data: dict[str, Any]) -> tuple[str, str]:
        return parse(json.dumps(data).encode()).digest()

    cold = report(node(chips=[chip("x", telemetry={"temperature_c": 20})]))
    hot = copy.deepcopy(cold)
    hot["nodes"][0]["chips"][0]["telemetry"]["temperature_c"] = 80
    hot["sent_at"] = datetime(2026, 1, 1, 13, tzinfo=UTC).isoformat()
    assert digest(cold) == digest(hot), "time and measurements are always new, and no news"
    absurd = copy.deepcopy(cold)
    absurd["nodes"][0]["chips"][0]["telemetry"]["temperature_c"] = 10**6
    assert digest(cold)[0] != digest(absurd)[0], "it is to be flagged"
    work = cold | {"replicas": [{"replica_id": "rp", "attempt_id": "at", "phase": "running"}]}
    assert digest(cold)[0] == digest(work)[0]
    assert digest(cold)[1] != digest(work)[1]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("x" * 300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here] * bool(here) + [path for key, one in inside for path in _paths(one, (*here, key))]


WHOLE = report(
    node(chips=[chip("a", telemetry={"power_w": 3}, device_paths=["/dev/x"]), chip("b", 1)], labels={"k": "v"}),
    node("node-2"),
    replicas=[{"replica_id": "rp", "attempt_id": "at", "phase": "running", "exit_code": 1}],
    strays=[{"container_id": "c"}],
    dropped_volumes=["v"],
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_paths(WHOLE)), ANYTHING), min_size=1, max_size=4))
def test_whatever_stands_wherever_is_read_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = copy.deepcopy(WHOLE)
    for path, value in changes:
        place: Any = data
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    try:
        incoming = parse(json.dumps(data).encode())
    except Invalid:
        return
    assert isinstance(incoming.report, SiteReport)
    incoming.digest()
    sensible(incoming.report.nodes, incoming.flags)
    measurements(incoming.report.nodes)
