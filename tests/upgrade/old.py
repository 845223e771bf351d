"""Unpacking what an older version left; see data/README.md."""

import asyncio
import hashlib
import json
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, select

from tests.support.api import Api, Json
from tests.support.db import postgres_bin
from utcloud.db import Database

DATA = Path(__file__).parent / "data"
MONEY = {
    "wallets": ("owner_name", "balance", "accrued", "held", "available"),
    "recharges": ("owner_name", "kind", "amount", "note", "actor_name", "at"),
    "charges": (
        *("payer_name", "payee_name", "workload", "attempt", "price", "started_at", "ended_at", "seconds"),
        *("amount", "miner_share", "platform_fee", "waived", "credited", "paid", "settled", "open", "simulated"),
    ),
    "orders": ("state", "workload", "unit_price", "cost", "waived", "credited", "seconds", "miner_name", "spec"),
}
"""What is said of each record of money, and must be said of it for ever."""
NOTEBOOK = ("name", "state", "reason", "algorithm", "dataset", "image", "pool", "spec", "simulated")
JOURNAL = ("/journal", "/ledger")
"""What the journal's routes are called, and were called."""


def unpack(kind: str, home: Path) -> dict[str, Any]:
    """Make ``home`` what the older version left; return what it said of it."""
    home.mkdir(parents=True, exist_ok=True)
    with tarfile.open(DATA / f"{kind}.tar.xz") as packed:
        packed.extractall(home, numeric_owner=True, filter="fully_trusted")
    (home / "run" / "environment.json").unlink()  # the old place; tests name their own settings
    expected: dict[str, Any] = json.loads((home / "expected.json").read_text())
    (home / "expected.json").unlink()
    return expected


def load_dump(home: Path, url: str) -> None:
    """Bring PostgreSQL's dump into the empty database at ``url``."""
    binaries = postgres_bin()
    assert binaries
    place, _, socket = url.partition("?host=")
    database = place.rpartition("/")[2]
    command = [str(binaries / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", "utcloud", "-d", database]
    subprocess.run([*command, "-f", str(home / "dump.sql")], check=True, capture_output=True)


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table, in order."""

    def read(connection: Connection) -> dict[str, list[str]]:
        known = MetaData()
        known.reflect(connection)
        return {
            name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for name, table in known.tables.items()
        }

    async def main() -> dict[str, list[str]]:
        db = Database(url)
        try:
            async with db.engine.connect() as connection:
                return await connection.run_sync(read)
        finally:
            await db.close()

    return asyncio.run(main())


def inventory(root: Path) -> dict[str, list[object]]:
    """Kind and mode, and hash or target, of all below a folder."""
    found: dict[str, list[object]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        what = ""
        if stat.S_ISLNK(mode):
            what = str(path.readlink())
        elif stat.S_ISREG(mode):
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = [mode, what]
    return found


def some(items: list[Json], fields: tuple[str, ...]) -> dict[str, Json]:
    """These fields of each item, by its id."""
    return {item["id"]: {name: item[name] for name in fields} for item in items}


def verification(api: Api, head: str = "") -> Json:
    """The verdict on the journal, against an old head."""
    answers = [api.http.get(f"{name}/verification", params={"head": head} if head else {}) for name in JOURNAL]
    found = next(answer for answer in answers if answer.status_code != 404)
    verdict: Json = json.loads(found.raise_for_status().text.splitlines()[-1])
    return verdict


def same_books(operator: Api, renters: dict[str, Api], expected: dict[str, Any]) -> None:
    """Wallets, records, earnings and the verdict are what they were."""
    for name in ("wallets", "recharges", "charges"):
        found = operator.all(f"/{name}", **({"role": "payee"} if name == "charges" else {}))
        assert some(found, MONEY[name]) == some(expected[name], MONEY[name]), name
    for username, api in renters.items():
        assert some(api.all("/orders"), MONEY["orders"]) == some(expected["orders"][username], MONEY["orders"])
        mine = next(one for one in expected["wallets"] if one["owner_name"] == username)
        assert api.get("/wallets/mine")["balance"] == mine["balance"]
    assert operator.get("/earnings")["balance"] == expected["earnings"]["balance"]
    platform = operator.get("/earnings/platform")
    assert {name: platform[name] for name in ("fees", "issued", "journal_sum")} == expected["platform"]
    old = expected["verification"]
    verdict = verification(operator, f"{old['checked']}:{old['head']}")
    assert (verdict["ok"], verdict["fault"]) == (True, None)
    assert verdict["checked"] >= old["checked"], "no entry is lost, and the old head is still met"


def same_assets(api: Api, expected: dict[str, Any]) -> None:
    """Every version has the same files with the same contents."""
    assert expected["assets"]
    for version in expected["assets"]:
        found = api.get(version["path"])
        assert (found["id"], found["status"], found["size"]) == (version["id"], version["status"], version["size"])
        files = {}
        for one in api.all(f"{version['path']}/files"):
            content = api.http.get(f"{version['path']}/files/content", params={"path": one["path"]}).content
            files[one["path"]] = hashlib.sha256(content).hexdigest()
        assert files == version["files"]
