"""What a renter does by command: upload, run, open, stop, and see what it cost."""

import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tusclient.uploader.uploader import Uploader

from tests.cli.conftest import Cli
from tests.support.api import Api
from tests.support.served import Served
from tests.support.site_double import SiteDouble
from utcloud.cli import upload

SPEC = "1CPU-1GB-1TPU"


@pytest.fixture(scope="module")
def renter(operator: Cli, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    operator.ok("resource", "create", "TPU", "--system", "sophgo.com/bm1684x")
    operator.ok("spec", "create", SPEC, "--price", "3600", "--item", "cpu=1", "--item", "memory=1GB", "--item", "TPU=1")
    operator.ok("pool", "create", "open", "--open", "--node", "node-1", "--notebook-spec", SPEC)
    made = json.loads(operator.ok("user", "create", "renter", "--json"))
    operator.ok("wallet", "recharge", "renter", "100000")
    cli = Cli(tmp_path_factory.mktemp("renter"), served.origin)
    cli.ok("login", "renter", "--password-stdin", stdin=made["initial_password"])
    yield cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "yolo"
    (root / "src").mkdir(parents=True)
    (root / "infer.py").write_text("print(1)\n")
    (root / "src" / "模型.bin").write_bytes(bytes(range(256)) * 40_000)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref")
    return root


def _json(cli: Cli, *arguments: str) -> Any:
    return json.loads(cli.ok(*arguments, "--json"))


def _files(renter: Cli, served: Served, name: str, number: int) -> dict[str, int]:
    asset = _json(renter, "algorithm", "show", name)
    token = json.loads((renter.home / "cli.json").read_text())["token"]
    files = Api(served.origin, "localhost", token).all(f"/algorithms/{asset['id']}/versions/{number}/files")
    return {file["path"]: file["size"] for file in files}


def test_a_folder_becomes_a_version(renter: Cli, served: Served, folder: Path) -> None:
    notes = renter.home / "cli-uploads.json"
    others = notes.read_text() if notes.exists() else "{}"
    assert "yolo version 1: 3 files, 10 MB" in renter.ok("algorithm", "upload", str(folder), "--note", "first")
    wanted = {"infer.py": 9, "run.sh": 10, "src/模型.bin": 10_240_000}
    assert _files(renter, served, "yolo", 1) == wanted
    (folder / "infer.py").write_text("print(22)\n")
    assert _json(renter, "algorithm", "upload", str(folder))["number"] == 2
    assert _files(renter, served, "yolo", 2) == wanted | {"infer.py": 10}
    shown = renter.ok("algorithm", "show", "yolo")
    assert "first" in shown
    assert "ready" in shown
    assert notes.read_text() == others


def test_an_archive_a_file_and_nothing(renter: Cli, served: Served, tmp_path: Path) -> None:
    packed = tmp_path / "zoo.tar.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.txt", "hello")
    assert upload.default_name(Path("/x/net.tar.gz")) == "net"
    renter.ok("algorithm", "upload", str(packed), "--name", "zoo")
    assert _files(renter, served, "zoo", 1) == {"a/b.txt": 5}
    single = tmp_path / "model.onnx"
    single.write_bytes(b"x" * 10)
    renter.ok("algorithm", "upload", str(single), "--name", "zoo")
    assert _files(renter, served, "zoo", 2) == {"model.onnx": 10}
    (tmp_path / "empty").mkdir()
    assert renter("algorithm", "upload", str(tmp_path / "empty")).status == 1
    assert renter("algorithm", "upload", str(tmp_path / "missing")).status == 2
    packed.write_bytes(b"PK\x03\x04 no zip at all")
    refused = renter("algorithm", "upload", str(packed), "--name", "zoo")
    assert refused.status == 1
    assert "cannot be used" in refused.err


