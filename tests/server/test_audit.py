"""Every change leaves a trace: no route that changes anything may forget the audit trail."""

import ast
import functools
import inspect
import secrets
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from tests.support.api import Api
from tests.support.served import Served
from utcloud.accounts import audit
from utcloud.common.settings import Settings
from utcloud.server.app import create_app

pytestmark = pytest.mark.postgres

CHANGE_NOTHING = {"preview_spec", "create_estimate"}
"""Asked by POST because their question is long."""
RECORDED_OTHERWISE = {
    "create_upload": "a part of a version, whose publishing is recorded",
    "append_to_upload": "a part of a version, whose publishing is recorded",
    "delete_upload": "a part of a version, whose publishing is recorded",
    "see_notices": "says only that one has read them",
}


# No route forgets it


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(home=Path("/nonexistent")))


@pytest.fixture(scope="module")
def endpoints(app: FastAPI) -> dict[str, Callable[..., Any]]:
    """Every route's function by its operation's name."""

    def walk(found: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
        for route in found:
            if isinstance(route, APIRoute):
                yield route.name, route.endpoint
            elif router := getattr(route, "original_router", None):
                yield from walk(router.routes)

    return dict(walk(app.routes))


@functools.cache
def named_in(function: Callable[..., Any]) -> frozenset[Callable[..., Any]]:
    """Our own functions that ``function`` names, be it to call them or to hand them on."""
    function = inspect.unwrap(function)
    names = function.__globals__

    def meaning(node: ast.AST) -> Any:
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(owner := meaning(node.value), ModuleType):
            return getattr(owner, node.attr, None)
        return None

    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = (meaning(node) for node in ast.walk(tree))
    return frozenset(one for one in found if inspect.isfunction(one) and one.__module__.startswith("utcloud."))


def records(function: Callable[..., Any]) -> bool:
    """Whether ``audit.record`` can be reached from ``function``."""
    seen: set[Callable[..., Any]] = set()
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if one is audit.record:
            return True
        if one not in seen:
            seen.add(one)
            waiting += named_in(one)
    return False


def test_every_changing_route_records_what_it_does(app: FastAPI, endpoints: dict[str, Callable[..., Any]]) -> None:
    changing = {
        operation["operationId"]
        for methods in app.openapi()["paths"].values()
        for method, operation in methods.items()
        if method not in ("get", "head", "options")
    }
    assert len(changing) > 60
    silent = {name for name in changing if not records(endpoints[name])}
    assert silent - CHANGE_NOTHING - set(RECORDED_OTHERWISE) == set()


@pytest.mark.parametrize("name", ["list_users", "get_group", "get_user_quota", "list_specs", "list_audit_events"])
def test_looking_records_nothing(endpoints: dict[str, Callable[..., Any]], name: str) -> None:
    """So what the test above finds is not simply everywhere."""
    assert not records(endpoints[name])


# With all rooms together


@pytest.fixture(scope="module")
def operator(served: Served) -> Api:
    return served.operator()


def fresh(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def test_a_miner_reads_what_an_operator_did_to_his(served: Served, operator: Api) -> None:
    miner, other = served.person(fresh("mary"), "miner"), served.person(fresh("moss"), "miner")
    pool = miner.post("/pools", {"name": fresh("pool")})
    operator.patch(f"/pools/{pool['id']}", {"description": "renamed by us"})
    operator.delete(f"/pools/{pool['id']}")
    seen = [(event["actor_name"], event["action"]) for event in miner.all("/audit-events", object_type="pool")]
    assert ("admin", "pool.update") in seen
    assert ("admin", "pool.delete") in seen
    assert other.all("/audit-events", object_type="pool") == []


def test_the_first_grant_is_a_recharge_by_the_approver(served: Served, operator: Api) -> None:
    name, password = fresh("nina"), "correct horse battery"
    served.anonymous().post("/applications", {"username": name, "password": password})
    (application,) = operator.all("/applications", search=name)
    for _ in range(2):
        operator.post(f"/applications/{application['id']}/approve", {"grant": "12.5", "note": "welcome"})
    nina = served.anonymous().login(name, password)
    assert nina.get("/wallets/mine")["balance"] == "12.5"
    (recharge,) = nina.all("/recharges")
    assert (recharge["amount"], recharge["actor_name"]) == ("12.5", "admin")
    assert recharge["note"] == "first grant, with the approval of the application; welcome"


def test_an_invitation_brings_its_grant(served: Served, operator: Api) -> None:
    made = operator.post("/invitations", {"grant": "3"})
    name, password = fresh("ida"), "correct horse battery"
    served.anonymous().post("/invitations/accept", {"code": made["code"], "username": name, "password": password})
    ida = served.anonymous().login(name, password)
    (recharge,) = ida.all("/recharges")
    assert (recharge["amount"], recharge["actor_name"]) == ("3", "admin")
    assert "invitation" in recharge["note"]


def test_no_event_holds_a_secret(served: Served, operator: Api) -> None:
    name = fresh("sam")
    made = operator.post("/users", {"username": name})
    reset = operator.post(f"/users/{made['id']}/reset-password")
    invited = operator.post("/invitations", {})
    token = served.anonymous().post("/auth/tokens", {"username": name, "password": reset["password"]})
    site = operator.post("/sites", {"name": fresh("site")})
    file = operator.http.get("/audit-events", params={"format": "jsonl"}).text
    for secret in (made["initial_password"], reset["password"], invited["code"], token["token"], site["token"]):
        assert secret not in file


def test_freezing_says_why(served: Served, operator: Api) -> None:
    name, password = fresh("fred"), "correct horse battery"
    user = operator.post("/users", {"username": name, "password": password})
    operator.post(f"/users/{user['id']}/freeze", {"running": "keep", "reason": "bill not paid"})
    answer = served.anonymous().http.post("/auth/session", json={"username": name, "password": password})
    assert (answer.status_code, answer.json()["code"]) == (403, "frozen")
    assert "bill not paid" in answer.json()["detail"]
    assert operator.get(f"/users/{user['id']}")["frozen_reason"] == "bill not paid"
