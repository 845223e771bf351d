"""Every text that the server says to people has its Chinese; see web/src/shared/i18n/said.ts."""

import json

from tests.support.stack import ROOT
from tests.support.texts import constants, texts

CATALOGUE = "web/src/shared/i18n/zh/said.json"


def _catalogue() -> dict[str, dict[str, str]]:
    said: dict[str, dict[str, str]] = json.loads((ROOT / CATALOGUE).read_text())
    return said


def test_every_text_has_its_chinese() -> None:
    known = {english for section in _catalogue().values() for english in section}
    missing = [
        f'    {json.dumps(text, ensure_ascii=False)}: "",   <- {place}'
        for text, place in texts().items()
        if text not in known
    ]
    help_ = (
        f"Give these texts their Chinese in {CATALOGUE}, in alphabetical order: under texts, or under parts when they "
        "stand only within another text; {0=} marks a name or a person's own words. A text that no page shows belongs "
        "into NOT_SHOWN in tests/support/texts.py."
    )
    assert not missing, "\n".join([help_, *missing])


def test_no_chinese_is_left_over() -> None:
    said, words = set(texts()), constants()
    catalogue = _catalogue()
    left = [text for section in catalogue.values() for text in section if text not in said and text not in words]
    assert not left, "\n".join([f"Nothing says these any more; take them out of {CATALOGUE}:", *left])


def test_the_catalogue_is_in_order() -> None:
    """So that two who add a text seldom touch the same line."""
    for name, section in _catalogue().items():
        assert list(section) == sorted(section), f"Sort {name} in {CATALOGUE}."


def test_texts_are_found_in_every_form() -> None:
    found = texts()
    for text in (
        "There is no {0} {1}.",  # a class method that makes a problem
        "{0} notebook (of {1})",  # the singular
        "{0} notebooks (of {1})",
        "you are first in line",  # a text that is put behind another
        "its container vanished from the engine",  # a value of a table
        "write an amount of UNC such as 1.5, with at most six decimals and no sign",  # a validator's
        "String should have at least {0} character",  # pydantic's
        "The files need {0} MB and {1} has {2} MB free.",  # the site agent's
    ):
        assert text in found
    assert not [text for text in found if text.startswith(("SELECT", "attachment"))]
