"""The firewall's names, and what it hears of nft. Its rules are tried in ``test_isolation_containers.py``."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import pytest

from utcloud.site import firewall, nft
from utcloud.site.firewall import Nftables, bridge_prefix


def test_a_site_keeps_its_prefix_and_an_older_ones_is_that_of_before(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    assert bridge_prefix(new) == bridge_prefix(new) != bridge_prefix(tmp_path / "another")
    assert len(bridge_prefix(new)) == 7
    (old / "attempts").mkdir(parents=True)
    assert bridge_prefix(old) == "utc"
    assert Nftables("utc").table == "inet utcloud"


@pytest.mark.parametrize("left", ["", "u", "utc*", "lo", "u12345-\n", "uXYZ12-", '" accept'])
def test_what_is_no_prefix_is_made_anew(tmp_path: Path, left: str) -> None:
    """Rules for an empty one would be rules for every interface of the machine."""
    (tmp_path / "attempts").mkdir()
    (tmp_path / "bridge-prefix").write_text(left)
    made = bridge_prefix(tmp_path)
    assert len(made) == 7
    assert made == bridge_prefix(tmp_path)


@pytest.mark.parametrize(
    ("line", "is_ours"),
    [
        ("delete table inet utcloud_0123f\n", True),
        ("delete chain inet utcloud_0123f forward\n", True),
        ("delete rule inet utcloud_0123f forward handle 7\n", True),
        ("delete table inet utcloud\n", False),
        ("delete table inet utcloud_0123f0\n", False),
        ('delete element inet utcloud_0123f within { "a" . "a" }\n', False),
        ('delete element inet utcloud_0123f sent { "a" limit rate over 1 kbytes/second }\n', False),
    ],
)
async def test_what_is_removed_of_its_own_table_is_heard(
    monkeypatch: pytest.MonkeyPatch, line: str, is_ours: bool
) -> None:
    said = asyncio.Event()

    async def removals() -> AsyncGenerator[str, None]:
        await said.wait()
        yield line
        await asyncio.Event().wait()

    monkeypatch.setattr(nft, "removals", removals)
    monkeypatch.setattr(firewall, "_BEGUN_S", 60.0)
    heard = asyncio.Event()
    listening = asyncio.create_task(Nftables("u0123f-")._hear(heard))
    await heard.wait()
    heard.clear()
    said.set()
    with suppress(TimeoutError):
        await asyncio.wait_for(heard.wait(), 5 if is_ours else 0.05)
    assert heard.is_set() is is_ours
    listening.cancel()


async def test_what_was_removed_before_nft_listened_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def removals() -> AsyncGenerator[str, None]:
        await asyncio.Event().wait()
        yield ""

    monkeypatch.setattr(nft, "removals", removals)
    monkeypatch.setattr(firewall, "_BEGUN_S", 0.01)
    heard = asyncio.Event()
    listening = asyncio.create_task(Nftables("u0123f-")._hear(heard))
    await heard.wait()
    heard.clear()
    await asyncio.wait_for(heard.wait(), 5)
    listening.cancel()
