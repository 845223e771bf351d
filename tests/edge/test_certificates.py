"""One certificate for all pages, from files: what is refused, what Caddy shows, and that a renewed one comes to it."""

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.edge.conftest import Caddy, free_port
from tests.support.certificates import DAY, make
from utcloud.common.settings import Settings
from utcloud.edge import caddy
from utcloud.edge.caddy import CertificateError, Renewer, certificates

DOMAIN = "cloud.example.org"
NAMES = (DOMAIN, f"*.apps.{DOMAIN}")
NOW = datetime.now(UTC)


class Now:
    """The time as it is."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def _settings(home: Path, cert: Path, key: Path, **more: object) -> Settings:
    return Settings(home=home, domain=DOMAIN, bind=["127.0.0.1"], tls_cert=cert, tls_key=key, **more)  # type: ignore[arg-type]


@pytest.fixture
def public(home: Path) -> Settings:
    """A domain with a certificate for consoles and pages."""
    return _settings(home, *make(home, *NAMES), port=free_port())


@pytest.fixture
async def secure(public: Settings, web_dist: Path) -> AsyncIterator[Caddy]:
    certificates.put(public, certificates.read(public, NOW))
    process = Caddy(public, web_dist)
    await process.start()
    yield process
    await process.stop()


def _shown(edge: Caddy, host: str) -> bytes:
    """What a visitor of ``host`` is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(5):
        with (
            suppress(ConnectionResetError),  # the configuration of before took the connection, and has just ended
            socket.create_connection(("127.0.0.1", edge.settings.port), 5) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            return connection.getpeercert(binary_form=True) or b""
    pytest.fail("Caddy resets every connection")


def _leaf(settings: Settings) -> bytes:
    return certificates.read(settings, datetime.now(UTC)).leaf


def test_a_good_pair_is_taken(public: Settings) -> None:
    found = certificates.read(public, NOW)
    assert found.names == NAMES
    assert found.covers(DOMAIN)
    assert not found.covers("x.cloud.example.org")
    certificates.put(public, found)
    assert public.edge_certificate.stat().st_mode & 0o777 == 0o600
    assert public.edge_certificate.read_bytes() == found.pem


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ((DOMAIN,), "not for *.apps.cloud.example.org"),
        ((DOMAIN, "*.cloud.example.org"), "not for *.apps.cloud.example.org"),
        (("apps.cloud.example.org", "x.apps.cloud.example.org"), "not for *.apps.cloud.example.org"),
        ((), "is for no name"),
    ],
)
def test_a_certificate_that_covers_no_page_is_refused(home: Path, names: tuple[str, ...], fault: str) -> None:
    with pytest.raises(CertificateError) as refused:
        certificates.read(_settings(home, *make(home, *names)), NOW)
    assert fault in str(refused.value)
    assert f"Get one for {DOMAIN} and *.apps.{DOMAIN}" in str(refused.value)


def test_a_certificate_is_refused_outside_its_time(home: Path) -> None:
    settings = _settings(home, *make(home, *NAMES, begins=NOW - 3 * DAY, ends=NOW - DAY))
    with pytest.raises(CertificateError, match=r"has ended .* Renew it\."):
        certificates.read(settings, NOW)
    settings = _settings(home, *make(home, *NAMES, begins=NOW + DAY))
    with pytest.raises(CertificateError, match="begins only"):
        certificates.read(settings, NOW)


def test_files_that_cannot_be_used_are_named_with_the_cure(home: Path) -> None:
    cert, key = make(home, *NAMES)
    other = home / "other"
    other.mkdir()
    _, wrong = make(other, *NAMES)
    locked_in = home / "locked"
    locked_in.mkdir()
    locked = make(locked_in, *NAMES, password=b"secret")
    text = home / "text.pem"
    text.write_text("hello")
    for files, fault in (
        ((home / "none.pem", key), "UTCLOUD_TLS_CERT=.*none.pem cannot be read: No such file"),
        ((cert, home / "none.pem"), "UTCLOUD_TLS_KEY=.*none.pem cannot be read: No such file"),
        ((home, key), "UTCLOUD_TLS_CERT=.* cannot be read: Is a directory"),
        ((text, key), "UTCLOUD_TLS_CERT=.*text.pem holds no certificate in PEM"),
        ((key, key), "holds no certificate"),
        ((cert, text), "UTCLOUD_TLS_KEY=.*text.pem holds no private key in PEM"),
        ((cert, wrong), "is not the key of the first certificate"),
        (locked, "is locked with a passphrase"),
    ):
        with pytest.raises(CertificateError, match=fault):
            certificates.read(_settings(home, *files), NOW)


