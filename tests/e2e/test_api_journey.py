"""The trial report's journey by REST with bearer tokens, and everything wrong that one can send on the way."""

import io
import json
import secrets
import socket
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets.sync.client
from websockets.typing import Origin

from tests.e2e.cloud import Cloud, charges_of, expected_amount, micro
from tests.support.api import Api, Json, Refused, wait_for
from tests.support.stack import Stack

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def algorithm(cloud: Cloud, example: Path) -> Json:
    return cloud.renter.upload_folder("example", example)


def terminal(stack: Stack, page: httpx.Client, command: str, expect: str, timeout: float = 60) -> str:
    """Type ``command`` into a terminal of JupyterLab, through the edge, until its output holds ``expect``."""
    name = page.post("/api/terminals").raise_for_status().json()["name"]
    host = str(page.headers["Host"])
    output = ""
    with websockets.sync.client.connect(
        f"ws://{host}/terminals/websocket/{name}",
        sock=_socket(stack),
        additional_headers={"Cookie": str(page.headers["Cookie"])},
        origin=Origin(f"http://{host}"),
    ) as connection:
        connection.send(json.dumps(["stdin", f"{command}\r"]))
        deadline = time.monotonic() + timeout
        while expect not in output:
            left = deadline - time.monotonic()
            assert left > 0, output
            kind, *rest = json.loads(connection.recv(timeout=left))
            if kind == "stdout":
                output += rest[0]
    return output


def _socket(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.port))


def ready_page(stack: Stack, api: Api, notebook: Json, replica_id: str | None = None) -> httpx.Client:
    opening = api.post(f"/notebooks/{notebook['id']}/open", {"replica_id": replica_id})
    return stack.page(opening["url"])


def test_the_journey(stack: Stack, cloud: Cloud, algorithm: Json) -> None:
    """Create, watch, open, see the folder, edit, infer, stop, check the bill, start again, find the edit."""
    made = cloud.create("first", algorithm_id=algorithm["id"])
    ident = made["id"]
    assert made["simulated"] is True
    running = cloud.renter.wait_state(ident, "running")
    assert running["timeline"][0]["to_state"] == "assigned"
    assert running["replicas"][0]["node"] == cloud.node["name"]
    page = ready_page(stack, cloud.renter, made)
    listing = page.get("/api/contents/example").raise_for_status().json()
    assert {"infer.py", "model.onnx", "sample.txt"} <= {entry["name"] for entry in listing["content"]}
    edit = {"type": "file", "format": "text", "content": "kept\n"}
    page.put("/api/contents/example/edit.txt", json=edit).raise_for_status()
    answer = terminal(stack, page, "cd ~/example && python3 infer.py --dev 0", "answer:")
    assert "simulated BM1684X" in answer or "(simulated" in answer
    wrong = terminal(stack, page, "cd ~/example && python3 infer.py --dev 1", "Chips here:")
    assert "There is no chip 1 here" in wrong

    open_charge = charges_of(cloud.renter, ident)
    assert [one["open"] for one in open_charge] == [True]
    cloud.renter.post(f"/notebooks/{ident}/stop")
    cloud.renter.wait_state(ident, "stopped")
    (charge,) = charges_of(cloud.renter, ident)
    assert charge["open"] is False
    assert micro(charge["amount"]) == expected_amount(charge) > 0
    assert micro(charge["miner_share"]) + micro(charge["platform_fee"]) == micro(charge["amount"])
    assert micro(charge["platform_fee"]) == micro(charge["amount"]) * 5 // 100
    assert charge["settled"] == charge["amount"]
    assert charge["simulated"] is True
    assert page.get("/api/contents/example").status_code in (403, 502, 503), "the page is shut with its container"

    cloud.renter.post(f"/notebooks/{ident}/start")
    again = cloud.renter.wait_state(ident, "running")
    assert again["replicas"][0]["attempt"] == 2
    page = ready_page(stack, cloud.renter, made)
    assert page.get("/api/contents/example/edit.txt").raise_for_status().json()["content"] == "kept\n"
    cloud.renter.post(f"/notebooks/{ident}/stop")
    cloud.renter.wait_state(ident, "stopped")
    charges = charges_of(cloud.renter, ident)
    assert sorted(one["attempt"] for one in charges) == [1, 2]
    assert sum(expected_amount(one) for one in charges) == micro(cloud.renter.notebook(ident)["cost"])


