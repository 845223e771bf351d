from pathlib import Path
from typing import Any

import pytest

from tests.cli.up.unixserver import serving
from utcloud.cli.up import image

INSPECT = ("GET", f"/v1.41/images/{image.REFERENCE}/json")
BASE = ("GET", "/v1.41/images/localhost/utcloud/debian:bookworm/json")
BUILD = ("POST", "/v1.41/build")
FAILS = (200, '{"stream":"STEP 1"}\n{"error":"no space left on device"}\n')


def labelled(content: str) -> tuple[int, Any]:
    return 200, {"Id": "sha256:1", "Config": {"Labels": {image.CONTENT_LABEL: content}}}


@pytest.fixture
def sources(home: Path) -> Path:
    folder = home / "sources"
    folder.mkdir()
    (folder / "Containerfile").write_text("FROM scratch\n")
    return folder


def test_the_hash_follows_names_and_contents(sources: Path) -> None:
    first = image.content_hash(sources)
    assert image.content_hash(sources) == first
    (sources / "Containerfile").write_text("FROM nothing\n")
    second = image.content_hash(sources)
    (sources / "Containerfile").rename(sources / "Dockerfile")
    assert len({first, second, image.content_hash(sources)}) == 3


def test_an_image_of_this_content_is_not_built_again(home: Path, sources: Path) -> None:
    answers = {INSPECT: labelled(image.content_hash(sources))}
    with serving(home / "s", answers) as seen:
        assert image.ensure(home / "s", home / "log", sources) is False
    assert [method for method, _ in seen] == ["GET"]


def test_a_failed_build_keeps_the_old_image_and_says_why(
    home: Path, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {INSPECT: labelled("older"), BASE: (200, {"Id": "base"}), BUILD: FAILS}
    with serving(home / "s", answers) as seen:
        assert image.ensure(home / "s", home / "log", sources) is False
    assert not [path for method, path in seen if method == "DELETE"]
    assert "no space left on device" in capsys.readouterr().out
    assert "STEP 1" in (home / "log").read_text()


def test_a_first_build_that_fails_is_an_error(home: Path, sources: Path) -> None:
    with (
        serving(home / "s", {BASE: (200, {"Id": "base"}), BUILD: FAILS}),
        pytest.raises(image.ImageError, match="no space left on device"),
    ):
        image.ensure(home / "s", home / "log", sources)


def test_a_build_is_told_its_base_its_label_and_the_host_network(home: Path, sources: Path) -> None:
    with serving(home / "s", {BASE: (200, {"Id": "base"}), BUILD: FAILS}) as seen, pytest.raises(image.ImageError):
        image.ensure(home / "s", home / "log", sources)
    (asked,) = [path for method, path in seen if method == "POST"]
    assert "networkmode=host" in asked
    assert "localhost%2Futcloud%2Fdebian%3Abookworm" in asked
    assert image.content_hash(sources) in asked


def test_the_preset_image_locks_every_package_with_a_hash() -> None:
    lock = (image.SOURCES / "requirements.lock").read_text()
    packages = [line for line in lock.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    assert {"jupyterlab", "numpy", "onnxruntime"} <= {line.partition("==")[0] for line in packages}
    assert lock.count("--hash=sha256:") >= len(packages) > 50
