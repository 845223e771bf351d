"""The edge with a real Caddy."""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.edge.conftest import Caddy, MovableClock, Upstream, another_upstream, own_address, until
from utcloud.common import bodies
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import caddy, service
from utcloud.edge.models import Route

pytestmark = [pytest.mark.programs, pytest.mark.usefixtures("server", "own_address_allowed", "pusher")]


@pytest.fixture
def database_url(sqlite_template: Path, home: Path) -> str:
    """What Caddy does is the same on either database; ``test_service`` tries both."""
    shutil.copyfile(sqlite_template, home / "utcloud.db")
    return f"sqlite+aiosqlite:///{home / 'utcloud.db'}"


async def _put(db: Database, upstream: Upstream | str, replica: str = "rep_1", owner: str = "usr_1") -> Route:
    address = upstream if isinstance(upstream, str) else upstream.address
    async with db.write() as tx:
        return await service.put_route(
            tx, replica, owner, address, "jupyter-token", site_id="si_1", networks=["0.0.0.0/0"]
        )


def _host(route: Route) -> str:
    return f"{route.host_label}.apps.localhost"


def _name(route: Route) -> str:
    return f"utcloud_replica_{route.host_label}"


def _cookie(route: Route) -> dict[str, str]:
    return {"Cookie": f"{_name(route)}={route.secret}"}


async def _opened(edge: Caddy, route: Route) -> httpx.AsyncClient:
    """A client with the page's cookie, once the route has come to Caddy."""
    client = edge.client(_host(route))
    client.headers["Cookie"] = f"{_name(route)}={route.secret}"

    async def shown() -> bool:
        return (await client.get("/lab")).status_code == 200

    await until(shown)
    return client


def _socket(edge: Caddy, route: Route, cookie: str, origin: str | None = None) -> "connect":
    host = f"{_host(route)}:{edge.settings.port}"
    return connect(
        f"ws://{host}/ws",
        host="127.0.0.1",
        port=edge.settings.port,
        additional_headers={"Cookie": cookie},
        origin=origin or f"http://{host}",  # type: ignore[arg-type]
        proxy=None,
    )


async def _echo(socket: ClientConnection, text: str) -> None:
    await socket.send(text)
    assert await asyncio.wait_for(socket.recv(), 5) == text


async def test_a_link_opens_the_page_once(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream, clock: MovableClock
) -> None:
    route = await _put(db, upstream)
    await _opened(edge, route)
    async with db.write() as tx:
        url, _ = await service.issue_code(tx, clock.now(), settings, "rep_1")
    assert httpx.URL(url).netloc.decode() == f"{_host(route)}:{settings.port}"
    async with edge.client(_host(route)) as browser:
        first = await browser.get(httpx.URL(url).raw_path.decode())
        assert first.status_code == 303
        assert first.headers["location"] == "/lab"
        cookie = first.headers["set-cookie"]
        assert cookie == f"{_name(route)}={route.secret}; HttpOnly; Path=/; SameSite=lax"
        second = await browser.get(httpx.URL(url).raw_path.decode())
        assert second.status_code == 403
        assert "请从控制台打开此页面" in second.text


async def test_a_link_ends(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream, clock: MovableClock
) -> None:
    route = await _put(db, upstream)
    async with db.write() as tx:
        url, _ = await service.issue_code(tx, clock.now(), settings, "rep_1")
    clock.moment += timedelta(seconds=61)
    async with edge.client(_host(route)) as browser:
        assert (await browser.get(httpx.URL(url).raw_path.decode())).status_code == 403


