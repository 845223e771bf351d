"""Statements, sums and webhooks by command."""

import csv
import io
import json
from decimal import Decimal
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
    (row, *_) = csv.DictReader(io.StringIO(recharged.ok("statement", "list", "--csv")))
    assert (row["month"], row["closing"]) == (month["month"], month["closing"])
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


def test_a_months_bookings_sum_up_to_its_statement(recharged: Cli) -> None:
    (month, *_) = json.loads(recharged.ok("statement", "list", "--wallet", "admin", "--json"))["items"]
    rows = list(csv.DictReader(io.StringIO(recharged.ok("statement", "entries", month["month"], "--csv"))))
    opening = json.loads(recharged.ok("statement", "show", month["month"], "--json"))["opening"]
    assert Decimal(opening) + sum(Decimal(row["amount"]) for row in rows) == Decimal(month["closing"])
    assert "for the statement" in recharged.ok("statement", "entries", month["month"])


def test_records_of_a_time_and_of_a_wallet(recharged: Cli) -> None:
    def notes(*when: str) -> list[str]:
        table = recharged.ok("recharge", "list", "--wallet", "admin", "--csv", *when)
        return [row["note"] for row in csv.DictReader(io.StringIO(table))]

    assert "for the statement" in notes("--since", "2020-01-31")
    assert notes("--until", "2020-01-31T12:00:00Z") == []
    assert recharged("recharge", "list", "--since", "yesterday").status != 0
    for noun in ("charge", "order", "notice"):
        recharged.ok(noun, "list", "--since", "2020-01-31", "--until", "2020-02-01", "--csv")
    recharged.ok("journal", "list", "--until", "2020-01-31")
    assert json.loads(recharged.ok("charge", "list", "--wallet", "admin", "--json", "--sort", "-paid"))["items"] == []
    assert "sort" in recharged("charge", "list", "--sort", "colour").err
    assert "nobody" in recharged("charge", "list", "--wallet", "nobody").err


def test_wallets_of_ones_own_as_csv(recharged: Cli) -> None:
    rows = csv.DictReader(io.StringIO(recharged.ok("wallet", "list", "--mine", "--owner", "user", "--csv")))
    assert [row["owner_name"] for row in rows] == ["admin"]


def test_ratings(recharged: Cli) -> None:
    assert json.loads(recharged.ok("order", "ratings", "--miner", "admin", "--json"))["count"] == 0


def test_webhooks(recharged: Cli) -> None:
    url = "https://hooks.invalid/utcloud"
    made = recharged.ok("webhook", "create", url, "--kind", "recharged")
    assert "whsec_" in made
    assert url in recharged.ok("webhook", "list")
    assert "order_settled" in recharged.ok("webhook", "change", url, "--kind", "order_settled")
    rotated = recharged.ok("webhook", "rotate", url)
    assert "whsec_" in rotated and rotated.split()[-1] not in made
    assert "is off" in recharged.ok("webhook", "switch", url, "--off")
    recharged.ok("webhook", "test", url)
    (one,) = json.loads(recharged.ok("webhook", "deliveries", "--webhook", url, "--json"))["items"]
    assert (one["kind"], one["target"]) == ("ping", url)
    assert json.loads(recharged.ok("webhook", "deliveries", "--mail", "--json"))["items"] == []
    recharged.ok("webhook", "retry", one["id"])
    recharged.ok("webhook", "delete", url, "--yes")
    assert json.loads(recharged.ok("webhook", "list", "--json"))["items"] == []
    assert recharged("webhook", "create", "gopher://x").status != 0


def test_notices(recharged: Cli) -> None:
    assert "for the statement" in recharged.ok("notice", "list", "--kind", "recharged")
    assert json.loads(recharged.ok("notice", "mail", "--json"))["unseen"] > 0
    recharged.ok("notice", "read")
    assert json.loads(recharged.ok("notice", "mail", "--json"))["unseen"] == 0
    chosen = json.loads(recharged.ok("notice", "mail", "--kind", "recharged", "--lang", "zh", "--json"))
    assert (chosen["mail"], chosen["language"]) == (["recharged"], "zh")
    assert json.loads(recharged.ok("notice", "mail", "--none", "--json"))["mail"] == []
