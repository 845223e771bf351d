"""The session cookie on a public domain."""

from pathlib import Path

import pytest

from utcloud.accounts.auth import session_cookie_name
from utcloud.common.settings import Settings


@pytest.mark.parametrize(("domain", "name"), [("", "utcloud_session"), ("cloud.example.org", "__Host-utcloud_session")])
def test_on_https_the_cookie_is_bound_to_its_host(tmp_path: Path, domain: str, name: str) -> None:
    assert session_cookie_name(Settings(home=tmp_path, domain=domain)) == name
