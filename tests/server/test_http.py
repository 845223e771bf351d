"""What holds for every route: problems, cookies, CSRF, Idempotency-Key, events, and the agents' own door."""

import asyncio
import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.support.api import Api, Refused
from tests.support.factories import GB, ObservedReplicaFactory, SiteReportFactory, node_report
from tests.support.served import Served
from utcloud.db import Database
from utcloud.protocol import NodeReport, Phase, SiteReport
from utcloud.server.models import KeptAnswer

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def operator(served: Served) -> Api:
    return served.operator()


def fresh(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


# Problems


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("GET", "/nothing/here", None, 404, None),
        ("PUT", "/groups", {}, 405, None),
        ("GET", "/groups/nope", None, 404, None),
        ("POST", "/groups", {}, 422, "name"),
        ("POST", "/groups", {"name": "x" * 10_000}, 422, "name"),
        ("POST", "/groups", {"name": "a", "nmae": "b"}, 422, "nmae"),
        ("GET", "/groups?limit=0", None, 422, "limit"),
        ("GET", "/groups?limit=100000", None, 422, "limit"),
        ("GET", "/groups?cursor=rubbish", None, 422, "cursor"),
        ("GET", "/notebooks?state=asleep", None, 422, "state"),
        ("GET", "/notebooks?search=" + "x" * 1000, None, 422, "search"),
        ("GET", "/notebooks?search=%00", None, 422, "search"),
        ("GET", "/notebooks/%00", None, 422, "notebook_id"),
        ("POST", "/replicas/a%00b/stop", {"reason": "x"}, 422, "replica_id"),
        ("POST", "/notebooks", {"name": "a", "image_id": "\0", "pool_id": "p", "spec_id": "s"}, 422, "image_id"),
        ("PUT", "/groups/grp_x/quota", {"resources": {"": "1"}}, 422, "resources"),
    ],
)
def test_every_error_is_a_problem(
    operator: Api, method: str, path: str, body: object, status: int, field: str | None
) -> None:
    answer = operator.http.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["code"]
    if field:
        assert problem["field"].partition(".")[0] == field
        assert problem["cure"]
        assert problem["errors"][0]["field"].partition(".")[0] == field


def test_what_cannot_be_is_told_in_words(operator: Api) -> None:
    """No regular expression is shown to anybody."""
    answer = operator.http.post("/users", json={"username": "Not A Name", "email": "at home", "display_name": "\u202e"})
    told = {error["field"]: error["detail"] for error in answer.json()["errors"]}
    assert told["username"].startswith("write lower-case letters, digits")
    assert "alice@example.org" in told["email"]
    assert told["display_name"] == "it has characters that cannot be seen"
    assert "^" not in answer.text


def test_several_at_once_make_no_fault(served: Served, operator: Api) -> None:
    """The same wish from several sides is fulfilled once; what cannot both be is refused, never broken."""
    user = operator.post("/users", {"username": fresh("wanted")})
    group = operator.post("/groups", {"name": fresh("wanting")})
    sides = [served.operator() for _ in range(4)]

    def at_once(method: str, path: str, body: Any = None) -> set[int]:
        with ThreadPoolExecutor(len(sides)) as threads:
            calls = [threads.submit(side.http.request, method, path, json=body) for side in sides]
        return {call.result().status_code for call in calls}

    members, member = f"/groups/{group['id']}/members", f"/groups/{group['id']}/members/{user['id']}"
    assert at_once("POST", members, {"username": user["username"]}) == {201}
    assert at_once("PUT", member, {"role": "manager"}) == {200}
    operator.delete(member)
    assert at_once("PATCH", f"/users/{user['id']}", {"group_ids": [group["id"]]}) == {200}
    operator.delete(member)
    assert at_once("PATCH", f"/groups/{group['id']}", {"manager_ids": [user["id"]]}) == {200}
    assert [one["role"] for one in operator.get(f"/groups/{group['id']}")["members"]] == ["manager"]
    assert at_once("DELETE", f"/groups/{group['id']}") == {204, 404}
    assert at_once("DELETE", f"/users/{user['id']}") == {204, 404}
    gone = operator.all("/audit-events", object_id=user["id"], action="user.delete")
    assert len(gone) == 1


