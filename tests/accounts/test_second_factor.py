"""The second factor: authenticator apps, passkeys, recovery codes, and who must have one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from tests.support.authenticator import Authenticator
from tests.support.clock import FakeClock
from tests.support.web import PASSWORD, Person, client_of, person, problem
from utcloud.accounts import service
from utcloud.accounts.models import (
    AuditEvent,
    BrowserSession,
    Passkey,
    PasskeyChallenge,
    RecoveryCode,
    TotpSecret,
    User,
)
from utcloud.accounts.schemas import Role
from utcloud.common.settings import Settings
from utcloud.db import Database

pytestmark = pytest.mark.postgres

Json = dict[str, Any]
MINE = {"password": PASSWORD}
BASE = "/auth/second-factor"


async def _log_in(client: httpx.AsyncClient, username: str = "alice", **step: object) -> httpx.Response:
    return await client.post("/auth/session", json={"username": username, "password": PASSWORD, **step})


async def _ok(answer: httpx.Response) -> Json:
    assert answer.is_success, answer.text
    found: Json = answer.json() if answer.content else {}
    return found


class App:
    """An authenticator app."""

    def __init__(self, uri: str, clock: FakeClock) -> None:
        parsed = pyotp.parse_uri(uri)
        assert isinstance(parsed, pyotp.TOTP)
        self.totp, self.clock = parsed, clock

    def code(self, *, steps: int = 0) -> str:
        """The present code, or that of so many steps later."""
        return self.totp.generate_otp(int(self.clock.now().timestamp()) // 30 + steps)


async def _add_app(someone: Person, clock: FakeClock, **step: object) -> tuple[App, list[str]]:
    setup = await _ok(await someone.client.post(f"{BASE}/totp", json={**MINE, **step}))
    app = App(setup["uri"], clock)
    added = await _ok(await someone.client.post(f"{BASE}/totp/confirm", json={"code": app.code()}))
    clock.advance(seconds=60)
    return app, added["recovery_codes"] or []


def _authenticator(**more: Any) -> Authenticator:
    return Authenticator(**{"origin": "http://localhost:8080", "rp_id": "localhost"} | more)


async def _add_passkey(someone: Person, key: Authenticator, name: str = "laptop", **step: object) -> httpx.Response:
    options = (await _ok(await someone.client.post(f"{BASE}/passkeys/options", json={**MINE, **step})))["options"]
    return await someone.client.post(f"{BASE}/passkeys", json={"name": name, "credential": key.create(options)})


async def _asked(client: httpx.AsyncClient, username: str = "alice") -> Json:
    body = problem(await _log_in(client, username), 403, "second_factor_required")
    asked: Json = body["second_factor"]
    return asked


# --- authenticator apps --------------------------------------------------------------------------------------------


async def test_an_app_is_set_up_and_then_asked_for(
    anyone: httpx.AsyncClient, alice: Person, clock: FakeClock, db: Database
) -> None:
    assert (await _log_in(anyone)).status_code == 200
    setup = await _ok(await alice.client.post(f"{BASE}/totp", json=MINE))
    assert setup["secret"] in setup["uri"]
    assert setup["uri"].startswith("otpauth://totp/utcloud%20localhost:alice?")
    assert (await _log_in(anyone)).status_code == 200, "it is asked for only once a code was confirmed"
    app = App(setup["uri"], clock)
    wrong = f"{(int(app.code()) + 1) % 10**6:06}"
    problem(await alice.client.post(f"{BASE}/totp/confirm", json={"code": wrong}), 422, "second_factor_wrong", "code")
    added = await _ok(await alice.client.post(f"{BASE}/totp/confirm", json={"code": app.code()}))
    assert len(set(added["recovery_codes"])) == 10
    assert await _asked(anyone) == {"methods": ["totp", "recovery_code"]}
    clock.advance(seconds=30)
    answer = await _log_in(anyone, code=app.code())
    assert answer.status_code == 200
    assert answer.json()["user"]["second_factor"] is True
    status = await _ok(await alice.client.get(BASE))
    assert status["totp_since"]
    assert (status["recovery_codes_left"], status["passkeys"], status["demanded"]) == (10, [], False)
    async with db.read() as tx:
        kept = await tx.scalar(select(TotpSecret.sealed))
        events = await tx.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()))
        told = [(event.action, event.detail) for event in events]
    assert kept is not None
    assert setup["secret"] not in kept
    assert told[0] == ("auth.login", {"outcome": "success", "second_factor": "totp"})
    assert ("second_factor.totp_add", {}) in told


async def test_the_password_alone_makes_neither_session_nor_token(
    anyone: httpx.AsyncClient, alice: Person, clock: FakeClock, db: Database
) -> None:
    app, _ = await _add_app(alice, clock)
    answer = await _log_in(anyone)
    problem(answer, 403, "second_factor_required")
    assert "set-cookie" not in answer.headers
    body = {"username": "alice", "password": PASSWORD}
    asked = problem(await anyone.post("/auth/tokens", json=body), 403, "second_factor_required")
    assert asked["second_factor"]["methods"] == ["totp", "recovery_code"]
    assert asked["cure"]
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(BrowserSession)) == 0
    made = await anyone.post("/auth/tokens", json={**body, "code": app.code()})
    assert made.status_code == 201


async def test_a_wrong_password_says_nothing_of_the_second_factor(
    anyone: httpx.AsyncClient, alice: Person, bob: Person, clock: FakeClock
) -> None:
    app, _ = await _add_app(alice, clock)
    for name in ("alice", "bob", "nobody"):
        body = {"username": name, "password": "wrong password", "code": app.code()}
        said = problem(await anyone.post("/auth/session", json=body), 401)
        assert said["detail"] == "The user name or the password is wrong."
        assert "second_factor" not in said


async def test_a_code_works_once_and_none_before_it(anyone: httpx.AsyncClient, alice: Person, clock: FakeClock) -> None:
    app, _ = await _add_app(alice, clock)
    before = app.code(steps=-1)
    code = app.code()
    assert (await _log_in(anyone, code=f"{code[:3]} {code[3:]}")).status_code == 200, "spaces do not matter"
    problem(await _log_in(anyone, code=code), 422, "second_factor_wrong", "code")
    problem(await _log_in(anyone, code=before), 422, "second_factor_wrong")
    clock.advance(seconds=30)
    assert (await _log_in(anyone, code=app.code())).status_code == 200


async def test_one_code_at_once_from_two_sides_lets_one_in(app: FastAPI, alice: Person, clock: FakeClock) -> None:
    authenticator, _ = await _add_app(alice, clock)
    async with client_of(app) as one, client_of(app, ip="192.0.2.9") as two:
        answers = await asyncio.gather(*(_log_in(client, code=authenticator.code()) for client in (one, two)))
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_a_clock_may_be_off_by_half_a_minute(anyone: httpx.AsyncClient, alice: Person, clock: FakeClock) -> None:
    app, _ = await _add_app(alice, clock)
    problem(await _log_in(anyone, code=app.code(steps=-2)), 422)
    problem(await _log_in(anyone, code=app.code(steps=2)), 422)
    assert (await _log_in(anyone, code=app.code(steps=-1))).status_code == 200
    assert (await _log_in(anyone, code=app.code(steps=1))).status_code == 200


async def test_guesses_are_throttled_also_by_who_knows_the_password(
    app: FastAPI, alice: Person, clock: FakeClock
) -> None:
    """From however many networks, and however often the password alone is sent in between."""
    authenticator, _ = await _add_app(alice, clock)
    wrong = "000000" if authenticator.code() != "000000" else "000001"
    statuses = []
    for number in range(12):
        async with client_of(app, ip=f"192.0.2.{number}") as thief:
            statuses.append((await _log_in(thief, code=wrong)).status_code)
            await _log_in(thief)
    assert statuses == [422] * 10 + [429] * 2
    async with client_of(app) as client:
        refused = await _log_in(client, code=authenticator.code())
        problem(refused, 429, "too_many")
        clock.advance(seconds=int(refused.headers["retry-after"]))
        assert (await _log_in(client, code=authenticator.code())).status_code == 200


async def test_failures_of_the_second_step_are_audited(
    anyone: httpx.AsyncClient, alice: Person, clock: FakeClock, db: Database
) -> None:
    await _add_app(alice, clock)
    await _log_in(anyone, code="recovery-code")
    async with db.read() as tx:
        last = await tx.scalar(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1))
    assert last is not None
    assert (last.action, last.object_name) == ("auth.login", "alice")
    assert last.detail == {"outcome": "failure", "second_factor": True}


async def test_setting_up_takes_the_password_and_what_one_has(
    alice: Person, clock: FakeClock, anyone: httpx.AsyncClient
) -> None:
    """A thief of an open session neither adds a factor of his own nor takes one away."""
    for path in ("/totp", "/passkeys/options", "/recovery-codes", "/totp/remove"):
        refused = await alice.client.post(BASE + path, json={"password": "wrong password"})
        problem(refused, 422, "invalid", "password")
    app, _ = await _add_app(alice, clock)
    problem(await alice.client.post(f"{BASE}/totp", json={**MINE, "code": app.code()}), 409, "has_totp")
    clock.advance(seconds=30)
    for path in ("/passkeys/options", "/recovery-codes", "/totp/remove"):
        problem(await alice.client.post(BASE + path, json=MINE), 403, "second_factor_required")
    assert (await alice.client.post(f"{BASE}/totp/remove", json={**MINE, "code": app.code()})).status_code == 204
    assert (await _log_in(anyone)).status_code == 200
    status = await _ok(await alice.client.get(BASE))
    assert (status["totp_since"], status["recovery_codes_left"]) == (None, 0)
    problem(await alice.client.post(f"{BASE}/totp/remove", json=MINE), 404)
    problem(await alice.client.post(f"{BASE}/recovery-codes", json=MINE), 409, "no_second_factor")
    problem(await alice.client.post(f"{BASE}/totp/confirm", json={"code": "123456"}), 409, "no_totp")


async def test_a_database_that_is_read_gives_no_secret_away(
    alice: Person, clock: FakeClock, anyone: httpx.AsyncClient, app: FastAPI, db: Database
) -> None:
    """With another key than the server's, what is sealed stays sealed: nobody is let in by it."""
    authenticator, codes = await _add_app(alice, clock)
    key = app.state.settings.secret_key_file
    assert key.stat().st_mode & 0o077 == 0
    app.state.settings = Settings(secret_key="another key of at least 32 characters")
    problem(await _log_in(anyone, code=authenticator.code()), 422)
    async with db.read() as tx:
        hashes = [*await tx.scalars(select(RecoveryCode.code_hash))]
    for code in codes:
        assert code not in hashes
        assert code.replace("-", "") not in hashes


