"""What the pages about security name is there: every place in the code, and every test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("explanation/security.md", "reference/security-review.md", "reference/asvs.md")
_NAMED = re.compile(r"`([\w./-]+\.(?:py|json|tsx|md|lock))(?:::(\w+)…?)?`")


def _named(page: str) -> Iterator[tuple[str, str]]:
    """Files that a page names, each with how its test begins. One without a folder lies beside the one before."""
    for line in (ROOT / "docs" / page).read_text().splitlines():
        for cell in line.split("|"):
            folder = ""
            for path, test in _NAMED.findall(cell):
                folder = path.rpartition("/")[0] or folder
                yield f"{folder}/{Path(path).name}" if folder else path, test


@pytest.mark.parametrize("page", PAGES)
def test_every_place_and_test_is_there(page: str) -> None:
    named = set(_named(page))
    assert len(named) > 20
    for path, test in sorted(named):
        places = [ROOT / base / path for base in ("", "tests", "src/utcloud", "src/utcloud/site/engines", "docs")]
        found = [place for place in places if place.is_file()]
        assert found, f"{page} names {path}"
        assert not test or any(f"def {test}" in place.read_text() for place in found), f"{page} names {path}::{test}"