def test_all_faults_are_told_at_once(operator: Api) -> None:
    answer = operator.http.post("/specs", json={"name": "", "price": "-1", "items": []})
    assert {one["field"] for one in answer.json()["errors"]} == {"name", "price", "items"}


def test_who_is_nobody_gets_401(served: Served) -> None:
    anonymous = served.anonymous()
    for path in ("/users", "/notebooks", "/wallets/mine", "/events", "/auth/session"):
        answer = anonymous.http.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    wrong = Api(served.origin, "localhost", "utc_wrong")
    assert wrong.http.get("/users").status_code == 401
    assert anonymous.http.get("/openapi.json").status_code == 200


# Sessions


@pytest.fixture
def browser(served: Served) -> Iterator[httpx.Client]:
    """A logged-in browser, its cookie in the jar."""
    with httpx.Client(base_url=f"{served.origin}/api/v1", timeout=30) as client:
        answer = client.post("/auth/session", json={"username": "admin", "password": served.password})
        assert answer.status_code in (200, 201)
        client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield client


def test_the_cookie_is_kept_from_scripts_and_other_sites(served: Served) -> None:
    answer = httpx.post(f"{served.origin}/api/v1/auth/session", json={"username": "admin", "password": served.password})
    cookie = answer.headers["set-cookie"]
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert cookie.startswith("utcloud_session=")
    assert "httponly" in flags
    assert "samesite=strict" in flags
    assert "path=/" in flags or any(flag.startswith("path=/") for flag in flags)
    assert not any(flag.startswith("domain") for flag in flags)
    assert served.password not in answer.text


def test_changes_by_cookie_need_the_csrf_token(browser: httpx.Client) -> None:
    name = fresh("csrf")
    token = browser.headers.pop("X-CSRF-Token")
    assert browser.get("/groups").status_code == 200, "reading needs none"
    for value in (None, "wrong", ""):
        headers = {} if value is None else {"X-CSRF-Token": value}
        answer = browser.post("/groups", json={"name": name}, headers=headers)
        assert answer.status_code == 403, value
        assert answer.headers["content-type"] == "application/problem+json"
    assert browser.post("/groups", json={"name": name}, headers={"X-CSRF-Token": token}).status_code == 201


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_what_a_replicas_page_sends_carries_no_session(browser: httpx.Client, site: str) -> None:
    """On a domain its requests come with the console's cookie; even one that knows the CSRF token does nothing."""
    for mode in ("no-cors", "cors", "websocket"):
        foreign = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        assert browser.get("/auth/session", headers=foreign).status_code == 401
    posted = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert browser.post("/groups", json={"name": fresh("csrf")}, headers=posted).status_code == 401
    assert browser.get("/auth/session", headers=posted).status_code == 200, "a link that somebody follows"
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert browser.get("/auth/session", headers=own).status_code == 200


