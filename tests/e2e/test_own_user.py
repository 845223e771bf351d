"""Server, edge and metrics have a user of their own, with the real processes; and no log holds a secret."""

import contextlib
import json
import os
import socket
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.e2e.cloud import Cloud
from tests.support.api import Api, Refused, wait_for
from tests.support.secrets import travel
from tests.support.stack import Stack
from utcloud.cli.up import own

pytestmark = [pytest.mark.in_order, pytest.mark.containers]
OURS = ("server", "edge", "prometheus", "node_exporter")


@pytest.fixture(scope="module")
def who(stack: Stack) -> own.Account:
    return own.owner(stack.home / "utcloud.db")


def test_none_of_them_is_root_and_none_can_become_it(stack: Stack, who: own.Account) -> None:
    assert who.name == "utcloud"
    running = {one.name: one.pid for one in stack.supervisor.states() if one.pid}
    assert {"server", "edge"} <= running.keys()
    for name in OURS:
        if pid := running.get(name):
            assert set(psutil.Process(pid).uids()) == {who.uid}, name
            assert 0 not in psutil.Process(pid).gids(), name
            said = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            assert {said[one].strip() for one in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}, name
            assert said["NoNewPrivs"].strip() == "1", name
    assert set(psutil.Process(running["agent"]).uids()) == {0}, "it makes containers"


def test_what_root_trusts_is_not_theirs(stack: Stack, who: own.Account) -> None:
    kept = [stack.home / name for name in ("agent", "engine", "site", "logs", "run", "run/supervisord.conf")]
    with own.acting_as(who):
        for path in kept:
            assert not os.access(path, os.W_OK, effective_ids=True), path
            with pytest.raises(PermissionError):
                path.rename(f"{path}.mine")
        for name in ("agent/token", "run/environment.json", "run/supervisord.conf", "logs"):
            assert not os.access(stack.home / name, os.R_OK, effective_ids=True), name
        with pytest.raises(PermissionError), socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(stack.home / "run" / "supervisor.sock"))


def test_other_accounts_read_nothing_of_it(stack: Stack) -> None:
    closed = ("utcloud.db", "secret.key", "access.json", "store", "uploads", "edge", "prometheus", "run", "logs")
    with own.acting_as(own.Account("nobody", 65534, 65534)):
        for name in closed:
            assert not os.access(stack.home / name, os.R_OK, effective_ids=True), name
    written = [path for name in ("store", "uploads", "edge", "run/serve") for path in (stack.home / name).rglob("*")]
    assert written
    assert not [path for path in written if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_root_goes_on_to_work_on_the_home(stack: Stack, who: own.Account, tmp_path: Path) -> None:
    for arguments in (
        ("user", "unlock", "admin"),
        ("renew-secrets",),
        ("journal", "verify", "--database", f"sqlite+aiosqlite:///{stack.home / 'utcloud.db'}"),
        ("backup", str(tmp_path / "backups")),
    ):
        done = stack.command(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}"
    for path in stack.home.glob("utcloud.db*"):
        assert own.owner(path).uid == who.uid, path


@contextlib.contextmanager
def terminal(stack: Stack, page: httpx.Client) -> Iterator[websockets.sync.client.ClientConnection]:
    name, host = page.post("/api/terminals").raise_for_status().json()["name"], str(page.headers["Host"])
    with websockets.sync.client.connect(
        f"ws://{host}/terminals/websocket/{name}",
        sock=socket.create_connection(("127.0.0.1", stack.port)),
        additional_headers={"Cookie": str(page.headers["Cookie"])},
        origin=Origin(f"http://{host}"),
    ) as connection:
        yield connection


def test_a_terminal_is_closed_when_its_owner_is_frozen(stack: Stack, cloud: Cloud) -> None:
    """The server looks into Caddy, which is the same user's."""
    user, api = cloud.add_renter("frozen", "10")
    made = cloud.create("with-terminal", api, spec_id=cloud.small["id"])
    api.wait_state(made["id"], "running")
    page = stack.page(api.post(f"/notebooks/{made['id']}/open")["url"])
    with terminal(stack, page) as connection:
        connection.send(json.dumps(["stdin", "echo h''ere\r"]))
        deadline = time.monotonic() + 30
        while "here" not in str(connection.recv(timeout=deadline - time.monotonic())):
            pass
        cloud.operator.post(f"/users/{user['id']}/freeze", {"running": "keep", "reason": "looked at"})
        with pytest.raises(ConnectionClosed):
            while True:
                connection.recv(timeout=10)
    assert page.get("/lab").status_code == 403
    assert "cannot be closed" not in stack.supervisor.log("server").read_text()


def test_no_log_of_any_process_holds_a_secret(stack: Stack, cloud: Cloud, who: own.Account) -> None:
    seen = travel(cloud)
    seen.known["site's own token"] = (stack.home / "agent" / "token").read_text().strip()
    seen.known["server's key"] = (stack.home / "secret.key").read_text().strip()
    cookie = seen.known["page's cookie"]
    (file,) = (stack.home / "run" / "serve" / "edge-routes").glob(f"*/{cookie}/*")
    seen.known["page's token"] = file.name.rpartition("@")[2]
    seen.known["password of a failed call"] = "a password of nobody 51"
    me = Api(stack.origin, cloud.operator.host, seen.known["API token"])
    with _broken_table(stack, who), pytest.raises(Refused) as refused:
        me.post("/auth/tokens", {"username": "nobody-51", "password": seen.known["password of a failed call"]})
    assert refused.value.status in (500, 503)
    assert not seen.found_in(str(refused.value.problem))
    assert len(seen.known) > 18

    server = stack.supervisor.log("server")
    wait_for(lambda: "login_failures" in server.read_text(), "the statement that failed")
    logs = [path for path in (stack.home / "logs").iterdir() if path.is_file()]
    assert {"server.log", "edge.log", "agent.log", "supervisord.log"} <= {path.name for path in logs}
    for path in logs:
        assert not seen.found_in(path.read_bytes()), path


@contextlib.contextmanager
def _broken_table(stack: Stack, who: own.Account) -> Iterator[None]:
    """While it is another's name, what counts failed logins fails."""
    with own.acting_as(who):
        db = sqlite3.connect(stack.home / "utcloud.db", timeout=30)
        db.execute("ALTER TABLE login_failures RENAME TO elsewhere")
    try:
        yield
    finally:
        db.execute("ALTER TABLE elsewhere RENAME TO login_failures")
        db.close()
