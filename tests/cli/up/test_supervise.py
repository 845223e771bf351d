import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from utcloud.cli.up import supervise
from utcloud.cli.up.supervise import MARK, NotUpError, Program, Supervisor

pytestmark = pytest.mark.programs
WAITS = Program("waits", [sys.executable, "-c", "import time; print('here 100%'); time.sleep(600)"])
CRASHES = Program("crashes", [sys.executable, "-c", "raise SystemExit('the port is taken')"])


@pytest.fixture
def supervisor(home: Path) -> Iterator[Supervisor]:
    for name in ("run", "logs"):
        (home / name).mkdir()
    one = Supervisor(home)
    one.write_config([WAITS, CRASHES])
    one.launch({**os.environ, MARK: str(home)})
    yield one
    if one.running():
        one.shutdown()
    assert supervise.marked(home) == []


def state(supervisor: Supervisor, name: str) -> supervise.State:
    return next(state for state in supervisor.states() if state.name == name)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_process_is_started_again_at_once(supervisor: Supervisor) -> None:
    supervisor.start("waits", lambda: state(supervisor, "waits").state == "RUNNING")
    first = state(supervisor, "waits").pid
    killed = time.monotonic()
    os.kill(first, signal.SIGKILL)
    until(lambda: state(supervisor, "waits").pid not in (0, first))
    assert time.monotonic() - killed < 2
    until(lambda: state(supervisor, "waits").state == "RUNNING")
    assert "here 100%" in supervisor.tail("waits")


def test_what_does_not_come_up_shows_its_log_and_the_cure(supervisor: Supervisor) -> None:
    with pytest.raises(NotUpError) as raised:
        supervisor.start("crashes", lambda: False, "Free the port.")
    assert "the port is taken" in str(raised.value)
    assert "Free the port." in str(raised.value)


def test_what_never_answers_is_given_up(supervisor: Supervisor) -> None:
    with pytest.raises(NotUpError, match="waits did not answer within 1 s"):
        supervisor.start("waits", lambda: False, timeout=1)


def test_starting_and_stopping_twice_changes_nothing(supervisor: Supervisor) -> None:
    for _ in range(2):
        supervisor.start("waits", lambda: state(supervisor, "waits").state == "RUNNING")
    assert state(supervisor, "waits").pid in supervise.marked(supervisor.home)
    for _ in range(2):
        supervisor.stop("waits")
    supervisor.stop("unknown")
    assert state(supervisor, "waits").pid == 0


def test_processes_of_a_killed_supervisor_are_found_and_ended(supervisor: Supervisor) -> None:
    supervisor.start("waits", lambda: state(supervisor, "waits").state == "RUNNING")
    orphan = state(supervisor, "waits").pid
    os.kill(supervisor.pid(), signal.SIGKILL)
    until(lambda: not supervisor.running())
    assert orphan in supervise.marked(supervisor.home)
    assert supervise.marked(Path(f"{supervisor.home}x")) == []
    supervise.end(supervise.marked(supervisor.home), patience=2)
    assert not supervise.alive(orphan)
