"""Where a webhook may lead, when its host has several addresses."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator

import aiodns
import pytest

from utcloud.billing.outbox import addresses
from utcloud.billing.outbox.addresses import RefusedAddressError, look_up

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("found", [["93.184.216.34", "10.0.0.1"], ["10.0.0.1", "93.184.216.34"]])
async def test_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    """Else a name with two addresses leads into the platform, whichever is spoken to."""

    async def resolve(_name: str) -> list[addresses.Address]:
        return [ipaddress.ip_address(one) for one in found]

    monkeypatch.setattr(addresses, "resolve", resolve)
    with pytest.raises(RefusedAddressError):
        await look_up("http://mixed.test/hook", private=False)
    assert [target.url.host for target in await look_up("http://mixed.test/hook", private=True)] == found


async def test_names_that_nobody_answers_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """One user's name servers are silent: their look-ups end in time, and another's name is found meanwhile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = aiodns.DNSResolver(
            nameservers=[f"127.0.0.1:{silent.getsockname()[1]}"], timeout=addresses.LOOK_UP_S, tries=1
        )
        monkeypatch.setattr(addresses, "LOOK_UP_S", 0.5)
        monkeypatch.setitem(addresses._resolvers, asyncio.get_running_loop(), resolver)
        began = time.monotonic()
        slow = [
            asyncio.create_task(look_up(f"http://slow-{number}.example/", private=True, user_id="usr_slow"))
            for number in range(6)
        ]
        await asyncio.sleep(0.05)
        (target,) = await look_up("http://127.0.0.1:1/", private=True, user_id="usr_quick")
        (here, *_) = await look_up("http://localhost:1/", private=True, user_id="usr_quick")
        assert time.monotonic() - began < 0.4
        assert target.url.host == "127.0.0.1" and ipaddress.ip_address(here.url.host).is_loopback
        ended = await asyncio.gather(*slow, return_exceptions=True)
        await resolver.close()
    assert all(isinstance(one, RefusedAddressError) for one in ended)
    assert 1.4 < time.monotonic() - began < 2.5, "two of a user's at a time"
    assert addresses._places == {}


@pytest.fixture(autouse=True)
async def _resolver() -> AsyncIterator[None]:
    yield
    await addresses.close_resolver()


async def test_a_private_name_and_none_are_refused_alike() -> None:
    """Else a webhook tells which names there are inside."""
    said = set()
    for name in ("localhost", "nothing-there.invalid"):
        with pytest.raises(RefusedAddressError) as refused:
            await look_up(f"http://{name}/", private=False)
        said.add(str(refused.value).replace(name, "NAME"))
    assert len(said) == 1
