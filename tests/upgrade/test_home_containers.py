"""With real containers: an old home is started by today's version, backed up while it runs, and made anew."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cloud import charges_of, expected_amount, micro
from tests.support.api import Api, Json, wait_for
from tests.support.stack import Stack, missing, new_stack
from tests.upgrade.old import inventory, same_assets, same_books, unpack, verification
from utcloud.site import loop

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]


@pytest.fixture
def stack() -> Iterator[Stack]:
    if lacking := missing():
        pytest.skip(lacking)
    one = new_stack()
    one.home.mkdir(parents=True, exist_ok=True)
    yield one
    one.forget()


def person(stack: Stack, expected: dict[str, Any], username: str) -> Api:
    return stack.anonymous().login(username, expected["passwords"][username])


def text(stack: Stack, api: Api, notebook: str, path: str) -> str | None:
    """A file as the notebook's own server gives it."""
    page = stack.page(api.post(f"/notebooks/{notebook}/open")["url"])
    answer = page.get(f"/api/contents/{path}")
    return str(answer.json()["content"]) if answer.status_code == 200 else None


def write(stack: Stack, api: Api, notebook: str, path: str, content: str) -> None:
    page = stack.page(api.post(f"/notebooks/{notebook}/open")["url"])
    body = {"type": "file", "format": "text", "content": content}
    page.put(f"/api/contents/{path}", json=body).raise_for_status()


def works(stack: Stack, expected: dict[str, Any]) -> Api:
    """The first renter, when all is as it was and the node is heard."""
    operator = person(stack, expected, "admin")
    stack.wait_until_heard(operator)
    lin = person(stack, expected, "lin")
    same_assets(lin, expected)
    return lin


def test_an_old_home_runs_is_backed_up_and_made_anew(stack: Stack, tmp_path: Path) -> None:
    expected = unpack("sqlite", stack.home)
    notebook, volume = expected["notebook"]["id"], expected["notebook"]["replica_id"]
    stack.up()
    lin = works(stack, expected)
    same_books(person(stack, expected, "admin"), {"lin": lin}, expected)

    # Today's version starts the notebook of before, with its files.
    lin.post(f"/notebooks/{notebook}/start")
    lin.wait_state(notebook, "running")
    home = stack.home / "site" / "mounts" / volume / "files"
    found = inventory(home)
    assert {path: found[path] for path in expected["homes"][volume]} == expected["homes"][volume]
    assert text(stack, lin, notebook, "work/kept.txt") == "kept\n"
    write(stack, lin, notebook, "work/new.txt", "written by today's version\n")

    # It is backed up while it runs, and is in nobody's way.
    done = stack.command("backup", str(tmp_path / "backups"))
    backed_up_at = datetime.now(UTC)
    assert done.returncode == 0, done.stdout
    assert "written to while" not in done.stdout
    write(stack, lin, notebook, "work/late.txt", "after the backup")
    attempt = _open_charge(lin, notebook)
    told = verification(person(stack, expected, "admin"))

    # The machine is lost. Another one has nothing but the software.
    stack.forget()
    assert sorted(one.name for one in stack.home.iterdir()) == ["engine"]
    done = stack.command("restore", str(tmp_path / "backups"))
    assert done.returncode == 0, done.stdout
    assert "UTCLOUD_SIMULATE_CHIPS" in done.stdout
    restored = _mounted(stack.home / "site" / "images" / f"{volume}.img", tmp_path / "mounted")
    assert {path: restored[path] for path in expected["homes"][volume]} == expected["homes"][volume]
    assert "work/new.txt" in restored and "work/late.txt" not in restored

    stack.up()
    lin = works(stack, expected)
    ended = wait_for(lambda: _ended(lin, notebook), "the notebook of before the loss has ended")
    assert ended["reason"], "its owner reads why"
    (lost,) = [one for one in charges_of(lin, notebook) if one["attempt_id"] == attempt["attempt_id"]]
    assert lost["open"] is False
    assert micro(lost["amount"]) == expected_amount(lost)
    assert datetime.fromisoformat(lost["ended_at"]) <= backed_up_at, "nothing after the backup is billed"
    _books_agree(person(stack, expected, "admin"), lin, told)

    lin.post(f"/notebooks/{notebook}/start")
    lin.wait_state(notebook, "running")
    assert text(stack, lin, notebook, "work/kept.txt") == "kept\n"
    assert text(stack, lin, notebook, "work/new.txt") == "written by today's version\n"
    assert text(stack, lin, notebook, "work/late.txt") is None
    write(stack, lin, notebook, "work/new.txt", "and it can be written to\n")
    lin.post(f"/notebooks/{notebook}/stop")
    lin.wait_state(notebook, "stopped")


def _open_charge(api: Api, notebook: str) -> Json:
    (charge,) = [one for one in charges_of(api, notebook) if one["open"]]
    return charge


def _ended(api: Api, notebook: str) -> Json | None:
    found = api.notebook(notebook)
    return found if found["state"] in ("failed", "stopped", "succeeded") else None


def _books_agree(operator: Api, lin: Api, told: Json) -> None:
    verdict = verification(operator)
    assert (verdict["ok"], verdict["fault"]) == (True, None)
    assert verdict["checked"] >= told["checked"] - 1
    assert operator.get("/earnings/platform")["journal_sum"] == "0"
    recharged = sum(micro(one["amount"]) for one in lin.all("/recharges") if one["owner_name"] == "lin")
    paid = sum(micro(one["paid"]) for one in lin.all("/charges"))
    assert micro(lin.get("/wallets/mine")["balance"]) == recharged - paid


def _mounted(image: Path, point: Path) -> dict[str, list[object]]:
    """What lies in an image that nobody uses."""
    point.mkdir()
    file = loop.claim(image)
    assert file is not None
    loop.mount(image, point, file, read_only=True)
    os.close(file)
    try:
        return inventory(point / "files")
    finally:
        assert loop.unmount(point)
        shutil.rmtree(point)
