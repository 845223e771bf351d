"""What a page does to the consoles and to other pages, from inside a real browser: its owner's own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from playwright.async_api import BrowserContext, Page, async_playwright
from playwright.async_api import Error as PlaywrightError

from tests.e2e.browser import ARGUMENTS, CHROMIUM, NETWORK_CHANGED
from tests.edge.conftest import Caddy, MovableClock, Upstream, free_port, until
from tests.support.certificates import make
from utcloud.accounts.auth import session_cookie_name
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.edge import service
from utcloud.edge.caddy import certificates
from utcloud.server import authentication

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("own_address_allowed", "pusher"),
    pytest.mark.parametrize("place", ["localhost", "shared", "own"]),
]
DOMAIN = "cloud.example.org"
ABOVE = {"localhost": "apps.localhost", "shared": DOMAIN, "own": "example-apps.net"}
"""The widest domain for which a page can set cookies."""
FLOOD = """([domain, count]) => {
  for (let i = 0; i < count; i++) document.cookie = `c${i}=${"x".repeat(4000)}; domain=${domain}; path=/`;
  return document.cookie.length;
}"""


@pytest.fixture
def settings(home: Path, place: str) -> Settings:
    common = {"home": home, "port": free_port(), "bind": ["127.0.0.1"]}
    if place == "localhost":
        return Settings(**common)  # type: ignore[arg-type]
    cert, key = make(home, DOMAIN, f"*.apps.{DOMAIN}", "*.example-apps.net")
    apps = "example-apps.net" if place == "own" else ""
    public = Settings(**common, domain=DOMAIN, apps_domain=apps, tls_cert=cert, tls_key=key)  # type: ignore[arg-type]
    certificates.put(public, certificates.read(public, datetime.now(UTC)))
    return public


@dataclass
class Seen:
    """What came to the server."""

    cookies: list[str] = field(default_factory=list)
    foreign: list[bool] = field(default_factory=list)
    sites: list[str | None] = field(default_factory=list)


@pytest.fixture
def seen(server: FastAPI, settings: Settings) -> Seen:
    all_of_it = Seen()

    @server.get("/api/v1/login")
    async def login() -> Response:
        answer = Response("in")
        name, secure = session_cookie_name(settings), bool(settings.domain)
        answer.set_cookie(name, "S", path="/", httponly=True, samesite="strict", secure=secure)
        return answer

    @server.api_route("/api/v1/seen", methods=["GET", "POST"])
    async def look(request: Request) -> str:
        cookies = request.headers.get("cookie", "")
        all_of_it.cookies.append(cookies)
        all_of_it.foreign.append(authentication._is_foreign(request))
        all_of_it.sites.append(request.headers.get("sec-fetch-site"))
        return cookies

    return all_of_it


@pytest.fixture
async def browser() -> AsyncIterator[BrowserContext]:
    rules = ", ".join(f"MAP {name} 127.0.0.1" for name in (DOMAIN, f"*.{DOMAIN}", "*.example-apps.net"))
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, f"--host-resolver-rules={rules}"], headless=True
        )
        yield await chromium.new_context(ignore_https_errors=True)
        await chromium.close()


async def arrive(page: Page, url: str) -> str:
    """Go to ``url``, or to the same page once more, and read what comes, if that is a page; "" if it is refused.
    Containers of others come and go on this machine, and whenever the network has changed Chromium gives up."""
    for _ in range(60):
        try:
            answer = await page.goto(url)
            return await answer.text() if answer is not None and answer.status == 200 else ""
        except PlaywrightError as error:
            if not any(word in str(error) for word in NETWORK_CHANGED):
                raise
            await asyncio.sleep(0.5)
    pytest.fail(f"the network does not come to rest: {url}")


@dataclass
class Stage:
    """A renter's two pages, one of them hostile, and the console."""

    db: Database
    settings: Settings
    clock: MovableClock
    browser: BrowserContext

    async def open(self, replica: str, upstream: str) -> Page:
        async with self.db.write() as tx:
            await service.put_route(tx, replica, "usr_1", upstream, "t", site_id="si_1", networks=["0.0.0.0/0"])
        return await self.visit(replica)

    async def visit(self, replica: str) -> Page:
        """Open a page from the console, by a new code."""
        page = await self.browser.new_page()

        async def opened() -> bool:
            async with self.db.write() as tx:
                url, _ = await service.issue_code(tx, self.clock.now(), self.settings, replica)
            return bool(await arrive(page, self.at_its_port(url)))

        await until(opened)
        return page

    def at_its_port(self, url: str) -> str:
        """This edge listens at another port than 443."""
        if not self.settings.domain:
            return url
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        return f"{scheme}://{host}:{self.settings.port}/{path}"

    async def sent_by(self, console: Page) -> str:
        """The cookies that come to the server with a request of the console's."""
        ask = "fetch('/api/v1/seen').then(answer => answer.json(), () => null)"
        for _ in range(10):
            if (sent := await console.evaluate(ask)) is not None:
                return str(sent)
        pytest.fail("the console reaches no server")

    @property
    def console(self) -> str:
        return self.at_its_port(f"{self.settings.console_origin}/").rstrip("/")


