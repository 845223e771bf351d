"""The real Caddy with the base configuration, before a server that answers from a table."""

import http.client
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.up.unixserver import serving
from utcloud.cli.up import edge, ports
from utcloud.common.settings import Settings

pytestmark = pytest.mark.programs
Reply = tuple[int, dict[str, str], str]


@pytest.fixture
def internal_port() -> int:
    return ports.free(0)


@pytest.fixture
def caddy(settings: Settings, internal_port: int) -> Iterator[Settings]:
    web = settings.home / "web"
    for end in ("admin", "console"):
        (web / end / "assets").mkdir(parents=True)
        (web / end / "index.html").write_text(f"<title>{end}</title>")
        (web / end / "assets" / "main.js").write_text("1" * 5000)
    settings.serve_dir.mkdir(parents=True)
    config = settings.run_dir / "caddy.json"
    edge.write(config, settings, web, internal_port)
    answers: dict[tuple[str, str], tuple[int, object]] = {
        ("GET", "/api/v1/x"): (200, {"from": "server"}),
        ("GET", "/metrics"): (200, "up 1\n"),
    }
    with (
        serving(settings.server_socket, answers),
        subprocess.Popen([edge.binary(), "run", "--config", config], stderr=subprocess.DEVNULL) as process,
    ):
        deadline = time.monotonic() + 20
        while not ports.busy("127.0.0.1", settings.port):
            assert process.poll() is None, "caddy ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield settings
        process.terminate()


def get(port: int, path: str, host: str | None = None, headers: dict[str, str] | None = None) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={**(headers or {}), "Host": host or f"localhost:{port}"})
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    reply = response.status, names, response.read().decode(errors="replace")
    connection.close()
    return reply


def test_the_api_is_the_servers_and_the_pages_are_files(caddy: Settings) -> None:
    assert get(caddy.port, "/api/v1/x")[2] == '{"from": "server"}'
    for end in ("admin", "console"):
        for path in (f"/{end}/", f"/{end}/notebooks/42/edit", f"/{end}/index.html"):
            status, headers, body = get(caddy.port, path)
            assert (status, body) == (200, f"<title>{end}</title>"), path
            assert headers["cache-control"] == "no-cache"
        status, headers, _ = get(caddy.port, f"/{end}/assets/main.js", headers={"Accept-Encoding": "gzip"})
        assert status == 200
        assert "immutable" in headers["cache-control"]
        assert headers["content-encoding"] == "gzip"
        assert get(caddy.port, f"/{end}/assets/gone.js")[0] == 404


def test_short_addresses_lead_to_the_pages(caddy: Settings) -> None:
    for path, target in (("/", "/console/"), ("/admin", "/admin/"), ("/console", "/console/")):
        status, headers, _ = get(caddy.port, path)
        assert (status, headers["location"]) == (302, target)


def test_every_answer_of_the_consoles_carries_the_security_headers(caddy: Settings) -> None:
    for path in ("/api/v1/x", "/console/", "/nothing", "/admin/assets/main.js"):
        _, headers, _ = get(caddy.port, path)
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_what_is_not_for_the_public_is_not_served(caddy: Settings) -> None:
    for path in ("/metrics", "/edge/metrics", "/edge/open", "/console/../../run/caddy.json", "/console/%2e%2e/x"):
        assert "up 1" not in get(caddy.port, path)[2]
        assert "routes" not in get(caddy.port, path)[2]
    assert get(caddy.port, "/metrics")[0] == 404


def test_another_host_name_is_sent_to_the_right_one(caddy: Settings) -> None:
    status, _, body = get(caddy.port, "/api/v1/x", host="evil.example")
    assert status == 421
    assert caddy.console_origin in body


def test_a_replica_without_a_route_is_closed(caddy: Settings) -> None:
    host = f"r-1.apps.localhost:{caddy.port}"
    status, _, body = get(caddy.port, "/api/v1/x", host=host)
    assert (status, "from the console" in body) == (403, True)
    assert caddy.edge_admin_socket.stat().st_mode & 0o777 == 0o600


def test_prometheus_reads_server_and_edge_on_loopback(caddy: Settings, internal_port: int) -> None:
    assert get(internal_port, "/metrics")[2] == "up 1\n"
    assert "caddy_" in get(internal_port, "/edge/metrics")[2]


def test_with_a_domain_certificates_are_for_it_and_its_replicas_only(home: Path, internal_port: int) -> None:
    public = Settings(home=home, domain="cloud.example.org")
    public.serve_dir.mkdir(parents=True)
    config = public.run_dir / "caddy.json"
    edge.write(config, public, home / "web", internal_port)
    subprocess.run([edge.binary(), "validate", "--config", config], check=True, capture_output=True)
    server = edge.config(public, home / "web", internal_port)["apps"]["http"]["servers"]["edge"]
    assert server["listen"] == ["0.0.0.0:443"]
    assert "disable" not in server["automatic_https"]
