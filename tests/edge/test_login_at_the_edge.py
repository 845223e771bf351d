"""The whole server behind a real Caddy: its cookies come through, whatever a page left in the browser."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.edge.conftest import Caddy, free_port, serving
from tests.support.certificates import make
from utcloud.common.settings import Settings
from utcloud.edge.caddy import certificates
from utcloud.server import bootstrap
from utcloud.server.app import create_app
from utcloud.server.heads import BoundedHeads

pytestmark = pytest.mark.programs
FLOOD = "; ".join(f"c{number}={'x' * 4090}" for number in range(178))


@pytest.fixture(params=["", "cloud.example.org"])
def settings(home: Path, request: pytest.FixtureRequest) -> Settings:
    common = {"home": home, "port": free_port(), "bind": ["127.0.0.1"]}
    if not request.param:
        return Settings(**common)  # type: ignore[arg-type]
    cert, key = make(home, request.param, f"*.apps.{request.param}")
    public = Settings(**common, domain=request.param, tls_cert=cert, tls_key=key)  # type: ignore[arg-type]
    certificates.put(public, certificates.read(public, datetime.now(UTC)))
    return public


@pytest.fixture
async def password(settings: Settings) -> AsyncIterator[str]:
    """The first operator's, at a server that runs."""
    first = await asyncio.to_thread(bootstrap.prepare, settings, [])
    assert first.password
    async with serving(create_app(settings), uds=str(settings.server_socket), http=BoundedHeads, lifespan="on"):
        yield first.password


async def test_a_person_logs_in_and_stays_so_with_all_cookies_that_a_page_left(
    settings: Settings, password: str, edge: Caddy
) -> None:
    host = settings.domain or "localhost"
    async with edge.client(host) as browser:
        origin = {"Origin": f"{settings.console_origin.partition(':')[0]}://{host}:{settings.port}"}
        login = {"username": "admin", "password": password}
        answer = await browser.post("/api/v1/auth/session", json=login, headers=origin)
        assert answer.status_code in (200, 201), answer.text
        own = "; ".join(cookie.partition(";")[0] for cookie in answer.headers.get_list("set-cookie"))
        assert "session=" in own and "device=" in own
        csrf = {"X-CSRF-Token": answer.json()["csrf_token"]}
        browser.cookies.clear()
        for cookies in (own, f"{FLOOD}; {own}", f"{own}; {FLOOD}"):
            seen = await browser.get("/api/v1/auth/session", headers={"Cookie": cookies})
            assert (seen.status_code, seen.json()["user"]["username"]) == (200, "admin")
            made = await browser.post(
                "/api/v1/groups",
                json={"name": f"g{len(cookies)}{cookies[0]}"},
                headers={**csrf, **origin, "Cookie": cookies},
            )
            assert made.status_code == 201, made.text
            foreign = {
                **csrf,
                "Origin": f"{settings.console_origin.partition(':')[0]}://x.apps.{host}",
                "Cookie": cookies,
            }
            assert (await browser.post("/api/v1/groups", json={"name": "evil"}, headers=foreign)).status_code == 401
        assert (await browser.get("/api/v1/auth/session", headers={"Cookie": FLOOD})).status_code == 401
        much = await browser.get("/api/v1/auth/session", headers={"X-Much": "x" * 200_000})
        assert (much.status_code, much.json()["code"]) == (431, "head_too_large")