async def test_the_page_sees_its_token_and_none_of_our_cookies(db: Database, edge: Caddy, upstream: Upstream) -> None:
    route = await _put(db, upstream)
    client = await _opened(edge, route)
    ours = f"{_name(route)}={route.secret}"
    for sent, left in (
        (f"a=1; {ours}; utcloud_session=S; b=2", "a=1; b=2"),
        (f"{ours}; _xsrf=3", "_xsrf=3"),
        (f"utcloud_session=S; {ours}; utcloud_replica=other; c=4", "c=4"),
        (f"__Host-utcloud_session=S; {ours}", ""),
        (f"my_utcloud_replica=5; {ours}", "my_utcloud_replica=5"),
    ):
        assert (await client.get("/x", headers={"Cookie": sent})).status_code == 200
        seen = upstream.seen[-1]
        assert seen.get("cookie", "") == left
        assert route.secret not in json.dumps(seen)
        assert seen["authorization"] == "token jupyter-token"
        assert seen["host"] == f"{_host(route)}:{edge.settings.port}"
        assert seen["x-forwarded-proto"] == "http"


async def test_the_page_is_closed_to_everybody_else(db: Database, edge: Caddy, upstream: Upstream) -> None:
    route, other = await _put(db, upstream), await _put(db, upstream.second, "rep_2")
    await _opened(edge, route)
    reached = len(upstream.seen)
    async with edge.client(_host(route)) as stranger:
        for cookie in (
            "",
            f"{_name(route)}=",
            f"{_name(route)}=wrong",
            f"{_name(route)}={other.secret}",
            f"{_name(other)}={route.secret}",
            f"{_name(other)}={other.secret}",
            f"{_name(route)}={route.secret}x",
            f"x{_name(route)}={route.secret}",
            f"x={_name(route)}={route.secret}",
            f"{_name(route)}={route.secret[:-1]}",
            f"utcloud_replica={route.secret}",
            route.secret,
        ):
            for path in ("/lab", "/", "/api/kernels", "/_utcloud/open", "/_utcloud/open?code=x", "/metrics"):
                answer = await stranger.get(path, headers={"Cookie": cookie})
                assert answer.status_code == 403, (cookie, path)
                assert "Open this page from the console" in answer.text
    with pytest.raises(InvalidStatus):
        await _socket(edge, route, f"{_name(route)}=wrong")
    assert len(upstream.seen) == reached


async def test_another_origins_script_is_refused(db: Database, edge: Caddy, upstream: Upstream) -> None:
    route = await _put(db, upstream)
    client = await _opened(edge, route)
    own = f"http://{_host(route)}:{edge.settings.port}"
    reached = len(upstream.seen)
    for headers in (
        {"Origin": "http://other.apps.localhost:8080"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": own},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "http://evil.example"},
    ):
        assert (await client.post("/api/terminals", headers=headers)).status_code == 403
    with pytest.raises(InvalidStatus):
        await _socket(edge, route, f"{_name(route)}={route.secret}", origin="http://evil.example")
    assert len(upstream.seen) == reached
    for headers in ({"Origin": own}, {"Sec-Fetch-Site": "same-origin"}, {}):
        assert (await client.post("/api/terminals", headers=headers)).status_code == 200
    arriving = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await client.get("/lab", headers=arriving)).status_code == 200


async def test_a_web_socket_outlives_all_changes(db: Database, edge: Caddy, upstream: Upstream) -> None:
    route = await _put(db, upstream)
    await _opened(edge, route)
    async with _socket(edge, route, f"{_name(route)}={route.secret}") as socket:
        await _echo(socket, "before")
        for number in range(5):
            other = await _put(db, upstream.second, f"rep_other_{number}")
            await _opened(edge, other)
            await _echo(socket, f"after {number}")
        await edge.reload()
        await asyncio.sleep(0.4)  # twice Caddy's grace period
        await _echo(socket, "still here")


async def test_an_event_stream_is_not_held_back_and_outlives_changes(
    db: Database, edge: Caddy, upstream: Upstream
) -> None:
    async with (
        edge.client("localhost") as browser,
        browser.stream("GET", "/api/v1/events", headers={"Accept-Encoding": "gzip"}) as stream,
    ):
        lines = stream.aiter_lines()
        started = time.monotonic()
        assert await anext(lines) == "data: 0"
        assert time.monotonic() - started < 1
        assert "content-encoding" not in stream.headers
        route = await _put(db, upstream)
        await _opened(edge, route)
        await edge.reload()
        async with asyncio.timeout(10):
            async for line in lines:
                if line == "data: 80":
                    return
    pytest.fail("the stream ended")


