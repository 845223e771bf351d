"""One certificate for all pages, out of files that somebody renews: checked, and handed to Caddy when they change.

Caddy reads a copy, ``settings.edge_certificate``. It holds a pair that fits at any time, also while a renewal has
written the one file and not yet the other, and when a bad file came: then what was good before goes on.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from utcloud.common.clock import Clock
from utcloud.common.settings import Settings

log = structlog.get_logger()
SOON = timedelta(days=14)
"""So long before its end a certificate should have been renewed."""
_PATIENCE_S = 5.0


class CertificateError(ValueError):
    """The files cannot be used; the message says which, why, and the cure."""


@dataclass(frozen=True)
class Certificate:
    """What the files hold."""

    names: tuple[str, ...]
    ends_at: datetime
    leaf: bytes
    """The certificate itself, as it comes over the wire."""
    pem: bytes
    """Chain and key."""

    def covers(self, host: str) -> bool:
        """Whether it is good for a host name."""
        return host in self.names or f"*.{host.partition('.')[2]}" in self.names


def read(settings: Settings, now: datetime) -> Certificate:
    """The certificate of UTCLOUD_TLS_CERT and UTCLOUD_TLS_KEY. Raises CertificateError for one that cannot be used."""
    chain, key = _chain(settings.tls_cert), _key(settings.tls_key)
    leaf, said = chain[0], f"UTCLOUD_TLS_CERT={settings.tls_cert}"
    if leaf.public_key() != key.public_key():
        raise CertificateError(
            f"UTCLOUD_TLS_KEY={settings.tls_key} is not the key of the first certificate in {settings.tls_cert}. Give "
            "the key that was made with it, and a file in which the server's own certificate comes first."
        )
    names, wanted = _names(leaf), f"*.{settings.apps_host}"
    if wanted not in names:
        raise CertificateError(
            f"{said} is for {', '.join(names) or 'no name'}, and not for {wanted}, where notebooks' pages are. "
            f"Get one for {settings.domain} and {wanted}."
        )
    if now >= leaf.not_valid_after_utc:
        raise CertificateError(f"{said} has ended ({leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC). Renew it.")
    if now < leaf.not_valid_before_utc:
        raise CertificateError(
            f"{said} begins only at {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC. Check this machine's clock."
        )
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(names, leaf.not_valid_after_utc, leaf.public_bytes(Encoding.DER), pem)


def put(settings: Settings, certificate: Certificate, *, uid: int = -1, gid: int = -1) -> None:
    """Write what Caddy reads, for the user who runs it: it sees the old file or the new one, nobody else either.

    Its folder is that user's, who may put links where files were: so nothing is done to it by its name.
    """
    file = settings.edge_certificate
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(certificate.pem)
        os.fchown(out.fileno(), uid, gid)
    draft.replace(file)


class Renewer:
    """Looks at the files every ``poll_s`` seconds, and at what Caddy shows to visitors: a renewed certificate goes to
    it without a restart. Open streams outlive that (``stream_close_delay``)."""

    def __init__(self, settings: Settings, clock: Clock, *, poll_s: float = 30.0) -> None:
        self._settings, self._clock, self._poll_s = settings, clock, poll_s
        self._said = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Look once."""
        try:
            found = await asyncio.to_thread(self._take)
            soon = found.ends_at - self._clock.now() <= SOON
            self._say(f"UTCLOUD_TLS_CERT ends at {found.ends_at:%Y-%m-%d %H:%M} UTC: renew it." if soon else "")
            await self._show(found)
        except CertificateError as refused:
            self._say(f"the certificate of before goes on: {refused}")
        except httpx.TransportError:
            pass  # no Caddy runs; it will read the newest file
        except OSError as error:
            self._say(f"a renewed certificate cannot be taken over: {error}")

    def _take(self) -> Certificate:
        found, file = read(self._settings, self._clock.now()), self._settings.edge_certificate
        if not file.exists() or file.read_bytes() != found.pem:
            put(self._settings, found)
        return found

    async def _show(self, found: Certificate) -> None:
        """Have Caddy read the file again if it shows another one. It does so only for a configuration that it is given
        anew; so it gets its own."""
        transport = httpx.AsyncHTTPTransport(uds=str(self._settings.edge_admin_socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=_PATIENCE_S) as admin:
            config = (await admin.get("/config/")).json()
            if await _shown(config, f"any.{self._settings.apps_host}") == found.leaf:
                return
            anew = await admin.post("/load", json=config, headers={"Cache-Control": "must-revalidate"})
        if anew.is_success:
            log.info("the edge shows a new certificate", names=found.names, until=found.ends_at.isoformat())
        else:
            self._say(f"the edge does not take a renewed certificate: {anew.text[:500]}")

    def _say(self, what: str) -> None:
        if what and what != self._said:
            log.error("certificate", reason=what)
        self._said = what


async def _shown(config: Mapping[str, Any], host: str) -> bytes | None:
    """The certificate that a visitor of ``host`` is shown by a Caddy with this configuration."""
    address, _, port = config["apps"]["http"]["servers"]["edge"]["listen"][0].rpartition(":")
    address = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(address, address.strip("[]"))  # noqa: S104
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is read, and nothing is sent
    async with asyncio.timeout(_PATIENCE_S):
        try:
            _, writer = await asyncio.open_connection(address, int(port), ssl=context, server_hostname=host)
        except ssl.SSLError:
            return None  # it has none for that host
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


def _chain(file: Path | None) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content("UTCLOUD_TLS_CERT", file))
    except ValueError as error:
        if isinstance(error, CertificateError):
            raise
        raise CertificateError(
            f"UTCLOUD_TLS_CERT={file} holds no certificate in PEM. Give the file that is often called fullchain.pem."
        ) from error


def _key(file: Path | None) -> Any:
    content = _content("UTCLOUD_TLS_KEY", file)
    try:
        return serialization.load_pem_private_key(content, None)
    except TypeError as error:
        raise CertificateError(f"UTCLOUD_TLS_KEY={file} is locked with a passphrase. Give it without one.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"UTCLOUD_TLS_KEY={file} holds no private key in PEM. Give the file that is often called privkey.pem."
        ) from error


def _content(name: str, file: Path | None) -> bytes:
    if file is None:
        raise CertificateError(f"{name} is not set.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{name}={file} cannot be read: {error.strerror}. Check the path and who may read it."
        ) from error


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
