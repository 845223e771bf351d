"""``utcloud user unlock``: lets somebody in whose name others have used up, without any login."""

from pathlib import Path

import httpx

from tests.cli.conftest import Cli
from tests.support.served import Served


def guess(served: Served, password: str = "wrong") -> int:
    body = {"username": "admin", "password": password}
    return httpx.post(f"{served.origin}/api/v1/auth/session", json=body, trust_env=False).status_code


def test_an_operator_who_was_kept_out_lets_themselves_in(served: Served, tmp_path: Path) -> None:
    here = Cli(served.settings.home, served.origin)
    while guess(served) != 429:
        pass
    assert guess(served, served.password) == 429
    assert "admin may log in at once" in here.ok("user", "unlock", "admin")
    assert guess(served, served.password) == 200
    assert "Nothing kept admin" in here.ok("user", "unlock", "admin")


def test_who_is_not_there_cannot_be_unlocked(served: Served, tmp_path: Path) -> None:
    here, elsewhere = Cli(served.settings.home, served.origin), Cli(tmp_path / "none", served.origin)
    refused = here("user", "unlock", "nobody-such")
    assert (refused.status, "nobody-such" in refused.err) == (1, True)
    refused = elsewhere("user", "unlock", "admin")
    assert refused.status == 1
    assert "UTCLOUD_HOME" in refused.err
    assert not (tmp_path / "none").exists(), "nothing was made"
