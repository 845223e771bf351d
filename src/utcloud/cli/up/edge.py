"""The edge as one machine runs it: where it listens, and Caddy's configuration in a file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from utcloud.cli.up import ports
from utcloud.common.settings import Settings
from utcloud.edge.caddy import CertificateError, base_config, binary, certificates

__all__ = ["CertificateError", "about", "addresses", "binary", "check", "config", "port", "write"]


def config(settings: Settings, web: Path, internal_port: int) -> dict[str, Any]:
    """Caddy's configuration for the addresses that this machine has. `web` holds the built pages; `internal_port`
    serves metrics on loopback."""
    here = settings.model_copy(update={"bind": addresses(settings)})
    return base_config(here, web, internal_port=internal_port)


def write(path: Path, settings: Settings, web: Path, internal_port: int, *, uid: int = -1, gid: int = -1) -> None:
    """Write the configuration where the edge process reads it, and the certificate, where files hold one, for its
    user."""
    if settings.tls_cert:
        certificates.put(settings, certificates.read(settings, datetime.now(UTC)), uid=uid, gid=gid)
    path.write_text(json.dumps(config(settings, web, internal_port), indent=2) + "\n")


def addresses(settings: Settings) -> list[str]:
    """The addresses to listen on that this machine has; a public domain means all, unless they were named."""
    if settings.domain and "bind" not in settings.model_fields_set:
        return ["0.0.0.0"]  # noqa: S104
    return [address for address in settings.bind if ports.exists(address)]


def port(settings: Settings) -> int:
    """The port that the edge listens on."""
    return 443 if settings.domain else settings.port


def check(settings: Settings) -> None:
    """Raise CertificateError when the certificate that the settings name cannot be used."""
    if settings.tls_cert:
        certificates.read(settings, datetime.now(UTC))


def about(settings: Settings) -> list[str]:
    """How a public domain is served, line by line, with what had better be otherwise."""
    if not settings.domain:
        return []
    lines = [_certificate(settings)]
    if settings.shared_site:
        lines.append(
            f"notebooks' pages are of the consoles' own site to browsers ({settings.shared_site}): better a domain of "
            "their own, UTCLOUD_APPS_DOMAIN"
        )
    return lines


def _certificate(settings: Settings) -> str:
    if not settings.tls_cert:
        return (
            "certificates are got host by host, and Let's Encrypt gives 50 new ones a week for a domain: better one "
            "for all, UTCLOUD_TLS_CERT"
        )
    now = datetime.now(UTC)
    try:
        found = certificates.read(settings, now)
    except CertificateError as refused:
        return f"{refused} Until then the certificate of before goes on."
    soon = ". Renew it now" if found.ends_at - now <= certificates.SOON else ""
    return f"certificate for {', '.join(found.names)} until {found.ends_at:%Y-%m-%d}{soon}"
