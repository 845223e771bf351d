import json
import os
from pathlib import Path

from utcloud.cli.up import access


def test_access_json_says_it_all_and_only_to_its_owner(home: Path) -> None:
    path = home / "access.json"
    before = os.umask(0)
    try:
        access.write(path, access.of("http://localhost:8080", "operator", "s3cret"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {
        "api_url": "http://localhost:8080/api/v1",
        "admin_url": "http://localhost:8080/admin/",
        "console_url": "http://localhost:8080/console/",
        "username": "operator",
        "password": "s3cret",
    }


def test_a_file_that_others_could_read_does_not_stay_so(home: Path) -> None:
    path = home / "access.json"
    path.write_text("{}")
    path.chmod(0o644)
    access.write(path, access.of("http://localhost:8080", "operator", "s3cret"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_cut_off_is_none(home: Path) -> None:
    path = home / "access.json"
    assert access.read(path) is None
    path.write_text('{"api_url": "http')
    assert access.read(path) is None
    path.write_text('{"api_url": "http://localhost"}')
    assert access.read(path) is None
