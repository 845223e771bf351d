"""Patterns of fields, with what a person is told who typed something else."""

_WORDS: dict[str, str] = {}


def said(pattern: str, words: str) -> str:
    """``pattern``, for a field; a refusal says ``words`` instead of showing it."""
    _WORDS[pattern] = words
    return pattern


def in_words(pattern: str) -> str:
    """What ``pattern`` asks for."""
    return _WORDS.get(pattern, "it has characters that cannot stand here")
