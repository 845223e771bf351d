"""Where a webhook may lead, when its host has several addresses."""

import asyncio
from typing import Any

import pytest

from utcloud.billing.outbox.addresses import RefusedAddressError, look_up

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("found", [["93.184.216.34", "10.0.0.1"], ["10.0.0.1", "93.184.216.34"]])
async def test_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    """Else a name with two addresses leads into the platform, whichever is spoken to."""

    async def resolve(_host: str, port: int, **_: Any) -> Any:
        return [(2, 1, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(RefusedAddressError):
        await look_up("http://mixed.test/hook", private=False)
    assert [target.url.host for target in await look_up("http://mixed.test/hook", private=True)] == found
