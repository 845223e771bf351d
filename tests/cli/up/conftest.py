"""A home in a short path (sockets live in it) and settings for it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from utcloud.cli.up import ports
from utcloud.common.settings import Settings


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="utc-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"UTCLOUD_{name.upper()}", raising=False)


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, port=ports.free(0), user="root")
