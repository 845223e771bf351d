"""The command line against the real server, with a site that witnesses whatever is wanted of it."""

import contextlib
import functools
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
import typer

from tests.support.served import Served, serve
from tests.support.site_double import SiteDouble
from utcloud.cli import common
from utcloud.cli.app import run


@pytest.fixture(scope="session", autouse=True)
def _hasty() -> Iterator[None]:
    """The tree of commands is made once and not for each call, and the server is asked often how things are going."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        patch.setattr(common, "POLL_S", 0.02)
        yield


@dataclass
class Outcome:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


@dataclass
class Cli:
    """One person's terminal: a home folder of their own, and a server."""

    home: Path
    server: str
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UTCLOUD_")}
        ours = {"UTCLOUD_HOME": str(self.home), "UTCLOUD_SERVER_URL": self.server, "COLUMNS": "200"}
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, kept | ours | self.environment, clear=True),
            mock.patch("sys.stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = run(list(arguments))
        return Outcome(status, out.getvalue(), err.getvalue())

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that must succeed; what it printed."""
        done = self(*arguments, stdin=stdin)
        assert done.status == 0, f"{arguments}: {done.status}\n{done.out}\n{done.err}"
        return done.out


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("home"), "") as one:
        yield one


@pytest.fixture(scope="module")
def site(served: Served) -> Iterator[SiteDouble]:
    double = SiteDouble(served)
    double.start()
    yield double
    double.stop()


@pytest.fixture(scope="module")
def stranger(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A terminal at which nobody is logged in."""
    return Cli(tmp_path_factory.mktemp("stranger"), served.origin)


@pytest.fixture(scope="module")
def operator(served: Served, site: SiteDouble, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The operator's terminal, on this machine a miner too."""
    cli = Cli(tmp_path_factory.mktemp("operator"), served.origin)
    cli.ok("login", "admin", "--password-stdin", stdin=served.password)
    return cli
