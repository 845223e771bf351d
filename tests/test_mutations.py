"""The list of mutations fits the code. Whether a test notices each of them, ``scripts/mutations`` finds out."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.mutations import AREAS, ROOT, ListError, Mutation, read

LEAST = 50


@pytest.mark.parametrize("mutation", read(), ids=lambda mutation: mutation.name)
def test_each_fits_the_code(mutation: Mutation) -> None:
    """Its text occurs once, what it becomes is Python, and its tests are there. When one fails: mend that entry."""
    assert mutation.applied(ROOT)
    assert mutation.test_files(ROOT)[0] == mutation.tests
    assert mutation.db in ("", "postgres")


def test_all_areas_are_covered() -> None:
    mutations = read()
    assert len(mutations) >= LEAST
    assert {one.area for one in mutations} == set(AREAS)
    twice = [name for name, count in Counter(one.name for one in mutations).items() if count > 1]
    assert not twice
    assert all(re.fullmatch("[a-z0-9-]{1,45}", one.name) for one in mutations)


@pytest.mark.parametrize(
    ("find", "replace", "problem"),
    [
        ("twice", "once", "occurs 2 times"),
        ("never", "once", "occurs 0 times"),
        ("a = 1", "a = 1", "changes nothing"),
        ("a = 1", "a = (", "breaks the syntax"),
    ],
)
def test_an_entry_that_does_not_fit_is_named_with_its_file(
    tmp_path: Path, find: str, replace: str, problem: str
) -> None:
    (tmp_path / "code.py").write_text("a = 1  # twice, twice\n")
    mutation = Mutation("rotten", "money", "code.py", find, replace, "tests/test_code.py")
    with pytest.raises(ListError, match=f"(?s)'rotten'.*code.py.*{problem}"):
        mutation.applied(tmp_path)
    with pytest.raises(ListError, match=r"'rotten'.*tests/test_code.py"):
        mutation.test_files(tmp_path)


def test_a_mutation_changes_one_place(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\nb = 1\n")
    mutation = Mutation("off-by-one", "money", "code.py", "a = 1", "a = 2", "tests/test_code.py")
    assert mutation.applied(tmp_path) == "a = 2\nb = 1\n"
    assert (tmp_path / "code.py").read_text() == "a = 1\nb = 1\n"