# --- recovery codes ------------------------------------------------------------------------------------------------


async def test_a_recovery_code_works_once(anyone: httpx.AsyncClient, alice: Person, clock: FakeClock) -> None:
    _, codes = await _add_app(alice, clock)
    assert (await _log_in(anyone, code=f" {codes[0].upper()} ")).status_code == 200
    problem(await _log_in(anyone, code=codes[0]), 422, "second_factor_wrong")
    assert (await _log_in(anyone, code=codes[1].replace("-", ""))).status_code == 200
    assert (await _ok(await alice.client.get(BASE)))["recovery_codes_left"] == 8


async def test_new_recovery_codes_void_the_old_ones(anyone: httpx.AsyncClient, alice: Person, clock: FakeClock) -> None:
    app, old = await _add_app(alice, clock)
    made = await _ok(await alice.client.post(f"{BASE}/recovery-codes", json={**MINE, "code": app.code()}))
    assert not set(made["recovery_codes"]) & set(old)
    problem(await _log_in(anyone, code=old[0]), 422)
    assert (await _log_in(anyone, code=made["recovery_codes"][0])).status_code == 200


async def test_a_recovery_code_is_its_owners_alone(
    anyone: httpx.AsyncClient, alice: Person, bob: Person, clock: FakeClock
) -> None:
    _, codes = await _add_app(alice, clock)
    await _add_app(bob, clock)
    problem(await _log_in(anyone, "bob", code=codes[0]), 422)
    assert (await _log_in(anyone, code=codes[0])).status_code == 200