def test_every_book_agrees(cloud: Cloud) -> None:
    """Wallet = recharges − charges; miner + platform = charges; the journal sums to zero."""
    wallet = cloud.renter.get("/wallets/mine")
    recharged = sum(micro(one["amount"]) for one in cloud.renter.all("/recharges"))
    spent = sum(micro(one["amount"]) - micro(one["waived"]) for one in cloud.renter.all("/charges"))
    assert micro(wallet["balance"]) - micro(wallet["accrued"]) == recharged - spent
    platform = cloud.operator.get("/earnings/platform")
    assert platform["journal_sum"] == "0"
    everything = cloud.operator.all("/charges", role="payee")
    earned = cloud.operator.get("/earnings")
    assert micro(earned["balance"]) + micro(earned["accrued"]) == sum(micro(one["miner_share"]) for one in everything)
    settled = sum(micro(one["platform_fee"]) for one in everything if not one["open"])
    assert micro(platform["fees"]) == settled


def test_three_chips_for_three_notebooks_and_a_reason_for_the_fourth(stack: Stack, cloud: Cloud) -> None:
    """Each container sees one chip, number 0, and each another one of the host; the fourth starts when one ends."""
    made = [cloud.create(f"chip-{number}") for number in range(3)]
    running = [cloud.renter.wait_state(one["id"], "running") for one in made]
    fourth = cloud.create("chip-3")
    waiting = cloud.renter.notebook(fourth["id"])
    assert waiting["state"] == "pending"
    assert "0 free of 3" in waiting["reason"]
    assert "first in line" in waiting["reason"]
    minors = set()
    for notebook in running:
        (container,) = cloud.containers(notebook["id"])
        seen = stack.chips_in(container["Id"])
        assert list(seen) == ["/dev/bm-sophon0"], "one chip, number 0, and no other"
        minors.add(seen["/dev/bm-sophon0"])
        assert stack.user_in(container["Id"]) >= 200_000  # an id of its own, nobody's on this machine
    assert len(minors) == 3, "three different chips"
    assert cloud.node["name"] in {one["node"] for one in cloud.operator.all("/replicas")}
    cloud.renter.post(f"/notebooks/{made[0]['id']}/stop")
    cloud.renter.wait_state(fourth["id"], "running")
    for one in (*made, fourth):
        cloud.renter.post(f"/notebooks/{one['id']}/stop")
    for one in (*made, fourth):
        cloud.renter.wait_state(one["id"], "stopped")
        cloud.renter.delete(f"/notebooks/{one['id']}")


def test_a_notebook_of_three_tasks(stack: Stack, cloud: Cloud) -> None:
    """The advanced setting: each task has its own container, chip and page."""
    made = cloud.create("gang", tasks=3)
    running = cloud.renter.wait_state(made["id"], "running")
    assert len({one["id"] for one in running["replicas"]}) == 3
    with pytest.raises(Refused) as caught:
        cloud.renter.post(f"/notebooks/{made['id']}/open")
    assert caught.value.problem["field"] == "replica_id"
    names = set()
    for replica in running["replicas"]:
        page = ready_page(stack, cloud.renter, made, replica["id"])
        names.add(str(page.headers["Host"]))
        assert page.get("/api/status").status_code == 200
    assert len(names) == 3, "each on an origin of its own"
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")
    assert len(charges_of(cloud.renter, made["id"])) == 3
    cloud.renter.delete(f"/notebooks/{made['id']}")


