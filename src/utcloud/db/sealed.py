"""Columns whose text is sealed with the server's key: who reads the database, or a copy of it, learns nothing of them.

A ``Database`` is given a ``Sealer`` to use them with. ``seal_all`` seals what an older version wrote in clear,
``check`` refuses another key than the one the database was sealed with, ``renew`` is the way out when that is lost.
"""

import functools
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Dialect, MetaData, TypeDecorator, and_, bindparam, column, select, table, update
from sqlalchemy import String as Text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import TableClause

from utcloud.common.ids import new_secret
from utcloud.common.seal import MARK, Sealer

_sealers: WeakKeyDictionary[Dialect, Sealer] = WeakKeyDictionary()
"""Each engine has a dialect of its own, and that is what a column's type is told of the database."""
_BATCH = 1000


class SealedWithAnotherKeyError(RuntimeError):
    """What was sealed with another key cannot be opened; the message says the cure."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The secrets in the database ({name}) were sealed with another key than this server's. Bring back the "
            "file secret.key of its home, or UTCLOUD_SECRET_KEY, from a backup. Where it is lost for good: `utcloud "
            "renew-secrets`."
        )


class SealedText(TypeDecorator[str]):
    """A secret of at most 100 characters, which must be read again. Sealed, so that no query can compare it.

    What is sealed for one ``purpose`` cannot be put in the place of another. ``fresh`` makes a new one where the old
    one is lost. An empty text is none, and stays empty.
    """

    impl = Text(255)
    cache_ok = True

    def __init__(self, purpose: str, fresh: Callable[[], str] = new_secret) -> None:
        super().__init__()
        self.purpose, self.fresh = purpose, fresh

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return _sealer(dialect).close(self.purpose, value) if value else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if not value or not value.startswith(MARK):
            return value
        opened = _sealer(dialect).open(self.purpose, value)
        if opened is None:
            raise SealedWithAnotherKeyError(self.purpose)
        return opened


def use_sealer(dialect: Dialect, sealer: Sealer) -> None:
    """Open and seal the columns of a database with this."""
    _sealers[dialect] = sealer


def _sealer(dialect: Dialect) -> Sealer:
    found = _sealers.get(dialect)
    if found is None:
        raise RuntimeError("Sealed columns are used through a Database that has a Sealer.")
    return found


async def seal_all(tx: AsyncSession, known: MetaData) -> int:
    """Seal what stands in clear in sealed columns; return how many there were."""
    sealer, count = _sealer(tx.get_bind().dialect), 0
    for raw, name, keys, kind in _columns(known):
        in_clear = and_(raw.c[name] != "", raw.c[name].not_like(f"{MARK}%"))
        count += await _rewrite(tx, raw, name, keys, in_clear, functools.partial(sealer.close, kind.purpose))
    return count


async def renew(tx: AsyncSession, known: MetaData) -> dict[str, int]:
    """Make a new secret in the place of each that cannot be opened; return how many, by table and column."""
    sealer, counts = _sealer(tx.get_bind().dialect), {}

    def new(kind: SealedText, kept: str) -> str:
        lost = sealer.open(kind.purpose, kept) is None
        return sealer.close(kind.purpose, kind.fresh()) if lost else kept

    for raw, name, keys, kind in _columns(known):
        is_sealed = raw.c[name].like(f"{MARK}%")
        if count := await _rewrite(tx, raw, name, keys, is_sealed, functools.partial(new, kind)):
            counts[f"{raw.name}.{name}"] = count
    return counts


async def check(tx: AsyncSession, known: MetaData) -> None:
    """Raise SealedWithAnotherKeyError when a text of some column cannot be opened; one of each is tried."""
    sealer = _sealer(tx.get_bind().dialect)
    for raw, name, _, kind in _columns(known):
        kept = await tx.scalar(select(raw.c[name]).where(raw.c[name].like(f"{MARK}%")).limit(1))
        if kept is not None and sealer.open(kind.purpose, kept) is None:
            raise SealedWithAnotherKeyError(f"{raw.name}.{name}")


def _columns(known: MetaData) -> Iterator[tuple[TableClause, str, list[str], SealedText]]:
    """Of each sealed column: its table as one of plain texts, its name, the names of the primary key, its type."""
    for own in known.sorted_tables:
        raw = table(own.name, *(column(one.name, Text()) for one in own.columns))
        for one in own.columns:
            if isinstance(one.type, SealedText):
                yield raw, one.name, [key.name for key in own.primary_key], one.type


async def _rewrite(
    tx: AsyncSession,
    raw: TableClause,
    name: str,
    keys: list[str],
    which: ColumnElement[bool],
    new: Callable[[str], str],
) -> int:
    """Give the rows ``which`` the text ``new`` of theirs; return how many have another than before."""
    found = (await tx.execute(select(*(raw.c[key] for key in keys), raw.c[name]).where(which))).all()
    changes = [
        {"text": text, **{f"at_{key}": value for key, value in zip(keys, at, strict=True)}}
        for *at, kept in found
        if (text := new(kept)) != kept
    ]
    at_keys = (raw.c[key] == bindparam(f"at_{key}") for key in keys)
    statement = update(raw).where(*at_keys).values({name: bindparam("text")})
    connection = await tx.connection()
    for start in range(0, len(changes), _BATCH):
        await connection.execute(statement, changes[start : start + _BATCH])
    return len(changes)
