"""Users, groups, and the audit trail."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.factories import AssetFactory
from tests.support.web import PASSWORD, Person, client_of, person, problem
from utcloud.accounts import service
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import AuditEvent, User
from utcloud.accounts.schemas import Role, Running
from utcloud.assets.models import Asset
from utcloud.common.errors import Conflict
from utcloud.db import Database, Tx

pytestmark = pytest.mark.postgres


async def test_the_first_operator_is_made_once(app: FastAPI, db: Database, clock: FakeClock) -> None:
    async with db.write() as tx:
        user, password = await service.first_operator(tx, clock.now())
    assert (user.username, user.is_operator, user.is_miner, user.is_renter) == ("admin", True, True, True)
    assert password
    async with db.write() as tx:
        again, none = await service.first_operator(tx, clock.now(), username="other")
    assert (again.id, none) == (user.id, None)
    async with client_of(app) as client:
        answer = await client.post("/auth/session", json={"username": "admin", "password": password})
        assert answer.json()["user"]["roles"] == ["operator", "miner", "renter"]


async def test_an_operator_adds_a_user_with_a_generated_password(operator: Person, anyone: httpx.AsyncClient) -> None:
    made = (await operator.client.post("/users", json={"username": "bob", "roles": ["miner", "renter"]})).json()
    assert made["roles"] == ["miner", "renter"]
    login = {"username": "bob", "password": made["initial_password"]}
    assert (await anyone.post("/auth/session", json=login)).status_code == 200
    shown = (await operator.client.get(f"/users/{made['id']}")).json()
    assert "initial_password" not in shown
    chosen = await operator.client.post("/users", json={"username": "eve", "password": PASSWORD})
    assert chosen.json()["initial_password"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""),
        ("username", "a"),
        ("username", "Alice"),
        ("username", "../etc"),
        ("username", "x" * 10_000),
        ("username", None),
        ("username", 7),
        ("display_name", "x" * 10_000),
        ("display_name", "a\0b"),
        ("email", "not an address"),
        ("password", "short"),
        ("password", "x" * 10_000),
        ("roles", ["king"]),
        ("roles", []),
        ("group_ids", ["no such"]),
        ("group_ids", ["grp_nosuch"]),
        ("unknown", 1),
    ],
)
async def test_bad_values_name_the_field(operator: Person, field: str, value: Any) -> None:
    body = problem(await operator.client.post("/users", json={"username": "bob", field: value}), 422, "invalid")
    assert body["field"].split(".")[0] == field
    assert body["cure"]
    assert [user["username"] for user in (await operator.client.get("/users")).json()["items"]] == ["admin"]


async def test_a_user_name_is_taken_once(operator: Person) -> None:
    answers = await asyncio.gather(*(operator.client.post("/users", json={"username": "bob"}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    problem(await operator.client.post("/users", json={"username": "bob"}), 409, "conflict", "username")


async def test_the_list_searches_filters_and_pages(operator: Person, miner: Person) -> None:
    for name in ("anna", "bert", "carl", "dora"):
        await operator.client.post("/users", json={"username": name, "display_name": name.title() + " 100%"})
    await operator.client.post("/users", json={"username": "mike", "roles": ["miner"]})

    async def names(**query: Any) -> list[str]:
        answer = await operator.client.get("/users", params=query)
        return [user["username"] for user in answer.json()["items"]]

    assert miner
    assert await names(search="AnN") == ["anna"]
    assert await names(search="0%") == ["anna", "bert", "carl", "dora"]
    assert await names(search="%") == ["anna", "bert", "carl", "dora"]
    assert await names(search="_") == []
    assert await names(role="miner") == ["mary", "mike"]
    assert await names(role="operator") == ["admin"]
    assert await names(status="frozen") == []
    seen, cursor = [], None
    while True:
        page = (
            await operator.client.get("/users", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        ).json()
        seen += [user["username"] for user in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["admin", "anna", "bert", "carl", "dora", "mary", "mike"]
    problem(await operator.client.get("/users", params={"cursor": "rubbish"}), 422, "invalid", "cursor")
    problem(await operator.client.get("/users", params={"search": "a\0"}), 422, "invalid", "search")


async def test_only_operators_change_users(operator: Person, miner: Person, alice: Person) -> None:
    for someone in (miner, alice):
        problem(await someone.client.post("/users", json={"username": "bob"}), 403)
        problem(await someone.client.patch(f"/users/{someone.id}", json={"roles": ["operator"]}), 403)
        problem(await someone.client.post(f"/users/{operator.id}/freeze"), 403)
        problem(await someone.client.post(f"/users/{operator.id}/reset-password"), 403)
        problem(await someone.client.delete(f"/users/{operator.id}"), 403)
        problem(await someone.client.post("/groups", json={"name": "lab"}), 403)
    problem(await alice.client.get("/users"), 403)
    assert (await alice.client.get("/groups")).json()["items"] == []
    problem(await alice.client.get(f"/users/{operator.id}"), 404)
    assert (await alice.client.get(f"/users/{alice.id}")).json()["username"] == "alice"
    problem(await miner.client.get(f"/users/{alice.id}"), 404)
    assert [one["username"] for one in (await miner.client.get("/users")).json()["items"]] == ["mary"]


async def test_the_last_active_operator_stays(app: FastAPI, operator: Person) -> None:
    async with person(app, "second", Role.OPERATOR) as second:
        await operator.client.post(f"/users/{second.id}/freeze")
        me = f"/users/{operator.id}"
        problem(await operator.client.post(f"{me}/freeze"), 409, "last_operator")
        problem(await operator.client.delete(me), 409, "last_operator")
        problem(await operator.client.patch(me, json={"roles": ["renter"]}), 409, "last_operator")
        assert (await operator.client.get(me)).json()["roles"] == ["operator"]
        await operator.client.post(f"/users/{second.id}/unfreeze")
        assert (await operator.client.patch(me, json={"roles": ["renter"]})).json()["roles"] == ["renter"]
        problem(await second.client.delete(f"/users/{second.id}"), 409, "last_operator")


async def test_nobody_shuts_himself_out(app: FastAPI, operator: Person) -> None:
    async with person(app, "second", Role.OPERATOR):
        problem(await operator.client.post(f"/users/{operator.id}/freeze"), 409, "oneself")
        problem(await operator.client.delete(f"/users/{operator.id}"), 409, "oneself")


async def test_two_operators_cannot_freeze_each_other(app: FastAPI, operator: Person, db: Database) -> None:
    async with person(app, "second", Role.OPERATOR) as second:
        await asyncio.gather(
            operator.client.post(f"/users/{second.id}/freeze"), second.client.post(f"/users/{operator.id}/freeze")
        )
    async with db.read() as tx:
        active = list(await tx.scalars(select(User.id).where(User.is_operator, User.status == "active")))
    assert len(active) == 1


async def test_a_reset_password_works_once_told_and_ends_sessions_and_tokens(
    operator: Person, alice: Person, anyone: httpx.AsyncClient
) -> None:
    await anyone.post("/auth/session", json={"username": "alice", "password": PASSWORD})
    password = (await operator.client.post(f"/users/{alice.id}/reset-password")).json()["password"]
    problem(await anyone.get("/auth/session"), 401)
    problem(await alice.client.get("/auth/tokens"), 401)
    problem(await anyone.post("/auth/session", json={"username": "alice", "password": PASSWORD}), 401)
    assert (await anyone.post("/auth/session", json={"username": "alice", "password": password})).status_code == 200


async def test_a_user_who_owns_nothing_is_deleted_with_tokens_and_sessions(
    operator: Person, alice: Person, anyone: httpx.AsyncClient
) -> None:
    await anyone.post("/auth/session", json={"username": "alice", "password": PASSWORD})
    assert (await operator.client.delete(f"/users/{alice.id}")).status_code == 204
    problem(await operator.client.get(f"/users/{alice.id}"), 404)
    problem(await operator.client.delete(f"/users/{alice.id}"), 404)
    problem(await alice.client.get("/auth/tokens"), 401)
    problem(await anyone.get("/auth/session"), 401)


async def test_a_user_who_owns_something_is_not_deleted(operator: Person, alice: Person, db: Database) -> None:
    async with db.write() as tx:
        tx.add(AssetFactory.build(id="alg_1", owner_id=alice.id, name="a"))
    body = problem(await operator.client.delete(f"/users/{alice.id}"), 409, "in_use")
    assert "alice" in body["detail"]
    assert (await operator.client.get(f"/users/{alice.id}")).status_code == 200


async def test_higher_rooms_have_a_say_in_deleting_and_freezing(operator: Person, alice: Person) -> None:
    frozen = []

    async def refuse(tx: Tx, actor: Actor, user: User) -> None:
        raise Conflict(f"{user.username} owns 2 notebooks.", code="in_use")

    async def stop(tx: Tx, actor: Actor, user: User, running: Running) -> None:
        frozen.append((actor.username, user.username, running))

    service.users.on_delete_checks.append(refuse)
    service.users.on_freeze.append(stop)
    assert problem(await operator.client.delete(f"/users/{alice.id}"), 409)["detail"] == "alice owns 2 notebooks."
    for running in ("keep", "keep", "stop"):
        await operator.client.post(f"/users/{alice.id}/freeze", json={"running": running})
    assert frozen == [("admin", "alice", "keep"), ("admin", "alice", "stop")]


async def test_a_frozen_user_can_be_told_another_reason(operator: Person, alice: Person) -> None:
    url = f"/users/{alice.id}"
    for reason, told in (("late", "late"), ("", "late"), ("unpaid", "unpaid")):
        frozen = await operator.client.post(f"{url}/freeze", json={"running": "keep", "reason": reason})
        assert frozen.json()["frozen_reason"] == told


async def test_groups_from_begin_to_end(operator: Person, miner: Person, alice: Person, db: Database) -> None:
    made = await operator.client.post("/groups", json={"name": "lab", "user_ids": [alice.id]})
    assert made.status_code == 201
    group = made.json()
    assert [(one["user"]["username"], one["role"]) for one in group["members"]] == [("alice", "member")]
    problem(await operator.client.post("/groups", json={"name": "lab"}), 409, "conflict", "name")
    problem(await operator.client.post("/groups", json={"name": "x", "user_ids": ["usr_no"]}), 422, None, "user_ids")
    assert (await alice.client.get(f"/users/{alice.id}")).json()["groups"] == [{"id": group["id"], "name": "lab"}]
    async with db.read() as tx:
        assert await service.group_ids_of(tx, alice.id) == [group["id"]]
        assert await service.usernames(tx, [alice.id, "usr_no"]) == {alice.id: "alice"}
    url = f"/groups/{group['id']}"
    changed = (await operator.client.patch(url, json={"name": "lab2", "user_ids": [miner.id]})).json()
    assert (changed["name"], [one["user"]["username"] for one in changed["members"]]) == ("lab2", ["mary"])
    assert (await operator.client.patch(f"/users/{alice.id}", json={"group_ids": [group["id"]]})).status_code == 200
    listed = (await miner.client.get("/groups", params={"search": "LAB"})).json()["items"]
    assert [(item["name"], item["members"]) for item in listed] == [("lab2", 2)]
    assert len((await operator.client.get("/users", params={"group_id": group["id"]})).json()["items"]) == 2
    async with db.write() as tx:
        tx.add(AssetFactory.build(id="alg_1", owner_id=alice.id, name="a", visibility="group", group_id=group["id"]))
    problem(await operator.client.delete(url), 409, "in_use")
    async with db.write() as tx:
        await tx.delete(await tx.get_one(Asset, "alg_1"))
    assert (await operator.client.delete(url)).status_code == 204
    problem(await operator.client.get(url), 404)
    assert (await alice.client.get(f"/users/{alice.id}")).json()["groups"] == []


async def test_a_group_cannot_take_anothers_name(operator: Person) -> None:
    await operator.client.post("/groups", json={"name": "lab"})
    other = (await operator.client.post("/groups", json={"name": "other"})).json()
    problem(await operator.client.patch(f"/groups/{other['id']}", json={"name": "lab"}), 409, "conflict", "name")
    assert (await operator.client.get(f"/groups/{other['id']}")).json()["name"] == "other"


async def test_every_change_leaves_an_audit_event(operator: Person, alice: Person, db: Database) -> None:
    await operator.client.patch(f"/users/{alice.id}", json={"display_name": "Alice"})
    await operator.client.post(f"/users/{alice.id}/reset-password")
    await operator.client.post("/users", json={"username": "bob", "password": PASSWORD})
    answer = await operator.client.get("/audit-events", params={"actor_id": operator.id})
    events = answer.json()["items"]
    assert [event["action"] for event in events] == [
        "user.create",
        "user.reset_password",
        "user.update",
        "token.create",
    ]
    assert PASSWORD not in answer.text
    assert "argon2" not in answer.text
    assert events[2]["detail"] == {"display_name": "Alice"}
    one = await operator.client.get("/audit-events", params={"object_type": "user", "object_id": alice.id, "limit": 1})
    assert one.json()["items"][0]["action"] == "user.reset_password"
    assert one.json()["next_cursor"]


async def test_others_see_their_own_events_only(operator: Person, miner: Person, alice: Person, db: Database) -> None:
    seen = (await alice.client.get("/audit-events")).json()["items"]
    assert seen
    assert {alice.id} == {event["object_id"] if event["object_type"] == "user" else event["actor_id"] for event in seen}
    assert (await alice.client.get("/audit-events", params={"actor_id": operator.id})).json()["items"] == []
    async with db.read() as tx:
        assert len(list(await tx.scalars(select(AuditEvent)))) > len(seen)


async def test_pages_hear_of_changes(operator: Person, alice: Person, db: Database) -> None:
    with db.listening("ui:miners") as miners, db.listening(f"ui:{alice.id}") as hers:
        await operator.client.patch(f"/users/{alice.id}", json={"display_name": "Alice"})
        assert miners.is_set()
        assert hers.is_set()