def test_what_another_origin_sends_carries_no_session(served: Served, browser: httpx.Client) -> None:
    """A second wall: an old browser says nothing of the site, and ``Origin`` all the same."""
    for origin in (
        "null",
        "https://evil.example",
        "http://x.apps.localhost:8080",
        f"https{served.origin.removeprefix('http')}",
        f"{served.origin}.evil.example",
        served.origin.rpartition(":")[0],
        "",
    ):
        assert browser.post("/groups", json={"name": fresh("csrf")}, headers={"Origin": origin}).status_code == 401
        assert browser.get("/auth/session", headers={"Origin": origin}).status_code == 401, origin
    own = {"Origin": served.origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert browser.post("/groups", json={"name": fresh("csrf")}, headers=own).status_code == 201


def test_another_sessions_csrf_token_does_not_do(served: Served, browser: httpx.Client) -> None:
    other = httpx.post(f"{served.origin}/api/v1/auth/session", json={"username": "admin", "password": served.password})
    headers = {"X-CSRF-Token": other.json()["csrf_token"]}
    assert browser.post("/groups", json={"name": fresh("csrf")}, headers=headers).status_code == 403


def test_after_logout_the_cookie_opens_nothing(browser: httpx.Client) -> None:
    assert browser.get("/auth/session").status_code == 200
    assert browser.delete("/auth/session").status_code == 204
    assert browser.get("/auth/session").status_code == 401


def test_a_revoked_token_opens_nothing(served: Served, operator: Api) -> None:
    other = served.operator()
    mine = next(one for one in operator.all("/auth/tokens") if one["revoked_at"] is None)
    assert mine["hint"]
    newest = max(operator.all("/auth/tokens"), key=lambda one: one["created_at"])
    operator.delete(f"/auth/tokens/{newest['id']}")
    assert other.http.get("/users").status_code == 401


# Idempotency-Key


def test_the_same_key_answers_the_same_again(operator: Api) -> None:
    key, body = {"Idempotency-Key": fresh("key")}, {"name": fresh("once")}
    first = operator.http.post("/groups", json=body, headers=key)
    again = operator.http.post("/groups", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len([one for one in operator.all("/groups") if one["name"] == body["name"]]) == 1


def test_a_refusal_is_replayed_too(operator: Api) -> None:
    key = {"Idempotency-Key": fresh("key")}
    first = operator.http.post("/groups", json={"name": ""}, headers=key)
    again = operator.http.post("/groups", json={"name": ""}, headers=key)
    assert first.status_code == again.status_code == 422
    assert again.headers["content-type"] == "application/problem+json"


def test_a_key_belongs_to_one_call_and_one_caller(served: Served, operator: Api) -> None:
    key = {"Idempotency-Key": fresh("key")}
    assert operator.http.post("/groups", json={"name": fresh("a")}, headers=key).status_code == 201
    other = operator.http.post("/groups", json={"name": fresh("b")}, headers=key)
    assert other.status_code == 422
    assert other.json()["field"] == "Idempotency-Key"
    renter = served.person(fresh("keys"))
    assert renter.http.post("/algorithms", json={"name": "mine"}, headers=key).status_code == 201


def test_what_is_kept_can_be_read_only_with_the_key(served: Served, operator: Api) -> None:
    key, body = {"Idempotency-Key": fresh("key")}, {"username": fresh("kept"), "roles": ["renter"]}
    first = operator.http.post("/users", json=body, headers=key).json()
    assert first == operator.http.post("/users", json=body, headers=key).json()

    async def kept() -> Sequence[KeptAnswer]:
        db = Database(served.settings.database)
        try:
            async with db.read() as tx:
                return (await tx.scalars(select(KeptAnswer))).all()
        finally:
            await db.close()

    rows = asyncio.run(kept())
    assert rows
    for secret in (first["initial_password"], first["username"], key["Idempotency-Key"]):
        assert not [row for row in rows if secret in f"{row.key} {row.request_hash} {row.body!r}"]


def test_a_key_has_a_sensible_length(operator: Api) -> None:
    answer = operator.http.post("/groups", json={"name": fresh("x")}, headers={"Idempotency-Key": "k" * 256})
    assert answer.status_code == 422


# Events


def test_a_change_sends_an_event_to_those_who_may_see_it(served: Served, operator: Api) -> None:
    """The miner hears of it, another renter hears nothing."""
    heard: dict[str, list[str]] = {"operator": [], "renter": []}
    ready = {name: threading.Event() for name in heard}
    changed = threading.Event()
    stop = threading.Event()

    def listen(name: str, api: Api) -> None:
        try:
            with api.http.stream("GET", "/events", timeout=httpx.Timeout(10, read=2)) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                for line in stream.iter_lines():
                    if line == "event: hello":
                        ready[name].set()
                    elif line == "event: changed":
                        heard[name].append(line)
                        if name == "operator":
                            changed.set()
                    if stop.is_set():
                        return
        except httpx.ReadTimeout:
            return

    renter = served.person(fresh("deaf"))
    threads = [
        threading.Thread(target=listen, args=(name, api), daemon=True)
        for name, api in (("operator", served.operator()), ("renter", renter))
    ]
    for thread in threads:
        thread.start()
    assert all(event.wait(5) for event in ready.values())
    report(served, served.site_token, SiteReportFactory.build(sent_at=datetime.now(UTC), nodes=[node("node-events")]))
    assert changed.wait(3), "no event within three seconds"
    stop.set()
    for thread in threads:
        thread.join(5)
    assert heard["renter"] == []


# Agents


def node(name: str) -> NodeReport:
    return node_report(name, cpu=4000, memory=8 * GB)


def report(served: Served, token: str, body: SiteReport) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return httpx.post(f"{served.origin}/api/v1/agent/reports", content=body.model_dump_json(), headers=headers)


@pytest.mark.parametrize("path", ["desired", "manifests/ver_x", "blobs/" + "0" * 64])
def test_agents_need_their_sites_token(served: Served, operator: Api, path: str) -> None:
    user_token = str(operator.http.headers["Authorization"])
    for authorization in ("", "Bearer", "Bearer wrong", user_token, "Basic YTpi"):
        headers = {"Authorization": authorization} if authorization else {}
        answer = httpx.get(f"{served.origin}/api/v1/agent/{path}", headers=headers)
        assert answer.status_code == 401, (path, authorization)
        assert answer.headers["content-type"] == "application/problem+json"
    assert report(served, "wrong", SiteReportFactory.build(sent_at=datetime.now(UTC))).status_code == 401


def test_a_sites_token_opens_nothing_else(served: Served) -> None:
    intruder = Api(served.origin, "localhost", served.site_token)
    for path in ("/users", "/notebooks", "/sites", "/wallets/mine"):
        assert intruder.http.get(path).status_code == 401


def test_one_site_neither_sees_nor_moves_anothers_work(served: Served, operator: Api) -> None:
    """Another site's word about an attempt is not believed; its desired state shows it nothing."""
    report(served, served.site_token, SiteReportFactory.build(sent_at=datetime.now(UTC), nodes=[node("node-own")]))
    items = [{"resource": "cpu", "quantity": "0.5"}]
    pool = next(one for one in operator.all("/pools") if one["is_default"])
    spec = operator.post("/specs", {"name": fresh("cpu"), "price": "1", "items": items})
    image = operator.all("/images")[0]
    wallet = operator.get("/wallets/mine")
    operator.post("/recharges", {"wallet_id": wallet["id"], "amount": "10"})
    ids = {"image_id": image["id"], "pool_id": pool["id"], "spec_id": spec["id"]}
    made = operator.post("/notebooks", {"name": fresh("own"), **ids})
    desired = _desired(served, served.site_token)
    (wish,) = [one for one in desired["replicas"] if one["workload_id"] == made["id"]]
    rival = operator.post("/sites", {"name": fresh("rival")})["token"]
    assert _desired(served, rival)["replicas"] == []
    lie = ObservedReplicaFactory.build(
        replica_id=wish["replica_id"],
        attempt_id=wish["attempt_id"],
        phase=Phase.ENDED,
        exit_code=1,
        ended_at=datetime.now(UTC),
    )
    assert report(served, rival, SiteReportFactory.build(sent_at=datetime.now(UTC), replicas=[lie])).status_code == 200
    assert operator.notebook(made["id"])["state"] == "assigned"
    operator.post(f"/notebooks/{made['id']}/stop")
    truth = lie.model_copy(update={"exit_code": 0})
    report(
        served,
        served.site_token,
        SiteReportFactory.build(sent_at=datetime.now(UTC), nodes=[node("node-own")], replicas=[truth]),
    )
    assert operator.notebook(made["id"])["state"] == "stopped"


def test_a_site_gets_only_the_files_that_its_work_needs(served: Served, operator: Api, tmp_path: Path) -> None:
    """Another miner's site cannot fetch a renter's code, though it may know its name and its hash."""
    report(served, served.site_token, SiteReportFactory.build(sent_at=datetime.now(UTC), nodes=[node("node-own")]))
    (tmp_path / "secret.py").write_text(f"print({fresh('secret')!r})\n")
    algorithm = operator.upload_folder(fresh("code"), tmp_path)
    version = operator.get(f"/algorithms/{algorithm['id']}/versions/1")["id"]
    (file,) = operator.all(f"/algorithms/{algorithm['id']}/versions/1/files")
    paths = [f"manifests/{version}", f"blobs/{file['sha256']}"]
    rival = operator.post("/sites", {"name": fresh("rival")})["token"]

    def statuses(token: str) -> list[int]:
        headers = {"Authorization": f"Bearer {token}"}
        return [httpx.get(f"{served.origin}/api/v1/agent/{path}", headers=headers).status_code for path in paths]

    assert statuses(served.site_token) == [404, 404], "nothing on the site needs it yet"
    pool = next(one for one in operator.all("/pools") if one["is_default"])
    items = [{"resource": "cpu", "quantity": "0.1"}]
    spec = operator.post("/specs", {"name": fresh("free"), "price": "0", "items": items})
    ids = {"image_id": operator.all("/images")[0]["id"], "pool_id": pool["id"], "spec_id": spec["id"]}
    made = operator.post("/notebooks", {"name": fresh("needs"), "algorithm_id": algorithm["id"], **ids})
    assert operator.notebook(made["id"])["state"] == "assigned"
    assert statuses(served.site_token) == [200, 200]
    assert statuses(rival) == [404, 404]


def test_a_removed_sites_token_opens_nothing(served: Served, operator: Api) -> None:
    made = operator.post("/sites", {"name": fresh("short-lived")})
    assert _desired(served, made["token"])["site_id"] == made["id"]
    operator.delete(f"/sites/{made['id']}")
    with pytest.raises(Refused) as caught:
        operator.get(f"/sites/{made['id']}")
    assert caught.value.status == 404
    assert _desired(served, made["token"])["replicas"] == [], "it only hears that nothing is wanted"
    for path in ("manifests/ver_1", f"blobs/{'0' * 64}"):
        answer = httpx.get(f"{served.origin}/api/v1/agent/{path}", headers={"Authorization": f"Bearer {made['token']}"})
        assert answer.status_code == 401


def test_the_desired_state_comes_at_once_when_it_changes(served: Served, operator: Api) -> None:
    """The long poll is released by the commit, not by its end."""
    report(served, served.site_token, SiteReportFactory.build(sent_at=datetime.now(UTC), nodes=[node("node-own")]))
    pool = next(one for one in operator.all("/pools") if one["is_default"])
    items = [{"resource": "cpu", "quantity": "0.1"}]
    spec = operator.post("/specs", {"name": fresh("tiny"), "price": "0", "items": items})
    ids = {"image_id": operator.all("/images")[0]["id"], "pool_id": pool["id"], "spec_id": spec["id"]}
    revision = _desired(served, served.site_token)["revision"]
    answered = threading.Event()
    got: list[dict[str, Any]] = []

    def poll() -> None:
        got.append(_desired(served, served.site_token, after=revision, wait=30))
        answered.set()

    threading.Thread(target=poll, daemon=True).start()
    assert not answered.wait(0.3)
    made = operator.post("/notebooks", {"name": fresh("poll"), **ids})
    assert answered.wait(2), "the long poll was not released"
    assert made["id"] in json.dumps(got)


def _desired(served: Served, token: str, after: int = -1, wait: float = 0) -> dict[str, Any]:
    answer = httpx.get(
        f"{served.origin}/api/v1/agent/desired",
        params={"after": after, "wait": wait},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    found: dict[str, Any] = answer.raise_for_status().json()
    return found
