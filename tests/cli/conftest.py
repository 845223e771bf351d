"""The command line against the real server, with a site that witnesses whatever is wanted of it."""

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import httpx
import pytest

from tests.support.factories import ObservedReplicaFactory, SiteReportFactory, node_report
from tests.support.served import Served, serve
from utcloud.cli.app import run
from utcloud.protocol import DesiredState, ObservedReplica, Phase
from utcloud.workloads import loops


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


class SiteDouble:
    """Runs nothing, and says that all that is wanted runs. ``paused`` makes it see nothing new."""

    def __init__(self, served: Served) -> None:
        headers = {"Authorization": f"Bearer {served.site_token}", "Content-Type": "application/json"}
        self._http = httpx.Client(base_url=f"{served.origin}/api/v1/agent", headers=headers, timeout=30)
        self._ended = threading.Event()
        self.paused = threading.Event()
        self._seen: dict[str, ObservedReplica] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._report()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._ended.wait(0.15):
            if not self.paused.is_set():
                answer = self._http.get("desired")
                answer.raise_for_status()
                self._witness(DesiredState.model_validate_json(answer.content))
            self._report()

    def _witness(self, desired: DesiredState) -> None:
        now = datetime.now(UTC)
        wanted = {one.attempt_id: one for one in desired.replicas}
        self._seen = {ident: seen for ident, seen in self._seen.items() if ident in wanted}
        for ident, one in wanted.items():
            seen = self._seen.get(ident)
            if one.desired == Phase.RUNNING and seen is None:
                self._seen[ident] = ObservedReplicaFactory.build(
                    replica_id=one.replica_id,
                    attempt_id=ident,
                    phase=Phase.RUNNING,
                    started_at=now,
                    endpoint="10.89.0.2:8888",
                )
            elif one.desired != Phase.RUNNING and (seen is None or seen.phase != Phase.ENDED):
                self._seen[ident] = ObservedReplicaFactory.build(
                    replica_id=one.replica_id,
                    attempt_id=ident,
                    phase=Phase.ENDED,
                    started_at=seen.started_at if seen else None,
                    ended_at=now,
                    exit_code=0,
                    cause="stopped",
                )

    def _report(self) -> None:
        report = SiteReportFactory.build(
            sent_at=datetime.now(UTC),
            networks=["10.89.0.0/16"],
            nodes=[node_report("node-1", 3)],
            replicas=list(self._seen.values()),
        )
        answer = self._http.post("reports", content=report.model_dump_json())
        assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("home"), "") as one:
        yield one


@pytest.fixture(scope="module")
def site(served: Served) -> Iterator[SiteDouble]:
    double = SiteDouble(served)
    double.start()
    with pytest.MonkeyPatch.context() as patch:  # there are no containers: their pages answer all the same
        patch.setattr(loops, "answering", _all_answer)
        yield double
    double.stop()


async def _all_answer(pages: dict[str, tuple[str, str]], _path: str) -> set[str]:
    return set(pages)


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
