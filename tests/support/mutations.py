"""The list of mutations, ``tests/mutations.toml``: small faults that a test must notice (``scripts/mutations``)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests" / "mutations.toml"
AREAS = ("money", "capacity", "placement", "states", "access", "archives", "edge", "backups")


class ListError(Exception):
    """An entry of the list that no longer fits the code: names the entry and the file."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One small fault: ``find`` becomes ``replace`` in ``file``."""

    name: str
    area: str
    file: str
    find: str
    replace: str
    tests: str
    """The test file that should catch it. The others in its folder run after it."""
    lane: str = ""
    """``standard`` where the fast lane leaves its tests out."""
    db: str = ""
    """``postgres`` where SQLite cannot show the fault: it has one writer anyway."""

    @property
    def module(self) -> str:
        path = Path(self.file).relative_to("src").with_suffix("")
        return ".".join(path.parts).removesuffix(".__init__")

    def applied(self, root: Path) -> str:
        """The text of the file below ``root`` with the fault in it. Raises ListError."""
        path = root / self.file
        if not path.is_file():
            raise self._error("there is no such file")
        text = path.read_text()
        if (count := text.count(self.find)) != 1:
            raise self._error(f"its text occurs {count} times instead of once:\n{self.find}")
        if self.find == self.replace:
            raise self._error("it changes nothing")
        mutated = text.replace(self.find, self.replace)
        try:
            compile(mutated, self.file, "exec")
        except SyntaxError as error:
            raise self._error(f"it breaks the syntax: {error}") from error
        return mutated

    def test_files(self, root: Path) -> list[str]:
        """The likely catcher, then the other test files of its folder."""
        if not (root / self.tests).is_file():
            raise self._error(f"there is no {self.tests}")
        folder = (root / self.tests).parent
        others = sorted(str(path.relative_to(root)) for path in folder.rglob("test_*.py"))
        return list(dict.fromkeys([self.tests, *others]))

    def _error(self, problem: str) -> ListError:
        return ListError(f"mutation {self.name!r} of {LIST.relative_to(ROOT)}, for {self.file}: {problem}")


def read() -> list[Mutation]:
    """The list, in its order."""
    return [Mutation(**entry) for entry in tomllib.loads(LIST.read_text())["mutation"]]
