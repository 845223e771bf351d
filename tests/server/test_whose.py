"""Whose things are whose: strangers, two clicks at once, and deleting what is in use."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.good_bodies import good_bodies
from tests.support.api import Api, Json, Refused
from tests.support.cloud import Cloud

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def algorithm(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Json:
    folder: Path = tmp_path_factory.mktemp("example")
    (folder / "infer.py").write_text("print(1)\n")
    return cloud.renter.upload_folder("example", folder)


def test_another_tenants_things_do_not_exist(cloud: Cloud, algorithm: Json) -> None:
    """Reading, changing, using or deleting: the same 404 as for what never was."""
    _, stranger = cloud.add_renter("foreign", "10")
    notebook = cloud.create(f"mine-{secrets.token_hex(3)}", start=False)
    mine = {
        f"/notebooks/{notebook['id']}": ("GET", "DELETE"),
        f"/notebooks/{notebook['id']}/start": ("POST",),
        f"/notebooks/{notebook['id']}/stop": ("POST",),
        f"/notebooks/{notebook['id']}/open": ("POST",),
        f"/algorithms/{algorithm['id']}": ("GET", "DELETE"),
        f"/algorithms/{algorithm['id']}/versions/1": ("GET", "DELETE"),
        f"/algorithms/{algorithm['id']}/versions/1/files": ("GET",),
        f"/algorithms/{algorithm['id']}/versions/1/files/content?path=infer.py": ("GET",),
        f"/wallets/{cloud.wallet(cloud.user['id'])['id']}": ("GET",),
    }
    for path, methods in mine.items():
        for method in methods:
            with pytest.raises(Refused) as caught:
                stranger.call(method, path)
            assert caught.value.status == 404, (method, path)
    with pytest.raises(Refused) as caught:
        stranger.post("/notebooks", cloud.wish("theft", algorithm_id=algorithm["id"]))
    assert (caught.value.status, caught.value.problem["field"]) in ((404, "algorithm_id"), (422, "algorithm_id"))
    for path in ("/notebooks", "/algorithms", "/charges", "/recharges"):
        own = [one for one in stranger.all(path) if one.get("visibility") != "preset"]
        assert own == [] or path == "/recharges", path
    assert {one["owner_id"] for one in stranger.all("/recharges")} == {stranger.get("/wallets/mine")["owner_id"]}
    outsider = cloud.operator.post("/users", {"username": f"outsider-{secrets.token_hex(3)}"})
    outside = cloud.stack.anonymous().login(outsider["username"], outsider["initial_password"])
    with pytest.raises(Refused) as caught:
        outside.post("/notebooks", cloud.wish("no-group"))
    assert caught.value.problem["field"] == "pool_id"


def test_a_renter_may_not_do_an_operators_work(cloud: Cloud) -> None:
    for path, (api, body) in good_bodies(cloud).items():
        if api is not cloud.operator or path == "/auth/tokens":
            continue
        with pytest.raises(Refused) as caught:
            cloud.renter.post(path, body)
        assert caught.value.status in (403, 404), path


# Two clicks at once


def test_two_clicks_with_one_key_make_one_notebook(cloud: Cloud) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = cloud.wish(f"twice-{secrets.token_hex(3)}", spec_id=cloud.small["id"], start=False)

    def click(_: int) -> int:
        answer = cloud.renter.http.post("/notebooks", json=body, headers=key)
        return answer.status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(click, range(6)))
    assert statuses[0] == 201
    assert set(statuses) <= {201, 409}
    replay = cloud.renter.http.post("/notebooks", json=body, headers=key)
    assert replay.status_code == 201
    assert replay.headers["idempotency-replayed"] == "true"
    assert len([one for one in cloud.renter.all("/notebooks") if one["name"] == body["name"]]) == 1
    other = cloud.renter.http.post("/notebooks", json=body | {"name": "else"}, headers=key)
    assert other.status_code == 422, "the same key for another call"


def test_two_clicks_without_a_key_make_one_of_a_name(cloud: Cloud) -> None:
    for path, (api, body) in good_bodies(cloud).items():
        if path in ("/recharges", "/auth/tokens"):
            continue

        def click(_: int, api: Api = api, path: str = path, body: Json = body) -> int:
            return api.http.post(path, json=body).status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(click, range(4)))
        assert statuses == [201, 409, 409, 409], path


def test_two_recharges_with_one_key_are_one(cloud: Cloud) -> None:
    user, api = cloud.add_renter("clicker")
    body = {"wallet_id": cloud.wallet(user["id"])["id"], "amount": "7", "note": "once"}
    key = {"Idempotency-Key": secrets.token_hex(8)}

    def click(_: int) -> int:
        return cloud.operator.http.post("/recharges", json=body, headers=key).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(click, range(6)))
    assert statuses[0] == 201
    assert set(statuses) <= {201, 409}
    assert api.get("/wallets/mine")["balance"] == "7"


# Deleting what is in use


def in_use(api: Api, path: str, *by: str) -> None:
    """Deletion is refused, and the answer names who uses it."""
    with pytest.raises(Refused) as caught:
        api.delete(path)
    problem = caught.value.problem
    assert caught.value.status == 409, problem
    said = json.dumps(problem, ensure_ascii=False)
    assert any(one in said for one in by), f"{path}: says not by whom ({by}): {said}"
    assert problem["cure"], path
    api.get(path if "/versions/" not in path else path.partition("/versions/")[0])


def test_deleting_what_is_in_use_says_by_whom(cloud: Cloud, algorithm: Json) -> None:
    name = f"user-of-all-{secrets.token_hex(3)}"
    made = cloud.create(name, algorithm_id=algorithm["id"], spec_id=cloud.small["id"])
    cloud.renter.wait_state(made["id"], "running")
    pool = cloud.pool["name"]
    in_use(cloud.renter, f"/notebooks/{made['id']}", name)
    in_use(cloud.renter, f"/algorithms/{algorithm['id']}", name)
    in_use(cloud.renter, f"/algorithms/{algorithm['id']}/versions/1", name)
    in_use(cloud.operator, f"/specs/{cloud.small['id']}", pool, name)
    in_use(cloud.operator, f"/specs/{cloud.spec['id']}", pool)
    in_use(cloud.operator, f"/pools/{cloud.pool['id']}", name, cloud.user["username"], "notebook")
    in_use(cloud.operator, f"/groups/{cloud.group['id']}", pool)
    in_use(cloud.operator, f"/users/{cloud.user['id']}", name, "notebook", "algorithm")
    in_use(cloud.operator, f"/custom-resources/{cloud.resource['id']}", cloud.spec["name"])
    site = cloud.operator.all("/sites")[0]
    in_use(cloud.operator, f"/sites/{site['id']}", "replica")
    with pytest.raises(Refused) as caught:
        cloud.operator.delete(f"/images/{cloud.image['id']}")
    assert caught.value.status == 409
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")


def test_what_is_not_in_use_can_be_deleted(cloud: Cloud) -> None:
    for path, (api, body) in good_bodies(cloud).items():
        if path in ("/recharges", "/auth/tokens"):
            continue
        ident = api.post(path, body)["id"]
        api.delete(f"{path}/{ident}")
        with pytest.raises(Refused) as caught:
            api.get(f"{path}/{ident}") if path not in ("/images",) else api.delete(f"{path}/{ident}")
        assert caught.value.status == 404, path
