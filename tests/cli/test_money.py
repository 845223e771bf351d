"""Statements, sums and webhooks by command."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture(scope="module")
def recharged(operator: Cli) -> Cli:
    operator.ok("wallet", "recharge", "admin", "12.5", "--note", "for the statement")
    return operator


def test_a_statement_as_a_table_as_json_and_as_a_pdf(recharged: Cli, tmp_path: Path) -> None:
    (month, *_) = json.loads(recharged.ok("statement", "list", "--json"))["items"]
    assert month["month"] in recharged.ok("statement", "list")
    shown = recharged.ok("statement", "show", month["month"])
    assert "for the statement" in shown and "12.5" in shown
    assert json.loads(recharged.ok("statement", "show", month["month"], "--json"))["closing"] == month["closing"]
    target = tmp_path / "statement.pdf"
    recharged.ok("statement", "show", month["month"], "--pdf", str(target), "--lang", "zh")
    assert target.read_bytes().startswith(b"%PDF-")
    refused = recharged("statement", "show", "soon")
    assert refused.status != 0 and "2026-01" in refused.err


def test_sums(recharged: Cli) -> None:
    assert json.loads(recharged.ok("statement", "sums", "--by", "spec", "--json"))["by"] == "spec"
    assert "Total: 0 UNC" in recharged.ok("statement", "sums", "--by", "workload")


def test_webhooks(recharged: Cli) -> None:
    url = "https://hooks.invalid/utcloud"
    made = recharged.ok("webhook", "create", url, "--kind", "recharged")
    assert "whsec_" in made
    assert url in recharged.ok("webhook", "list")
    assert "is off" in recharged.ok("webhook", "switch", url, "--off")
    recharged.ok("webhook", "test", url)
    (one,) = json.loads(recharged.ok("webhook", "deliveries", "--json"))["items"]
    assert one["kind"] == "ping"
    recharged.ok("webhook", "retry", one["id"])
    recharged.ok("webhook", "delete", url, "--yes")
    assert json.loads(recharged.ok("webhook", "list", "--json"))["items"] == []
    assert recharged("webhook", "create", "gopher://x").status != 0


def test_notices(recharged: Cli) -> None:
    recharged.ok("webhook", "notices")