@pytest.mark.parametrize("pusher", [60.0], indirect=True)  # seconds after which it would look by itself
async def test_a_new_route_works_at_once(
    db: Database, edge: Caddy, upstream: Upstream, record_property: Callable[[str, object], None]
) -> None:
    for number in range(50):
        await _put(db, f"10.89.7.{number + 2}:8888", f"rep_old_{number}")
    await _opened(edge, await _put(db, upstream, "rep_warm"))
    times = []
    for number in range(9):
        async with edge.client("x") as client:
            async with db.write() as tx:
                route = await service.put_route(
                    tx, f"rep_{number}", "usr_1", upstream.address, "t", site_id="si_1", networks=["0.0.0.0/0"]
                )
                headers = {"Host": f"{_host(route)}:{edge.settings.port}", **_cookie(route)}
            committed = time.perf_counter()
            while (await client.get("/lab", headers=headers)).status_code != 200:
                pass
            times.append((time.perf_counter() - committed) * 1000)
    record_property("route_ready_ms", round(statistics.median(times), 1))
    print(f"commit to working route, milliseconds: {sorted(round(t, 1) for t in times)}")
    assert statistics.median(times) < 500, "some milliseconds where nothing else runs"


async def test_a_restarted_caddy_has_its_routes_at_once(db: Database, edge: Caddy, upstream: Upstream) -> None:
    route = await _put(db, upstream)
    await _opened(edge, route)
    await edge.kill()
    late = await _put(db, upstream.second, "rep_while_away")
    await asyncio.sleep(0.1)
    await edge.start()
    for each in (route, late):
        async with edge.client(_host(each)) as client:
            assert (await client.get("/lab", headers=_cookie(each))).status_code == 200


async def test_what_was_lost_or_left_over_is_put_right(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream
) -> None:
    route = await _put(db, upstream)
    client = await _opened(edge, route)
    shutil.rmtree(settings.edge_routes)
    stale = settings.edge_routes / "stale" / ("s" * 43) / f"{upstream.address}@t"
    stale.parent.mkdir(parents=True)
    stale.touch()

    async def right() -> bool:
        return (await client.get("/lab")).status_code == 200 and not stale.parent.parent.exists()

    await until(right)


async def test_a_cookie_cannot_climb_or_guess(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream
) -> None:
    route = await _put(db, upstream)
    await _opened(edge, route)
    async with edge.client(_host(route)) as client:
        for value in ("*", "*" * 43, "?" * 43, "[a-z]*", "../" * 14 + "x", f"{route.secret}/..", "{http.request.host}"):
            answer = await client.get("/lab", headers={"Cookie": f"{_name(route)}={value}"})
            assert answer.status_code == 403, value


async def test_a_host_is_no_pattern_and_no_header_brings_a_secret(
    db: Database, edge: Caddy, upstream: Upstream
) -> None:
    """The host's label stands in the pattern by which its cookie is found."""
    route = await _put(db, upstream)
    page = await _opened(edge, route)
    reached = len(upstream.seen)
    for label in (
        "*",
        "[a-z]*",
        "(",
        f"({route.host_label})",
        route.host_label[:-1] + "*",
        "a|b",
        "{http.request.host}",
    ):
        async with edge.client(f"{label}.apps.localhost") as client:
            answer = await client.get("/lab", headers=_cookie(route))
            assert answer.status_code in (400, 403, 421), label
    async with edge.client(_host(route)) as client:
        for header in ({"Utcloud-Cookies": route.secret}, {"Utcloud-Cookies": f"; {_name(route)}={route.secret};"}):
            assert (await client.get("/lab", headers=header)).status_code == 403
    assert len(upstream.seen) == reached
    assert (await page.get("/x", headers={"Utcloud-Cookies": "mine"})).status_code == 200
    assert "utcloud-cookies" not in upstream.seen[-1]


