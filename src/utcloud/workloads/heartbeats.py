"""What many sites say at about the same time, when it is what they said before, is taken in together: most of what a
report costs is its transaction.
"""

import asyncio
from dataclasses import dataclass, field

from utcloud.common.clock import Clock
from utcloud.db import Database
from utcloud.resources import reports
from utcloud.resources.reports import Heard, Incoming
from utcloud.workloads import observed

TOGETHER_S = 0.1
"""So long a report that says nothing new waits for others."""
MOST_TOGETHER = 1000


@dataclass(slots=True)
class _Said:
    incoming: Incoming
    mark: str
    answers: list["asyncio.Future[Heard | None]"] = field(default_factory=list)


class Heartbeats:
    """One for each server. ``hear`` may be called by many at once."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._said: dict[str, _Said] = {}
        self._marks: dict[str, str] = {}
        """By hash of a token that is good: what its site said last, as far as this server knows."""
        self._task: asyncio.Task[None] | None = None

    def knows(self, token_hash: str) -> bool:
        """Whether this token was good when its site was last heard; it is looked at anew before anything is stored."""
        return token_hash in self._marks

    def forget(self, token_hash: str) -> None:
        """The token is good no longer."""
        self._marks.pop(token_hash, None)

    async def hear(self, token_hash: str, incoming: Incoming) -> Heard | None:
        """The site, when it said nothing new and all is stored; None, at once if that is plain, when it did."""
        mark = "".join(incoming.digest())
        if self._marks.get(token_hash, mark) != mark:
            self._marks[token_hash] = mark
            return None
        said = self._said.setdefault(token_hash, _Said(incoming, mark))
        said.incoming, said.mark = incoming, mark
        answer: asyncio.Future[Heard | None] = asyncio.get_running_loop().create_future()
        said.answers.append(answer)
        if self._task is None:
            self._task = asyncio.create_task(self._take_in())
        return await answer

    async def _take_in(self) -> None:
        while self._said:
            await asyncio.sleep(TOGETHER_S)
            said = {token: self._said.pop(token) for token in list(self._said)[:MOST_TOGETHER]}
            try:
                heard = await self._store(said)
            except Exception as error:
                for one in said.values():
                    _settle(one.answers, error=error)
            else:
                for token_hash, one in said.items():
                    _settle(one.answers, heard.get(token_hash))
        self._task = None

    async def _store(self, said: dict[str, _Said]) -> dict[str, Heard]:
        now = self._clock.now()
        async with self._db.write() as tx:
            heard = await reports.unchanged(tx, now, {token: (one.incoming, one.mark) for token, one in said.items()})
            seen = {one.site_id: said[token].incoming.report for token, one in heard.items()}
            await observed.witness(tx, now, seen)
        self._marks |= {token: said[token].mark for token in heard}
        return heard


def _settle(
    answers: list["asyncio.Future[Heard | None]"], heard: Heard | None = None, error: Exception | None = None
) -> None:
    for answer in answers:
        if answer.done():
            continue  # who asked has gone
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(heard)
