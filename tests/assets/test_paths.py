import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from utcloud.assets.paths import MAX_PART, MAX_PATH, clean_path
from utcloud.common.errors import Invalid

ANY_TEXT = st.text(st.characters(), max_size=300)
PART = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=40
).filter(lambda part: part not in (".", ".."))


@given(st.one_of(ANY_TEXT, st.text("./\\a\0", max_size=12)))
@example("a/../b")
@example("//a")
@example("a/./b")
@example("\ud800")
def test_what_comes_back_is_harmless(path: str) -> None:
    try:
        clean = clean_path(path)
    except Invalid as problem:
        assert problem.field == "path"
        assert problem.cure
        problem.detail.encode()
        return
    parts = clean.split("/")
    assert all(part not in ("", ".", "..") for part in parts)
    assert all(len(part.encode()) <= MAX_PART for part in parts)
    assert len(clean.encode()) <= MAX_PATH
    assert "\\" not in clean
    assert all(ord(letter) >= 32 and not 127 <= ord(letter) < 160 for letter in clean)
    assert clean_path(clean) == clean


@given(st.lists(PART, min_size=1, max_size=6))
def test_plain_paths_stay_as_they_are(parts: list[str]) -> None:
    assert clean_path("/".join(parts)) == "/".join(parts)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("/etc/passwd", "absolute"),
        ("../x", "climbs"),
        ("a/b/../../../x", "climbs"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("C:\\x", "backslash"),
        ("x" * 256, "too long"),
        ("é" * 128, "too long"),
        ("a/" * 512 + "b", "1025 bytes"),
        ("\udcff", "UTF-8"),
    ],
)
def test_bad_paths_are_named(path: str, word: str) -> None:
    with pytest.raises(Invalid) as caught:
        clean_path(path)
    assert word in caught.value.detail
    assert len(caught.value.detail) < 500


def test_dots_that_mean_nothing_go_away() -> None:
    assert clean_path("./a/./b.py") == "a/b.py"
    assert clean_path("..a/b..") == "..a/b.."