def test_a_page_opens_only_to_its_owner_and_once(stack: Stack, cloud: Cloud) -> None:
    made = cloud.create("private", spec_id=cloud.small["id"])
    cloud.renter.wait_state(made["id"], "running")
    url = httpx.URL(cloud.renter.post(f"/notebooks/{made['id']}/open")["url"])
    host = {"Host": url.netloc.decode()}
    with httpx.Client(base_url=stack.origin, trust_env=False) as stranger:
        assert stranger.get("/lab", headers=host).status_code == 403
        assert stranger.get("/api/contents", headers=host).status_code == 403
        assert stranger.get("/_utcloud/open?code=guessed", headers=host).status_code == 403
        used = stranger.get(url.raw_path.decode(), headers=host)
        assert used.status_code == 303
        cookie = used.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite" in cookie
        assert "Domain" not in cookie
        assert stranger.get(url.raw_path.decode(), headers=host).status_code == 403, "a code works once"
    with httpx.Client(base_url=stack.origin, trust_env=False) as other:
        token = str(cloud.renter.http.headers["Authorization"])
        assert other.get("/api/contents", headers=host | {"Authorization": token}).status_code == 403
    _, foreign = cloud.add_renter("stranger")
    with pytest.raises(Refused) as caught:
        foreign.post(f"/notebooks/{made['id']}/open")
    assert caught.value.status == 404
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")


def test_a_wallet_that_runs_dry_stops_its_notebook_in_time(stack: Stack, cloud: Cloud) -> None:
    """At zero or above, in good order, files kept; after a recharge it goes on where it was."""
    dear = cloud.add_spec(f"{cloud.name}-dear", {"cpu": "0.25", "memory": "512MB"}, "3600")
    cloud.offer(dear)
    user, poor = cloud.add_renter("poor", "66")
    made = cloud.create("dry", poor, spec_id=dear["id"])
    poor.wait_state(made["id"], "running")
    page = ready_page(stack, poor, made)
    page.put("/api/contents/kept.txt", json={"type": "file", "format": "text", "content": "kept\n"}).raise_for_status()
    ended = poor.wait_state(made["id"], "stopped", timeout=100)
    assert ended["reason"], "the renter reads why"
    wallet = poor.get("/wallets/mine")
    assert 0 <= micro(wallet["balance"]) < micro("66")
    (charge,) = charges_of(poor, made["id"])
    assert micro(charge["amount"]) == expected_amount(charge)
    assert micro(charge["waived"]) == 0, "stopped in time: nothing had to be given away"
    with pytest.raises(Refused) as caught:
        poor.post(f"/notebooks/{made['id']}/start")
    assert caught.value.status == 402
    cloud.recharge(user["id"], "100")
    poor.post(f"/notebooks/{made['id']}/start")
    poor.wait_state(made["id"], "running")
    page = ready_page(stack, poor, made)
    assert page.get("/api/contents/kept.txt").raise_for_status().json()["content"] == "kept\n"
    poor.post(f"/notebooks/{made['id']}/stop")
    poor.wait_state(made["id"], "stopped")


# Uploads


def test_an_upload_cut_in_the_middle_is_resumed(cloud: Cloud) -> None:
    data = secrets.token_bytes(3_000_000)
    asset = cloud.renter.post("/algorithms", {"name": "cut"})
    version = cloud.renter.post(f"/algorithms/{asset['id']}/versions", {})
    upload = cloud.renter.begin_upload(version["id"], "big.bin", len(data))
    cloud.renter.send_chunk(upload, 0, data[:1_000_000])

    def cut() -> Iterator[bytes]:
        yield data[1_000_000:1_500_000]
        raise ConnectionError("the cable was pulled")

    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "1000000",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": "2000000",
    }
    with pytest.raises(ConnectionError):
        cloud.renter.http.patch(upload, headers=headers, content=cut())
    with pytest.raises(Refused) as caught:
        cloud.renter.post(f"/algorithms/{asset['id']}/versions/{version['number']}/publish")
    assert caught.value.status == 409, "half an upload is no version"
    offset = wait_for(lambda: _offset(cloud.renter, upload), "the server noticed the cut")
    assert 1_000_000 <= offset <= 1_500_000
    assert cloud.renter.send_chunk(upload, offset, data[offset:]) == len(data)
    assert cloud.renter.publish("algorithms", asset["id"], version["number"])["status"] == "ready"
    path = f"/algorithms/{asset['id']}/versions/{version['number']}/files/content"
    assert cloud.renter.http.get(path, params={"path": "big.bin"}).content == data


def _offset(api: Api, upload: str) -> int | None:
    """The upload's offset, or None while the server still holds it for the connection that was cut."""
    try:
        return api.offset_of(upload)
    except Refused as refused:
        assert refused.status in (409, 423)
        return None