@pytest.mark.parametrize(
    "given",
    [
        {"domain": DOMAIN, "tls_cert": "/x.pem"},
        {"domain": DOMAIN, "tls_key": "/x.pem"},
        {"tls_cert": "/x.pem", "tls_key": "/y.pem"},
    ],
)
def test_half_a_pair_and_one_without_a_domain_are_no_settings(home: Path, given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="UTCLOUD_"):
        Settings(home=home, **given)  # type: ignore[arg-type]


@pytest.mark.programs
async def test_every_host_shows_the_one_certificate(secure: Caddy, public: Settings) -> None:
    """None is got for any host: strangers and renters use nothing up by new names."""
    for host in (DOMAIN, f"a.apps.{DOMAIN}", f"b.apps.{DOMAIN}"):
        assert _shown(secure, host) == _leaf(public), host
    with pytest.raises(ssl.SSLError):
        _shown(secure, "a.b.example.net")
    async with secure.client(DOMAIN) as browser:
        page = await browser.get("/console/")
        assert (page.status_code, page.headers["strict-transport-security"]) == (200, "max-age=31536000")
    async with secure.client(f"a.apps.{DOMAIN}") as browser:
        assert "Open this page from the console" in (await browser.get("/lab")).text


@pytest.mark.programs
async def test_a_renewed_certificate_is_shown_without_a_restart(secure: Caddy, public: Settings) -> None:
    renewer = Renewer(public, Now())
    before = _leaf(public)
    await renewer.look()
    assert _shown(secure, DOMAIN) == before
    make(public.home, *NAMES)
    after = _leaf(public)
    assert after != before
    await renewer.look()
    assert _shown(secure, f"x.apps.{DOMAIN}") == after


@pytest.mark.programs
async def test_what_caddy_missed_it_is_told_again(secure: Caddy, public: Settings) -> None:
    """The server ended between writing the file and telling Caddy."""
    make(public.home, *NAMES)
    certificates.put(public, certificates.read(public, NOW))
    assert _shown(secure, DOMAIN) != _leaf(public)
    await Renewer(public, Now()).look()
    assert _shown(secure, DOMAIN) == _leaf(public)


@pytest.mark.programs
async def test_a_renewal_that_is_half_done_or_wrong_changes_nothing(secure: Caddy, public: Settings) -> None:
    renewer = Renewer(public, Now())
    before = _leaf(public)
    cert, _ = make(public.home, *NAMES)
    good = public.home / "good"
    good.mkdir()
    shutil.move(cert, good)
    for half in (None, b"", b"rubbish", (good / cert.name).read_bytes()[:300]):
        if half is not None:
            cert.write_bytes(half)
        await renewer.look()
        assert _shown(secure, DOMAIN) == before
    make(public.home, DOMAIN)
    await renewer.look()
    assert _shown(secure, DOMAIN) == before, "the new one covers no page"
    await secure.kill()
    await secure.start()
    assert _shown(secure, DOMAIN) == before, "and Caddy comes up with what was good"


async def test_without_a_caddy_the_newest_waits_for_it(public: Settings) -> None:
    await Renewer(public, Now()).look()
    assert public.edge_certificate.read_bytes() == certificates.read(public, NOW).pem


@pytest.mark.programs
def test_with_files_nothing_is_got_for_pages(public: Settings, tmp_path: Path) -> None:
    certificates.put(public, certificates.read(public, NOW))
    config = caddy.base_config(public, tmp_path, internal_port=9999)
    assert "on_demand" not in json.dumps(config)
    file = tmp_path / "caddy.json"
    file.write_text(json.dumps(config))
    subprocess.run([caddy.binary(), "validate", "--config", file], check=True, capture_output=True)


async def test_what_is_wrong_is_said_once_and_in_time(public: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(certificates.log, "error", lambda _, reason: told.append(reason))
    renewer = Renewer(public, Now())
    make(public.home, *NAMES, ends=datetime.now(UTC) + timedelta(days=13))
    await renewer.look()
    await renewer.look()
    assert len(told) == 1 and "renew it" in told[0]
    make(public.home, *NAMES)
    await renewer.look()
    (public.home / "privkey.pem").unlink()
    await renewer.look()
    assert len(told) == 2 and "cannot be read" in told[1]
