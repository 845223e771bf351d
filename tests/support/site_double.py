"""A site that runs nothing, for tests of the server and of what talks to it."""

import threading
from datetime import UTC, datetime
from itertools import count

import httpx
import pytest

from tests.support.factories import ObservedReplicaFactory, SiteReportFactory, node_report
from tests.support.served import Served
from utcloud.protocol import DesiredState, ObservedReplica, Phase
from utcloud.workloads import loops


async def _all_answer(pages: dict[str, tuple[str, str]], _path: str) -> set[str]:
    return set(pages)


class SiteDouble:
    """Runs nothing, and says that all that is wanted runs. ``paused`` makes it see nothing new."""

    def __init__(self, served: Served) -> None:
        headers = {"Authorization": f"Bearer {served.site_token}", "Content-Type": "application/json"}
        self._http = httpx.Client(base_url=f"{served.origin}/api/v1/agent", headers=headers, timeout=30)
        self._ended = threading.Event()
        self._patch = pytest.MonkeyPatch()
        self._places = count()
        self.paused = threading.Event()
        self._seen: dict[str, ObservedReplica] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._patch.setattr(loops, "answering", _all_answer)  # there are no containers: their pages answer all the same
        self._report()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(10)
        self._patch.undo()

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
                    endpoint=f"10.89.0.{next(self._places) % 250 + 2}:8888",
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