def _draft(cloud: Cloud, name: str) -> tuple[Json, Json]:
    asset = cloud.renter.post("/algorithms", {"name": name})
    return asset, cloud.renter.post(f"/algorithms/{asset['id']}/versions", {})


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "a//b", "a\x00b", "x" * 10_000, "."])
def test_a_path_that_climbs_out_of_its_folder(cloud: Cloud, path: str) -> None:
    _, version = _draft(cloud, f"climb-{secrets.token_hex(4)}")
    with pytest.raises(Refused) as caught:
        cloud.renter.upload(version["id"], path, b"x")
    assert 400 <= caught.value.status < 500
    assert caught.value.problem["detail"]


def _zip(entries: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("climbing.zip", _zip({"../../outside.txt": b"x"})),
        ("absolute.zip", _zip({"/etc/cron.d/x": b"x"})),
        ("broken.zip", _zip({"a.txt": b"x" * 1000})[:-30]),
        ("bomb.zip", _zip({f"zeros-{n}.bin": bytes(64 * 2**20) for n in range(8)})),
        ("nothing.zip", b""),
    ],
)
def test_a_bad_archive_fails_with_a_reason_and_leaves_nothing(cloud: Cloud, name: str, content: bytes) -> None:
    asset, version = _draft(cloud, f"bad-{name}")
    try:
        cloud.renter.upload(version["id"], name, content, archive=True)
        ended = cloud.renter.publish("algorithms", asset["id"], version["number"])
    except Refused as refused:
        assert 400 <= refused.status < 500
        return
    assert ended["status"] == "failed", ended
    assert ended["reason"]
    assert cloud.renter.get(f"/algorithms/{asset['id']}")["latest"] is None


def test_a_good_archive_is_unpacked(cloud: Cloud) -> None:
    asset, version = _draft(cloud, "good-archive")
    cloud.renter.upload(version["id"], "code.zip", _zip({"src/main.py": b"print(1)\n"}), archive=True)
    assert cloud.renter.publish("algorithms", asset["id"], version["number"])["status"] == "ready"
    files = cloud.renter.all(f"/algorithms/{asset['id']}/versions/{version['number']}/files")
    assert [(one["path"], one["size"]) for one in files] == [("src/main.py", 9)]


# Bad input: every creating endpoint, every field


AMOUNTS: list[Any] = ["-1", "0.0000001", "1e3", "NaN", "99999999999", "", " ", 1.5, None, [], "１"]
NAMES = ["", " ", "x" * 10_000, "a\nb", "\x00", "\ud800", 5, None, [], {}]
IDS = ["", "nope", "x" * 10_000, "../..", "\x00", 7, []]


