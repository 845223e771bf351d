"""Several miners and renters on one platform: every route is tried with others' ids, every list is read for them."""

import functools
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api, Json
from tests.support.authenticator import Authenticator
from tests.support.factories import GB, SiteReportFactory, node_report
from tests.support.served import Served
from utcloud.common.settings import Settings
from utcloud.server.app import create_app

pytestmark = pytest.mark.postgres

PEOPLE = {"ann": "miner", "bert": "miner", "rita": "renter", "rolf": "renter"}
"""Rita works on Ann's hardware; Bert and Rolf have nothing to do with either."""
LOOK = {"get_group", "get_group_quota"}
"""A miner sees all groups: he binds pools to them."""
RENTERS = {"get_user", "get_wallet", "list_caps"}
"""Of those who rent from him a miner sees who they are; as he may recharge, also wallets of groups of his pools."""
MAY = {
    "ann": LOOK | RENTERS | {"get_order", "list_order_entries", "stop_work"},
    "bert": LOOK,
    "rita": {"list_prices"},
    "rolf": set(),
}
"""What each of them may do with what is not his: Ann with Rita's work, Rita with what Ann offers to her."""
READ_BY_MINERS = {"list_groups"}
ADDRESS = "10.1.2.3"
PASSWORD = "a long enough password"
BODIES: dict[str, Json] = {
    "set_site_networks": {"networks": ["10.7.0.0/16"]},
    "decide_held_earnings": {"to": "miner", "reason": "because"},
    "add_group_member": {"username": "someone"},
    "drain_node": {"reason": "because"},
    "move_node": {"pool_id": "pool_x"},
    "put_cap": {"daily": "1"},
    "put_group_member": {"role": "manager"},
    "rate_order": {"stars": 1},
    "remove_passkey": {"password": "x"},
    "reject_application": {"reason": "because"},
    "stop_work": {"reason": "because"},
    "update_wallet": {"low_balance": "1"},
}
"""Good bodies of operations to which an empty one says nothing."""
TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


@dataclass
class Platform:
    people: dict[str, Api]
    ids: dict[str, dict[str, str]]
    """Whose → parameter of an address → id."""
    hidden: dict[str, set[str]]
    """From whom → what must not be read: ids, names, an address."""