async def test_another_page_cannot_shut_a_page_by_cookies_of_its_own(
    db: Database, edge: Caddy, upstream: Upstream
) -> None:
    """It sets them for the domain above both, with a longer path so that they come first, as many as there may be."""
    route, other = await _put(db, upstream), await _put(db, upstream.second, "rep_2")
    await _opened(edge, other)
    page = await _opened(edge, route)
    ours = f"{_name(route)}={route.secret}"
    shadow = "A" * 43
    for sent in (
        f"utcloud_replica={shadow}; {ours}",
        f"{ours}; utcloud_replica={shadow}",
        f"{_name(other)}={shadow}; utcloud_replica_={shadow}; {ours}; {_name(other)}={shadow}",
        f"{_name(route)}x={shadow}; {ours}",
    ):
        assert (await page.get("/lab", headers={"Cookie": sent})).status_code == 200, sent
        assert upstream.seen[-1].get("cookie", "") == ""
    flood = "; ".join(f"c{number}={'x' * 4090}" for number in range(180))
    for sent in (f"{flood}; {ours}", f"{ours}; {flood}"):
        assert (await page.get("/lab", headers={"Cookie": sent})).status_code == 200
        assert "cookie" not in upstream.seen[-1], "a container's server refuses so many"
        assert upstream.seen[-1]["authorization"] == "token jupyter-token"


async def test_the_server_gets_the_consoles_cookies_and_no_others(edge: Caddy, server: FastAPI) -> None:
    """A page can fill the cookies of the domain above it: whoever comes with them is let in all the same."""

    @server.get("/api/v1/cookies")
    async def cookies(request: Request) -> str:
        return request.headers.get("cookie", "")

    flood = "; ".join(f"c{number}={'x' * 4090}" for number in range(180))
    async with edge.client("localhost") as browser:
        for sent, left in (
            ("utcloud_session=S", "utcloud_session=S"),
            (f"{flood}; utcloud_session=S", "utcloud_session=S"),
            (f"utcloud_session=S; {flood}; utcloud_device=D", "utcloud_session=S; utcloud_device=D"),
            ("a=b; utcloud_device=D; c; utcloud_session=S; utcloud_session=T", "utcloud_session=S; utcloud_device=D"),
            ("utcloud_device=D", "utcloud_device=D"),
            (
                "xutcloud_session=S; a=utcloud_session=S; utcloud_sessions=S; Utcloud_Session=S; b= utcloud_session=S",
                "",
            ),
            ("", ""),
            (flood, ""),
        ):
            answer = await browser.get("/api/v1/cookies", headers={"Cookie": sent})
            assert (answer.status_code, answer.json()) == (200, left)


async def test_a_dropped_or_rotated_route_closes(db: Database, edge: Caddy, upstream: Upstream) -> None:
    first, second = await _put(db, upstream), await _put(db, upstream.second, "rep_2")
    one, two = await _opened(edge, first), await _opened(edge, second)
    async with db.write() as tx:
        await service.drop_route(tx, "rep_1")

    async def closed() -> bool:
        return (await one.get("/lab")).status_code == 403

    await until(closed)
    assert (await two.get("/lab")).status_code == 200
    async with db.write() as tx:
        await service.rotate(tx, "usr_1")

    async def locked() -> bool:
        return (await two.get("/lab")).status_code == 403

    await until(locked)


async def test_a_page_that_starts_anew_has_its_address_and_is_opened_anew(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream, clock: MovableClock
) -> None:
    before = await _put(db, upstream)
    old = await _opened(edge, before)
    async with db.write() as tx:
        await service.drop_route(tx, "rep_1")

    async def closed() -> bool:
        return (await old.get("/lab")).status_code == 403

    await until(closed)
    after = await _put(db, upstream.second)
    assert _host(after) == _host(before)
    await _opened(edge, after)
    assert (await old.get("/lab")).status_code == 403
    async with db.write() as tx:
        url, _ = await service.issue_code(tx, clock.now(), settings, "rep_1")
    opened = await old.get(httpx.URL(url).raw_path.decode())
    assert (opened.status_code, after.secret in opened.headers["set-cookie"]) == (303, True)


