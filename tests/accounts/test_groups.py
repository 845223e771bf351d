"""Groups' managers, and what members see."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI

from tests.support.web import Person, person, problem

pytestmark = pytest.mark.postgres


@pytest.fixture
async def mona(app: FastAPI) -> AsyncIterator[Person]:
    async with person(app, "mona") as someone:
        yield someone


@pytest.fixture
async def carl(app: FastAPI) -> AsyncIterator[Person]:
    async with person(app, "carl") as someone:
        yield someone


@pytest.fixture
async def lab(operator: Person, mona: Person, alice: Person) -> dict[str, Any]:
    """A group of alice, with mona as its manager."""
    body = {"name": "lab", "user_ids": [alice.id], "manager_ids": [mona.id]}
    made: dict[str, Any] = (await operator.client.post("/groups", json=body)).json()
    return made


def people(group: dict[str, Any]) -> dict[str, str]:
    return {one["user"]["username"]: one["role"] for one in group["members"]}


async def test_a_manager_brings_in_and_takes_out(lab: dict[str, Any], mona: Person, carl: Person) -> None:
    url = f"/groups/{lab['id']}"
    added = await mona.client.post(f"{url}/members", json={"username": "carl"})
    assert added.status_code == 201
    assert people(added.json()) == {"mona": "manager", "alice": "member", "carl": "member"}
    assert (await carl.client.get("/groups")).json()["items"][0]["my_role"] == "member"
    assert (await mona.client.delete(f"{url}/members/{carl.id}")).status_code == 204
    problem(await mona.client.delete(f"{url}/members/{carl.id}"), 404)
    problem(await carl.client.get(url), 404)
    problem(await mona.client.post(f"{url}/members", json={"username": "nobody"}), 404, None, "username")


async def test_what_a_manager_may_not(
    operator: Person, lab: dict[str, Any], mona: Person, carl: Person, alice: Person
) -> None:
    url = f"/groups/{lab['id']}"
    other = (await operator.client.post("/groups", json={"name": "other"})).json()
    problem(await mona.client.post(f"/groups/{other['id']}/members", json={"username": "mona"}), 404)
    problem(await mona.client.get(f"/groups/{other['id']}"), 404)
    problem(await mona.client.post(f"{url}/members", json={"username": "carl", "role": "manager"}), 403)
    problem(await mona.client.put(f"{url}/members/{alice.id}", json={"role": "manager"}), 403)
    problem(await mona.client.patch(url, json={"name": "mine"}), 403)
    problem(await mona.client.delete(url), 403)
    assert (await operator.client.put(f"{url}/members/{carl.id}", json={"role": "manager"})).status_code == 200
    problem(await mona.client.delete(f"{url}/members/{carl.id}"), 403)
    problem(await mona.client.put(f"{url}/members/{carl.id}", json={"role": "member"}), 403)
    assert (await mona.client.delete(f"{url}/members/{mona.id}")).status_code == 204, "oneself one may"


async def test_a_member_sees_names_and_changes_nothing(lab: dict[str, Any], alice: Person, carl: Person) -> None:
    url = f"/groups/{lab['id']}"
    shown = (await alice.client.get(url)).json()
    assert shown["my_role"] == "member"
    assert set(shown["members"][0]["user"]) == {"id", "username", "display_name", "status"}
    assert [group["name"] for group in (await alice.client.get("/groups")).json()["items"]] == ["lab"]
    problem(await alice.client.post(f"{url}/members", json={"username": "carl"}), 403)
    problem(await alice.client.delete(f"{url}/members/{alice.id}"), 403)
    problem(await carl.client.get(url), 404)
    problem(await carl.client.post(f"{url}/members", json={"username": "carl"}), 404)


async def test_who_stays_keeps_the_role(
    operator: Person, lab: dict[str, Any], mona: Person, alice: Person, carl: Person
) -> None:
    url = f"/groups/{lab['id']}"
    changed = (await operator.client.patch(url, json={"user_ids": [mona.id, carl.id]})).json()
    assert people(changed) == {"mona": "manager", "carl": "member"}
    changed = (await operator.client.patch(url, json={"manager_ids": [carl.id, alice.id]})).json()
    assert people(changed) == {"alice": "manager", "carl": "manager", "mona": "member"}
    assert [one["role"] for one in changed["members"]] == ["manager", "manager", "member"]
    for field in ("user_ids", "manager_ids"):
        problem(await operator.client.patch(url, json={field: ["usr_no"]}), 422, "invalid", field)


async def test_roles_survive_a_change_of_the_users_groups(operator: Person, lab: dict[str, Any], mona: Person) -> None:
    other = (await operator.client.post("/groups", json={"name": "other"})).json()
    await operator.client.patch(f"/users/{mona.id}", json={"group_ids": [lab["id"], other["id"]]})
    assert people((await operator.client.get(f"/groups/{lab['id']}")).json())["mona"] == "manager"


async def test_lists_sort_and_come_as_files(operator: Person, miner: Person, lab: dict[str, Any]) -> None:
    await operator.client.post("/groups", json={"name": "arts"})
    for sort, wanted in (("name", ["arts", "lab"]), ("-name", ["lab", "arts"])):
        listed = (await miner.client.get("/groups", params={"sort": sort})).json()["items"]
        assert [one["name"] for one in listed] == wanted
    assert (await miner.client.get("/groups", params={"mine": True})).json()["items"] == []
    file = await miner.client.get("/groups", headers={"Accept": "text/csv"})
    assert [row.split(",")[1] for row in file.text.splitlines()] == ["name", "arts", "lab"]
    users = await operator.client.get("/users", params={"format": "jsonl", "sort": "-username"})
    assert json.loads(users.text.splitlines()[0])["username"] == "mona"


async def test_names_that_differ_in_case_or_writing_alone(operator: Person) -> None:
    made = (await operator.client.post("/groups", json={"name": "Caf\u00e9"})).json()
    for name in ("Caf\u00e9", "Cafe\u0301", "caf\u00e9"):
        body = problem(await operator.client.post("/groups", json={"name": name}), 409, "conflict", "name")
        assert "'Caf\u00e9'" in body["detail"]
    url = f"/groups/{made['id']}"
    assert (await operator.client.patch(url, json={"name": "CAF\u00e9"})).status_code == 200, "its own it may change"
    other = (await operator.client.post("/groups", json={"name": "other"})).json()
    problem(await operator.client.patch(f"/groups/{other['id']}", json={"name": "cAF\u00e9"}), 409, "conflict", "name")


async def test_a_name_that_cannot_be_told_from_another(operator: Person) -> None:
    for name in ("lab\u200b", "\u202elab", "la\x85b", " lab"):
        problem(await operator.client.post("/groups", json={"name": name}), 422, "invalid", "name")
