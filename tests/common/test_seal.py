"""The server's own key, and what is sealed with it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from utcloud.common import seal
from utcloud.common.settings import Settings


def test_what_is_sealed_opens_for_its_purpose_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    sealed = seal.seal(settings, "totp", "secret")
    assert "secret" not in sealed
    assert seal.unseal(settings, "totp", sealed) == "secret"
    assert seal.unseal(settings, "webhook", sealed) is None
    assert seal.unseal(Settings(home=tmp_path / "other"), "totp", sealed) is None
    assert seal.unseal(settings, "totp", "nonsense") is None


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"

    def key(_: int) -> bytes:
        seal._kept_key.cache_clear()
        return seal.derived_key(Settings(home=home), "x")

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(key, range(20)))) == 1
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["secret.key"]


def test_a_key_of_the_environment_is_used_and_never_printed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, secret_key="k" * 32)
    assert seal.unseal(settings, "totp", seal.seal(settings, "totp", "x")) == "x"
    assert not (tmp_path / "secret.key").exists()
    assert "k" * 32 not in repr(settings)
    with pytest.raises(ValidationError, match="32 characters"):
        Settings(secret_key="short")


def test_a_secret_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "access.json"
    victim.write_text("as it was")
    for link in (file, tmp_path / "access.new"):
        link.symlink_to(victim)
    seal.write_secret(file, "secret")
    assert (victim.read_text(), file.read_text(), file.is_symlink()) == ("as it was", "secret", False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
