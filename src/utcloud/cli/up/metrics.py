"""Prometheus and node_exporter: our own instances, on loopback."""

import shutil
from pathlib import Path

RETENTION = ("--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=2GB")


def available() -> bool:
    """Whether both programs are installed."""
    return bool(shutil.which("prometheus") and shutil.which("prometheus-node-exporter"))


def write_config(path: Path, *, node_exporter_port: int, internal_port: int) -> None:
    """Write what Prometheus scrapes: this machine, the server and the edge."""
    path.write_text(
        f"""global:
  scrape_interval: 15s
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{node_exporter_port}"]}}]
  - job_name: server
    static_configs: [{{targets: ["127.0.0.1:{internal_port}"]}}]
  - job_name: edge
    metrics_path: /edge/metrics
    static_configs: [{{targets: ["127.0.0.1:{internal_port}"]}}]
"""
    )


def prometheus_command(config: Path, data: Path, port: int) -> list[str]:
    """Prometheus with bounded storage under `data`."""
    listen = f"--web.listen-address=127.0.0.1:{port}"
    return [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        listen,
        *RETENTION,
        "--log.level=warn",
    ]


def node_exporter_command(port: int) -> list[str]:
    """node_exporter with its defaults, less what only hosts with systemd or special hardware have."""
    return ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
