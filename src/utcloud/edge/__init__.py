"""The edge: Caddy's routes to replicas' pages, and one-time opening codes."""
