"""Rules of assets that no test held: each of these fails for a mutation that survived (tests/mutations.toml)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.assets.helpers import make
from tests.assets.test_unpack import make_tar, make_zip, run, work
from tests.support.web import Person, person, problem
from utcloud.assets.unpack import Refused


async def test_what_is_shared_with_a_group_is_shared_with_no_other(
    app: FastAPI, alice: Person, bob: Person, operator: Person
) -> None:
    group = (await operator.client.post("/groups", json={"name": "lab", "user_ids": [alice.id, bob.id]})).json()
    other = (await operator.client.post("/groups", json={"name": "other"})).json()
    asset = await make(alice.client, "net", visibility="group", group_id=group["id"])
    assert (await bob.client.get(f"/algorithms/{asset['id']}")).status_code == 200
    async with person(app, "mallory", groups=[other["id"]]) as mallory:
        problem(await mallory.client.get(f"/algorithms/{asset['id']}"), 404)
        assert (await mallory.client.get("/algorithms")).json()["items"] == []


@pytest.mark.parametrize("pack", [make_tar, make_zip])
def test_many_small_files_are_too_many_bytes_too(tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    files = {str(number): os.urandom(200_000) for number in range(6)}
    assert len(run(tmp_path, pack(files), work(max_bytes=1_200_000))) == 6
    (again := tmp_path / "again").mkdir()
    bounds = work(max_bytes=10**6)
    with pytest.raises(Refused, match="larger than 1 MB"):
        run(again, pack(files), bounds)
    assert bounds.bytes <= 1_200_000
