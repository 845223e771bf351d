"""Caddy: its configuration, and the loop that keeps the routes it reads equal to the table."""

from utcloud.edge.caddy.config import base_config, binary, command, cookie_name, environment
from utcloud.edge.caddy.pusher import Pusher

__all__ = ["Pusher", "base_config", "binary", "command", "cookie_name", "environment"]
