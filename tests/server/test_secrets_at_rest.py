"""Who reads the database, or a copy of it, finds no secret: hashes of those that are compared, the others sealed."""

from pathlib import Path

import pytest

from tests.support.api import wait_for
from tests.support.cloud import Cloud
from tests.support.secrets import Secrets, travel
from tests.support.served import Served
from tests.upgrade.old import rows
from utcloud.common.seal import MARK

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def seen(cloud: Cloud, served: Served) -> Secrets:
    found = travel(cloud, "/edge/open")

    cookie = found.known["page's cookie"]

    def page() -> Path | None:
        return next(served.settings.edge_routes.glob(f"*/{cookie}/*"), None)

    file = wait_for(page, "the file that Caddy reads")
    found.known["page's token"] = file.name.rpartition("@")[2]
    return found


def test_no_row_holds_a_secret(seen: Secrets, served: Served) -> None:
    assert len(seen.known) > 15
    assert min(map(len, seen.known.values())) >= 12, "none is empty, none so short that it stands anywhere by chance"
    for table, texts in rows(served.settings.database).items():
        assert not seen.found_in("\n".join(texts)), table


def test_what_must_be_read_again_is_sealed(seen: Secrets, served: Served) -> None:
    kept = rows(served.settings.database)
    assert {name: kept[name][0].count(MARK) for name in ("edge_routes", "attempts", "webhooks")} == {
        "edge_routes": 2,
        "attempts": 1,
        "webhooks": 2,
    }


def test_no_file_of_the_home_but_its_owners_holds_a_secret(seen: Secrets, served: Served) -> None:
    for path in served.settings.home.rglob("*"):
        if path.is_file() and path != served.settings.token_file:
            assert not seen.found_in(path.read_bytes()), path