# --- passkeys ------------------------------------------------------------------------------------------------------


async def test_a_passkey_is_added_and_lets_its_owner_in(anyone: httpx.AsyncClient, alice: Person, db: Database) -> None:
    key = _authenticator()
    added = await _ok(await _add_passkey(alice, key))
    assert len(added["recovery_codes"]) == 10
    asked = await _asked(anyone)
    assert asked["methods"] == ["passkey", "recovery_code"]
    assert [one["id"] for one in asked["passkey"]["allowCredentials"]] == [key.get(asked["passkey"])["id"]]
    answer = await _log_in(anyone, passkey=key.get(asked["passkey"]))
    assert answer.status_code == 200, answer.text
    (passkey,) = (await _ok(await alice.client.get(BASE)))["passkeys"]
    assert passkey["name"] == "laptop"
    assert passkey["last_used_at"]
    async with db.read() as tx:
        assert await tx.scalar(select(Passkey.sign_count)) == key.uses


async def test_an_answer_of_a_passkey_works_once(anyone: httpx.AsyncClient, alice: Person) -> None:
    key = _authenticator()
    await _ok(await _add_passkey(alice, key))
    answer = key.get((await _asked(anyone))["passkey"])
    assert (await _log_in(anyone, passkey=answer)).status_code == 200
    problem(await _log_in(anyone, passkey=answer), 422, "second_factor_wrong")


