"""Nobody keeps another from logging in or from applying, and nobody is told who there is."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from tests.support import lanes
from tests.support.clock import FakeClock
from tests.support.web import PASSWORD, Person, client_of, problem
from utcloud.accounts import passwords, service
from utcloud.accounts.models import Application, AuditEvent
from utcloud.accounts.service import devices, throttle
from utcloud.common.settings import Settings
from utcloud.db import Database

pytestmark = pytest.mark.postgres

WRONG = "not the password"


async def log_in(client: httpx.AsyncClient, username: str = "alice", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/auth/session", json={"username": username, "password": password})


async def poll(client: httpx.AsyncClient, clock: FakeClock, username: str, *, seconds: int) -> int:
    """Try a wrong password each second, as fast as is taken; return how often it was looked at."""
    looked_at = 0
    for _ in range(seconds):
        clock.advance(seconds=1)
        looked_at += (await log_in(client, username, WRONG)).status_code == 401
    return looked_at


# Logging in


async def test_whoever_polls_an_operators_name_does_not_keep_them_out(
    app: FastAPI, operator: Person, clock: FakeClock
) -> None:
    """From one network, for longer than a wait can be; the operator sits in another, at a browser that is new."""
    async with client_of(app, ip="198.51.100.9") as attacker, client_of(app, ip="192.0.2.7") as honest:
        looked_at = await poll(attacker, clock, "admin", seconds=lanes.amount(900, 3600))
        assert (await log_in(honest, "admin")).status_code == 200
    assert looked_at < 30, "and he has not got far himself"


async def test_a_whole_ipv6_network_is_one_attacker(app: FastAPI, alice: Person) -> None:
    statuses = []
    for number in range(12):
        async with client_of(app, ip=f"2001:db8:1:1::{number:x}") as attacker:
            statuses.append((await log_in(attacker, "alice", WRONG)).status_code)
    assert statuses == [401] * 5 + [429] * 7
    async with client_of(app, ip="2001:db8:1:2::1") as honest:
        assert (await log_in(honest)).status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:1::5", "2001:db8:1:1::/64"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert throttle.network_of(address) == network


async def test_guesses_from_many_networks_are_bounded_too(app: FastAPI, alice: Person) -> None:
    """A hundred free ones, then ever slower, a minute at most: else a botnet guesses without end."""
    statuses = []
    for number in range(110):
        async with client_of(app, ip=f"198.51.{number}.1") as attacker:
            statuses.append((await log_in(attacker, "alice", WRONG)).status_code)
    assert statuses == [401] * 100 + [429] * 10


async def test_a_browser_that_logged_in_before_gets_in_through_a_flood(
    app: FastAPI, alice: Person, clock: FakeClock
) -> None:
    """From the attacker's own network even, while a botnet holds the name's count as well."""
    async with client_of(app, ip="198.51.100.9") as browser, client_of(app, ip="198.51.100.9") as attacker:
        assert (await log_in(browser)).status_code == 200
        browser.cookies.delete("utcloud_session")
        for _ in range(8):
            await log_in(attacker, "alice", WRONG)
        for number in range(110):
            async with client_of(app, ip=f"198.51.{number}.1") as bot:
                await log_in(bot, "alice", WRONG)
        problem(await log_in(attacker), 429, "too_many")
        assert (await log_in(browser)).status_code == 200
        async with client_of(app, ip="192.0.2.1") as fresh:
            problem(await log_in(fresh), 429, "too_many")


async def test_a_device_has_no_more_guesses_than_anybody(app: FastAPI, alice: Person) -> None:
    """A stolen device cookie opens no way to guess on."""
    async with client_of(app) as browser:
        await log_in(browser)
        statuses = [(await log_in(browser, "alice", WRONG)).status_code for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3


async def test_a_device_cookie_is_for_its_own_user_and_cannot_be_made_up(
    app: FastAPI, alice: Person, operator: Person
) -> None:
    async with client_of(app, ip="198.51.100.9") as attacker, client_of(app, ip="198.51.100.9") as other:
        await log_in(attacker)  # as alice, with a good password: her device
        cookie = attacker.cookies["utcloud_device"]
        statuses = {(await log_in(attacker, "admin", WRONG)).status_code for _ in range(6)}
        assert statuses == {401, 429}
        for made_up in (cookie, cookie[:-1] + "0", "own." + "0" * 64, ".", "x" * 5000, "é.é", "a.b.c"):
            other.headers["Cookie"] = f"utcloud_device={made_up}".encode().decode("latin-1")
            problem(await log_in(other, "admin"), 429, "too_many")


async def test_the_device_cookie_is_no_login_and_is_well_kept(app: FastAPI, alice: Person) -> None:
    async with client_of(app) as browser:
        cookies = (await log_in(browser)).headers.get_list("set-cookie")
        (device,) = [one for one in cookies if one.startswith("utcloud_device=")]
        for flag in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={365 * 86400}"):
            assert flag in device
        browser.cookies.delete("utcloud_session")
        problem(await browser.get("/auth/session"), 401)
        app.state.settings = Settings(domain="cloud.example")
        cookies = (await log_in(browser)).headers.get_list("set-cookie")
        (device,) = [one for one in cookies if "_device=" in one]
        assert device.startswith("__Host-utcloud_device=")
        assert "Secure" in device


async def test_a_changed_password_voids_device_cookies(app: FastAPI, alice: Person) -> None:
    async with client_of(app) as browser:
        await log_in(browser)
        before = browser.cookies["utcloud_device"]
        body = {"current_password": PASSWORD, "new_password": "another long password"}
        assert (await alice.client.post("/auth/password", json=body)).status_code == 204
        assert (await log_in(browser, password="another long password")).status_code == 200
        assert browser.cookies["utcloud_device"] != before
        again = browser.cookies["utcloud_device"]
        await log_in(browser, password="another long password")
        assert browser.cookies["utcloud_device"] == again, "a browser stays the same device"


def test_what_is_no_users_device_is_none() -> None:
    assert devices.recognised(None, "a.b") == ""


async def test_nobody_keeps_one_from_changing_ones_password(app: FastAPI, alice: Person) -> None:
    async with client_of(app) as attacker:
        for _ in range(8):
            await log_in(attacker, "alice", WRONG)
    body = {"current_password": PASSWORD, "new_password": "another long password"}
    assert (await alice.client.post("/auth/password", json=body)).status_code == 204


async def test_guesses_at_the_present_password_are_bounded(alice: Person) -> None:
    body = {"current_password": WRONG, "new_password": "another long password"}
    statuses = [(await alice.client.post("/auth/password", json=body)).status_code for _ in range(8)]
    assert statuses == [422] * 5 + [429] * 3


async def test_unlocking_forgets_all_counts_of_a_name(app: FastAPI, alice: Person, db: Database) -> None:
    async with client_of(app) as attacker, client_of(app, ip="192.0.2.8") as other:
        for _ in range(8):
            await log_in(attacker, "alice", WRONG)
            await log_in(other, "nobody", WRONG)
        problem(await log_in(attacker), 429)
        async with db.write() as tx:
            assert await service.unlock(tx, " Alice ") == 2
        assert (await log_in(attacker)).status_code == 200
        problem(await log_in(other, "nobody"), 429)
        async with db.read() as tx:
            event = (await tx.scalars(select(AuditEvent).where(AuditEvent.action == "user.unlock"))).one()
    assert (event.object_name, event.actor_name) == ("alice", "system")


async def test_who_waits_makes_the_server_write_nothing(
    app: FastAPI, alice: Person, db: Database, clock: FakeClock
) -> None:
    async with client_of(app) as attacker:
        for _ in range(5):
            await log_in(attacker, "alice", WRONG)
        async with db.write():  # the one writer is busy
            problem(await log_in(attacker, "alice", WRONG), 429)


# Applying


APPLICATION = {"username": "nina", "password": PASSWORD}


async def test_a_taken_name_is_answered_as_a_free_one(
    app: FastAPI, anyone: httpx.AsyncClient, operator: Person, alice: Person, db: Database
) -> None:
    answers = {}
    for name in ("free-name", "alice", "admin", "system", "free-name"):
        answer = await anyone.post("/applications", json=APPLICATION | {"username": name})
        headers = {key: value for key, value in answer.headers.items() if key != "content-length"}
        answers[name] = (answer.status_code, headers, {**answer.json(), "username": ""})
    assert len({str(one) for one in answers.values()}) == 1
    assert next(iter(answers.values()))[0] == 201
    async with db.read() as tx:
        assert list(await tx.scalars(select(Application.username))) == ["free-name"]
        noted = list(await tx.scalars(select(AuditEvent).where(AuditEvent.action == "application.create")))
    assert [one.detail.get("outcome") for one in noted] == [None, *["name_taken"] * 4], "operators see it"
    problem(await log_in(anyone, "alice", APPLICATION["password"] + "x"), 401)


async def test_a_taken_name_costs_the_same_work(
    anyone: httpx.AsyncClient, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sooner nor later: the password is hashed either way, before anything is looked up."""
    hashed: list[str] = []
    real = passwords.hash_password

    async def counting(password: str) -> str:
        hashed.append(password)
        return await real(password)

    monkeypatch.setattr(passwords, "hash_password", counting)
    for name in ("alice", "free-name"):
        await anyone.post("/applications", json=APPLICATION | {"username": name})
    assert len(hashed) == 2


