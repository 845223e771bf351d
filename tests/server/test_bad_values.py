"""Everything wrong that one can send: each is a problem that names the field and the cure, and changes nothing."""

import json
from typing import Any

import pytest

from tests.server.good_bodies import good_bodies
from tests.support.api import Refused
from tests.support.cloud import Cloud

pytestmark = pytest.mark.postgres

AMOUNTS: list[Any] = ["-1", "0.0000001", "1e3", "NaN", "99999999999", "", " ", 1.5, None, [], "１"]
NAMES = ["", " ", "x" * 10_000, "a\nb", "\x00", "\ud800", 5, None, [], {}]
IDS = ["", "nope", "x" * 10_000, "../..", "\x00", 7, []]


def bad_bodies(cloud: Cloud) -> list[tuple[str, str, Any]]:
    """(path, field, bad value) for every creating endpoint."""
    cases: list[tuple[str, str, Any]] = []

    def each(path: str, name: str, values: list[Any]) -> None:
        cases.extend((path, name, value) for value in values)

    each("/users", "username", ["", "A", "a b", "x" * 10_000, "a\n", "-x", 5, None, []])
    each("/users", "password", ["short", "x" * 10_000, 5, []])
    each("/users", "roles", ["", [], ["king"], None, 5])
    each("/users", "group_ids", ["x", ["nope"], [5], None])
    each("/users", "email", ["no-at", "x" * 10_000, 5, None])
    each("/groups", "name", NAMES)
    each("/groups", "user_ids", [["nope"], "x", [5], None])
    each("/sites", "name", NAMES)
    each("/custom-resources", "name", [*NAMES, "a b", "ü"])
    each("/custom-resources", "system_resource", ["", "no/such", "x" * 10_000, 5, None])
    each("/custom-resources", "node_ids", [["nope"], "x", None])
    each("/specs", "name", [*NAMES, "a b"])
    each("/specs", "price", [amount for amount in AMOUNTS if amount is not None])  # none: what unit prices suggest
    each("/specs", "items", [[], None, "x", [{}], [{"resource": "cpu", "quantity": "0"}]])
    quantities = ["-1", "0", "", "x", "1e9", "99999999999999999", "1.0000001", "1XB", 1, None]
    each("/specs", "items", [[{"resource": "cpu", "quantity": quantity}] for quantity in quantities])
    cases.append(("/specs", "items", [{"resource": "no/such", "quantity": "1"}]))
    cases.append(("/specs", "items", [{"resource": "cpu", "quantity": "1"}] * 2))
    cases.append(("/specs", "items", [{"resource": f"TPU-{cloud.name}", "quantity": "0.5"}]))
    cases.append(("/specs", "items", [{"resource": "cpu", "quantity": "1"}] * 100))
    each("/specs", "pool_ids", [["nope"], "x", [5]])
    each("/pools", "name", NAMES)
    for key in ("node_ids", "group_ids", "notebook_spec_ids", "training_spec_ids"):
        each("/pools", key, [["nope"], "x", [5], None])
    for kind in ("/algorithms", "/datasets", "/models"):
        each(kind, "name", NAMES)
        each(kind, "visibility", ["public", "", 5, None])
        each(kind, "group_id", ["nope", 5, []])
        each(kind, "description", ["x" * 100_000, 5, None])
    each("/images", "name", NAMES)
    each("/images", "reference", ["", "UPPER", "a b", "x" * 10_000, 5, None])
    each("/notebooks", "name", NAMES)
    for key in ("image_id", "pool_id", "spec_id"):
        each("/notebooks", key, [*IDS, None])
    for key in ("algorithm_id", "dataset_id"):
        each("/notebooks", key, IDS)
    each("/notebooks", "tasks", [0, -1, 33, 10**30, "x", 1.5, None, []])
    each("/notebooks", "start", ["perhaps", 5, None])
    each("/recharges", "wallet_id", [*IDS, None])
    each("/recharges", "amount", [*AMOUNTS, "0"])
    each("/recharges", "kind", ["gift", "", None, 5])
    each("/recharges", "note", ["x" * 100_000, 5, None])
    each("/auth/tokens", "name", NAMES)
    each("/auth/tokens", "expires_in_days", [0, -1, 10**30, "x", 1.5])
    return cases


def test_every_bad_value_in_every_field(cloud: Cloud) -> None:
    """Each is a problem that names the field and the cure, and creates nothing. All faults are told at once."""
    good = good_bodies(cloud)

    def census() -> dict[str, int]:
        return {path: len(api.all(path)) for path, (api, _) in good.items()}

    before = census()
    faults: list[str] = []
    for path, field, value in bad_bodies(cloud):
        api, body = good[path]
        shown = f"POST {path} with {field} = {repr(value)[:60]}"
        content = json.dumps(body | {field: value}).encode()
        answer = api.http.post(path, content=content, headers={"Content-Type": "application/json"})
        if not 400 <= answer.status_code < 500:
            faults.append(f"{shown}: answered {answer.status_code} {answer.text[:100]}")
            continue
        problem = answer.json()
        if answer.headers["content-type"] != "application/problem+json" or not problem.get("detail"):
            faults.append(f"{shown}: no problem details")
        elif str(problem.get("field") or "").partition(".")[0] != field:
            faults.append(f"{shown}: names field {problem.get('field')!r}")
        elif not problem.get("cure"):
            faults.append(f"{shown}: names no cure")
    after = census()
    faults += [f"{path}: {after[path] - before[path]} created" for path in good if after[path] != before[path]]
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults[:60])


@pytest.mark.parametrize("path", ["/users", "/groups", "/custom-resources", "/specs", "/pools", "/algorithms"])
def test_fields_that_are_missing_unknown_or_no_object(cloud: Cloud, path: str) -> None:
    api, body = good_bodies(cloud)[path]
    required = next(iter(body))
    for content, field in (
        (json.dumps({key: value for key, value in body.items() if key != required}), required),
        (json.dumps(body | {"typo": 1}), "typo"),
        ("[]", "body"),
        ("null", "body"),
        ("{", "body"),
        ("", "body"),
        ("\xff", "body"),
    ):
        answer = api.http.post(path, content=content.encode("latin-1"), headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (content, answer.text)
        assert answer.json()["field"] == field, (content, answer.text)


def test_duplicate_names_are_refused_everywhere(cloud: Cloud) -> None:
    for path, (api, body) in good_bodies(cloud).items():
        if path in ("/recharges", "/auth/tokens"):
            continue
        api.post(path, body)
        with pytest.raises(Refused) as caught:
            api.post(path, body)
        assert caught.value.status == 409, path
        assert caught.value.problem["field"] in ("name", "username", "reference"), path


def test_what_no_node_can_ever_hold(cloud: Cloud) -> None:
    """Four chips on one node: no such specification. Two tasks of two chips each: no such notebook."""
    with pytest.raises(Refused) as caught:
        cloud.add_spec(f"{cloud.name}-huge", {f"TPU-{cloud.name}": "4"})
    assert (caught.value.problem["code"], caught.value.problem["field"]) == ("never_fits", "items")
    assert "has 3" in caught.value.problem["detail"]
    pair = cloud.add_spec(f"{cloud.name}-pair", {f"TPU-{cloud.name}": "2"})
    cloud.offer(pair)
    with pytest.raises(Refused) as caught:
        cloud.create("never", spec_id=pair["id"], tasks=2)
    assert caught.value.status == 409
    assert (caught.value.problem["code"], caught.value.problem["field"]) == ("never_fits", "tasks")
    assert "holds 1 at most" in caught.value.problem["detail"]
