"""Every setting, in one place: environment variables ``UTCLOUD_*``. docs/reference/settings.md is made from this."""

import itertools
import os
import re
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from utcloud.common.money import UncInput, parse_unc
from utcloud.common.quantity import DISK, parse_quantity

_HOST = re.compile(r"(?=.{1,200}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def _default_home() -> Path:
    return Path("/var/lib/utcloud") if os.geteuid() == 0 else Path.home() / ".local/share/utcloud"


class Settings(BaseSettings):
    """What an operator may set. Everything has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="UTCLOUD_", extra="ignore")

    home: Path = Field(default_factory=_default_home, description="Where all state lives.")
    user: str = Field(
        default="utcloud",
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$|^$",
        description="System user that server, edge and metrics run as, where root starts them; made when missing. "
        "Empty or root: root itself. The site agent stays root, as containers need it.",
    )
    port: int = Field(default=8080, ge=1, le=65535, description="Port of the edge.")
    bind: list[str] = Field(default=["127.0.0.1", "::1"], description="Addresses that the edge listens on.")
    domain: str = Field(
        default="",
        description="Public host name. Empty: http://localhost:PORT. Set: https with automatic certificates; "
        "replicas' pages are served from *.apps.DOMAIN, or from *.UTCLOUD_APPS_DOMAIN.",
    )
    apps_domain: str = Field(
        default="",
        description="A domain of the replicas' pages' own, such as example-apps.net: they are served from "
        "*.APPS_DOMAIN. Best one that is registered for nothing else, so that to browsers pages are another site than "
        "the consoles. Empty: apps.DOMAIN.",
    )
    tls_cert: Path | None = Field(
        default=None,
        description="PEM file with a certificate and its chain for *.apps.DOMAIN (or *.APPS_DOMAIN), and best for "
        "DOMAIN too. A renewed file is taken within a minute. Empty: Caddy gets one for each host by itself.",
    )
    tls_key: Path | None = Field(
        default=None, validate_default=True, description="PEM file with the private key of UTCLOUD_TLS_CERT."
    )
    database_url: str = Field(default="", repr=False, description="SQLAlchemy URL. Empty: SQLite in the home folder.")
    store_url: str = Field(default="", description="Object store: a folder or s3://bucket. Empty: a folder in home.")
    engine_url: str = Field(default="", description="Docker API socket, unix:///…. Empty: found or started by `up`.")
    simulate_chips: str = Field(default="", description="Simulated chips, such as BM1684X:3. For trying things out.")
    platform_fee_percent: float = Field(
        default=5.0, ge=0, le=100, description="Share of a charge that the platform keeps."
    )
    fault_credit: Literal["none", "last_hour", "whole"] = Field(
        default="last_hour",
        description="What is given back of an attempt that ended by the miner's or the platform's fault: nothing, its "
        "last hour, or all. Orders keep what was set when they were made.",
    )
    registration: Literal["open", "closed"] = Field(
        default="open", description="Whether people may apply to become users (open), or only by invitation (closed)."
    )
    require_second_factor: Literal["nobody", "operators", "everybody"] = Field(
        default="nobody",
        description="Of whom a second factor is demanded: who has none is led to set it up at the next login, and can "
        "do nothing else until then. API tokens of theirs wait as well.",
    )
    secret_key: str = Field(
        default="",
        repr=False,
        description="Key that seals secrets in the database, of at least 32 characters. Empty: one is made once and "
        "kept in secret.key in the home folder. Servers that share a database need the same one; keep it with the "
        "backups.",
    )
    recharge_by: Literal["miners", "operators"] = Field(
        default="operators",
        description="Who puts machine hours into wallets. operators: they alone, and they take them out too. miners: "
        "miners as well, but only into wallets of the groups that their pools are bound to and of these groups' "
        "members, never into their own, and up to UTCLOUD_MINER_RECHARGE_PER_DAY.",
    )
    miner_recharge_per_day: UncInput = Field(
        default=parse_unc("1000"),
        description="The most UNC that a miner may put into others' wallets in a UTC day, where miners recharge.",
    )
    group_member_per_day: UncInput | None = Field(
        default=parse_unc("50"),
        description="The daily cap in UNC on what each member spends from the wallet of a new group, until its "
        "managers set another. Empty: none.",
    )
    max_waiting: int = Field(
        default=20, ge=1, le=10_000, description="Most notebooks and tasks that one renter may have waiting in a pool."
    )
    max_upload_bytes: int = Field(default=20 * 2**30, ge=1, description="Largest single upload.")
    max_version_bytes: int = Field(default=50 * 2**30, ge=1, description="Largest version of an asset, unpacked.")
    max_version_files: int = Field(default=100_000, ge=1, description="Most files in one version of an asset.")
    storage_quota: str = Field(
        default="200GB",
        description="What each user may keep in algorithms, datasets and models: all versions, and uploads under way "
        "as large as they were announced. An operator may set another for one user. A number alone is bytes.",
    )
    storage_files: int = Field(
        default=1_000_000, ge=1, description="Most files that each user may keep so, all versions together."
    )
    default_disk: str = Field(
        default="10GB",
        description="Size of a volume whose specification names no disk; less where the node's disk is small.",
    )
    deny_networks: list[str] = Field(
        default=[],
        description='Further networks that containers must not reach, as a JSON list: ["203.0.113.0/24"]. Private '
        "networks, this machine's own and clouds' metadata addresses are closed anyway.",
    )
    network_mbit: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Megabits a second that each notebook or task may send from a node, and as many that it may "
        "receive, over its page too. 0: as many as the line takes.",
    )
    smtp_url: str = Field(
        default="",
        repr=False,
        description="Mail server, smtp://USER:PASSWORD@HOST:PORT or smtps://…. Empty: no mail is sent.",
    )
    mail_from: str = Field(default="utcloud <noreply@localhost>", description="Sender of mail.")
    webhook_private: bool = Field(
        default=False, description="Whether webhooks may lead to private addresses. For trying things out."
    )
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="Least level logged.")
    server_url: str = Field(
        default="", description="Where an agent or the CLI finds the server. Empty: this machine's."
    )
    agent_token_file: Path | None = Field(default=None, description="File with the site's token. Empty: in home.")
    token: str = Field(default="", repr=False, description="API token for the CLI. Empty: what `utcloud login` kept.")

    @field_validator("group_member_per_day", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("domain", "apps_domain")
    @classmethod
    def _is_host(cls, value: str) -> str:
        value = value.strip().lower().rstrip(".")
        if value and not _HOST.fullmatch(value):
            raise ValueError("write a host name alone, such as cloud.example.org")
        return value

    @field_validator("apps_domain")
    @classmethod
    def _is_no_console(cls, value: str, info: ValidationInfo) -> str:
        domain = info.data.get("domain", "")
        if value and not domain:
            raise ValueError("it needs UTCLOUD_DOMAIN, where the consoles are")
        if value and f".{domain}".endswith(f".{value}"):
            raise ValueError(f"{domain}, where the consoles are, must be neither it nor below it")
        return value

    @field_validator("tls_cert", "tls_key", mode="before")
    @classmethod
    def _empty_is_no_file(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("tls_cert", "tls_key")
    @classmethod
    def _absolute_file(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @field_validator("tls_key")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        cert = info.data.get("tls_cert")
        if bool(value) != bool(cert):
            raise ValueError("UTCLOUD_TLS_CERT and UTCLOUD_TLS_KEY are set both or neither")
        if cert and not info.data.get("domain"):
            raise ValueError("a certificate needs UTCLOUD_DOMAIN")
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_long(cls, value: str) -> str:
        if value and len(value) < 32:
            raise ValueError("a key has at least 32 characters")
        return value

    @field_validator("default_disk", "storage_quota")
    @classmethod
    def _is_size(cls, value: str) -> str:
        parse_quantity(DISK, value)
        return value

    @field_validator("deny_networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        return [str(ip_network(one, strict=False)) for one in value]

    @property
    def default_disk_bytes(self) -> int:
        return parse_quantity(DISK, self.default_disk)

    @cached_property
    def storage_quota_bytes(self) -> int:
        return parse_quantity(DISK, self.storage_quota)

    @cached_property
    def database(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.home / 'utcloud.db'}"

    @cached_property
    def store(self) -> str:
        return self.store_url or str(self.home / "store")

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    @property
    def secret_key_file(self) -> Path:
        """The server's own key, where no setting gives one."""
        return self.home / "secret.key"

    @property
    def serve_dir(self) -> Path:
        """What server and edge share while they run; it is theirs alone."""
        return self.run_dir / "serve"

    @property
    def server_socket(self) -> Path:
        """The server's own HTTP socket; the edge stands before it."""
        return self.serve_dir / "server.sock"

    @property
    def edge_admin_socket(self) -> Path:
        return self.serve_dir / "edge-admin.sock"

    @property
    def edge_routes(self) -> Path:
        """Folder in which the edge looks up who may open which replica's page."""
        return self.serve_dir / "edge-routes"

    @property
    def edge_certificate(self) -> Path:
        """Chain and key in one file, as the edge reads them: UTCLOUD_TLS_CERT and UTCLOUD_TLS_KEY once they were
        checked."""
        return self.serve_dir / "tls.pem"

    @property
    def simulated_chips_file(self) -> Path:
        return self.home / "simulated-chips.json"

    @property
    def token_file(self) -> Path:
        return self.agent_token_file or self.home / "agent" / "token"

    @property
    def site_dir(self) -> Path:
        """The site agent's own folder: volumes, cache, state."""
        return self.home / "site"

    @property
    def console_origin(self) -> str:
        """Scheme, host and port of both consoles and the API, without a trailing slash."""
        return f"https://{self.domain}" if self.domain else f"http://localhost:{self.port}"

    @property
    def apps_host(self) -> str:
        """The domain below which each replica's pages have a host of their own."""
        return self.apps_domain or f"apps.{self.domain or 'localhost'}"

    @property
    def shared_site(self) -> str:
        """The domain that consoles and pages have in common, and that makes them one site to browsers; empty for none.

        Which domains somebody registered only a list of all public ones tells: two labels are taken for one.
        """
        both = zip(reversed(self.domain.split(".")), reversed(self.apps_host.split(".")), strict=False)
        common = [mine for mine, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both)]
        return ".".join(reversed(common)) if len(common) > 1 else ""

    def replica_origin(self, host_label: str) -> str:
        """The origin of one replica's pages: another host than the consoles', so no cookie is shared."""
        parts = urlsplit(self.console_origin)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host_label}.{self.apps_host}{port}"

    @property
    def api_url(self) -> str:
        return (self.server_url.rstrip("/") or self.console_origin) + "/api/v1"
