"""The whole server, without site and edge, on a loopback port: its own process's thread, migrated from nothing."""

import atexit
import contextlib
import functools
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tests.support.api import Api, wait_for
from tests.support.stack import free_port
from utcloud.cli.up import access
from utcloud.common.settings import Settings
from utcloud.server import bootstrap
from utcloud.server.app import create_app
from utcloud.server.heads import BoundedHeads

PRESET = bootstrap.PresetImage("jupyter", "localhost/utcloud/jupyter:1", "JupyterLab")


@dataclass
class Served:
    """A server that runs, and its first operator's access."""

    settings: Settings
    origin: str
    password: str
    app: Any

    def anonymous(self) -> Api:
        return Api(self.origin, "localhost")

    def operator(self) -> Api:
        return self.anonymous().login("admin", self.password)

    def person(self, username: str, *roles: str) -> Api:
        """A new user's access."""
        made = self.operator().post("/users", {"username": username, "roles": list(roles) or ["renter"]})
        return self.anonymous().login(username, made["initial_password"])

    @property
    def access(self) -> dict[str, str]:
        """The first operator's, as access.json of a stack has it."""
        return {"username": "admin", "password": self.password}

    def wait_until_heard(self, api: Api) -> dict[str, Any]:
        """Wait until a node is ready; the node."""
        return wait_for(
            lambda: next((one for one in api.all("/nodes") if one["status"] == "ready"), None), "a ready node"
        )

    @property
    def site_token(self) -> str:
        return self.settings.token_file.read_text().strip()


def _prepare(settings: Settings) -> str:
    """Migrate and bootstrap; the first operator's password where it is new, else none."""
    return bootstrap.prepare(settings, [PRESET]).password or ""


@functools.cache
def _new_home() -> tuple[Path, str]:
    """A home that was migrated from nothing, to be copied, and its first operator's password."""
    folder = Path(tempfile.mkdtemp(prefix="utcloud-served-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder, _prepare(Settings(home=folder / "home"))


@contextlib.contextmanager
def serve(home: Path, database_url: str) -> Iterator[Served]:
    """Migrate, bootstrap and serve until the block ends. The home may be one that was used before."""
    port = free_port()
    settings = Settings(home=home, database_url=database_url, port=port)
    password = ""
    if not database_url and not any(home.glob("*")):
        folder, password = _new_home()
        shutil.copytree(folder / "home", home, dirs_exist_ok=True)
    known = access.read(home / "access.json")
    password = _prepare(settings) or password or (known.password if known else "")
    assert password
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            http=BoundedHeads,
            log_level="warning",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield Served(settings, f"http://127.0.0.1:{port}", password, app)
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive(), "the server ends when it is told to"
