"""Where a notebook's page opens, as REST says it."""

from urllib.parse import urlsplit

import pytest

from tests.support.api import Json, Refused, wait_for
from tests.support.cloud import Cloud

pytestmark = pytest.mark.postgres


def test_a_notebook_has_the_same_address_after_stop_and_start(cloud: Cloud) -> None:
    notebook = cloud.create("lasting")
    path = f"/notebooks/{notebook['id']}"

    def become(state: str) -> Json:
        return wait_for(lambda: (one := cloud.renter.get(path))["state"] == state and one, state)

    def address() -> str:
        return str(urlsplit(cloud.renter.post(f"{path}/open")["url"]).netloc)

    hosts = set()
    for _ in range(2):
        become("running")
        hosts.add(address())
        cloud.renter.post(f"{path}/stop", {})
        become("stopped")
        with pytest.raises(Refused):
            address()
        cloud.renter.post(f"{path}/start", {})
    become("running")
    hosts.add(address())
    assert len(hosts) == 1