async def test_a_challenge_ends(anyone: httpx.AsyncClient, alice: Person, clock: FakeClock, db: Database) -> None:
    key = _authenticator()
    await _ok(await _add_passkey(alice, key))
    asked = (await _asked(anyone))["passkey"]
    clock.advance(minutes=5)
    problem(await _log_in(anyone, passkey=key.get(asked)), 422)
    await _asked(anyone)
    async with db.write() as tx:
        await service.forget_expired(tx, clock.now() + timedelta(minutes=5))
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(PasskeyChallenge)) == 0


async def test_a_forged_answer_is_refused(anyone: httpx.AsyncClient, alice: Person, bob: Person) -> None:
    key = _authenticator()
    await _ok(await _add_passkey(alice, key))
    await _ok(await _add_passkey(bob, _authenticator()))
    forged = {
        "another key": _authenticator(credential_id=key.credential_id, uses=50),
        "another's page": _authenticator(key=key.key, credential_id=key.credential_id, origin="http://evil.example"),
        "another site": _authenticator(key=key.key, credential_id=key.credential_id, rp_id="evil.example"),
        "nobody present": _authenticator(key=key.key, credential_id=key.credential_id, flags=0),
        "an unknown key": _authenticator(),
    }
    for what, other in forged.items():
        answer = await _log_in(anyone, passkey=other.get((await _asked(anyone))["passkey"]))
        assert answer.status_code == 422, what
    anothers = key.get((await _asked(anyone, "bob"))["passkey"])
    problem(await _log_in(anyone, passkey=anothers), 422)
    invented = key.get({"challenge": "AAAA"})
    problem(await _log_in(anyone, passkey=invented), 422)
    broken = key.get((await _asked(anyone))["passkey"])
    broken["response"]["authenticatorData"] = "AAAA"
    problem(await _log_in(anyone, passkey=broken), 422)
    assert (await _log_in(anyone, passkey=key.get((await _asked(anyone))["passkey"]))).status_code == 200


async def test_a_copied_passkey_is_found_out(anyone: httpx.AsyncClient, alice: Person) -> None:
    """Its count falls behind the one that its owner went on using."""
    key = _authenticator()
    await _ok(await _add_passkey(alice, key))
    copy = _authenticator(key=key.key, credential_id=key.credential_id)
    for _ in range(2):
        assert (await _log_in(anyone, passkey=key.get((await _asked(anyone))["passkey"]))).status_code == 200
    problem(await _log_in(anyone, passkey=copy.get((await _asked(anyone))["passkey"])), 422)


async def test_a_passkey_is_added_only_to_the_challenge_that_was_given(alice: Person, bob: Person) -> None:
    options = (await _ok(await alice.client.post(f"{BASE}/passkeys/options", json=MINE)))["options"]
    made = {"name": "x", "credential": _authenticator().create(options)}
    problem(await bob.client.post(f"{BASE}/passkeys", json=made), 422, "passkey_refused", "credential")
    evil = {"name": "x", "credential": _authenticator(origin="http://evil.example").create(options)}
    problem(await alice.client.post(f"{BASE}/passkeys", json=evil), 422, "passkey_refused", "credential")
    await _ok(await alice.client.post(f"{BASE}/passkeys", json=made))
    problem(await alice.client.post(f"{BASE}/passkeys", json=made), 422, "passkey_refused")
    invented = {"name": "x", "credential": _authenticator().create({"challenge": "AAAA"})}
    problem(await alice.client.post(f"{BASE}/passkeys", json=invented), 422, "passkey_refused")


