"""Caddy: its base configuration, the replicas' routes, and the loop that keeps it equal to the table."""

from utcloud.edge.caddy.config import base_config, binary, command, environment, replica_routes
from utcloud.edge.caddy.pusher import Pusher

__all__ = ["Pusher", "base_config", "binary", "command", "environment", "replica_routes"]