def bad_bodies(cloud: Cloud) -> list[tuple[str, str, Any]]:
    """(path, field, bad value) for every creating endpoint."""
    cases: list[tuple[str, str, Any]] = []

    def each(path: str, name: str, values: list[Any]) -> None:
        cases.extend((path, name, value) for value in values)

    each("/users", "username", ["", "A", "a b", "x" * 10_000, "a\n", "-x", 5, None, []])
    each("/users", "password", ["short", "x" * 10_000, 5, []])
    each("/users", "roles", ["", [], ["king"], None, 5])
    each("/users", "group_ids", ["x", ["nope"], [5], None])
    each("/users", "email", ["no-at", "x" * 10_000, 5, None])
    each("/groups", "name", NAMES)
    each("/groups", "user_ids", [["nope"], "x", [5], None])
    each("/sites", "name", NAMES)
    each("/custom-resources", "name", [*NAMES, "a b", "ü"])
    each("/custom-resources", "system_resource", ["", "no/such", "x" * 10_000, 5, None])
    each("/custom-resources", "node_ids", [["nope"], "x", None])
    each("/specs", "name", [*NAMES, "a b"])
    each("/specs", "price", [amount for amount in AMOUNTS if amount is not None])  # none: what unit prices suggest
    each("/specs", "items", [[], None, "x", [{}], [{"resource": "cpu", "quantity": "0"}]])
    quantities = ["-1", "0", "", "x", "1e9", "99999999999999999", "1.0000001", "1XB", 1, None]
    each("/specs", "items", [[{"resource": "cpu", "quantity": quantity}] for quantity in quantities])
    cases.append(("/specs", "items", [{"resource": "no/such", "quantity": "1"}]))
    cases.append(("/specs", "items", [{"resource": "cpu", "quantity": "1"}] * 2))
    cases.append(("/specs", "items", [{"resource": f"TPU-{cloud.name}", "quantity": "0.5"}]))
    cases.append(("/specs", "items", [{"resource": "cpu", "quantity": "1"}] * 100))
    each("/specs", "pool_ids", [["nope"], "x", [5]])
    each("/pools", "name", NAMES)
    for key in ("node_ids", "group_ids", "notebook_spec_ids", "training_spec_ids"):
        each("/pools", key, [["nope"], "x", [5], None])
    for kind in ("/algorithms", "/datasets", "/models"):
        each(kind, "name", NAMES)
        each(kind, "visibility", ["public", "", 5, None])
        each(kind, "group_id", ["nope", 5, []])
        each(kind, "description", ["x" * 100_000, 5, None])
    each("/images", "name", NAMES)
    each("/images", "reference", ["", "UPPER", "a b", "x" * 10_000, 5, None])
    each("/notebooks", "name", NAMES)
    for key in ("image_id", "pool_id", "spec_id"):
        each("/notebooks", key, [*IDS, None])
    for key in ("algorithm_id", "dataset_id"):
        each("/notebooks", key, IDS)
    each("/notebooks", "tasks", [0, -1, 33, 10**30, "x", 1.5, None, []])
    each("/notebooks", "start", ["perhaps", 5, None])
    each("/recharges", "wallet_id", [*IDS, None])
    each("/recharges", "amount", [*AMOUNTS, "0"])
    each("/recharges", "kind", ["gift", "", None, 5])
    each("/recharges", "note", ["x" * 100_000, 5, None])
    each("/auth/tokens", "name", NAMES)
    each("/auth/tokens", "expires_in_days", [0, -1, 10**30, "x", 1.5])
    return cases


def good_bodies(cloud: Cloud) -> dict[str, tuple[Api, Json]]:
    """Who may create there, and a body that would be taken."""
    fresh = secrets.token_hex(4)
    operator, renter = cloud.operator, cloud.renter
    return {
        "/users": (operator, {"username": f"user-{fresh}"}),
        "/groups": (operator, {"name": f"group-{fresh}"}),
        "/sites": (operator, {"name": f"site-{fresh}"}),
        "/custom-resources": (operator, {"name": f"R-{fresh}", "system_resource": "sophgo.com/bm1684x"}),
        "/specs": (
            operator,
            {"name": f"S-{fresh}", "price": "1", "items": [{"resource": "cpu", "quantity": "1"}], "pool_ids": []},
        ),
        "/pools": (operator, {"name": f"pool-{fresh}"}),
        "/algorithms": (renter, {"name": f"a-{fresh}"}),
        "/datasets": (renter, {"name": f"d-{fresh}"}),
        "/models": (renter, {"name": f"m-{fresh}"}),
        "/images": (operator, {"name": f"i-{fresh}", "reference": f"localhost/{fresh}:1"}),
        "/notebooks": (renter, cloud.wish(f"n-{fresh}", start=False)),
        "/recharges": (
            operator,
            {"wallet_id": cloud.wallet(cloud.user["id"])["id"], "amount": "1", "note": "", "kind": "recharge"},
        ),
        "/auth/tokens": (
            operator,
            {
                "username": cloud.stack.access["username"],
                "password": cloud.stack.access["password"],
                "name": f"t-{fresh}",
            },
        ),
    }


