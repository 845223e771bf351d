"""Routes and opening codes."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from tests.support.clock import FakeClock
from utcloud.common.errors import Conflict, Invalid
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import service
from utcloud.edge.models import OpeningCode, Route
from utcloud.edge.routes import router

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = Settings(port=8080)


async def _put(db: Database, replica: str = "rep_1", upstream: str | None = None, token: str = "t") -> Route:
    if upstream is None:
        upstream = f"10.89.0.2:888{replica[-1]}"
    async with db.write() as tx:
        return await service.put_route(
            tx, replica, "usr_1", upstream, token, site_id="si_1", networks=["10.89.0.0/16", "fd00:1::/64"]
        )


async def _issue(db: Database, path: str = "/lab") -> tuple[str, str]:
    async with db.write() as tx:
        url, expires_at = await service.issue_code(tx, NOW, SETTINGS, "rep_1", path)
    assert expires_at == NOW + timedelta(seconds=60)
    host, code = re.fullmatch(r"http://([^/]+)/_utcloud/open\?code=(\S+)", url).groups()  # type: ignore[union-attr]
    return host, code


async def _redeem(db: Database, host: str, code: str, now: datetime = NOW) -> tuple[str, str] | None:
    async with db.write() as tx:
        return await service.redeem(tx, now, host, code)


async def _codes(db: Database) -> int:
    async with db.read() as tx:
        return await tx.scalar(select(func.count()).select_from(OpeningCode)) or 0


async def test_a_host_says_nothing_and_stays_over_attempts(db: Database) -> None:
    first = await _put(db)
    assert re.fullmatch(r"[a-z][a-z2-7]{19}", first.host_label)
    again = await _put(db, upstream="10.89.0.7:8888", token="u")
    assert (again.host_label, again.secret) == (first.host_label, first.secret)
    assert (again.upstream, again.upstream_token) == ("10.89.0.7:8888", "u")
    other = await _put(db, "rep_2")
    assert other.host_label != first.host_label
    assert other.secret != first.secret


async def test_a_host_is_its_replicas_as_long_as_that_exists(db: Database) -> None:
    first = await _put(db)
    host, code = await _issue(db)
    async with db.write() as tx:
        await service.drop_route(tx, "rep_1")
        await service.drop_route(tx, "rep_1")
    async with db.read() as tx:
        assert not await service.has_route(tx, "rep_1")
        assert await service.all_routes(tx) == []
        assert await service.is_host(tx, first.host_label), "it keeps its certificate"
    with pytest.raises(Conflict):
        await _issue(db)
    async with db.write() as tx:
        await service.rotate(tx, "usr_1")
    assert await _redeem(db, host, code) is None
    second = await _put(db)
    assert second.host_label == first.host_label
    assert second.secret != first.secret, "what was open by the old one stays shut"
    async with db.write() as tx:
        await service.forget_routes(tx, ["rep_1"])
        assert not await service.is_host(tx, first.host_label)
    assert (await _put(db)).host_label != first.host_label


async def test_several_stopped_replicas_have_no_address_at_all(db: Database) -> None:
    hosts = set()
    for number in (1, 2, 3):
        hosts.add((await _put(db, f"rep_{number}")).host_label)
        async with db.write() as tx:
            await service.drop_route(tx, f"rep_{number}")
    assert {(await _put(db, f"rep_{number}", "10.89.0.9:80")).host_label for number in (1, 2, 3)} == hosts
    async with db.read() as tx:
        assert [route.replica_id for route in await service.all_routes(tx)] == ["rep_3"], "one has the address"


@pytest.mark.parametrize(
    "upstream",
    ["[2001:db8::1%a]@127.0.0.1:9090", "[2001:db8::1%a]@169.254.169.254:80", "[fd00:1::2%a]:80", "[64:ff9b::7f00:1]:80",
     "[64:ff9b:1::a59:2]:80", "[2002:7f00:1::]:80", "[::127.0.0.1]:80", "[::ffff:10.89.0.2]:80",
     "[::ffff:0:10.89.0.2]:80", "10.89.0.2:８０", "１０.89.0.2:80", "10.89.0.02:80", "10.89.0.2:+80", "10.89.0.2: 80",
     "10.89.0.2:80\n", "10.89.0.2:080",
     "192.168.1.1:80", "8.8.8.8:53", "10.88.0.2:8888", "[fd00:2::2]:80", "[fe80::1]:80", "255.255.255.255:80",
     "[fd00:ec2::254]:80", "100.100.100.200:80", "10.89.0.2:80@t", "@10.89.0.2:80", "10.89.0.2:8888:1",
     "127.0.0.1:5432", "[::1]:80", "169.254.169.254:80", "0.0.0.0:80", "224.0.0.1:80", "unix//run/server.sock",
     "{env.HOME}:80", "localhost:80", "10.0.0.2", "10.0.0.2:0", "10.0.0.2:99999", "::1:80", "[10.0.0.2]:80", "",
     "10.0.0.2:80/../x", "[::ffff:127.0.0.1]:80"],
)  # fmt: skip
async def test_a_site_cannot_lead_the_edge_into_the_platform(db: Database, upstream: str) -> None:
    with pytest.raises(Invalid) as refused:
        await _put(db, upstream=upstream)
    assert refused.value.field == "endpoint"


@pytest.mark.parametrize("token", ["a/b", "a@b", "..", "{env.HOME}", "a b", "x" * 101])
async def test_a_token_is_a_plain_word(db: Database, token: str) -> None:
    with pytest.raises(Invalid):
        await _put(db, token=token)


async def test_a_code_opens_once(db: Database) -> None:
    route = await _put(db)
    host, code = await _issue(db, "/lab/tree/x")
    assert host == f"{route.host_label}.apps.localhost:8080"
    assert await _redeem(db, host, code) == (route.secret, "/lab/tree/x")
    assert await _redeem(db, host, code) is None


async def test_a_code_ends_after_a_minute(db: Database) -> None:
    await _put(db)
    host, code = await _issue(db)
    assert await _redeem(db, host, code, NOW + timedelta(seconds=60)) is None


async def test_a_code_on_another_host_is_refused_and_used_up(db: Database) -> None:
    await _put(db)
    other = await _put(db, "rep_2")
    host, code = await _issue(db)
    assert await _redeem(db, f"{other.host_label}.apps.localhost:8080", code) is None
    assert await _redeem(db, host, code) is None


async def test_only_the_hash_of_a_code_is_kept(db: Database) -> None:
    await _put(db)
    _, code = await _issue(db)
    async with db.read() as tx:
        row = (await tx.scalars(select(OpeningCode))).one()
    assert code not in (row.code_hash, row.path, row.replica_id)


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "lab", "", "https://evil.example", "/a b", "/\n"]
)
async def test_a_code_cannot_lead_to_another_host(db: Database, path: str) -> None:
    await _put(db)
    with pytest.raises(Invalid):
        await _issue(db, path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("图像识别", "/lab/tree/%E5%9B%BE%E5%83%8F%E8%AF%86%E5%88%AB"),
        ("naïve", "/lab/tree/na%C3%AFve"),
        ("a%2f..%2f", "/lab/tree/a%252f..%252f"),
        ("//evil.example", "/lab/tree/%2F%2Fevil.example"),
        ("图" * 64, "/lab/tree"),
    ],
)
async def test_a_folder_of_any_name_is_opened_on_its_own_host(db: Database, name: str, path: str) -> None:
    route = await _put(db)
    host, code = await _issue(db, service.local_path("/lab/tree", name))
    assert await _redeem(db, host, code) == (route.secret, path)


async def test_a_stranger_with_a_made_up_code_does_not_wait_for_who_writes(db: Database) -> None:
    """SQLite has one writer: a stranger who made the server write could keep it for themselves."""
    app = FastAPI()
    app.state.db, app.state.settings, app.state.clock = db, SETTINGS, FakeClock(NOW)
    app.include_router(router)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x.apps.localhost") as stranger, db.write():
        for code in ("A" * 43, "", "x", "%00" * 43):
            answer = await asyncio.wait_for(stranger.get(f"/edge/open?code={code}"), 5)
            assert answer.status_code == 403


async def test_without_a_route_there_is_nothing_to_open(db: Database) -> None:
    with pytest.raises(Conflict):
        await _issue(db)


async def test_a_dropped_route_takes_its_codes_along(db: Database) -> None:
    await _put(db)
    host, code = await _issue(db)
    async with db.write() as tx:
        await service.drop_route(tx, "rep_1")
        await service.drop_route(tx, "never was")
    assert await _redeem(db, host, code) is None
    assert await _codes(db) == 0


async def test_rotation_voids_secrets_and_codes_of_that_owner_alone(db: Database) -> None:
    route = await _put(db)
    host, code = await _issue(db)
    async with db.write() as tx:
        await service.rotate(tx, "usr_2")
    assert await _codes(db) == 1
    async with db.write() as tx:
        await service.rotate(tx, "usr_1")
    async with db.read() as tx:
        now = (await service.all_routes(tx))[0]
    assert now.secret != route.secret
    assert now.host_label == route.host_label
    assert await _redeem(db, host, code) is None


async def test_old_codes_are_forgotten(db: Database) -> None:
    await _put(db)
    await _issue(db)
    for moment, left in ((NOW + timedelta(seconds=59), 1), (NOW + timedelta(seconds=60), 0)):
        async with db.write() as tx:
            await service.expire_codes(tx, moment)
        assert await _codes(db) == left


async def test_every_change_sends_the_signal(db: Database) -> None:
    with db.listening("edge") as woken:
        await _put(db)
        assert woken.is_set()
        woken.clear()
        async with db.write() as tx:
            await service.rotate(tx, "usr_1")
        assert woken.is_set()
        woken.clear()
        async with db.write() as tx:
            await service.drop_route(tx, "rep_1")
        assert woken.is_set()
