"""What may be believed in a folder where others may make files."""

import os
from pathlib import Path

import pytest

from utcloud.common.files import is_ours

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")


def test_ours_are_our_own_files_and_folders_and_no_links(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("nothing")
    assert is_ours(tmp_path) and is_ours(tmp_path / "file")
    assert not any(is_ours(tmp_path / name) for name in ("link", "nowhere", "nothing", "file/in"))


@as_root
def test_what_another_made_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 12345, 12345)
    assert not is_ours(tmp_path / "file")