async def test_open_streams_of_a_rotated_route_close_and_no_others(
    db: Database, edge: Caddy, upstream: Upstream
) -> None:
    """A thief's terminal ends with the secret by which it was opened; a neighbour's goes on."""
    async with another_upstream() as neighbours:
        mine = await _put(db, upstream)
        theirs = await _put(db, neighbours, "rep_2", owner="usr_2")
        await _opened(edge, mine)
        await _opened(edge, theirs)
        async with (
            _socket(edge, mine, f"{_name(mine)}={mine.secret}") as terminal,
            _socket(edge, mine, f"{_name(mine)}={mine.secret}") as second,
            _socket(edge, theirs, f"{_name(theirs)}={theirs.secret}") as other,
        ):
            for socket in (terminal, second, other):
                await _echo(socket, "before")
            async with db.write() as tx:
                await service.rotate(tx, "usr_1")
            for socket in (terminal, second):
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), 5)
            with pytest.raises(InvalidStatus):
                await _socket(edge, mine, f"{_name(mine)}={mine.secret}")
            await asyncio.sleep(1.5)  # past the second look
            await _echo(other, "still here")
        async with db.read() as tx:
            anew = await tx.get_one(Route, "rep_1")
        async with _socket(edge, anew, f"{_name(anew)}={anew.secret}") as opened:
            await _echo(opened, "opened anew")


async def test_a_page_that_took_over_an_address_keeps_its_streams(
    db: Database, edge: Caddy, upstream: Upstream
) -> None:
    """An address is another container's tomorrow."""
    await _opened(edge, await _put(db, upstream))
    async with db.write() as tx:
        await service.drop_route(tx, "rep_1")
    heir = await _put(db, upstream, "rep_2", owner="usr_2")
    await _opened(edge, heir)
    async with _socket(edge, heir, f"{_name(heir)}={heir.secret}") as socket:
        await _echo(socket, "before")
        await asyncio.sleep(1.5)
        await _echo(socket, "after")


async def test_a_container_that_is_away_is_explained(db: Database, edge: Caddy, upstream: Upstream) -> None:
    host, _, _ = upstream.address.rpartition(":")
    route = await _put(db, f"{host}:1")
    async with edge.client(_host(route)) as client:
        client.headers["Cookie"] = f"{_name(route)}={route.secret}"

        async def pushed() -> bool:
            return (await client.get("/lab")).status_code != 403

        await until(pushed)
        answer = await client.get("/lab")
    assert answer.status_code == 503
    assert "starting or has stopped" in answer.text
    assert f"http://localhost:{edge.settings.port}/console/" in answer.text


