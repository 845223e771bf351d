"""Several miners on one platform: each sees and changes his own, whatever he asks for; the operator sees all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI

from tests.resources.steps import Json, join, ok
from tests.support.factories import CHIP, node_report
from tests.support.fixtures import People
from tests.support.web import Person, client_of, make_app, problem
from utcloud.billing.routes import router as billing
from utcloud.common.settings import Settings
from utcloud.resources.routes import router as resources
from utcloud.workloads.routes import router as workloads

LISTS = (
    "/sites",
    "/nodes",
    "/system-resources",
    "/custom-resources",
    "/specs",
    "/pools",
    "/replicas",
    "/overview/miner",
)
CHANGES: list[tuple[str, str, Json | None]] = [
    ("DELETE", "/sites/{site_id}", None),
    ("POST", "/sites/{site_id}/token", None),
    ("PATCH", "/nodes/{node_id}", {"own_labels": {"rack": "mine"}}),
    ("POST", "/nodes/{node_id}/cordon", {"reason": "mine"}),
    ("POST", "/nodes/{node_id}/uncordon", None),
    ("POST", "/nodes/{node_id}/drain", {"reason": "mine"}),
    ("POST", "/nodes/{node_id}/move", {"pool_id": "{pool_id}"}),
    ("DELETE", "/nodes/{node_id}", None),
    ("POST", "/nodes/{node_id}/restore", None),
    ("PATCH", "/custom-resources/{resource_id}", {"description": "mine"}),
    ("DELETE", "/custom-resources/{resource_id}", None),
    ("PATCH", "/specs/{spec_id}", {"price": "9", "name": "mine"}),
    ("DELETE", "/specs/{spec_id}", None),
    ("PATCH", "/pools/{pool_id}", {"description": "mine"}),
    ("DELETE", "/pools/{pool_id}", None),
]
OPERATORS_ALONE: list[tuple[str, str, Json]] = [("PUT", "/sites/{site_id}/networks", {"networks": ["10.7.0.0/16"]})]
OF_ALL = {  # without an id: what is made is one's own
    ("POST", "/sites"),
    ("POST", "/custom-resources"),
    ("POST", "/specs"),
    ("POST", "/specs/preview"),
    ("POST", "/pools"),
    ("GET", "/unit-prices"),
    ("PUT", "/unit-prices"),
}
SHOWN = (
    "/sites/{site_id}",
    "/nodes/{node_id}",
    "/custom-resources/{resource_id}",
    "/specs/{spec_id}",
    "/pools/{pool_id}",
)


@dataclass
class Miner:
    """A miner with one of everything, and the ids to reach it."""

    person: Person
    ids: dict[str, str] = field(default_factory=dict)

    def path(self, template: str) -> str:
        return template.format(**self.ids)

    async def get(self, path: str) -> Any:
        return await ok(self.person.client.get(path))


@dataclass
class Two:
    mina: Miner
    boris: Miner
    oscar: Person


async def _settle(people: People, person: Person) -> Miner:
    """One of everything, called the same by every miner."""
    name = person.user.username
    ids = {"site_id": await join(people, person, node_report("node-1", uid=name, chips=2))}
    post = person.client.post
    ids["node_id"] = (await ok(person.client.get("/nodes")))["items"][0]["id"]
    custom = {"name": "TPU", "system_resource": CHIP, "node_ids": [ids["node_id"]]}
    ids["resource_id"] = (await ok(post("/custom-resources", json=custom), 201))["id"]
    spec = {"name": "1TPU", "price": "1.5", "items": [{"resource": "TPU", "quantity": "1"}]}
    ids["spec_id"] = (await ok(post("/specs", json=spec), 201))["id"]
    pool = {"name": "lab", "notebook_spec_ids": [ids["spec_id"]]}
    ids["pool_id"] = (await ok(post("/pools", json=pool), 201))["id"]
    await ok(person.client.put("/unit-prices", json=[{"resource": "TPU", "price": "1"}]))
    return Miner(person, ids)


@pytest.fixture
async def two(people: People) -> AsyncIterator[Two]:
    app = make_app(people.db, people.clock, Settings(), resources, billing, workloads)
    async with (
        client_of(app, people.mina.token) as mina,
        client_of(app, people.boris.token) as boris,
        client_of(app, people.oscar.token) as oscar,
    ):
        yield Two(
            await _settle(people, Person(people.mina.user, people.mina.token, mina)),
            await _settle(people, Person(people.boris.user, people.boris.token, boris)),
            Person(people.oscar.user, people.oscar.token, oscar),
        )


def test_every_route_is_walked() -> None:
    """A new route of this room stands in one of the lists above, or this fails."""
    changes = [*CHANGES, *OPERATORS_ALONE]
    known = {(method, path) for method, path, _ in changes} | {("GET", path) for path in (*LISTS, *SHOWN)} | OF_ALL
    app = FastAPI()
    app.include_router(resources)
    there = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert there
    assert there - known == set()


async def test_each_lists_his_own_and_the_operator_all(two: Two) -> None:
    for path in LISTS[:-1]:
        seen = [await _names(one.person, path) for one in (two.mina, two.boris)]
        assert seen[0] == seen[1] or path == "/sites", path
        assert path == "/replicas" or seen[0], path
        ids = [await _ids(one, path) for one in (two.mina.person, two.boris.person, two.oscar)]
        if path != "/system-resources":  # one line for a resource, whosever the nodes are
            assert not ids[0] & ids[1], path
            assert ids[2] == ids[0] | ids[1], path
    (mine,) = [
        one for one in (await ok(two.mina.person.client.get("/system-resources")))["items"] if one["name"] == CHIP
    ]
    (all_,) = [one for one in (await ok(two.oscar.client.get("/system-resources")))["items"] if one["name"] == CHIP]
    assert (mine["usage"]["capacity"], all_["usage"]["capacity"]) == (2, 4)
    for miner in (two.mina, two.boris):
        own = {"miner_id": miner.person.id}
        for path in ("/specs", "/pools", "/custom-resources"):
            listed = await _ids(two.oscar, path, **own)
            assert listed == await _ids(miner.person, path)
            assert await _ids(two.boris.person, path, **own) == (listed if miner is two.boris else set())
    homes = [await ok(one.client.get("/overview/miner")) for one in (two.mina.person, two.boris.person, two.oscar)]
    assert [(one["nodes_ready"], one["sites"], one["chips_total"]) for one in homes] == [
        (1, 1, 2),
        (1, 1, 2),
        (2, 2, 4),
    ]


async def _names(one: Person, path: str) -> list[str]:
    return [item["name"] for item in (await ok(one.client.get(path, params={"limit": 100})))["items"]]


async def _ids(one: Person, path: str, **query: str) -> set[str]:
    items = (await ok(one.client.get(path, params={"limit": 100, **query})))["items"]
    return {item.get("id") or item["name"] for item in items}


async def test_anothers_are_not_found_and_stay_as_they_are(two: Two) -> None:
    before = {path: await two.mina.get(two.mina.path(path)) for path in SHOWN}
    for path in SHOWN:
        problem(await two.boris.person.client.get(two.mina.path(path)), 404, "not_found")
        assert (await two.oscar.client.get(two.mina.path(path))).status_code == 200, path
    for method, template, body in CHANGES:
        if body and "pool_id" in body:
            body = {"pool_id": two.boris.ids["pool_id"]}
        sent = await two.boris.person.client.request(method, two.mina.path(template), json=body)
        problem(sent, 404, "not_found")
    assert {path: await two.mina.get(two.mina.path(path)) for path in SHOWN} == before


async def test_what_operators_alone_may_do(two: Two) -> None:
    for method, template, body in OPERATORS_ALONE:
        path = two.mina.path(template)
        problem(await two.boris.person.client.request(method, path, json=body), 404, "not_found")
        problem(await two.mina.person.client.request(method, path, json=body), 403, "forbidden")
        await ok(two.oscar.client.request(method, path, json=body))
    assert (await two.mina.get(two.mina.path("/sites/{site_id}")))["page_networks"] == ["10.7.0.0/16"]
    path = two.mina.path("/sites/{site_id}/networks")
    refused = await two.oscar.client.put(path, json={"networks": ["10.0.0.0/8", "127.0.0.0/8"]})
    problem(refused, 422, "invalid", field="networks.1")


async def test_each_changes_his_own(two: Two) -> None:
    """The very same requests are good for what is one's own: nothing above was refused for another reason."""
    in_order = [change for change in CHANGES if change[1] != "/sites/{site_id}"] + [CHANGES[0]]
    for method, template, body in in_order:
        if body and "pool_id" in body:
            body = {"pool_id": two.boris.ids["pool_id"]}
        if (method, template) == ("DELETE", "/custom-resources/{resource_id}"):
            continue  # the specification stands in the way: below
        if (method, template) == ("DELETE", "/specs/{spec_id}"):
            await ok(two.boris.person.client.patch(two.boris.path("/specs/{spec_id}"), json={"pool_ids": []}))
        sent = await two.boris.person.client.request(method, two.boris.path(template), json=body)
        assert sent.status_code in (200, 204), (method, template, sent.text)
    await ok(two.boris.person.client.delete(two.boris.path("/custom-resources/{resource_id}")), 204)
    assert [await _names(two.boris.person, path) for path in ("/sites", "/nodes", "/specs")] == [[], [], []]
    assert [await _names(two.mina.person, path) for path in ("/nodes", "/specs")] == [["node-1"], ["1TPU"]]


