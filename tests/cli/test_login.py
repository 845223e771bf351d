"""Who one is, and what is said when one is not."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support.served import Served
from tests.support.stack import free_port

BIN = Path(sys.executable).parent


def test_without_a_login_the_cure_is_named(stranger: Cli) -> None:
    refused = stranger("node", "list")
    assert refused.status == 3
    assert "utcloud login" in refused.err
    assert refused.out == ""


def test_a_wrong_password_is_refused_in_words(stranger: Cli) -> None:
    refused = stranger("login", "admin", "--password-stdin", stdin="wrong")
    assert refused.status == 1
    assert "Error: " in refused.err
    assert not (stranger.home / "cli.json").exists()


def test_login_whoami_logout(served: Served, tmp_path: Path) -> None:
    cli = Cli(tmp_path, served.origin)
    assert "as admin" in cli.ok("login", "admin", "--password-stdin", stdin=served.password + "\n")
    kept = tmp_path / "cli.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = json.loads(kept.read_text())["token"]
    me = json.loads(cli.ok("whoami", "--json"))
    assert me["username"] == "admin"
    assert "operator" in cli.ok("whoami")
    cli.ok("logout")
    assert not kept.exists()
    assert cli("whoami").status == 3
    revoked = Cli(tmp_path, served.origin, {"UTCLOUD_TOKEN": token})("whoami")
    assert revoked.status == 3, "a logout must revoke the token"
    assert "not logged in" in cli.ok("logout")


def test_a_token_from_the_environment(served: Served, operator: Cli, tmp_path: Path) -> None:
    made = json.loads(operator.ok("token", "create", "ci", "--password-stdin", "--json", stdin=served.password))
    script = Cli(tmp_path, served.origin, {"UTCLOUD_TOKEN": made["token"]})
    assert json.loads(script.ok("whoami", "--json"))["username"] == "admin"
    assert "ci" in operator.ok("token", "list")
    operator.ok("token", "revoke", "ci", "--yes")
    assert script("whoami").status == 3
    assert operator("token", "revoke", "ci").status == 1


def test_a_token_is_not_sent_to_another_server(operator: Cli) -> None:
    elsewhere = Cli(operator.home, f"http://127.0.0.1:{free_port()}")
    refused = elsewhere("node", "list")
    assert refused.status == 3


def test_a_server_that_is_away(tmp_path: Path) -> None:
    away = Cli(tmp_path, f"http://127.0.0.1:{free_port()}", {"UTCLOUD_TOKEN": "x"})
    refused = away("node", "list")
    assert refused.status == 4
    assert "make up" in refused.err
    assert away("login", "admin", "--password-stdin", stdin="x").status == 4


def test_the_server_that_up_wrote_down_is_found(served: Served, tmp_path: Path) -> None:
    access = {"api_url": f"{served.origin}/api/v1", "admin_url": "", "console_url": "", "username": "", "password": ""}
    (tmp_path / "access.json").write_text(json.dumps(access))
    cli = Cli(tmp_path, "")
    assert served.origin in cli.ok("login", "admin", "--password-stdin", stdin=served.password)
    assert json.loads(cli.ok("node", "list", "--json"))["next_cursor"] is None


@pytest.mark.parametrize(
    "arguments",
    [["nope"], ["spec", "create"], ["node", "list", "--limit", "0"], ["spec", "create", "x", "--price", "1"]],
)
def test_typing_errors(stranger: Cli, arguments: list[str]) -> None:
    assert stranger(*arguments).status == 2


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    wrong = Cli(tmp_path, "", {"UTCLOUD_PORT": "many"})("node", "list")
    assert wrong.status == 2
    assert "UTCLOUD_PORT" in wrong.err


def test_help_is_quick_and_the_agent_small() -> None:
    """Neither may pull in what only the others need."""
    code = "import sys; import {}; print([name for name in {} if name in sys.modules])"
    for module, heavy in (
        ("utcloud.cli.app", ["httpx", "pydantic", "sqlalchemy", "fastapi", "tusclient"]),
        ("utcloud.cli.processes, utcloud.site", ["sqlalchemy", "fastapi", "typer", "rich", "utcloud.server.app"]),
    ):
        loaded = subprocess.run(
            [sys.executable, "-c", code.format(module, heavy)], capture_output=True, text=True, check=True
        )
        assert loaded.stdout.strip() == "[]", module


def test_the_program_itself() -> None:
    done = subprocess.run([BIN / "utcloud", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("utcloud ")
    done = subprocess.run([BIN / "utcloud"], capture_output=True, text=True, check=False)
    assert "Usage" in done.stdout + done.stderr
