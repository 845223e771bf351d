"""The user that server, edge and metrics have of their own: whose files are whose, and what a command becomes."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from utcloud.cli.up import own
from utcloud.cli.up.instance import CannotRunError, Instance
from utcloud.common.settings import Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
NOBODY = own.Account("nobody", 65534, 65534)
ROOT = own.Account("root", 0, 0)


def as_nobody(arguments: list[str], *needs: Path, low_ports: bool = False) -> subprocess.CompletedProcess[str]:
    command = own.command(NOBODY, arguments, needs, low_ports=low_ports)
    return subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)


def owners(home: Path) -> dict[str, int]:
    return {str(path.relative_to(home)): path.lstat().st_uid for path in home.rglob("*")}


def test_who_is_us_runs_a_command_as_it_is() -> None:
    assert own.command(ROOT, ["x", "y"], [Path("/root")]) == ["x", "y"]
    assert own.account(Settings(user="root")) == own.account(Settings(user="")) == ROOT


def test_nothing_of_root_is_left_in_a_command() -> None:
    done = as_nobody(["cat", "/proc/self/status"])
    said = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert set(said["Uid"].split()) == set(said["Gid"].split()) == {"65534"}
    assert {said[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert said["NoNewPrivs"].strip() == "1"
    assert "0" not in said["Groups"].split()


def test_low_ports_need_one_right_and_no_more() -> None:
    done = as_nobody(["cat", "/proc/self/status"], low_ports=True)
    said = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert {int(said[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {1 << 10}
    bind = "import socket; s = socket.socket(); s.bind(('127.0.0.9', 87)); print('bound')"
    assert as_nobody([sys.executable, "-c", bind], *own.python(), low_ports=True).stdout == "bound\n"
    assert "PermissionError" in as_nobody([sys.executable, "-c", bind], *own.python()).stderr


def test_behind_a_closed_folder_a_command_sees_what_it_needs_and_nothing_else(home: Path) -> None:
    """As where Python lies below /root, which no other user may enter."""
    needed, secret = home / "closed" / "deep" / "needed", home / "closed" / "secret"
    needed.mkdir(parents=True)
    (needed / "file").write_text("seen\n")
    secret.write_text("not seen\n")
    home.chmod(0o755)
    (home / "closed").chmod(0o700)
    read = ["cat", str(needed / "file")]
    assert as_nobody(read).returncode != 0
    assert as_nobody(read, needed, needed / "inside").stdout == "seen\n"
    assert as_nobody(["ls", str(home / "closed"), str(home / "closed" / "deep")], needed).stdout.split() == [
        f"{home / 'closed'}:", "deep", f"{home / 'closed' / 'deep'}:", "needed",
    ]  # fmt: skip
    assert secret.read_text() == "not seen\n", "only the command sees it so"
    assert not list(Path("/run").glob("utcloud.*"))


def test_a_view_of_its_own_holds_no_volume_fast(home: Path) -> None:
    """Else its disk would be mounted twice when its notebook starts anew."""
    closed, needed, image, at = home / "closed", home / "closed" / "needed", home / "image", home / "volume"
    needed.mkdir(parents=True)
    at.mkdir()
    closed.chmod(0o700)
    home.chmod(0o755)
    with image.open("wb") as file:
        file.truncate(2**23)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, at], capture_output=True, check=False).returncode:
        pytest.skip("no loop device")
    try:
        seen = as_nobody(["cat", "/proc/self/mounts"], needed).stdout
        assert str(needed) in seen
        assert str(at) not in seen
        assert str(at) in Path("/proc/self/mounts").read_text()
        (at / "deep" / "inside").mkdir(parents=True)
        (at / "deep").chmod(0o700)
        assert f" {at} " in as_nobody(["cat", "/proc/self/mounts"], at / "deep" / "inside").stdout, "it is needed"
    finally:
        subprocess.run(["umount", at], check=True)


def test_our_own_python_runs_by_another_user(home: Path) -> None:
    home.chmod(0o755)
    own.check(Settings(home=home), NOBODY)
    home.chmod(0o700)
    own.adopt(_used(home), ROOT)
    home.chmod(0o700)
    with pytest.raises(CannotRunError, match=r"(?s)nobody.*cannot.*UTCLOUD_USER=root"):
        own.check(Settings(home=home), NOBODY)


def _used(home: Path) -> Settings:
    settings = Settings(home=home, user="root")
    Instance(settings).make_folders()
    for name in ("store/blobs", "site/volumes", "engine", "agent", "uploads", "run/edge-routes/label", "prometheus"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for name in ("utcloud.db", "secret.key", "store/blobs/one", "site/volumes/two", "agent/token", "cli.json"):
        (home / name).write_text("")
    (home / "store" / "link").symlink_to("/etc/passwd")
    return settings


def test_a_home_of_before_is_given_to_its_user_but_what_root_trusts(home: Path) -> None:
    settings = _used(home)
    own.adopt(settings, NOBODY)
    theirs = {"utcloud.db", "secret.key", "store", "store/blobs", "store/blobs/one", "store/link", "uploads", "edge"}
    found = owners(home)
    assert {name for name, uid in found.items() if uid == NOBODY.uid} == theirs | {"prometheus", "run/serve"}
    assert {"site", "site/volumes/two", "engine", "agent", "agent/token", "cli.json", "run", "logs"} <= found.keys()
    assert Path("/etc/passwd").owner() == "root", "no link is followed"
    assert not (home / "run" / "edge-routes").exists(), "it has another place now"
    modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in (home, settings.run_dir, settings.serve_dir)}
    assert list(modes.values()) == [0o1771, 0o750, 0o700]
    assert (home.stat().st_uid, home.stat().st_gid) == (0, NOBODY.gid)

    Instance(settings).make_folders()
    assert stat.S_IMODE(settings.run_dir.stat().st_mode) == 0o750, "a later `up` shuts nobody out who runs"

    own.adopt(settings, ROOT)
    assert set(owners(home).values()) == {0}
    assert stat.S_IMODE(home.stat().st_mode) == 0o711


def test_a_link_in_a_folders_place_is_not_followed(home: Path) -> None:
    """The user owns ``edge``, and so may put a link there: another folder would be closed to all but its owner."""
    (home / "elsewhere").mkdir(mode=0o755)
    settings = _used(home)
    own.adopt(settings, NOBODY)
    shutil.rmtree(home / "edge")
    (home / "edge").symlink_to(home / "elsewhere")
    with pytest.raises(CannotRunError, match="edge is no folder"):
        own.adopt(settings, NOBODY)
    assert (home / "elsewhere").stat().st_mode & 0o777 == 0o755


def test_a_user_makes_files_in_the_home_and_takes_none_away(home: Path) -> None:
    home.chmod(0o755)
    own.adopt(_used(home), NOBODY)
    assert as_nobody(["sh", "-c", f"echo > {home}/journal-heads && mv {home}/journal-heads {home}/x"]).returncode == 0
    for command in (f"mv {home}/agent {home}/y", f"rm {home}/cli.json", f"touch {home}/run/supervisord.conf"):
        assert as_nobody(["sh", "-c", command]).returncode != 0, command


def test_what_one_must_read_is_shared_with_him_alone(home: Path) -> None:
    file = home / "caddy.json"
    file.write_text("")
    own.share(file, NOBODY)
    assert (file.stat().st_uid, file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (0, NOBODY.gid, 0o640)


def test_a_certificate_that_could_not_be_renewed_is_refused(home: Path) -> None:
    home.chmod(0o755)
    chain, key = home / "chain.pem", home / "key.pem"
    for file in (chain, key):
        file.write_text("")
        file.chmod(0o600)
    settings = Settings(home=home, domain="cloud.example.org", tls_cert=chain, tls_key=key)
    with pytest.raises(CannotRunError, match=r"cannot read .*chain\.pem"):
        own.check(settings, NOBODY)
    chain.chmod(0o644)
    with pytest.raises(CannotRunError, match=r"(?s)cannot read .*key.pem.*chgrp nobody"):
        own.check(settings, NOBODY)
    key.chmod(0o644)
    own.check(settings, NOBODY)


def test_a_user_who_cannot_be_made_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "cannot lock /etc/passwd")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(CannotRunError, match=r"(?s)utcloud-of-nobody.*cannot lock.*UTCLOUD_USER=root"):
        own.account(Settings(user="utcloud-of-nobody"))


def test_acting_as_another_ends_with_the_block(home: Path) -> None:
    file = home / "secret"
    file.write_text("")
    file.chmod(0o600)
    with own.acting_as(NOBODY):
        assert os.geteuid() == NOBODY.uid
        with pytest.raises(PermissionError):
            file.read_text()
    assert os.geteuid() == 0
    file.read_text()