@pytest.fixture(scope="module")
def platform(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    operator = served.operator()
    mark, run = secrets.token_hex(4), secrets.token_hex(4)
    people, users = {}, {}
    for name, role in PEOPLE.items():
        users[name] = operator.post("/users", {"username": f"{name}-{run}", "roles": [role]})
        people[name] = served.anonymous().login(users[name]["username"], users[name]["initial_password"])
    group = operator.post("/groups", {"name": f"group-{mark}", "user_ids": [users["rita"]["id"]]})
    hardware, offered = _hardware(served, people["ann"], group["id"], mark)
    image_id = operator.all("/images")[0]["id"]
    wallet = people["rita"].get("/wallets/mine")
    operator.post("/recharges", {"wallet_id": wallet["id"], "amount": "10"})
    folder = tmp_path_factory.mktemp("code")
    (folder / "secret.py").write_text(f"print('private-{mark}')\n")
    work, private = _work(people["rita"], {**offered, "image_id": image_id}, folder, mark)
    private["passkey_id"] = _passkey(served, people["rita"], users["rita"]["initial_password"])
    work |= {"wallet_id": wallet["id"], "user_id": users["rita"]["id"], "group_id": group["id"]}
    invitation = operator.post("/invitations", {"email": f"friend-{mark}@example.org"})
    served.anonymous().post("/applications", {"username": f"asks-{mark}", "password": PASSWORD})
    (application,) = operator.all("/applications", search=mark)
    platform_ids = {"image_id": image_id, "invitation_id": invitation["id"], "application_id": application["id"]}
    platform_ids["miner_id"] = users["ann"]["id"]

    not_for_renters = {hardware[key] for key in ("site_id", "node_id", "pool_id", "resource_id")} | {ADDRESS}
    all_of_it = {*hardware.values(), *work.values(), *private.values(), ADDRESS, mark}
    hidden = {
        "ann": {*private.values()},
        "bert": all_of_it,
        "rita": not_for_renters,
        "rolf": all_of_it,
    }
    return Platform(people, {"ann": hardware, "rita": work | private, "operator": platform_ids}, hidden)


def _passkey(served: Served, rita: Api, password: str) -> str:
    """The id of a passkey of Rita's."""
    key = Authenticator(served.settings.console_origin, "localhost")
    begun = rita.post("/auth/second-factor/passkeys/options", {"password": password})
    rita.post("/auth/second-factor/passkeys", {"name": "key", "credential": key.create(begun["options"])})
    return str(rita.get("/auth/second-factor")["passkeys"][0]["id"])


def _hardware(served: Served, ann: Api, group_id: str, mark: str) -> tuple[dict[str, str], dict[str, str]]:
    """Ann's things, and what she offers to a group."""
    site = ann.post("/sites", {"name": f"site-{mark}"})
    seen = node_report(f"node-{mark}", cpu=4000, memory=8 * GB, ip=ADDRESS)
    body = SiteReportFactory.build(sent_at=datetime.now(UTC), nodes=[seen]).model_dump_json()
    headers = {"Authorization": f"Bearer {site['token']}", "Content-Type": "application/json"}
    assert httpx.post(f"{served.origin}/api/v1/agent/reports", content=body, headers=headers).is_success
    spec = ann.post("/specs", {"name": f"spec-{mark}", "price": "1", "items": [{"resource": "cpu", "quantity": "0.5"}]})
    pool = next(one for one in ann.all("/pools") if one["is_default"])
    shared = {"open_to_all": False, "group_ids": [group_id], "notebook_spec_ids": [spec["id"]]}
    ann.patch(f"/pools/{pool['id']}", shared)
    named = ann.post("/custom-resources", {"name": f"core-{mark}", "system_resource": "cpu", "node_ids": []})
    hardware = {
        "site_id": site["id"],
        "node_id": ann.all("/nodes")[0]["id"],
        "pool_id": ann.post("/pools", {"name": f"pool-{mark}"})["id"],
        "spec_id": spec["id"],
        "resource_id": named["id"],
    }
    return hardware, {"pool_id": pool["id"], "spec_id": spec["id"]}


def _work(rita: Api, on: dict[str, str], folder: Path, mark: str) -> tuple[dict[str, str], dict[str, str]]:
    """Rita's notebook on Ann's hardware, and what nobody else has anything to do with."""
    kinds = ("algorithms", "datasets", "models")
    private = {f"{kind}.asset_id": rita.upload_folder(f"{kind}-{mark}", folder, kind)["id"] for kind in kinds}
    draft = rita.post(f"/algorithms/{private['algorithms.asset_id']}/versions", {})
    webhook = rita.post("/webhooks", {"url": "https://example.org/"})
    rita.post(f"/webhooks/{webhook['id']}/test")
    (delivery,) = rita.all("/deliveries")
    private |= {
        "upload_id": rita.begin_upload(draft["id"], "more.py", 10).rpartition("/")[2],
        "webhook_id": webhook["id"],
        "delivery_id": delivery["id"],
        "token_id": rita.all("/auth/tokens")[0]["id"],
    }
    made = rita.post("/notebooks", {**on, "name": f"notebook-{mark}", "algorithm_id": private["algorithms.asset_id"]})
    assert made["state"] == "assigned", made["reason"]
    (order,) = rita.all("/orders")
    work = {"notebook_id": made["id"], "replica_id": made["replicas"][0]["id"], "order_id": order["id"]}
    return work, private


@functools.cache
def operations() -> list[tuple[str, str, str, Json]]:
    """Name, method, path and description of each."""
    return [
        (operation["operationId"], method.upper(), path.removeprefix("/api/v1"), operation)
        for path, methods in create_app(Settings(home=Path("/nonexistent"))).openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def _address(path: str, ids: dict[str, str]) -> str | None:
    """The address of something of theirs; None where they have nothing that it could name."""
    kind = path.split("/")[1]
    known = {**ids, "number": "1", "asset_id": ids.get(f"{kind}.asset_id")}
    for name in [part.strip("{}") for part in path.split("/") if part.startswith("{")]:
        if (found := known.get(name)) is None:
            return None
        path = path.replace(f"{{{name}}}", found)
    return path


@pytest.mark.parametrize("who", PEOPLE)
def test_what_is_anothers_is_refused(platform: Platform, who: str) -> None:
    """Every operation that names something, with what is somebody else's."""
    tried, wrong = set(), []
    for whose, ids in platform.ids.items():
        for name, method, path, operation in operations():
            address = _address(path, ids)
            if "{" not in path or address is None or whose == who:
                continue
            takes_json = "application/json" in operation.get("requestBody", {}).get("content", {})
            body: Any = BODIES.get(name, {}) if takes_json else None
            query = {"path": "secret.py"} if path.endswith("/content") else {}
            headers = TUS if path.startswith("/uploads/") else {}
            answer = platform.people[who].http.request(method, address, json=body, params=query, headers=headers)
            tried.add(name)
            if (answer.status_code not in (403, 404)) != (name in MAY[who]):
                wrong.append(f"{name} of {whose}: {answer.status_code} {answer.text[:200]}")
    assert wrong == [], "\n".join(wrong)
    everything = {name for name, _, path, _ in operations() if "{" in path}
    if who in ("bert", "rolf"):
        assert everything - tried == {"get_invitation_by_code", "get_statement", "list_statement_entries"}


@pytest.mark.parametrize("who", PEOPLE)
def test_no_list_tells_of_what_is_anothers(platform: Platform, who: str) -> None:
    """Every list and sum, as a page and as a file, and narrowed to what is another's."""
    told = []
    for name, method, path, operation in operations():
        if method != "GET" or "{" in path or path == "/events":
            continue
        if PEOPLE[who] == "miner" and name in READ_BY_MINERS:
            continue
        known = {parameter["name"] for parameter in operation.get("parameters", [])}
        questions = [{}, *({"format": kind} for kind in ("csv", "jsonl") if "format" in known)]
        questions += [{key: ident} for ids in platform.ids.values() for key, ident in ids.items() if key in known]
        for question in questions:
            answer = platform.people[who].http.get(path, params=question)
            assert answer.status_code in (200, 403, 404), (name, question, answer.text)
            read = {word for word in platform.hidden[who] if word in answer.text} - {*question.values()}
            told += [f"{name} {question}: {word}" for word in sorted(read)]
    assert told == [], "\n".join(told)