@pytest.fixture
async def stage(db: Database, settings: Settings, clock: MovableClock, browser: BrowserContext, edge: Caddy) -> Stage:
    return Stage(db, settings, clock, browser)


async def test_no_page_shuts_another_or_the_console(stage: Stage, upstream: Upstream, seen: Seen, place: str) -> None:
    console = await stage.browser.new_page()
    await arrive(console, f"{stage.console}/api/v1/login")
    hostile, other = await stage.open("rep_1", upstream.address), await stage.open("rep_2", upstream.second)
    name = session_cookie_name(stage.settings)
    for tried in (
        f"{name}=evil; domain={ABOVE[place]}; path=/; secure",
        f"{name}=evil; domain={DOMAIN}; path=/",
        f"utcloud_replica={'A' * 43}; domain={ABOVE[place]}; path=/lab",
        f"utcloud_replica={'A' * 43}; domain={ABOVE[place]}; path=/",
    ):
        await hostile.evaluate("text => { document.cookie = text }", tried)
    assert await hostile.evaluate(FLOOD, [ABOVE[place], 100]) > 300_000
    for page in (hostile, other):
        assert await arrive(page, page.url) == "page lab"
    assert "console" in await arrive(console, f"{stage.console}/console/")
    assert await stage.sent_by(console) == f"{name}=S"
    assert not any(seen.foreign)


async def test_a_page_that_fills_a_browser_costs_a_new_login_at_most(
    stage: Stage, upstream: Upstream, seen: Seen, place: str
) -> None:
    hostile = await stage.open("rep_1", upstream.address)
    await stage.open("rep_2", upstream.second)
    await hostile.evaluate(FLOOD, [ABOVE[place], 400])
    assert (await stage.visit("rep_2")).url.endswith("/lab")
    console = await stage.browser.new_page()
    await arrive(console, f"{stage.console}/api/v1/login")
    assert await stage.sent_by(console) == f"{session_cookie_name(stage.settings)}=S"


async def test_what_a_page_sends_to_the_console_has_no_session(
    stage: Stage, upstream: Upstream, seen: Seen, place: str
) -> None:
    """On a shared domain the browser does send the cookie along: then the server does not look at it."""
    console = await stage.browser.new_page()
    await arrive(console, f"{stage.console}/api/v1/login")
    hostile = await stage.open("rep_1", upstream.address)
    send = "([url, method]) => fetch(url, {method, mode: 'no-cors', credentials: 'include'}).catch(() => {})"
    for method in ("GET", "POST"):
        before = len(seen.sites)
        for _ in range(10):
            if len(seen.sites) == before:  # else the network had changed
                await hostile.evaluate(send, [f"{stage.console}/api/v1/seen", method])
    assert len(seen.foreign) >= 2
    assert all(seen.foreign)
    if place == "shared":
        assert set(seen.sites) == {"same-site"}
        assert all("utcloud_session=S" in cookies for cookies in seen.cookies), "what the wall is for"
    else:
        assert set(seen.sites) == {"cross-site"}
        assert set(seen.cookies) == {""}