def test_every_bad_value_in_every_field(cloud: Cloud) -> None:
    """Each is a problem that names the field and the cure, and creates nothing. All faults are told at once."""
    good = good_bodies(cloud)

    def census() -> dict[str, int]:
        return {path: len(api.all(path)) for path, (api, _) in good.items()}

    before = census()
    faults: list[str] = []
    for path, field, value in bad_bodies(cloud):
        api, body = good[path]
        shown = f"POST {path} with {field} = {repr(value)[:60]}"
        content = json.dumps(body | {field: value}).encode()
        answer = api.http.post(path, content=content, headers={"Content-Type": "application/json"})
        if not 400 <= answer.status_code < 500:
            faults.append(f"{shown}: answered {answer.status_code} {answer.text[:100]}")
            continue
        problem = answer.json()
        if answer.headers["content-type"] != "application/problem+json" or not problem.get("detail"):
            faults.append(f"{shown}: no problem details")
        elif str(problem.get("field") or "").partition(".")[0] != field:
            faults.append(f"{shown}: names field {problem.get('field')!r}")
        elif not problem.get("cure"):
            faults.append(f"{shown}: names no cure")
    after = census()
    faults += [f"{path}: {after[path] - before[path]} created" for path in good if after[path] != before[path]]
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults[:60])


@pytest.mark.parametrize("path", ["/users", "/groups", "/custom-resources", "/specs", "/pools", "/algorithms"])
def test_fields_that_are_missing_unknown_or_no_object(cloud: Cloud, path: str) -> None:
    api, body = good_bodies(cloud)[path]
    required = next(iter(body))
    for content, field in (
        (json.dumps({key: value for key, value in body.items() if key != required}), required),
        (json.dumps(body | {"typo": 1}), "typo"),
        ("[]", "body"),
        ("null", "body"),
        ("{", "body"),
        ("", "body"),
        ("\xff", "body"),
    ):
        answer = api.http.post(path, content=content.encode("latin-1"), headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (content, answer.text)
        assert answer.json()["field"] == field, (content, answer.text)


def test_duplicate_names_are_refused_everywhere(cloud: Cloud) -> None:
    for path, (api, body) in good_bodies(cloud).items():
        if path in ("/recharges", "/auth/tokens"):
            continue
        api.post(path, body)
        with pytest.raises(Refused) as caught:
            api.post(path, body)
        assert caught.value.status == 409, path
        assert caught.value.problem["field"] in ("name", "username", "reference"), path


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


def test_start_and_stop_at_once_end_in_one_wish(cloud: Cloud) -> None:
    made = cloud.create(f"torn-{secrets.token_hex(3)}", spec_id=cloud.small["id"])

    def click(action: str) -> int:
        return cloud.renter.http.post(f"/notebooks/{made['id']}/{action}").status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(click, ["stop", "start", "stop", "stop"]))
    assert all(status in (200, 409) for status in statuses)
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")
    assert cloud.containers(made["id"]) == []


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


def test_deleting_a_notebook_removes_its_files(stack: Stack, cloud: Cloud) -> None:
    made = cloud.create(f"gone-{secrets.token_hex(3)}", spec_id=cloud.small["id"])
    running = cloud.renter.wait_state(made["id"], "running")
    volumes = list((stack.home / "site").rglob(f"*{running['replicas'][0]['id']}*"))
    assert volumes
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")
    assert cloud.containers(made["id"]) == []
    cloud.renter.delete(f"/notebooks/{made['id']}")
    wait_for(lambda: not [one for one in volumes if one.exists() and one.is_dir()], "the volume is gone", 30)
    assert charges_of(cloud.renter, made["id"]), "its bill stays"


def test_what_no_node_can_ever_hold(cloud: Cloud) -> None:
    """Four chips on one node: no such specification. Two tasks of two chips each: no such notebook."""
    with pytest.raises(Refused) as caught:
        cloud.add_spec(f"{cloud.name}-huge", {f"TPU-{cloud.name}": "4"})
    assert (caught.value.problem["code"], caught.value.problem["field"]) == ("never_fits", "items")
    assert "has 3" in caught.value.problem["detail"]
    pair = cloud.add_spec(f"{cloud.name}-pair", {f"TPU-{cloud.name}": "2"})
    cloud.offer(pair)
    with pytest.raises(Refused) as caught:
        cloud.create("never", spec_id=pair["id"], tasks=2)
    assert caught.value.status == 409
    assert (caught.value.problem["code"], caught.value.problem["field"]) == ("never_fits", "tasks")
    assert "holds 1 at most" in caught.value.problem["detail"]
