"""Input that no honest program sends: never a fault of the server, on either database."""

import base64
import json
from typing import Any

import pytest

from tests.support.factories import CHIP, node_report
from tests.support.fixtures import People
from tests.support.scenario import add_site, heard

pytestmark = pytest.mark.postgres

LISTS = ("sites", "nodes", "system-resources", "custom-resources", "specs", "pools", "wallets", "recharges", "charges")
CURSORS: tuple[list[Any], ...] = (
    [1],
    [None],
    [1, 2],
    ["a", None],
    [2**70, "x"],
    ["\0"],
    ["\0", "\0"],
    ["\ud800"],
    [True],
)
QUERIES = (
    {"since": "0001-01-01T00:00:00+14:00"},
    {"until": "9999-12-31T23:59:59-14:00"},
    {"since": "-1"},
    {"workload_id": "\0"},
    {"payer_id": "x" * 9000},
    {"open": "x"},
)
CPU = [{"resource": "cpu", "quantity": "1"}]
BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sites", {"name": "a\0b"}),
    ("sites", {"name": "\ud800"}),
    ("pools", {"name": "p", "description": "\0"}),
    ("pools", {"name": "p", "node_ids": ["\0"]}),
    ("pools", {"name": "p", "group_ids": ["\0"]}),
    ("specs", {"name": "s", "price": "1", "items": [{"resource": "\0", "quantity": "1"}]}),
    ("specs", {"name": "s", "price": "1", "items": [{"resource": "cpu", "quantity": "\0"}]}),
    ("specs", {"name": "s", "price": "1", "items": CPU, "description": "\0"}),
    ("specs", {"name": "s", "price": "1", "items": CPU, "pool_ids": ["\0"]}),
    ("custom-resources", {"name": "c", "system_resource": "\0"}),
    ("custom-resources", {"name": "c", "system_resource": CHIP, "description": "\0"}),
    ("recharges", {"wallet_id": "\0", "amount": "1"}),
    ("recharges", {"wallet_id": "x", "amount": "1", "note": "\0"}),
)


async def test_no_input_is_a_fault_of_the_server(people: People) -> None:
    async with people.db.write() as tx:
        site_id = await add_site(tx, people.oscar.actor, "here")
        await heard(tx, people.clock.now(), site_id, node_report(chips=1))
    client = people.oscar.client
    for name in LISTS:
        for key in CURSORS:
            cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
            status = (await client.get(f"/{name}", params={"cursor": cursor})).status_code
            assert status == 422 or (name == "system-resources" and status == 200), (name, key)
        for search in ("\0", "%", "'", "\\", "x" * 10_000):
            assert (await client.get(f"/{name}", params={"search": search})).status_code in (200, 422)
    for name in ("sites", "nodes", "specs", "pools", "wallets", "custom-resources"):
        for ident in ("%00", "x" * 5000, "%F0%9F%98%80"):
            assert (await client.get(f"/{name}/{ident}")).status_code in (404, 422)
    for query in QUERIES:
        assert (await client.get("/charges", params=query)).status_code in (200, 422), query
    for name, body in BODIES:
        content = json.dumps(body)
        response = await client.post(f"/{name}", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 422, (name, body, response.text)
    wallet = (await client.get("/wallets/mine")).json()["id"]
    body = {"wallet_id": wallet, "amount": "1"}
    odd = [(b"Idempotency-Key", b"\xff\xfe")]
    assert (await client.post("/recharges", json=body, headers=odd)).status_code == 201
