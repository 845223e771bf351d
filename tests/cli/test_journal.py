"""The journal, orders and spending caps by command."""

import json

import pytest

from tests.cli.conftest import Cli


@pytest.fixture(scope="module")
def recharged(operator: Cli) -> Cli:
    operator.ok("wallet", "recharge", "admin", "12.5", "--note", "for the journal")
    return operator


def test_verify(recharged: Cli) -> None:
    shown = recharged.ok("journal", "verify")
    assert "entries are right" in shown
    found = json.loads(recharged.ok("journal", "verify", "--json"))
    assert found["ok"] and found["head"] in shown
    newest = json.loads(recharged.ok("journal", "list", "--json", "--limit", "1"))["items"][0]
    assert newest["hash"] == found["head"]
    assert "for the journal" in recharged.ok("journal", "list")
    head = shown.split("Head: ")[1].strip()
    assert "entries are right" in recharged.ok("journal", "verify", "--head", head)
    assert recharged("journal", "verify", "--head", head[:-1] + ("0" if head[-1] != "0" else "1")).status == 1
    assert recharged("journal", "verify", "--head", "7").status != 0


def test_caps_and_warnings(recharged: Cli) -> None:
    assert "12.5" in recharged.ok("wallet", "cap", "admin", "--daily", "12.5")
    (cap,) = json.loads(recharged.ok("wallet", "caps", "admin", "--json"))["items"]
    assert (cap["daily"]["limit"], cap["monthly"], cap["total"]) == ("12.5", None, None)
    recharged.ok("wallet", "cap", "admin")
    assert json.loads(recharged.ok("wallet", "caps", "admin", "--json"))["items"] == []
    assert "below 3 UNC" in recharged.ok("wallet", "warn", "admin", "3")
    assert recharged("wallet", "cap", "admin", "--daily", "-1").status != 0


def test_orders(recharged: Cli) -> None:
    recharged.ok("order", "list")
    assert json.loads(recharged.ok("order", "list", "--state", "open", "--json"))["items"] == []
    assert recharged("order", "show", "or_none").status != 0
    assert recharged("order", "rate", "or_none", "5").status != 0


def test_where_a_group_pays_and_its_members_caps(recharged: Cli) -> None:
    recharged.ok("group", "create", "payers")
    assert json.loads(recharged.ok("wallet", "caps", "payers", "--json"))["items"][0]["user_id"] == "*"
    caps = recharged.ok("wallet", "caps", "payers")
    assert "each" in caps
    assert "keeper" in caps
    assert "operator" in recharged.ok("wallet", "cap", "payers", "--daily", "5")
    (own, each) = json.loads(
        recharged.ok("wallet", "cap", "payers", "--each", "--as-keeper", "--daily", "7", "--json")
    )["items"]
    assert (own["set_by"], own["daily"]["limit"]) == ("operator", "5")
    assert (each["set_by"], each["daily"]["limit"]) == ("keeper", "7")
    recharged.ok("wallet", "pays", "payers", "--pool", "default", "--max-price", "2.5")
    shown = recharged.ok("wallet", "show", "payers")
    assert "default" in shown
    assert "2.5" in shown
    wallet = json.loads(recharged.ok("wallet", "pays", "payers", "--no-pool", "--max-price", "none", "--json"))
    assert (wallet["pools"], wallet["max_price"]) == ([], None)
    assert recharged("wallet", "pays", "admin", "--max-price", "1").status != 0, "it is not a group's"
