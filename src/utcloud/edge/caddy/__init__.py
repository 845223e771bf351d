"""Caddy: its configuration, and the loops that keep the routes and the certificate it reads new."""

from utcloud.edge.caddy.certificates import Certificate, CertificateError, Renewer
from utcloud.edge.caddy.config import base_config, binary, command, cookie_name, environment
from utcloud.edge.caddy.pusher import Pusher

__all__ = [
    "Certificate",
    "CertificateError",
    "Pusher",
    "Renewer",
    "base_config",
    "binary",
    "command",
    "cookie_name",
    "environment",
]
