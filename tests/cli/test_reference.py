"""The reference pages that are made from the code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_command_and_setting_is_described() -> None:
    cli = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for words in ("notebook create", "algorithm upload", "wallet recharge", "spec price", "agent"):
        assert f"`utcloud {words}`" in cli
    settings = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert all(row.split("|")[3].strip() for row in settings.splitlines() if row.startswith("| `UTCLOUD_"))