def test_an_upload_goes_on_where_it_was_cut(
    renter: Cli, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = tmp_path / "big"
    big.mkdir()
    (big / "weights.bin").write_bytes(bytes(1_000_003) * 3)
    monkeypatch.setattr(upload, "_CHUNK", 2**20)
    whole: Any = Uploader.upload_chunk
    sent: list[int] = []

    def cut(self: Any) -> None:
        if len(sent) == 2:
            raise KeyboardInterrupt
        whole(self)
        sent.append(self.offset)

    monkeypatch.setattr(Uploader, "upload_chunk", cut)
    interrupted = renter("dataset", "upload", str(big))
    assert interrupted.status == 130
    offsets = []

    def counted(self: Any) -> None:
        offsets.append(self.offset)
        whole(self)

    monkeypatch.setattr(Uploader, "upload_chunk", counted)
    done = renter("dataset", "upload", str(big))
    assert done.status == 0, done.err
    assert "Going on" in done.err
    assert offsets[0] == 2 * 2**20, "what had arrived is not sent again"
    shown = _json(renter, "dataset", "show", "big")
    assert [version["status"] for version in shown["all_versions"]] == ["ready"]


def test_a_notebook_from_beginning_to_end(renter: Cli, operator: Cli, folder: Path) -> None:
    renter.ok("algorithm", "upload", str(folder), "--name", "net")
    made = renter("notebook", "create", "first", "--spec", SPEC, "--algorithm", "net:1", "--wait", "--timeout", "30")
    assert made.status == 0, made.err
    assert "is running" in made.out
    listed = renter.ok("notebook", "list", "--state", "running")
    assert "first" in listed
    assert "1/1" in listed
    url = renter.ok("notebook", "open", "first").strip()
    assert "/_utcloud/open?code=" in url
    assert url.startswith("http://")
    subtask = _json(renter, "notebook", "show", "first")["replicas"][0]["subtask"]
    assert renter("notebook", "open", "first", "--subtask", subtask).status == 0
    wrong = renter("notebook", "open", "first", "--subtask", "none")
    assert subtask in wrong.err
    assert "renter" in operator.ok("work", "list")
    assert "is stopped" in renter.ok("notebook", "stop", "first", "--wait")
    shown = renter.ok("notebook", "show", "first")
    assert "Cost so far" in shown
    charge = _json(renter, "charge", "list", "--notebook", "first", "--ended")["items"][0]
    assert charge["open"] is False
    assert charge["amount"] != "0"
    assert charge["amount"] in renter.ok("charge", "list", "--search", "first", "--sort", "-paid")
    assert charge["id"] in renter.ok("charge", "list", "--csv")
    credited = operator.ok("order", "credit", charge["order_id"], "0.000001", "--reason", "it was slow", "--yes")
    assert "0.000001 UNC credited" in credited
    assert "it was slow" in renter.ok("notice", "list", "--kind", "credited")
    assert renter("order", "credit", charge["order_id"], "0.000001", "--reason", "more", "--yes").status != 0
    dear = renter("notebook", "start", "first", "--expected-price", "0.25")
    assert dear.status == 1
    assert "costs 3600 UNC per hour, not 0.25" in dear.err
    assert renter("notebook", "start", "first", "--wait", "--expected-price", "3600").status == 0
    work = _json(operator, "work", "list")["items"][0]
    operator.ok("work", "stop", work["replica_id"], "--reason", "maintenance", "--yes")
    deadline = time.monotonic() + 20
    while "maintenance" not in renter.ok("notebook", "show", "first"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while _json(renter, "notebook", "show", "first")["state"] not in ("stopped", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    renter.ok("notebook", "delete", "first", "--yes")
    assert renter("notebook", "show", "first").status == 1


def test_waiting_says_why(renter: Cli, site: SiteDouble) -> None:
    site.paused.set()
    try:
        threading.Timer(0.5, site.paused.clear).start()
        done = renter("notebook", "create", "slow", "--spec", SPEC, "--wait", "--timeout", "30")
    finally:
        site.paused.clear()
    assert done.status == 0, done.err
    assert len(done.err.strip().splitlines()) >= 2, done.err
    assert "running" in done.err
    never = renter("notebook", "create", "four", "--spec", SPEC, "--tasks", "3", "--wait", "--timeout", "1")
    assert never.status == 1
    assert "TPU" in never.err, "the reason why it waits"
    for name in ("slow", "four"):
        renter.ok("notebook", "stop", name, "--wait")
        renter.ok("notebook", "delete", name, "--yes")


def test_what_cannot_be_chosen_is_explained(renter: Cli, operator: Cli, tmp_path: Path) -> None:
    unknown = renter("notebook", "create", "x", "--spec", "huge")
    assert unknown.status == 1
    assert SPEC in unknown.err
    other = json.loads(operator.ok("user", "create", "miner2", "--role", "miner", "--json"))
    rival = Cli(tmp_path, renter.server)
    rival.ok("login", "miner2", "--password-stdin", stdin=other["initial_password"])
    rival.ok("spec", "create", SPEC, "--price", "1", "--item", "cpu=1")
    rival.ok("pool", "create", "rival", "--open", "--notebook-spec", SPEC)
    several = renter("notebook", "create", "x", "--spec", SPEC)
    assert several.status == 1
    assert "rival (1 UNC/hour)" in several.err
    rival.ok("pool", "delete", "rival", "--yes")
    default = next(pool["id"] for pool in _json(rival, "pool", "list")["items"] if pool["name"] == "default")
    rival.ok("pool", "edit", default, "--clear", "notebook-specs", "--clear", "training-specs")
    missing = renter("notebook", "create", "x", "--spec", SPEC, "--algorithm", "none")
    assert missing.status == 1
    assert renter("notebook", "create", "x", "--spec", SPEC, "--pool", "none").status == 1
    assert renter("notebook", "create", "x", "--spec", SPEC, "--image", "none").status == 1
    assert renter("notebook", "create", "x", "--spec", SPEC, "--tasks", "33").status == 2


def test_two_of_one_name_are_told_apart_by_id(operator: Cli, served: Served, tmp_path: Path) -> None:
    """Every miner has a default pool."""
    made = json.loads(operator.ok("user", "create", "miner3", "--role", "miner", "--json"))
    other = Cli(tmp_path, served.origin)
    other.ok("login", "miner3", "--password-stdin", stdin=made["initial_password"])
    other.ok("spec", "create", "small", "--price", "1", "--item", "cpu=1")
    ambiguous = operator("pool", "show", "default")
    assert ambiguous.status == 1
    pools = [pool["id"] for pool in _json(operator, "pool", "list")["items"] if pool["name"] == "default"]
    assert len(pools) > 1
    for ident in pools:
        assert ident in ambiguous.err
        assert _json(operator, "pool", "show", ident)["id"] == ident


def test_a_pipe_gets_whole_lines(renter: Cli, served: Served, folder: Path) -> None:
    """A real process, its output not a terminal."""
    renter.ok("algorithm", "upload", str(folder), "--name", "piped")
    program = Path(sys.executable).parent / "utcloud"
    environment = {"UTCLOUD_HOME": str(renter.home), "UTCLOUD_SERVER_URL": served.origin, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [program, "algorithm", "list"], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert any("piped" in line and "renter" in line for line in done.stdout.splitlines())


def test_what_does_not_fit_into_the_storage_loses_nothing(
    renter: Cli, operator: Cli, served: Served, tmp_path: Path
) -> None:
    """An archive that holds more than is left: the same command goes on once there is room, and sends nothing anew."""
    packed = tmp_path / "large.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(5_000_000))
    used = _json(renter, "storage", "show")["used_bytes"]
    operator.ok("user", "storage", "renter", "--bytes", str(used + 1_000_000), "--files", "5000")
    assert _json(renter, "storage", "show")["max_files"] == 5000
    refused = renter("model", "upload", str(packed))
    assert refused.status == 1
    assert "The storage quota is exceeded" in refused.err and "what was sent is kept" in refused.err
    operator.ok("user", "storage", "renter", "--bytes", "100GB")
    shown = operator.ok("user", "storage", "renter")
    assert "100.0 GB" in shown and "5000" in shown and "set by an operator" in shown
    again = renter("model", "upload", str(packed))
    assert "Going on with the upload that was begun earlier." in again.err
    assert "large version 1: 1 files, 5 MB" in again.out
    operator.ok("user", "storage", "renter", "--bytes", str(used + 5_000_000))
    big = tmp_path / "big.bin"
    big.write_bytes(b"x" * 10)
    refused = renter("model", "upload", str(big))
    assert refused.status == 1 and "Delete versions" in refused.err
    assert _json(operator, "user", "storage", "renter", "--default")["own_files"] is None
    assert "as everybody" in operator.ok("user", "storage", "renter")
    assert "big.bin version 1" in renter.ok("model", "upload", str(big))
    listed = operator.ok("storage", "list", "--sort", "-used_bytes").splitlines()
    assert any("renter" in line and "200.0 GB" in line for line in listed)
    assert "renter" in operator.ok("storage", "list", "--search", "rent", "--csv")
    assert renter("user", "storage", "admin").status == 1
    wrong = operator("user", "storage", "renter", "--bytes", "much")
    assert wrong.status == 1 and "Write a size" in wrong.err