async def test_a_challenge_of_a_login_adds_no_passkey(anyone: httpx.AsyncClient, alice: Person) -> None:
    await _ok(await _add_passkey(alice, _authenticator()))
    made = {"name": "x", "credential": _authenticator().create((await _asked(anyone))["passkey"])}
    problem(await alice.client.post(f"{BASE}/passkeys", json=made), 422, "passkey_refused")


async def test_several_passkeys_and_one_is_removed(anyone: httpx.AsyncClient, alice: Person, bob: Person) -> None:
    first, second = _authenticator(), _authenticator()
    await _ok(await _add_passkey(alice, first))

    async def proof() -> Json:
        return {"passkey": first.get((await _asked(anyone))["passkey"])}

    added = await _ok(await _add_passkey(alice, second, "phone", **await proof()))
    assert added["recovery_codes"] is None, "those of before go on to work"
    problem(await _add_passkey(alice, second, "again", **await proof()), 409)
    listed = (await _ok(await alice.client.get(BASE)))["passkeys"]
    assert [one["name"] for one in listed] == ["laptop", "phone"]
    path = f"{BASE}/passkeys/{listed[1]['id']}/remove"
    problem(await bob.client.post(path, json=MINE), 404)
    problem(await alice.client.post(path, json=MINE), 403, "second_factor_required")
    assert (await alice.client.post(path, json={**MINE, **await proof()})).status_code == 204
    problem(await _log_in(anyone, passkey=second.get((await _asked(anyone))["passkey"])), 422)
    assert (await _log_in(anyone, **await proof())).status_code == 200


async def test_there_is_a_most_of_passkeys(anyone: httpx.AsyncClient, alice: Person, db: Database) -> None:
    key = _authenticator()
    await _ok(await _add_passkey(alice, key))
    async with db.write() as tx:
        for number in range(service.second_factor.MAX_PASSKEYS - 1):
            more = {"name": "x", "credential_hash": str(number), "credential_id": "AAAA", "public_key": "AAAA"}
            tx.add(Passkey(id=f"psk_{number}", user_id=alice.id, **more))
    step = {"passkey": key.get((await _asked(anyone))["passkey"])}
    problem(await alice.client.post(f"{BASE}/passkeys/options", json={**MINE, **step}), 409)


# --- who must have one, and who has lost it ------------------------------------------------------------------------


@pytest.fixture
async def demanding(app: FastAPI) -> AsyncIterator[FastAPI]:
    """A platform that demands a second factor of its operators."""
    settings = app.state.settings
    app.state.settings = settings.model_copy(update={"require_second_factor": "operators"})
    yield app


async def test_by_default_it_is_demanded_of_nobody(operator: Person, anyone: httpx.AsyncClient) -> None:
    session = await _ok(await _log_in(anyone, "admin"))
    assert session["must_set_up_second_factor"] is False
    assert (await operator.client.get("/users")).status_code == 200


