"""The trial report's journey by REST with bearer tokens, and everything wrong that one can send on the way."""

import json
import re
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import websockets.sync.client
from websockets.typing import Origin

from tests.e2e.cloud import Cloud, charges_of, expected_amount, micro
from tests.support.api import Api, Json, Refused, wait_for
from tests.support.stack import Stack

pytestmark = [pytest.mark.in_order, pytest.mark.containers]


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


def test_a_full_home_starts_and_is_emptied(stack: Stack, cloud: Cloud) -> None:
    """Nobody is kept out of a home by what he put there: JupyterLab starts, and files are deleted in it."""
    spec = cloud.add_spec(f"{cloud.name}-100MB-disk", {"cpu": "0.5", "memory": "512MB", "disk": "100MB"}, "0.36")
    cloud.offer(spec)
    made = cloud.create(f"full-{secrets.token_hex(3)}", spec_id=spec["id"])
    cloud.renter.wait_state(made["id"], "running")
    page = ready_page(stack, cloud.renter, made)
    fill = "cat /dev/zero > ~/fill; cat /dev/zero > ~/rest; whoami; git init -q ~; ssh -V; echo all-$((6 * 7))"
    said = terminal(stack, page, fill, "all-42")
    assert "No space left on device" in said and "jovyan" in said and "OpenSSH" in said, said
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")

    cloud.renter.post(f"/notebooks/{made['id']}/start")
    cloud.renter.wait_state(made["id"], "running")
    page = ready_page(stack, cloud.renter, made)
    files = page.get("/api/contents/").raise_for_status().json()["content"]
    assert {"fill", "rest"} <= {one["name"] for one in files}
    left = terminal(stack, page, "echo left-$(df --output=avail ~ | tail -1 | tr -d ' ')-$((6 * 7))", "-42")
    assert int(re.findall(r"left-(\d+)-42", left)[-1]) < 1000, left  # JupyterLab took its own small files away
    page.delete("/api/contents/fill").raise_for_status()
    edit = {"type": "file", "format": "text", "content": "kept\n"}
    page.put("/api/contents/note.txt", json=edit).raise_for_status()
    cloud.renter.post(f"/notebooks/{made['id']}/stop")
    cloud.renter.wait_state(made["id"], "stopped")
    cloud.renter.delete(f"/notebooks/{made['id']}")


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
