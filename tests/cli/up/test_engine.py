import json
import os
import tomllib
from pathlib import Path

import pytest

from tests.cli.up.unixserver import serving
from utcloud.cli.up import engine, stop
from utcloud.cli.up.instance import Instance
from utcloud.common.settings import Settings

PING: dict[tuple[str, str], tuple[int, object]] = {("GET", "/_ping"): (200, "OK")}


def test_a_running_engine_is_used(home: Path) -> None:
    with serving(home / "docker.sock", PING):
        found = engine.detect(home, None, (home / "none.sock", home / "docker.sock"))
    assert found == engine.Engine(f"unix://{home}/docker.sock")
    assert found.socket == home / "docker.sock"


def test_a_socket_nobody_serves_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(home / "docker.sock", {}):
        pass
    assert (home / "docker.sock").exists()
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    found = engine.detect(home, None, (home / "docker.sock",))
    assert found.own == home / "engine"


def test_an_engine_that_appears_later_does_not_hide_our_own_volumes(home: Path) -> None:
    (home / "engine" / "storage").mkdir(parents=True)
    with serving(home / "docker.sock", PING):
        assert engine.detect(home, None, (home / "docker.sock",)).own == home / "engine"


def test_an_engines_folder_that_another_made_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's user may make one in the home: its configuration names programs that root would run."""
    own = home / "engine"
    (own / "storage").mkdir(parents=True)
    os.chown(own, 12345, 12345)
    with serving(home / "docker.sock", PING):
        assert engine.detect(home, None, (home / "docker.sock",)).own is None
    with pytest.raises(engine.EngineError, match="made by another user"):
        engine.write_config(own)
    monkeypatch.setattr(stop, "_clear_engine", lambda _: pytest.fail("nothing of it is run"))
    (own / "containers.conf").touch()
    assert stop.take_down(Instance(Settings(home=home))) == []


def test_without_any_engine_the_cure_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(engine.EngineError, match="install podman"):
        engine.detect(home, None, ())


def test_the_engine_asked_for_must_answer(home: Path) -> None:
    with pytest.raises(engine.EngineError, match=r"UTCLOUD_ENGINE_URL=unix:///nowhere\.sock"):
        engine.detect(home, "unix:///nowhere.sock")
    with pytest.raises(engine.EngineError, match="must look like unix://"):
        engine.detect(home, "tcp://localhost:2375")
    with serving(home / "my.sock", PING):
        assert engine.detect(home, f"unix://{home}/my.sock", ()).own is None


def test_crun_is_used_on_pure_cgroup_v2_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(engine.EngineError, match="install runc"):
        engine.runtime(cgroup_v2=True)
    for name in ("crun", "runc"):
        (home / name).write_text("#!/bin/sh\n")
        (home / name).chmod(0o755)
    assert engine.runtime(cgroup_v2=True) == "crun"
    assert engine.runtime(cgroup_v2=False) == "runc"
    (home / "crun").unlink()
    assert engine.runtime(cgroup_v2=True) == "runc"


@pytest.mark.parametrize(("mask", "may"), [("000001ffffffffff", True), ("00000000a80425fb", False)])
def test_limits_are_raised_only_with_the_capability(home: Path, mask: str, may: bool) -> None:
    (home / "status").write_text(f"Name:\tx\nCapEff:\t{mask}\n")
    assert engine.may_raise_limits(home / "status") is may


def test_our_own_podman_writes_only_under_its_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "runtime", lambda: "runc")
    monkeypatch.setattr(engine, "may_raise_limits", lambda: False)
    engine.write_config(home / "engine")
    containers = tomllib.loads((home / "engine" / "containers.conf").read_text())
    storage = tomllib.loads((home / "engine" / "storage.conf").read_text())["storage"]
    paths = [
        value for section in (*containers.values(), storage) for value in section.values() if str(value)[:1] == "/"
    ]
    assert len(paths) == 7
    assert all(str(path).startswith(f"{home}/engine/") for path in paths), json.dumps(paths)
    assert containers["containers"]["default_ulimits"] == engine.own_limits()