async def test_a_new_container_at_an_old_address_gets_its_first_save(db: Database, edge: Caddy) -> None:
    """A container that vanished left connections without an end; what the next one at its address gets of them it
    resets, and a request that changes something is not sent twice."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read(1)
        writer.transport.abort()

    async with await asyncio.start_server(answer, own_address(), 0) as container:
        route = await _put(db, f"{own_address()}:{container.sockets[0].getsockname()[1]}")
        page = await _opened(edge, route)
        for _ in range(5):
            assert (await page.put("/api/contents/kept.txt", content=b"kept")).status_code == 200
        await page.aclose()


async def test_the_consoles_host(edge: Caddy) -> None:
    async with edge.client("localhost") as browser:
        assert (await browser.get("/")).headers["location"] == "/console/"
        assert (await browser.get("/admin")).headers["location"] == "/admin/"
        for path, text in (("/admin/", "admin"), ("/console/notebooks/nb_1", "console"), ("/admin/x/y", "admin")):
            page = await browser.get(path)
            assert (page.status_code, page.text) == (200, f"<html>{text}</html>")
            assert page.headers["cache-control"] == "no-cache"
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
            assert page.headers["referrer-policy"] == "no-referrer"
            assert page.headers["cross-origin-opener-policy"] == "same-origin"
            assert page.headers["cross-origin-resource-policy"] == "same-origin"
            assert page.headers["origin-agent-cluster"] == "?1"
        asset = await browser.get("/admin/assets/index-1a2b3c4d.js", headers={"Accept-Encoding": "gzip"})
        assert asset.headers["content-encoding"] == "gzip"
        assert "immutable" in asset.headers["cache-control"]
        assert (await browser.get("/admin/assets/missing-00000000.js")).status_code == 404
        assert (await browser.get("/metrics")).status_code == 404
        assert (await browser.get("/edge/ask?domain=x")).status_code == 404
        assert (await browser.get("/console/%2e%2e/%2e%2e/caddy.json")).status_code == 404
        listed = await browser.get("/api/v1/list", headers={"Accept-Encoding": "zstd, gzip"})
        assert listed.headers["content-encoding"] in ("zstd", "gzip")


async def test_a_strangers_file_keeps_its_stricter_policy(edge: Caddy, server: FastAPI) -> None:
    strict = "sandbox; default-src 'none'"

    @server.get("/api/v1/file")
    async def file() -> Response:
        return Response("<script>alert(1)</script>", headers={"Content-Security-Policy": strict})

    async with edge.client("localhost") as browser:
        answer = await browser.get("/api/v1/file")
        assert answer.headers.get_list("content-security-policy") == [strict]
        assert answer.headers["x-content-type-options"] == "nosniff"
        ours = (await browser.get("/api/v1/list")).headers.get_list("content-security-policy")
        assert len(ours) == 1 and "frame-ancestors 'none'" in ours[0]


async def test_no_browser_keeps_what_the_api_answers(edge: Caddy, server: FastAPI) -> None:
    @server.get("/api/v1/own")
    async def own() -> Response:
        return Response("x", headers={"Cache-Control": "private, max-age=60"})

    async with edge.client("localhost") as browser:
        for path in ("/api/v1/list", "/api/v1/nothing"):
            assert (await browser.get(path)).headers.get_list("cache-control") == ["no-store"]
        assert (await browser.get("/api/v1/own")).headers.get_list("cache-control") == ["private, max-age=60"]


async def test_strange_hosts(edge: Caddy) -> None:
    async with edge.client("evil.example") as browser:
        assert (await browser.get("/console/")).status_code == 421
        assert (await browser.get("/api/v1/list")).status_code == 421
    async with edge.client("nobody.apps.localhost") as browser:
        for path in ("/console/", "/api/v1/list", "/_utcloud/open?code=x", "/"):
            assert (await browser.get(path)).status_code == 403


async def test_bodies_have_limits(edge: Caddy) -> None:
    """By who says that they are somebody; whether they are is the server's to say."""
    token = {"Authorization": "Bearer x"}
    session = {"Cookie": "a=b; utcloud_session=x"}
    async with edge.client("localhost") as browser:
        for path, size, who in (
            ("/api/v1/uploads", 100_000, token),
            ("/api/v1/uploads", 100_000, session),
            ("/api/v1/things", bodies.JSON, token),
            ("/api/v1/agent/reports", bodies.REPORT, token),
            ("/api/v1/things", bodies.OPEN, {}),
            ("/api/v1/things", bodies.OPEN, {"Cookie": "another=x"}),
        ):
            assert (await browser.post(path, content=b"x" * size, headers=who)).json() == size, (path, size)
            refused = await browser.post(path, content=b"x" * (size + 1), headers=who)
            assert (refused.status_code, refused.json()["code"]) == (413, "too_large"), (path, size)
            assert refused.json()["cure"]


async def test_a_head_has_a_limit(edge: Caddy) -> None:
    async with edge.client("localhost") as browser:
        assert (await browser.get("/api/v1/list", headers={"X-Much": "x" * 30_000})).status_code == 200
        assert (await browser.get("/api/v1/list", headers={"X-Much": "x" * 1_100_000})).status_code == 431


async def test_a_server_that_is_away_is_explained(settings: Settings, edge: Caddy, server: FastAPI) -> None:
    settings.server_socket.rename(settings.run_dir / "elsewhere.sock")
    async with edge.client("localhost") as browser:
        answer = await browser.get("/api/v1/list")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "server_away"
    (settings.run_dir / "elsewhere.sock").rename(settings.server_socket)


