"""How people come, are grouped, limited and shut out, by command."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.support.served import Served

PASSWORD = "correct horse battery\n"


def _json(cli: Cli, *arguments: str) -> Any:
    return json.loads(cli.ok(*arguments, "--json"))


@pytest.fixture
def newcomer(served: Served, tmp_path: Path) -> Cli:
    """A terminal of somebody new."""
    return Cli(tmp_path, served.origin)


def test_an_application_from_begin_to_end(operator: Cli, newcomer: Cli) -> None:
    said = newcomer.ok("register", "nina", "--note", "my thesis", "--password-stdin", stdin=PASSWORD)
    assert "waits" in said
    refused = newcomer("login", "nina", "--password-stdin", stdin=PASSWORD)
    assert refused.status == 1
    assert "waits for an operator" in refused.err
    assert "my thesis" in operator.ok("application", "list", "--status", "waiting")
    operator.ok("group", "create", "thesis")
    done = operator.ok("application", "approve", "nina", "--grant", "10", "--group", "thesis", "--note", "welcome")
    assert "10 UNC" in done
    assert "approved" in operator.ok("application", "show", "nina")
    newcomer.ok("login", "nina", "--password-stdin", stdin=PASSWORD)
    assert "10" in newcomer.ok("wallet", "show")
    assert "welcome" in newcomer.ok("recharge", "list")
    assert "thesis" in newcomer.ok("group", "list")


def test_a_rejection_says_why(operator: Cli, newcomer: Cli) -> None:
    newcomer.ok("register", "rex", "--password-stdin", stdin=PASSWORD)
    operator.ok("application", "reject", "rex", "--reason", "unknown to us")
    assert "unknown to us" in newcomer("login", "rex", "--password-stdin", stdin=PASSWORD).err
    newcomer.ok("register", "rex", "--password-stdin", stdin=PASSWORD)
    assert _json(operator, "application", "show", "rex")["status"] == "waiting"
    assert operator("application", "approve", "nobody").status == 1
    rows = list(csv.DictReader(io.StringIO(operator.ok("application", "list", "--csv"))))
    assert {"waiting", "rejected"} <= {row["status"] for row in rows if row["username"] == "rex"}


def test_an_invitation_from_begin_to_end(operator: Cli, newcomer: Cli) -> None:
    said = operator.ok("invitation", "create", "--email", "ida@example.org", "--grant", "2.5", "--days", "3")
    link = said.split()[-1]
    assert "/console/invitation#" in link
    assert "2.5" in newcomer.ok("invitation", "show", link)
    newcomer.ok("invitation", "accept", link, "ida", "--password-stdin", stdin=PASSWORD)
    newcomer.ok("login", "ida", "--password-stdin", stdin=PASSWORD)
    assert "ida@example.org" in newcomer.ok("whoami", "--json")
    used = newcomer("invitation", "accept", link, "ida2", "--password-stdin", stdin=PASSWORD)
    assert used.status == 1
    assert "used already" in used.err
    assert "ida" in operator.ok("invitation", "list", "--status", "accepted")
    made = _json(operator, "invitation", "create", "--role", "miner")
    operator.ok("invitation", "revoke", made["hint"])
    assert "taken back" in newcomer("invitation", "show", made["code"]).err


def test_a_manager_and_a_quota(operator: Cli, newcomer: Cli) -> None:
    for name in ("mona", "carl"):
        operator.ok("user", "create", name, "--password-stdin", stdin=PASSWORD)
    operator.ok("group", "create", "bench", "--manager", "mona")
    newcomer.ok("login", "mona", "--password-stdin", stdin=PASSWORD)
    newcomer.ok("group", "edit", "bench", "--add", "carl")
    assert "carl" in newcomer.ok("group", "show", "bench")
    newcomer.ok("group", "edit", "bench", "--drop", "carl")
    assert newcomer("group", "edit", "bench", "--rename", "mine").status == 1

    operator.ok("group", "quota", "bench", "--resource", "cpu=8", "--resource", "memory=32GB", "--notebooks", "3")
    shown = newcomer.ok("group", "quota", "bench")
    assert "32GB" in shown
    assert "any" in shown
    operator.ok("group", "quota", "bench", "--resource", "cpu=")
    assert _json(newcomer, "group", "quota", "bench")["resources"] == {"memory": "32GB"}
    assert _json(operator, "user", "quota", "carl", "--tasks", "0")["tasks"] == 0
    assert _json(operator, "user", "quota", "carl", "--clear")["tasks"] is None
    assert newcomer("group", "quota", "bench", "--notebooks", "9").status == 1
    wrong = operator("group", "quota", "bench", "--resource", "gpu=1")
    assert wrong.status == 1
    assert "gpu" in wrong.err
    assert operator("group", "quota", "bench", "--resource", "gpu").status == 2


def test_freezing(operator: Cli, newcomer: Cli) -> None:
    operator.ok("user", "create", "fred", "--password-stdin", stdin=PASSWORD)
    newcomer.ok("login", "fred", "--password-stdin", stdin=PASSWORD)
    operator.ok("user", "freeze", "fred", "--keep-running", "--reason", "bill not paid", "--yes")
    assert newcomer("whoami").status == 3
    assert "bill not paid" in newcomer("login", "fred", "--password-stdin", stdin=PASSWORD).err
    assert "fred" in operator.ok("user", "list", "--frozen")
    assert "bill not paid" in operator.ok("user", "show", "fred")
    operator.ok("user", "unfreeze", "fred")
    newcomer.ok("whoami")
    assert "fred" not in operator.ok("user", "list", "--frozen")


def test_the_audit_trail(operator: Cli) -> None:
    operator.ok("group", "create", "traced")
    assert "traced" in operator.ok(
        "audit", "list", "--search", "traced", "--actor", "ADM", "--since", "2020-01-01T00:00:00Z"
    )
    assert "traced" not in operator.ok("audit", "list", "--until", "2020-01-01T00:00:00Z")
    rows = list(csv.DictReader(io.StringIO(operator.ok("audit", "list", "--action", "group.create", "--csv"))))
    assert "traced" in {row["object_name"] for row in rows}
    assert operator("audit", "list", "--since", "yesterday").status == 1
