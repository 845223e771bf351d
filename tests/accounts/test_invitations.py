"""Invitations: a secret that makes its holder a user, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.web import PASSWORD, Person, person, problem
from utcloud.accounts import service
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import AuditEvent, Invitation, User
from utcloud.accounts.schemas import Role
from utcloud.db import Database, Tx

pytestmark = pytest.mark.postgres

Grants = list[tuple[str, str, int]]


@pytest.fixture(autouse=True)
def grants(monkeypatch: pytest.MonkeyPatch) -> Grants:
    given: Grants = []

    async def give(tx: Tx, now: datetime, actor: Actor, user: User, amount: int, note: str, key: str) -> None:
        assert "invitation" in note
        given.append((actor.username, user.username, amount))

    monkeypatch.setattr(service.users, "on_grant", [give])
    return given


@pytest.fixture
async def invited(operator: Person) -> AsyncIterator[dict[str, Any]]:
    """An invitation into the group ``lab``, with its code."""
    group = (await operator.client.post("/groups", json={"name": "lab"})).json()
    body = {"email": "ida@example.org", "roles": ["renter", "miner"], "group_ids": [group["id"]], "grant": "10"}
    yield (await operator.client.post("/invitations", json=body)).json()


def acceptance(invited: dict[str, Any], username: str = "ida", **more: str) -> dict[str, str]:
    return {"code": invited["code"], "username": username, "display_name": "Ida", "password": PASSWORD} | more


async def test_from_invitation_to_login(
    anyone: httpx.AsyncClient, operator: Person, invited: dict[str, Any], grants: Grants, db: Database
) -> None:
    assert invited["grant"] == "10"
    assert invited["url"] == f"http://localhost:8080/console/invitation#{invited['code']}"
    shown = (await anyone.get(f"/invitations/code/{invited['code']}")).json()
    assert (shown["groups"], shown["grant"], shown["roles"]) == (["lab"], "10", ["miner", "renter"][::-1])
    made = await anyone.post("/invitations/accept", json=acceptance(invited))
    assert made.status_code == 201
    user = made.json()
    assert (user["email"], user["roles"]) == ("ida@example.org", ["miner", "renter"])
    assert [group["name"] for group in user["groups"]] == ["lab"]
    assert grants == [("admin", "ida", 10_000_000)]
    assert (await anyone.post("/auth/session", json={"username": "ida", "password": PASSWORD})).status_code == 200

    listed = await operator.client.get("/invitations")
    (one,) = listed.json()["items"]
    assert (one["status"], one["username"], one["user_id"]) == ("accepted", "ida", user["id"])
    assert invited["code"] not in listed.text
    async with db.read() as tx:
        details = [str(event.detail) for event in await tx.scalars(select(AuditEvent))]
        kept = (await tx.scalars(select(Invitation))).one()
    assert not any(invited["code"] in detail for detail in details)
    assert invited["code"] != kept.code_hash


async def test_it_works_once(anyone: httpx.AsyncClient, invited: dict[str, Any], grants: Grants) -> None:
    answers = await asyncio.gather(
        *(anyone.post("/invitations/accept", json=acceptance(invited, f"ida{number}")) for number in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(grants) == 1
    problem(await anyone.get(f"/invitations/code/{invited['code']}"), 409, "invitation_used")


async def test_a_taken_name_leaves_it_open(
    anyone: httpx.AsyncClient, alice: Person, invited: dict[str, Any], grants: Grants
) -> None:
    problem(await anyone.post("/invitations/accept", json=acceptance(invited, "alice")), 409, "conflict", "username")
    assert grants == []
    assert (await anyone.post("/invitations/accept", json=acceptance(invited))).status_code == 201


async def test_what_was_revoked_or_has_expired(
    anyone: httpx.AsyncClient, operator: Person, invited: dict[str, Any], clock: FakeClock
) -> None:
    late = (await operator.client.post("/invitations", json={"expires_in_days": 1})).json()
    for _ in range(2):
        assert (await operator.client.delete(f"/invitations/{invited['id']}")).status_code == 204
    problem(await anyone.post("/invitations/accept", json=acceptance(invited)), 409, "invitation_revoked")
    clock.advance(days=1)
    problem(await anyone.post("/invitations/accept", json=acceptance(late)), 409, "invitation_expired")

    async def ids(status: str) -> list[str]:
        page = await operator.client.get("/invitations", params={"status": status})
        return [one["id"] for one in page.json()["items"]]

    assert await ids("revoked") == [invited["id"]]
    assert await ids("expired") == [late["id"]]
    assert await ids("open") == []
    problem(await operator.client.delete("/invitations/inv_no"), 404)


async def test_what_was_accepted_is_not_taken_back(
    anyone: httpx.AsyncClient, operator: Person, invited: dict[str, Any]
) -> None:
    await anyone.post("/invitations/accept", json=acceptance(invited))
    problem(await operator.client.delete(f"/invitations/{invited['id']}"), 409, "invitation_used")


async def test_an_inviter_who_may_no_longer_invite(app: FastAPI, anyone: httpx.AsyncClient, operator: Person) -> None:
    async with person(app, "second", Role.OPERATOR) as second:
        made = (await second.client.post("/invitations", json={"roles": ["operator"]})).json()
        await operator.client.patch(f"/users/{second.id}", json={"roles": ["renter"]})
    problem(await anyone.post("/invitations/accept", json=acceptance(made)), 409, "invitation_revoked")


async def test_a_group_that_is_gone_is_left_out(
    anyone: httpx.AsyncClient, operator: Person, invited: dict[str, Any]
) -> None:
    await operator.client.delete(f"/groups/{invited['groups'][0]['id']}")
    assert (await anyone.get(f"/invitations/code/{invited['code']}")).json()["groups"] == []
    assert (await anyone.post("/invitations/accept", json=acceptance(invited))).json()["groups"] == []


async def test_guessing_codes_is_slow(anyone: httpx.AsyncClient, invited: dict[str, Any]) -> None:
    statuses = [(await anyone.get(f"/invitations/code/guess-{number}")).status_code for number in range(30)]
    assert set(statuses) == {404, 429}
    assert statuses.count(404) <= 21


async def test_looking_at_a_good_code_is_not_throttled(anyone: httpx.AsyncClient, invited: dict[str, Any]) -> None:
    statuses = {(await anyone.get(f"/invitations/code/{invited['code']}")).status_code for _ in range(30)}
    assert statuses == {200}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("roles", []),
        ("roles", ["king"]),
        ("group_ids", ["grp_no"]),
        ("grant", 0),
        ("grant", "-1"),
        ("grant", "1e3"),
        ("grant", "0.0000001"),
        ("expires_in_days", 0),
        ("expires_in_days", 91),
    ],
)
async def test_bad_values_name_the_field(operator: Person, field: str, value: Any) -> None:
    body = problem(await operator.client.post("/invitations", json={field: value}), 422, "invalid")
    assert body["field"].split(".")[0] == field


async def test_the_list_sorts_pages_and_comes_as_a_file(operator: Person, invited: dict[str, Any]) -> None:
    for email, days in (("zoe@example.org", 3), ("", 30), ("bea@example.org", 10)):
        await operator.client.post("/invitations", json={"email": email, "expires_in_days": days})

    async def emails(sort: str) -> list[str]:
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await operator.client.get("/invitations", params={"sort": sort, "limit": "3"} | cursor)).json()
            found += [one["email"].partition("@")[0] for one in page["items"]]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    assert await emails("-created_at") == ["bea", "", "zoe", "ida"]
    assert await emails("created_at") == ["ida", "zoe", "", "bea"]
    assert await emails("expires_at") == ["zoe", "ida", "bea", ""]
    assert await emails("-expires_at") == ["", "bea", "ida", "zoe"]
    assert await emails("email") == ["", "bea", "ida", "zoe"]
    file = await operator.client.get("/invitations", params={"format": "csv", "sort": "-email", "status": "open"})
    assert [row.split(",")[2] for row in file.text.splitlines()] == [
        "email",
        "zoe@example.org",
        "ida@example.org",
        "bea@example.org",
        "",
    ]
    assert invited["code"] not in file.text


async def test_only_operators_invite(miner: Person, alice: Person, invited: dict[str, Any]) -> None:
    for someone in (miner, alice):
        problem(await someone.client.post("/invitations", json={}), 403)
        problem(await someone.client.get("/invitations"), 403)
        problem(await someone.client.delete(f"/invitations/{invited['id']}"), 403)
