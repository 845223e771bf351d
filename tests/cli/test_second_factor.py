"""The second factor by command: set up, asked for at a login, lost and reset."""

import json
import time
from pathlib import Path

import pyotp

from tests.cli.conftest import Cli
from tests.support.served import Served

PASSWORD = "correct horse battery"


def _person(served: Served, operator: Cli, home: Path, name: str) -> Cli:
    """A renter's terminal, logged in."""
    cli = Cli(home, served.origin)
    operator.ok("user", "create", name, "--password-stdin", stdin=f"{PASSWORD}\n")
    cli.ok("login", name, "--password-stdin", stdin=PASSWORD)
    return cli


def _code(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + steps)


def test_from_set_up_to_reset(served: Served, operator: Cli, tmp_path: Path) -> None:
    sue = _person(served, operator, tmp_path, "sue")
    assert "no" in sue.ok("second-factor", "show")
    assert sue("second-factor", "set-up", "--password-stdin", stdin="wrong\n").status == 1
    said = sue.ok("second-factor", "set-up", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert "otpauth://totp/" in said
    assert "second-factor confirm" in said
    secret = json.loads(sue.ok("second-factor", "set-up", "--json", stdin=f"{PASSWORD}\n"))["secret"]
    codes = json.loads(sue.ok("second-factor", "confirm", _code(secret, -1), "--json"))["recovery_codes"]
    shown = json.loads(sue.ok("second-factor", "show", "--json"))
    assert (shown["recovery_codes_left"], shown["passkeys"]) == (10, [])
    assert json.loads(operator.ok("user", "show", "sue", "--json"))["second_factor"] is True

    refused = sue("login", "sue", "--password-stdin", stdin=f"{PASSWORD}\n000000\n")
    assert refused.status == 1
    assert "second step is wrong" in refused.err
    sue.ok("login", "sue", "--password-stdin", stdin=f"{PASSWORD}\n{_code(secret)}\n")
    again = sue("login", "sue", "--password-stdin", stdin=f"{PASSWORD}\n{_code(secret)}\n")
    assert again.status == 1, "a code works once"
    sue.ok("login", "sue", "--password-stdin", stdin=f"{PASSWORD}\n{codes[0]}\n")
    made = sue.ok("token", "create", "ci", "--password-stdin", stdin=f"{PASSWORD}\n{codes[1]}\n")
    assert "utc_" in made
    fresh = sue.ok("second-factor", "recovery-codes", "--yes", stdin=f"{PASSWORD}\n{codes[2]}\n")
    assert codes[3] not in fresh

    assert sue("user", "reset-second-factor", "sue").status == 1
    assert "no second factor any more" in operator.ok("user", "reset-second-factor", "sue", "--yes")
    sue.ok("login", "sue", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert "reset_second_factor" in operator.ok("audit", "list", "--action", "user.reset_second_factor")


def test_it_is_removed_and_on_the_machine_forgotten(served: Served, operator: Cli, tmp_path: Path) -> None:
    tom = _person(served, operator, tmp_path, "tom")
    secret = json.loads(tom.ok("second-factor", "set-up", "--json", stdin=f"{PASSWORD}\n"))["secret"]
    tom.ok("second-factor", "confirm", _code(secret, -1))
    assert tom("second-factor", "remove", "--yes", stdin=f"{PASSWORD}\n000000\n").status == 1
    assert tom("second-factor", "remove", "--passkey", "laptop", "--yes", stdin=f"{PASSWORD}\n").status == 1
    assert "Removed" in tom.ok("second-factor", "remove", "--yes", stdin=f"{PASSWORD}\n{_code(secret)}\n")
    assert json.loads(tom.ok("second-factor", "show", "--json"))["totp_since"] is None
    secret = json.loads(tom.ok("second-factor", "set-up", "--json", stdin=f"{PASSWORD}\n"))["secret"]
    tom.ok("second-factor", "confirm", _code(secret))
    assert tom("login", "tom", "--password-stdin", stdin=f"{PASSWORD}\n").status == 1
    here = Cli(served.settings.home, served.origin)
    assert "no second factor any more" in here.ok("user", "unlock", "tom", "--second-factor")
    tom.ok("login", "tom", "--password-stdin", stdin=f"{PASSWORD}\n")