async def test_anothers_ids_in_ones_own_requests_are_unknown(two: Two) -> None:
    boris, other = two.boris, two.mina.ids
    pool, spec = boris.path("/pools/{pool_id}"), boris.path("/specs/{spec_id}")
    item = [{"resource": "TPU", "quantity": "1"}]
    for method, path, body, status, where in (
        ("PATCH", pool, {"node_ids": [other["node_id"]]}, 422, "node_ids.0"),
        ("PATCH", pool, {"notebook_spec_ids": [other["spec_id"]]}, 422, "notebook_spec_ids.0"),
        ("PATCH", pool, {"training_spec_ids": [other["spec_id"]]}, 422, "training_spec_ids.0"),
        ("POST", "/pools", {"name": "x", "node_ids": [other["node_id"]]}, 422, "node_ids.0"),
        ("PATCH", spec, {"pool_ids": [other["pool_id"]]}, 422, "pool_ids.0"),
        (
            "POST",
            "/specs",
            {"name": "x", "price": "1", "items": item, "pool_ids": [other["pool_id"]]},
            422,
            "pool_ids.0",
        ),
        ("PATCH", boris.path("/custom-resources/{resource_id}"), {"node_ids": [other["node_id"]]}, 422, "node_ids.0"),
        ("POST", boris.path("/nodes/{node_id}/move"), {"pool_id": other["pool_id"]}, 404, "pool_id"),
    ):
        problem(await boris.person.client.request(method, path, json=body), status, field=where)


async def test_a_price_of_ones_own_is_not_anothers(two: Two) -> None:
    await ok(two.mina.person.client.put("/unit-prices", json=[{"resource": "TPU", "price": "7"}]))
    shown = [await one.get(one.path("/specs/{spec_id}")) for one in (two.mina, two.boris)]
    assert [one["suggested_price"] for one in shown] == ["7", "1"]