async def test_a_domain_means_https(tmp_path: Path, db: Database, edge: Caddy, server: FastAPI) -> None:
    public = Settings(home=tmp_path, domain="cloud.example.com", bind=["127.0.0.1"])
    with pytest.raises(ValueError, match="internal port"):
        caddy.base_config(public, tmp_path)
    config = caddy.base_config(public, tmp_path, internal_port=9999)
    file = tmp_path / "caddy.json"
    file.write_text(json.dumps(config))
    checked = subprocess.run(
        [caddy.binary(), "validate", "--config", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    route = await _put(db, "10.89.0.2:8888")
    server.state.settings = public
    transport = httpx.AsyncHTTPTransport(uds=str(edge.settings.server_socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        for host, status in (
            (f"{route.host_label}.apps.cloud.example.com", 200),
            ("other.apps.cloud.example.com", 404),
            (f"{route.host_label}.apps.evil.example", 404),
            ("", 404),
        ):
            assert (await client.get("/edge/ask", params={"domain": host})).status_code == status


async def test_pages_may_have_a_domain_of_their_own(
    tmp_path: Path, db: Database, edge: Caddy, server: FastAPI, clock: MovableClock
) -> None:
    public = Settings(home=tmp_path, domain="cloud.example.com", apps_domain="example-apps.net", bind=["127.0.0.1"])
    config = json.dumps(caddy.base_config(public, tmp_path, internal_port=9999))
    assert "*.example-apps.net" in config
    assert "apps.cloud.example.com" not in config
    assert "{http.request.host.labels.2}" in config
    route = await _put(db, "10.89.0.2:8888")
    async with db.write() as tx:
        url, _ = await service.issue_code(tx, clock.now(), public, "rep_1")
    assert url.startswith(f"https://{route.host_label}.example-apps.net/_utcloud/open?code=")
    server.state.settings = public
    transport = httpx.AsyncHTTPTransport(uds=str(edge.settings.server_socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        for host, status in (
            (f"{route.host_label}.example-apps.net", 200),
            (f"{route.host_label}.apps.cloud.example.com", 404),
            ("other.example-apps.net", 404),
        ):
            assert (await client.get("/edge/ask", params={"domain": host})).status_code == status


@pytest.mark.parametrize(
    "name",
    ["[2001:db8::1%a]@{upstream}@t", "x@{upstream}@t", "@{upstream}@t", "10.89.0.2:1@{upstream}", "{upstream}@t@"],
)
async def test_a_forged_file_name_cannot_make_caddy_dial_elsewhere(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream, pusher: asyncio.Task[None], name: str
) -> None:
    """Whatever a bug let into the name: all of it must be one address and one token, or Caddy goes nowhere."""
    route = await _put(db, upstream)
    client = await _opened(edge, route)
    folder = settings.edge_routes / route.host_label / route.secret
    before = len(upstream.seen)
    pusher.cancel()  # the forged file is to stay
    await asyncio.wait([pusher])
    (folder / f"{upstream.address}@jupyter-token").unlink()
    (folder / name.format(upstream=upstream.address)).touch()
    for _ in range(20):
        answer = await client.get("/lab")
        assert answer.status_code != 200, answer.text
    assert len(upstream.seen) == before


async def test_what_the_table_should_not_have_comes_to_no_file(
    db: Database, settings: Settings, edge: Caddy, upstream: Upstream
) -> None:
    route = await _put(db, upstream)
    forged = f"[2001:db8::1%a]@{upstream.address}"
    async with db.write() as tx:
        tx.add(
            Route(
                replica_id="rep_2",
                owner_id="usr_1",
                host_label="forged",
                secret="s" * 43,
                upstream=forged,
                site_id="si",
            )
        )
        tx.add(
            Route(
                replica_id="rep_3",
                owner_id="usr_1",
                host_label="inward",
                secret="s" * 43,
                upstream="127.0.0.1:1",
                site_id="si",
            )
        )
    await _put(db, upstream)  # sends the signal
    await _opened(edge, route)
    assert {file.name for file in settings.edge_routes.iterdir()} == {route.host_label}
