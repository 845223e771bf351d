"""`up` and `down` as far as they go without containers."""

import json
import os
import shutil
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import certificates
from utcloud.cli import processes
from utcloud.cli.processes import refuse_unknown_settings
from utcloud.cli.up import down, edge, network, own, start, status, up
from utcloud.cli.up.engine import Engine, own_url
from utcloud.cli.up.instance import CannotRunError, Instance, from_environment
from utcloud.common.settings import Settings

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="utcloud must be root to start")


@needs_root
def test_a_taken_port_is_named_with_the_cure(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", settings.port)):
        assert up(settings, detach=True) == 1
    said = capsys.readouterr().out
    assert f"Port {settings.port} of 127.0.0.1 is taken" in said
    assert "UTCLOUD_PORT=" in said


@pytest.mark.parametrize("text", ["BM1684X:0", "foo", ":3", "BM1684X:9999"])
def test_wrong_chips_are_refused_before_anything_starts(
    settings: Settings, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = settings.model_copy(update={"simulate_chips": text})
    assert up(wrong, detach=True) == 1
    assert "Simulated chips" in capsys.readouterr().out
    assert not settings.run_dir.exists()


def test_a_certificate_that_cannot_be_used_is_named_before_anything_starts(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Settings(home=home, domain="cloud.example.org", tls_cert=home / "none.pem", tls_key=home / "none.pem")
    assert up(wrong, detach=True) == 1
    assert f"UTCLOUD_TLS_CERT={home}/none.pem cannot be read: No such file" in capsys.readouterr().out
    assert not wrong.run_dir.exists()


def test_what_had_better_be_otherwise_of_a_domain_is_said(home: Path) -> None:
    assert edge.about(Settings(home=home)) == []
    (one, two) = edge.about(Settings(home=home, domain="cloud.example.org"))
    assert "50 new ones a week" in one and "UTCLOUD_TLS_CERT" in one
    assert "cloud.example.org" in two and "UTCLOUD_APPS_DOMAIN" in two
    cert, key = certificates.make(home, "cloud.example.org", "*.example-apps.net")
    good = Settings(home=home, domain="cloud.example.org", apps_domain="example-apps.net", tls_cert=cert, tls_key=key)
    (line,) = edge.about(good)
    assert line.startswith("certificate for cloud.example.org, *.example-apps.net until ")
    assert "Renew" not in line
    certificates.make(home, "*.example-apps.net", ends=datetime.now(UTC) + timedelta(days=10))
    assert edge.about(good)[0].endswith("Renew it now")
    cert.unlink()
    assert "cannot be read" in edge.about(good)[0]


def test_down_and_status_of_what_never_ran(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert down(settings) == 0
    assert status(settings) == 3
    assert capsys.readouterr().out.count("not running") == 2


@needs_root
def test_a_home_too_long_for_sockets_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up(Settings(home=home / ("x" * 100)), detach=True) == 1
    assert "too long" in capsys.readouterr().out


def test_a_home_that_a_restore_closed_is_opened_for_the_servers_user(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.chmod(0o700)

    def check(*_: object) -> None:
        raise CannotRunError(oct(stat.S_IMODE(settings.home.stat().st_mode)))

    monkeypatch.setattr(own, "check", check)
    monkeypatch.setattr("utcloud.cli.up.engine.detect", lambda *_: None)
    with pytest.raises(CannotRunError, match="0o711"):
        start._launch(Instance(settings))


def test_two_at_once_are_refused(settings: Settings) -> None:
    instance = Instance(settings)
    instance.make_folders()
    with instance.locked(), pytest.raises(CannotRunError, match="Another"), instance.locked():
        pass


def test_settings_are_handed_down_and_remembered(settings: Settings) -> None:
    told = Settings(home=settings.home, port=9000, bind=["127.0.0.1"], simulate_chips="BM1684X:3", token="secret")
    instance = Instance(told)
    instance.make_folders()
    environment = instance.environment()
    assert environment["UTCLOUD_PORT"] == "9000"
    assert environment["UTCLOUD_BIND"] == '["127.0.0.1"]'
    assert "UTCLOUD_TOKEN" not in environment
    instance.remember(environment)
    assert instance.started_with.stat().st_mode & 0o777 == 0o600
    again = Instance(Settings(home=settings.home)).remembered().settings
    assert (again.port, again.bind, again.simulate_chips) == (9000, ["127.0.0.1"], "BM1684X:3")
    assert "UTCLOUD_PORT" not in os.environ


def test_a_home_that_was_moved_remembers_no_other_home(settings: Settings, tmp_path: Path) -> None:
    """`down` in a copy of a home must not stop the other one."""
    before = Instance(settings.model_copy(update={"port": 9000}))
    before.settings.run_dir.mkdir(parents=True, exist_ok=True)
    engine = Engine(own_url(before.own_engine), before.own_engine)
    before.remember(before.environment(engine))
    moved = tmp_path / "moved"
    shutil.copytree(settings.home, moved)
    again = Instance(Settings(home=moved)).remembered()
    assert (again.home, again.known_engine().url) == (moved, f"unix://{moved}/engine/podman.sock")


def test_remembered_settings_win_over_this_shells(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTCLOUD_PORT", "1")
    monkeypatch.setenv("UTCLOUD_DOMAIN", "example.org")
    assert from_environment({"UTCLOUD_PORT": "2"}).domain == ""
    assert os.environ["UTCLOUD_DOMAIN"] == "example.org"
    assert os.environ["UTCLOUD_PORT"] == "1"


def test_a_reboot_makes_podman_forget_what_ran(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = home / "boot"
    boot.write_text("one")
    monkeypatch.setattr(start, "BOOT_ID", boot)
    own = home / "engine"
    start._forget_last_boot(own)
    for name in ("run", "tmp", "storage"):
        (own / name).mkdir()
    start._forget_last_boot(own)
    assert (own / "run").exists()
    boot.write_text("two")
    start._forget_last_boot(own)
    assert sorted(path.name for path in own.iterdir()) == ["boot_id", "storage"]


RULES = """*nat
:PREROUTING ACCEPT [0:0]
:NETAVARK-HOSTPORT-DNAT - [0:0]
{extra}-A PREROUTING -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT
-A PREROUTING -j MINE
COMMIT
"""


@pytest.mark.parametrize(("extra", "removed"), [("", True), (":NETAVARK-0123456789ABC - [0:0]\n", False)])
def test_podmans_chains_go_unless_somebody_uses_them(
    extra: str, removed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def output(*command: str, **named: str) -> str:
        given.extend(named.values())
        return RULES.format(extra=extra) if command[0] == "iptables-save" else ""

    monkeypatch.setattr(network, "_output", output)
    network._forget_chains("iptables", "nat")
    if not removed:
        assert given == []
        return
    assert given[0].splitlines() == [
        "*nat",
        "-D PREROUTING -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT",
        "-F NETAVARK-HOSTPORT-DNAT",
        "-X NETAVARK-HOSTPORT-DNAT",
        "COMMIT",
    ]


def test_ports_json_names_what_prometheus_listens_on(settings: Settings) -> None:
    instance = Instance(settings)
    instance.make_folders()
    found = Engine("unix:///nowhere")
    programs = {program.name for program in start._programs(instance, found)}
    assert {"server", "agent", "edge"} <= programs
    assert "engine" not in programs
    known = json.loads((settings.run_dir / "ports.json").read_text())
    assert len(set(known.values())) == len(known)
    if "prometheus" in known:
        scraped = (settings.run_dir / "prometheus.yml").read_text()
        assert f"127.0.0.1:{known['node_exporter']}" in scraped


def test_a_misspelt_setting_is_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UTCLOUD_TEST_ANYTHING", "is the tests' own")
    refuse_unknown_settings()
    monkeypatch.setenv("UTCLOUD_SIMULATED_CHIPS", "BM1684X:3")
    monkeypatch.setenv("UTCLOUD_COLOUR", "red")
    with pytest.raises(SystemExit) as ended:
        processes.server()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "UTCLOUD_SIMULATED_CHIPS: there is no such setting. Did you mean UTCLOUD_SIMULATE_CHIPS?" in said
    assert "UTCLOUD_COLOUR: there is no such setting. Unset it." in said