async def test_an_operator_without_one_sets_it_up_and_does_nothing_else(
    demanding: FastAPI, operator: Person, alice: Person, clock: FakeClock
) -> None:
    async with client_of(demanding) as browser:
        session = await _ok(await _log_in(browser, "admin"))
        assert session["must_set_up_second_factor"] is True
        browser.headers["X-CSRF-Token"] = session["csrf_token"]
        assert (await _ok(await browser.get("/auth/session")))["must_set_up_second_factor"] is True
        for client in (browser, operator.client):
            for path in ("/users", "/audit-events", "/auth/tokens", f"/users/{operator.id}", "/groups"):
                said = problem(await client.get(path), 403, "second_factor_demanded")
                assert "set-up" in said["cure"]
            for path in ("/users", "/auth/password", f"/users/{alice.id}/freeze", "/auth/session/x"):
                problem(await client.post(path, json={}), 403, "second_factor_demanded")
        assert (await _ok(await browser.get(BASE)))["demanded"] is True
        setup = await _ok(await browser.post(f"{BASE}/totp", json=MINE))
        assert problem(await browser.get("/users"), 403)
        app = App(setup["uri"], clock)
        await _ok(await browser.post(f"{BASE}/totp/confirm", json={"code": app.code()}))
        assert (await browser.get("/users")).status_code == 200
        assert (await _ok(await browser.get("/auth/session")))["must_set_up_second_factor"] is False
        clock.advance(seconds=30)
        last = await browser.post(f"{BASE}/totp/remove", json={**MINE, "code": app.code()})
        problem(last, 409, "second_factor_demanded")
    assert (await operator.client.get("/users")).status_code == 200, "and its tokens work again"
    assert (await alice.client.get("/auth/tokens")).status_code == 200, "others need none"
    async with client_of(demanding) as browser:
        problem(await _log_in(browser, "admin"), 403, "second_factor_required")


async def test_it_can_be_demanded_of_everybody(app: FastAPI, alice: Person) -> None:
    app.state.settings = app.state.settings.model_copy(update={"require_second_factor": "everybody"})
    problem(await alice.client.get("/auth/tokens"), 403, "second_factor_demanded")
    assert (await alice.client.get(BASE)).status_code == 200


async def test_an_operator_resets_anothers(
    app: FastAPI, operator: Person, alice: Person, bob: Person, clock: FakeClock, db: Database
) -> None:
    authenticator, codes = await _add_app(alice, clock)
    async with client_of(app) as browser:
        await _log_in(browser, code=authenticator.code())
        problem(await bob.client.post(f"/users/{alice.id}/reset-second-factor"), 403)
        problem(await alice.client.post(f"/users/{alice.id}/reset-second-factor"), 403)
        shown = await _ok(await operator.client.post(f"/users/{alice.id}/reset-second-factor"))
        assert shown["second_factor"] is False
        problem(await browser.get("/auth/session"), 401)
        browser.cookies.clear()
        assert (await _log_in(browser)).status_code == 200
    problem(await operator.client.post("/users/nobody/reset-second-factor"), 404)
    async with db.read() as tx:
        event = await tx.scalar(select(AuditEvent).where(AuditEvent.action == "user.reset_second_factor"))
        assert event is not None
        assert (event.actor_name, event.object_name) == ("admin", "alice")
        assert await tx.scalar(select(func.count()).select_from(TotpSecret)) == 0
        assert await tx.scalar(select(func.count()).select_from(RecoveryCode)) == 0
    assert codes


async def test_nobody_resets_ones_own(operator: Person, clock: FakeClock) -> None:
    """Else a thief of an operator's session would be rid of it."""
    await _add_app(operator, clock)
    problem(await operator.client.post(f"/users/{operator.id}/reset-second-factor"), 409, "oneself")


async def test_on_the_machine_it_is_forgotten_with_the_failures(
    app: FastAPI, alice: Person, clock: FakeClock, db: Database
) -> None:
    await _add_app(alice, clock)
    async with client_of(app) as browser:
        for _ in range(10):
            problem(await _log_in(browser, code="recovery"), 422)
        problem(await _log_in(browser, code="recovery"), 429)
        async with db.write() as tx:
            await service.unlock(tx, "alice")
        problem(await _log_in(browser, code="recovery"), 422)
        async with db.write() as tx:
            await service.unlock(tx, "alice", with_second_factor=True)
        assert (await _log_in(browser)).status_code == 200
    async with db.read() as tx:
        assert await tx.scalar(select(User.second_factor_at).where(User.id == alice.id)) is None


async def test_a_deleted_user_leaves_nothing(operator: Person, app: FastAPI, clock: FakeClock, db: Database) -> None:
    async with person(app, "carol", Role.RENTER) as carol:
        authenticator, _ = await _add_app(carol, clock)
        await _ok(await _add_passkey(carol, _authenticator(), code=authenticator.code()))
        assert (await operator.client.delete(f"/users/{carol.id}")).status_code == 204
    async with db.read() as tx:
        for table in (TotpSecret, Passkey, RecoveryCode, PasskeyChallenge):
            assert await tx.scalar(select(func.count()).select_from(table)) == 0