async def test_one_network_has_at_most_twenty_waiting(app: FastAPI, operator: Person, clock: FakeClock) -> None:
    statuses = []
    for number in range(25):
        clock.advance(hours=2)  # the throttle has long forgotten
        async with client_of(app, ip=f"2001:db8:1:1::{number:x}") as attacker:
            body = APPLICATION | {"username": f"flood-{number}"}
            statuses.append((await attacker.post("/applications", json=body)).status_code)
    assert statuses == [201] * 20 + [429] * 5
    async with client_of(app, ip="192.0.2.9") as honest:
        assert (await honest.post("/applications", json=APPLICATION)).status_code == 201


async def test_a_flood_closes_registration_for_nobody(
    app: FastAPI, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the most that may wait, the new one takes a place of the network that has most."""
    monkeypatch.setattr(service.applications, "MAX_WAITING", 6)
    async with client_of(app, ip="192.0.2.9") as early:
        await early.post("/applications", json=APPLICATION | {"username": "early"})
    async with client_of(app, ip="198.51.100.9") as attacker:
        for number in range(5):
            await attacker.post("/applications", json=APPLICATION | {"username": f"flood-{number}"})
    async with client_of(app, ip="192.0.2.10") as late:
        assert (await late.post("/applications", json=APPLICATION | {"username": "late"})).status_code == 201
        problem(await log_in(late, "late"), 403, "application_waiting")
        rejected = problem(await log_in(late, "flood-0"), 403, "application_rejected")
    assert "apply again" in rejected["detail"]
    waiting = (await operator.client.get("/applications", params={"status": "waiting"})).json()["items"]
    assert {one["username"] for one in waiting} == {"early", "late", *(f"flood-{number}" for number in range(1, 5))}


async def test_what_nobody_answers_ends_and_frees_the_name(
    app: FastAPI, anyone: httpx.AsyncClient, db: Database, clock: FakeClock
) -> None:
    await anyone.post("/applications", json=APPLICATION)
    clock.advance(days=service.applications.LIFETIME.days - 1)
    async with db.write() as tx:
        await service.forget_expired(tx, clock.now())
    problem(await log_in(anyone, "nina"), 403, "application_waiting")
    clock.advance(days=2)
    async with db.write() as tx:
        await service.forget_expired(tx, clock.now())
    assert "within 30 days" in problem(await log_in(anyone, "nina"), 403, "application_rejected")["detail"]
    await anyone.post("/applications", json=APPLICATION)
    problem(await log_in(anyone, "nina"), 403, "application_waiting")
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(Application)) == 2
