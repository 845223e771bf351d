"""What an operator and miner does by command."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli


def _json(cli: Cli, *arguments: str) -> Any:
    return json.loads(cli.ok(*arguments, "--json"))


def test_nodes(operator: Cli) -> None:
    listed = operator.ok("node", "list")
    assert "node-1" in listed
    assert "sophgo.com/bm1684x 3/3" in listed
    page = _json(operator, "node", "list")
    assert set(page) == {"items", "next_cursor"}
    for ref in ("node-1", page["items"][0]["id"]):
        shown = operator.ok("node", "show", ref)
        assert "/dev/" in shown or "BM1684X" in shown.upper()
        assert all(title in shown for title in ("USED BY", "MEMORY", "TEMPERATURE", "POWER"))
    for fault in ("--unhealthy", "--flagged", "--cordoned"):
        assert _json(operator, "node", "list", fault)["items"] == []
    assert "node-1" in operator.ok("node", "list", "--open")
    assert _json(operator, "site", "list", "--clock-off")["items"] == []
    missing = operator("node", "show", "nowhere")
    assert missing.status == 1
    assert "nowhere" in missing.err
    assert "node-1" in missing.err, "what there is helps to find the right one"


def test_resource_spec_pool_and_group(operator: Cli) -> None:
    assert "sophgo.com/bm1684x" in operator.ok("resource", "list")
    operator.ok("resource", "create", "TPU1684X", "--system", "sophgo.com/bm1684x", "--node", "node-1")
    assert "TPU1684X" in operator.ok("resource", "list", "--custom")
    made = operator.ok(
        "spec", "create", "0.5CPU-1GB-1TPU1684X", "--price", "1.5",
        "--item", "cpu=0.5", "--item", "memory=1GB", "--item", "TPU1684X=1",
    )  # fmt: skip
    assert "1.5 UNC per hour" in made
    assert "1 TPU1684X" in made
    assert "1.5" in operator.ok("spec", "list")
    assert _json(operator, "spec", "price", "0.5CPU-1GB-1TPU1684X", "2.25")["price"] == "2.25"
    in_use = operator("resource", "delete", "TPU1684X", "--yes")
    assert in_use.status == 1
    assert "0.5CPU-1GB-1TPU1684X" in in_use.err
    again = operator("spec", "create", "0.5CPU-1GB-1TPU1684X", "--price", "1", "--item", "cpu=1")
    assert again.status == 1

    operator.ok("user", "create", "alice")
    operator.ok("group", "create", "lab", "--user", "alice")
    assert "alice" in operator.ok("group", "show", "lab")
    operator.ok("group", "edit", "lab", "--drop", "alice")
    assert _json(operator, "group", "show", "lab")["members"] == []
    operator.ok("group", "edit", "lab", "--add", "alice", "--rename", "lab2")
    assert [one["user"]["username"] for one in _json(operator, "group", "show", "lab2")["members"]] == ["alice"]

    operator.ok(
        "pool", "create", "lab-pool", "--group", "lab2", "--node", "node-1", "--notebook-spec", "0.5CPU-1GB-1TPU1684X"
    )
    shown = operator.ok("pool", "show", "lab-pool")
    assert "lab2" in shown
    assert "node-1" in shown
    changed = _json(operator, "pool", "edit", "lab-pool", "--open", "--clear", "groups", "--rename", "pool2")
    assert changed["open_to_all"] is True
    assert changed["groups"] == []
    assert changed["nodes"], "a list that is not named stays"
    operator.ok("pool", "delete", "pool2", "--yes")
    operator.ok("group", "delete", "lab2", "--yes")
    offered = operator("spec", "delete", "0.5CPU-1GB-1TPU1684X", "--yes")
    assert offered.status == 1
    assert "default" in offered.err
    operator.ok("pool", "edit", "default", "--clear", "notebook-specs", "--clear", "training-specs")
    operator.ok("spec", "delete", "0.5CPU-1GB-1TPU1684X", "--yes")
    operator.ok("resource", "delete", "TPU1684X", "--yes")
    assert "TPU1684X" not in operator.ok("resource", "list", "--custom")


def test_unit_prices_suggest_what_a_spec_costs(operator: Cli) -> None:
    chip = "sophgo.com/bm1684x"
    shown = operator.ok("spec", "preview", "--item", "cpu=0.5", "--item", f"{chip}=1")
    assert "1 now, 1 at best, 0 never" in shown
    assert f"cpu, {chip}" in shown, "what has no unit price is named"
    without = operator("spec", "create", "by-unit", "--item", "cpu=0.5")
    assert (without.status, "price" in without.err) == (1, True)
    said = operator.ok("spec", "unit-prices", "cpu=0.2", f"{chip}=1")
    assert "core" in said
    assert "piece" in said
    assert "1.1" in operator.ok("spec", "preview", "--item", "cpu=0.5", "--item", f"{chip}=1")
    assert "1.1 UNC" in operator.ok("spec", "create", "by-unit", "--item", "cpu=0.5", "--item", f"{chip}=1")
    operator.ok("spec", "unit-prices", "cpu=")
    prices = {one["resource"]: one["price"] for one in _json(operator, "spec", "unit-prices")["items"]}
    assert (prices["cpu"], prices[chip]) == (None, "1"), "what is not named stays"
    assert operator("spec", "unit-prices", "cpu").status == 2
    operator.ok("pool", "create", "priced")
    changed = _json(
        operator,
        "spec",
        "edit",
        "by-unit",
        "--rename",
        "by-hand",
        "--price",
        "9",
        "--pool",
        "priced",
        "--pool",
        "default",
    )
    assert [one["name"] for one in changed["pools"]] == ["default", "priced"]
    assert "by-hand" in operator.ok("spec", "show", "by-hand")
    rows = list(csv.DictReader(io.StringIO(operator.ok("spec", "list", "--csv", "--pool", "priced"))))
    assert [(row["name"], row["price"]) for row in rows] == [("by-hand", "9")]
    assert "by-hand" not in operator.ok("spec", "list", "--resource", "memory")
    assert "by-hand" in operator.ok("pool", "list", "--spec", "by-hand", "--sort", "-name")
    never = _json(operator, "overview", "--miner")["attention"]
    assert ("pool_without_nodes", "priced") in {(one["kind"], one["object_name"]) for one in never}
    assert "pool without nodes" in operator.ok("overview", "--miner")
    assert [one["name"] for one in _json(operator, "pool", "list", "--without", "nodes")["items"]] == ["priced"]
    assert _json(operator, "spec", "list", "--never-fits")["items"] == []
    operator.ok("spec", "edit", "by-hand", "--no-pool")
    operator.ok("spec", "delete", "by-hand", "--yes")
    operator.ok("pool", "delete", "priced", "--yes")


def test_a_resource_is_named_on_other_nodes(operator: Cli) -> None:
    operator.ok("resource", "create", "Sophon", "--system", "sophgo.com/bm1684x", "--node", "node-1")
    assert _json(operator, "resource", "edit", "Sophon", "--all-nodes", "--description", "all")["nodes"] == []
    assert "sophgo.com/bm1684x" in operator.ok("resource", "list", "--custom", "--csv", "--sort", "-name")
    assert operator("resource", "create", "Chain", "--system", "Sophon").status == 1
    operator.ok("resource", "delete", "Sophon", "--yes")


@pytest.mark.parametrize("item", ["memory", "=1GB", "memory="])
def test_a_wrong_item(operator: Cli, item: str) -> None:
    refused = operator("spec", "create", "wrong", "--price", "1", "--item", item)
    assert refused.status in (1, 2)
    assert refused.err.startswith("Error: ")


def test_a_refusal_names_the_cure(operator: Cli) -> None:
    refused = operator("spec", "create", "wrong", "--price", "-1", "--item", "cpu=1")
    assert refused.status == 1
    assert "price" in refused.err
    assert len(refused.err.strip().splitlines()) >= 2


def test_users(operator: Cli, stranger: Cli) -> None:
    made = _json(operator, "user", "create", "bob", "--role", "renter", "--role", "miner", "--email", "b@example.org")
    assert set(made["roles"]) == {"renter", "miner"}
    first = made["initial_password"]
    assert "bob" in operator.ok("user", "list", "--search", "bo")
    operator.ok("user", "edit", "bob", "--role", "renter", "--display-name", "Bob")
    assert _json(operator, "user", "show", "bob")["roles"] == ["renter"]
    operator.ok("user", "freeze", "bob", "--yes")
    assert _json(operator, "user", "show", made["id"])["status"] == "frozen"
    assert stranger("login", "bob", "--password-stdin", stdin=first).status == 1
    operator.ok("user", "unfreeze", "bob")
    new = _json(operator, "user", "reset-password", "bob", "--yes")["password"]
    assert new != first
    stranger.ok("login", "bob", "--password-stdin", stdin=new)
    assert "go on to work" in stranger.ok("password", "--keep-tokens", stdin=f"{new}\na second long password\n")
    assert "bob" in stranger.ok("whoami")
    stranger.ok("password", stdin="a second long password\nanother long password\n")
    assert stranger("whoami").status == 3
    stranger.ok("login", "bob", "--password-stdin", stdin="another long password")
    refused = stranger("user", "list")
    assert refused.status == 1
    stranger.ok("logout")
    operator.ok("user", "create", "carol", "--password-stdin", stdin="a password of carol's\n")
    operator.ok("user", "delete", "carol", "--yes")
    assert operator("user", "show", "carol").status == 1


def test_wallets(operator: Cli) -> None:
    operator.ok("user", "create", "dora")
    assert "10 UNC" in operator.ok("wallet", "recharge", "dora", "10", "--note", "welcome")
    said = operator.ok("wallet", "deduct", "dora", "2.5")
    assert "7.5 UNC available" in said
    assert _json(operator, "wallet", "show", "dora")["available"] == "7.5"
    assert "dora" in operator.ok("wallet", "list")
    assert "welcome" in operator.ok("recharge", "list", "--search", "dora")
    rows = list(csv.DictReader(io.StringIO(operator.ok("recharge", "list", "--csv"))))
    assert {row["amount"] for row in rows} == {"10", "-2.5"}
    for amount in ("0", "-1", "1e3", "much"):
        assert operator("wallet", "recharge", "dora", "--", amount).status == 1
    assert operator("wallet", "deduct", "dora", "8").status == 1
    assert operator("wallet", "recharge", "nobody", "1").status == 1


def test_everything_else_can_be_listed(operator: Cli) -> None:
    for words in (
        ["image", "list"], ["work", "list"], ["audit", "list"], ["site", "list"], ["charge", "list"],
        ["algorithm", "list"], ["dataset", "list"], ["model", "list"], ["notebook", "list"], ["earnings", "show"],
        ["earnings", "platform"],
        ["overview"], ["overview", "--miner"], ["wallet", "show"],
    ):  # fmt: skip
        assert operator(*words).status == 0, words
        json.loads(operator.ok(*words, "--json"))
    operator.ok("user", "create", "audited", "--role", "renter")
    audited = operator.ok("audit", "list", "--action", "user.create", "--actor", "admin")
    assert "user.create" in audited


def test_sites_and_images(operator: Cli) -> None:
    made = operator.ok("site", "create", "far")
    assert "shown only now" in made
    operator.ok("site", "delete", "far", "--yes")
    operator.ok("image", "create", "mine", "localhost/mine:1")
    assert "localhost/mine:1" in operator.ok("image", "list")
    operator.ok("image", "update", "mine", "--description", "Ours", "--no-jupyter")
    assert "Ours" in operator.ok("image", "list", "--search", "mine")
    operator.ok("image", "delete", "mine", "--yes")


def test_preset_assets(operator: Cli, tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "train.csv").write_text("1,2\n")
    for number in (1, 2):
        made = operator.ok("dataset", "upload", str(tmp_path / "digits"), "--preset")
        assert f"digits version {number}: 1 files" in made
    operator.ok("dataset", "update", "digits", "--description", "Written by hand", "--name", "mnist")
    assert "Written by hand" in operator.ok("dataset", "list", "--preset", "--sort", "name")
    operator.ok("dataset", "update", "mnist", "--visibility", "private")
    assert "mnist" not in operator.ok("dataset", "list", "--preset")
    operator.ok("dataset", "delete", "mnist", "--yes")


def test_a_long_list_says_that_there_is_more(operator: Cli) -> None:
    for number in range(3):
        operator.ok("group", "create", f"many-{number}")
    page = operator("group", "list", "--search", "many", "--limit", "2")
    assert page.status == 0
    assert "There is more: --cursor " in page.err
    cursor = page.err.split("--cursor ")[1].split(",")[0]
    assert len(_json(operator, "group", "list", "--search", "many", "--cursor", cursor)["items"]) == 1


def test_anothers_text_cannot_steer_the_terminal(operator: Cli) -> None:
    operator.ok("group", "create", "painted", "--description", "[red]x[/red] \x1b[31mred\x1b[0m \x1b]0;title\x07")
    listed = operator.ok("group", "list", "--search", "painted")
    assert "\x1b" not in listed
    assert "[red]x[/red]" in listed
