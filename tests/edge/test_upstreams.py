"""Where a site may lead the edge: only to its own containers, and to no address that another has."""

import ipaddress
import socket

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcloud.common import addresses
from utcloud.common.errors import Invalid
from utcloud.db import Database
from utcloud.edge import service
from utcloud.edge.models import Route

NETWORKS = ["10.89.0.0/16", "fd00:1::/64"]


async def _put(db: Database, replica: str, upstream: str, site: str = "si_1") -> Route:
    async with db.write() as tx:
        return await service.put_route(tx, replica, "usr_1", upstream, "t", site_id=site, networks=NETWORKS)


async def _all(db: Database) -> dict[str, str]:
    async with db.read() as tx:
        return {row.replica_id: row.upstream for row in await service.all_routes(tx)}


async def test_what_is_stored_was_built_here(db: Database) -> None:
    for number, (said, kept) in enumerate(
        {"10.89.0.2:8888": "10.89.0.2:8888", "[FD00:1:0::00aB]:1": "[fd00:1::ab]:1"}.items()
    ):
        assert (await _put(db, f"rep_{number}", said)).upstream == kept


async def test_a_site_cannot_take_another_sites_page(db: Database) -> None:
    await _put(db, "rep_1", "10.89.0.2:8888")
    with pytest.raises(Invalid) as refused:
        await _put(db, "rep_2", "10.89.0.2:8888", site="si_2")
    assert refused.value.code == "endpoint_taken"
    assert await _all(db) == {"rep_1": "10.89.0.2:8888"}
    await _put(db, "rep_2", "10.89.0.2:8889", site="si_2")


async def test_of_one_site_the_newest_word_holds(db: Database) -> None:
    await _put(db, "rep_1", "10.89.0.2:8888")
    await _put(db, "rep_2", "10.89.0.2:8888")
    assert await _all(db) == {"rep_2": "10.89.0.2:8888"}


async def test_the_hosts_own_addresses_are_refused_wherever_they_lie(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {
        ipaddress.ip_address(entry.address.partition("%")[0])
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    }
    assert own
    for address in own:
        assert addresses.is_own(address) or addresses.is_never(address), address
        place = str(addresses.Endpoint(address, 8888))
        with pytest.raises(Invalid) as refused:
            async with db.write() as tx:
                await service.put_route(tx, "r", "u", place, "t", site_id="s", networks=["0.0.0.0/0", "::/0"])
        assert refused.value.code == "endpoint"
    assert not addresses.is_own(ipaddress.ip_address("10.89.0.2"))


@given(st.text(alphabet="0123456789.:[]%@/abcfx １\n", max_size=40))
def test_no_text_but_an_address_and_port_is_one(text: str) -> None:
    found = addresses.endpoint(text)
    if found is not None:
        written = str(found)
        assert addresses.endpoint(written) == found
        assert set(written) <= set("0123456789abcdef.:[]")


@given(st.ip_addresses(), st.integers(1, 65535))
def test_each_address_is_read_as_it_is_written(address: addresses.Address, port: int) -> None:
    if getattr(address, "scope_id", None) is None:
        assert addresses.endpoint(str(addresses.Endpoint(address, port))) == addresses.Endpoint(address, port)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0/0",
        "127.0.0.0/8",
        "::/0",
        "fe80::/64",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "x",
        "",
        "64:ff9b::/96",
        "::1%a/128",
    ],
)
def test_networks_without_a_containers_address_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        addresses.networks(["10.0.0.0/8", text])
    assert refused.value.field == "networks.1"


def test_networks_are_kept_in_one_way() -> None:
    assert addresses.networks(["fd00::/64", "172.16.0.0/12", "10.0.0.0/8", "10.0.0.0/8"]) == [
        "10.0.0.0/8", "172.16.0.0/12", "fd00::/64",
    ]  # fmt: skip
