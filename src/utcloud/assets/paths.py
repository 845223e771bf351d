"""Relative paths that strangers send us."""

from utcloud.common.errors import Invalid

MAX_PATH = 1024
MAX_PART = 255
_SHOWN = 80


def clean_path(path: str, *, field: str = "path") -> str:
    """Return ``path`` without its ``.`` parts when it is a plain relative path; raise Invalid in words when not.

    What comes back has parts joined by ``/``, none of them empty, ``.`` or ``..``, without control characters and
    backslashes, at most 1024 bytes of UTF-8 in all and 255 in a part.
    """
    shown = repr(path if len(path) <= _SHOWN else path[:_SHOWN] + "…")

    def refuse(why: str, cure: str) -> Invalid:
        return Invalid(f"The path {shown} {why}.", field=field, cure=cure)

    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise refuse("is not valid UTF-8", "Rename the file with plain letters.") from None
    if size > MAX_PATH:
        raise refuse(f"is {size} bytes long", f"Use paths of at most {MAX_PATH} bytes.")
    if any(_is_control(letter) for letter in path):
        raise refuse("contains a control character", "Rename the file without it.")
    if "\\" in path:
        raise refuse("contains a backslash", "Separate folders with '/', and rename files that have a backslash.")
    if path.startswith("/"):
        raise refuse("is absolute", "Give a path relative to the version's folder, such as src/main.py.")
    parts = [part for part in path.split("/") if part != "."]
    if not parts or "" in parts:
        raise refuse("has an empty part", "Give the path of a file, such as src/main.py.")
    if ".." in parts:
        raise refuse("climbs out of its folder", "Leave out '..'.")
    if any(len(part.encode()) > MAX_PART for part in parts):
        raise refuse("has too long a name in it", f"Use names of at most {MAX_PART} bytes.")
    return "/".join(parts)


def _is_control(letter: str) -> bool:
    return letter < " " or "\x7f" <= letter <= "\x9f"
