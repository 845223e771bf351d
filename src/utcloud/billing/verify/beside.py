"""What the chain cannot tell: balances, meters and orders against the last facts of their entries, keys, orphans."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from utcloud.billing import sums
from utcloud.billing.facts import Accounts
from utcloud.billing.models import Account, Entry, Meter, Order, Posting
from utcloud.billing.solvency import MS_PER_HOUR
from utcloud.billing.verify.state import Fault
from utcloud.billing.verify.stream import Walk, move
from utcloud.common.money import format_unc
from utcloud.db import Tx

BATCH = 2_000
_MILLION = 1_000_000


@dataclass(slots=True)
class Beside:
    """What was found without the chain. Faults in the order in which they are told."""

    postings: int = 0
    posting: Fault | None = None
    used_twice: Fault | None = None
    meter: Fault | None = None
    order: Fault | None = None
    named: int = 0
    """How many entries name a meter."""
    moves: int = 0
    """The sum of what ``move`` says of each meter."""


async def look(tx: Tx, books: Accounts) -> Beside:
    """Look at all that lies beside the chain; what has to be compared with it, ``first_fault`` compares."""
    postings, odd = await _postings(tx)
    found = Beside(postings, odd or await _of_other_types(tx), await _used_twice(tx), order=await _wrong_order(tx))
    await _meters(tx, books, found)
    return found


async def first_fault(tx: Tx, walk: Walk, found: Beside) -> Fault | None:
    """The first row beside the chain that is wrong."""
    return (
        found.posting
        or (await _orphan(tx) if found.postings != walk.postings else None)
        or found.used_twice
        or await _wrong_balance(tx, walk)
        or found.meter
        or await _unlike_its_meters(tx, walk, found)
        or found.order
    )


async def _postings(tx: Tx) -> tuple[int, Fault | None]:
    """How many postings there are, and one whose account's id is none: in what is hashed it could pass for several.

    When there is none of these, each posting is one line of what is hashed, with that very account. So there are as
    many lines as postings if, and only if, all belong to an entry and are of its moment.
    """
    if _is_sqlite(tx):  # its columns may hold bytes, that are hashed like a text and are another account's
        ident, find = Posting.account_id.expression, func.instr
        odd = or_(find(ident, '"') > 0, find(ident, "\\") > 0, func.typeof(ident) != "text")
    else:
        ident, find = Posting.account_id.collate("C"), func.strpos
        odd = find(ident, '"') + find(ident, "\\") > 0
    many, wrong = (await tx.execute(select(func.count(), func.count(case((odd, 1)))).select_from(Posting))).one()
    if not wrong:
        return many, None
    of = await tx.scalar(select(Posting.entry_id).where(odd).limit(1))
    return many, Fault("posting", of or "", None, "its account's id is none")


async def _of_other_types(tx: Tx) -> Fault | None:
    """PostgreSQL's columns are not what they were made as: then a number may be a text. SQLite's: see ``stream``."""
    if _is_sqlite(tx):
        return None
    kinds = [cast(func.pg_typeof(one), String) for one in (Posting.amount, Posting.at)]
    row = await _first(tx, select(Posting.entry_id, *kinds))
    if row is None or set(row[1:]) == {"bigint"}:
        return None
    return Fault("posting", row[0], None, f"its amount and moment are of type {row[1]} and {row[2]}, not bigint")


def _is_sqlite(tx: Tx) -> bool:
    return tx.get_bind().dialect.name == "sqlite"


async def _orphan(tx: Tx) -> Fault:
    orphan = (
        select(Posting.entry_id, Entry.id)
        .outerjoin(Entry, Entry.id == Posting.entry_id)
        .where(or_(Entry.id.is_(None), Posting.at != Entry.at))
        .limit(1)
    )
    of, entry = await _first(tx, orphan) or ("", None)
    return Fault("posting", of, None, "its moment is not that of its entry" if entry else "it belongs to no entry")


async def _used_twice(tx: Tx) -> Fault | None:
    twice = select(Entry.idempotency_key).group_by(Entry.idempotency_key).having(func.count() > 1).limit(1)
    key = await tx.scalar(twice)
    if key is None:
        return None
    entry = (await tx.scalars(select(Entry).where(Entry.idempotency_key == key).order_by(Entry.seq))).all()[-1]
    return Fault("entry", entry.id, entry.seq, f"its idempotency key {key!r} was used before")


async def _wrong_balance(tx: Tx, walk: Walk) -> Fault | None:
    rows = await tx.execute(select(Account.id, Account.kind, Account.balance).order_by(Account.id))
    for ident, kind, balance in rows:
        posted = walk.books.balances[ident]
        if balance != posted or (balance < 0 and kind != "issuance"):
            has, sums_to = format_unc(balance), format_unc(posted)
            detail = f"the balance of this {kind} account is {has} UNC, its postings sum to {sums_to} UNC"
            return Fault("account", ident, None, detail)
    return None


_number = func.substr(Entry.idempotency_key, func.length(Entry.cause_id) + 2, 1)
"""How the key of an entry goes on after the meter's id: with a number for settlements, a word for others."""
_latest = (
    select(
        Entry.cause_id,
        func.max(Entry.seq).label("seq"),
        func.count().label("entries"),
        func.sum(
            case((func.substr(Entry.idempotency_key, func.length(Entry.cause_id) + 2, 1).between("0", "9"), 1), else_=0)
        ).label("made"),
    )
    .where(Entry.cause_type == "meter", Entry.cause_id.between(bindparam("first"), bindparam("last")))
    .group_by(Entry.cause_id)
    .subquery()
)
_COLUMNS = (
    *("id", "attempt_id", "payer_id", "group_id", "payee_id", "order_id", "price", "fee_ppm", "settled", "credited"),
    *("waived", "settled_fee", "settlements", "wallet_id", "hold", "closed", "silent_ms"),
)
_TIMES = (Meter.started_at, Meter.witnessed_until, Meter.ended_at, sums.ELAPSED)
_PAIRS = (
    (Order.owner_id, Meter.payer_id),
    (Order.group_id, Meter.group_id),
    (Order.wallet_id, Meter.wallet_id),
    (Order.miner_id, Meter.payee_id),
    (Order.workload_id, Meter.workload_id),
    (Order.spec_id, Meter.spec_id),
    (Order.unit_price, Meter.price),
    (Order.fee_ppm, Meter.fee_ppm),
)
"""What an order and its meters say alike."""
_METERS = (
    select(
        *(getattr(Meter, name) for name in _COLUMNS),
        *(type_coerce(column, BigInteger) for column in _TIMES),
        *(Order.fault_credit, Order.max_cost, Order.max_ms),
        case(
            (or_(Meter.order_id == "", and_(*(one.is_not_distinct_from(other) for one, other in _PAIRS))), 1), else_=0
        ),
        *(Entry.facts, _latest.c.entries, _latest.c.made),
    )
    .outerjoin(Order, Order.id == Meter.order_id)
    .outerjoin(_latest, _latest.c.cause_id == Meter.id)
    .outerjoin(Entry, Entry.seq == _latest.c.seq)
    .where(Meter.id.between(bindparam("first"), bindparam("last")))
    .order_by(Meter.id)
)
"""Meters with what was agreed, and with the last entry of each."""


def _json(column: Any) -> ColumnElement[str]:
    """A text or a number as it stands in an entry's facts, if it is written plainly."""
    is_text = isinstance(column.type, String)
    plain = '"' + column + '"' if is_text else cast(column, String)
    return func.coalesce(plain, literal("null"))


def _telling() -> ColumnElement[str]:
    """How the facts of a meter's last entry begin, up to what it had cost before, if all was charged that it shows."""
    until = func.coalesce(type_coerce(Meter.ended_at, BigInteger), type_coerce(Meter.witnessed_until, BigInteger))
    of = {
        "attempt": Meter.attempt_id,
        "credited": Meter.credited,
        "fault_credit": Order.fault_credit,
        "fee_ppm": Meter.fee_ppm,
        "from": type_coerce(Meter.started_at, BigInteger),
        "group": Meter.group_id,
        "max_cost": Order.max_cost,
        "max_ms": Order.max_ms,
        "order": Meter.order_id,
        "payee": Meter.payee_id,
        "payer": Meter.payer_id,
        "price": Meter.price,
        "settled": Meter.settled,
        "silent_ms": Meter.silent_ms,
        "until": until,
        "waived": Meter.waived,
    }
    told: ColumnElement[str] = literal("{")
    for name, column in of.items():
        told = told + f'"{name}":' + _json(column) + ","
    return told + '"was":'


_net = Meter.settled - Meter.credited
_began, _seen, _ended = (type_coerce(one, BigInteger) for one in _TIMES[:3])
_as_agreed = or_(Meter.order_id == "", and_(*(one.is_not_distinct_from(other) for one, other in _PAIRS)))
_right = and_(
    *(Meter.settled >= 0, Meter.waived >= 0, Meter.credited.between(0, Meter.settled), Meter.hold >= 0),
    sums.OUTSTANDING >= 0,
    Meter.settled_fee == sums.share(_net, Meter.fee_ppm.expression),
    case(
        (
            Meter.closed.is_(True),
            and_(
                *(sums.OUTSTANDING == 0, Meter.hold == 0),
                *(_seen.is_not_distinct_from(_ended), _began.is_(None) == _ended.is_(None)),
            ),
        ),
        else_=_ended.is_(None),
    ),
    *(_as_agreed, Meter.settlements == func.coalesce(_latest.c.made, 0)),
    or_(Entry.facts.is_(None), func.substr(Entry.facts, 1, func.length(_telling())) == _telling()),
)
"""Of most meters this is all; which others are right, ``_Row`` tells."""
_QUICK = (
    select(Meter.id, _net, Meter.wallet_id, func.coalesce(Meter.group_id, Meter.payer_id), _latest.c.entries)
    .add_columns(case((_right, 1), else_=0))
    .outerjoin(Order, Order.id == Meter.order_id)
    .outerjoin(_latest, _latest.c.cause_id == Meter.id)
    .outerjoin(Entry, Entry.seq == _latest.c.seq)
    .where(Meter.id.between(bindparam("first"), bindparam("last")))
    .order_by(Meter.id)
)


async def _meters(tx: Tx, books: Accounts, found: Beside) -> None:
    """Look at each meter, its order and its last entry."""
    last = ""
    wallets = books.ids["wallet"]
    while idents := (await tx.scalars(select(Meter.id).where(Meter.id > last).order_by(Meter.id).limit(BATCH))).all():
        last = idents[-1]
        doubtful = False
        for ident, net, wallet, payer, entries, right in await tx.execute(_QUICK, {"first": idents[0], "last": last}):
            found.named += entries or 0
            found.moves += move(ident, 0, net)
            doubtful = doubtful or not right or wallets.get(payer) != wallet
        if doubtful:
            rows: Sequence[Any] = (await tx.execute(_METERS, {"first": idents[0], "last": last})).all()
            for row in rows:
                one = _Row(*row)
                if detail := one.fault(books):
                    found.meter = Fault("meter", one.id, None, detail)
                    return
        await asyncio.sleep(0)


async def _unlike_its_meters(tx: Tx, walk: Walk, found: Beside) -> Fault | None:
    """An entry whose meter is missing, or a meter whose entries took another sum."""
    if found.named != walk.of_meters:
        lost = (
            select(Entry.cause_id, Entry.seq)
            .outerjoin(Meter, Meter.id == Entry.cause_id)
            .where(Entry.cause_type == "meter", Meter.id.is_(None))
        )
        ident, seq = await _first(tx, lost.order_by(Entry.seq)) or ("", None)
        return Fault("meter", ident, seq, "it is missing, and there are entries for it")
    # Entries from before there were facts tell nothing of steps.
    return await _unlike_its_entries(tx) if walk.first > 1 or found.moves != walk.moves else None


@dataclass(slots=True)
class _Row:
    """A row of ``_METERS``: the meter's own columns, its times in milliseconds, its order's terms, its last entry."""

    id: str
    attempt: str
    payer: str
    group: str | None
    payee: str
    order: str
    price: int
    fee_ppm: int
    settled: int
    credited: int
    waived: int
    settled_fee: int
    settlements: int
    wallet: str
    hold: int
    closed: bool
    silent: int
    began: int | None
    seen: int | None
    ended: int | None
    elapsed: int | None
    fault_credit: str | None
    max_cost: int | None
    max_ms: int | None
    as_agreed: int
    facts: str | None
    entries: int | None
    made: int | None

    def fault(self, books: Accounts) -> str:
        """What is wrong with it; empty when nothing is."""
        return self._of_itself(books) or (self._of_its_facts() if self.facts is not None else "")

    def _of_itself(self, books: Accounts) -> str:
        """By its own columns, its wallet, its order and the number of its entries."""
        amount = self.price * (self.elapsed or 0) // MS_PER_HOUR
        booked, net, payer = self.settled + self.waived, self.settled - self.credited, self.group or self.payer
        if self.settled < 0 or self.waived < 0 or not 0 <= self.credited <= self.settled or self.hold < 0:
            return "one of its amounts is below zero, or more is credited than was settled"
        if booked > amount or (self.closed and booked != amount):
            came, said = format_unc(amount), format_unc(booked)
            return f"its interval and price come to {came} UNC, {said} UNC are settled or waived"
        if self.settled_fee != net * self.fee_ppm // _MILLION:
            return f"its fee is not that share of the {format_unc(net)} UNC that were paid"
        if (self.ended is not None) != (self.closed and self.began is not None):
            return "it is closed and has not ended, or it has ended and is open"
        if self.closed and (self.hold or self.seen != self.ended):
            return "it is closed, and holds something back or was seen to run at another time than its end"
        if books.roles.get(self.wallet) != ("wallet", payer):
            return f"its wallet is not that of {payer}, who pays"
        if not self.as_agreed:
            return f"its payer, payee, price, fee, workload or specification is not that of its order {self.order}"
        if self.settlements != (self.made or 0):
            return f"it says that it was settled {self.settlements} times, there are {self.made or 0} entries of that"
        return ""

    def _of_its_facts(self) -> str:
        """By what its last entry tells."""
        told = from_json(self.facts or "")
        for name in _TOLD:
            if getattr(self, name) != told[name]:
                return f"its {name} is {getattr(self, name)}, its last entry tells {told[name]}"
        if self.began != told["from"]:
            return "it began at another time than its last entry tells"
        if not self.closed and self.waived != told["waived"]:
            said, known = format_unc(self.waived), format_unc(told["waived"])
            return f"it says that {said} UNC are waived, its last entry tells {known} UNC"
        # An end that was heard of later may lie before what was charged, if nothing had to go back for it.
        if self.seen == told["until"] and self.silent != told["silent_ms"]:
            return "it was charged for another time than it was seen to run"
        return ""


_TOLD = (
    *("attempt", "payer", "group", "payee", "order", "price", "fee_ppm", "settled", "credited"),
    *("fault_credit", "max_cost", "max_ms"),
)


async def _unlike_its_entries(tx: Tx) -> Fault | None:
    """A meter whose entries took another sum than it says: slow, for entries without facts and to name the row."""
    paid = (
        select(Entry.cause_id, (-func.sum(Posting.amount)).label("paid"))
        .join(Posting, Posting.entry_id == Entry.id)
        .join(Account, Account.id == Posting.account_id)
        .where(Entry.cause_type == "meter", Account.kind == "wallet")
        .group_by(Entry.cause_id)
        .subquery()
    )
    net, total = Meter.settled - Meter.credited, func.coalesce(paid.c.paid, 0)
    row = await _first(
        tx,
        select(Meter.id, net, total)
        .outerjoin(paid, paid.c.cause_id == Meter.id)
        .where(net != total)
        .order_by(Meter.id),
    )
    if row is None:
        return None
    ident, settled, posted = row
    detail = f"it says that {format_unc(settled)} UNC are settled, its entries took {format_unc(int(posted))} UNC"
    return Fault("meter", ident, None, detail)


async def _wrong_order(tx: Tx) -> Fault | None:
    """An order that does not come to what its meters do, or that took more than it allows."""
    parts = {
        "cost": func.coalesce(func.sum(Meter.settled - Meter.credited), 0),
        "waived": func.coalesce(func.sum(Meter.waived), 0),
        "credited": func.coalesce(func.sum(Meter.credited), 0),
        "elapsed_ms": func.coalesce(func.sum(sums.ELAPSED), 0),
    }
    own = [getattr(Order, name) for name in parts]
    terms = [Order.id, Order.state, Order.settled_at, Order.max_cost, Order.max_ms]
    priced = [Order.unit_price, Order.replicas, Order.estimate]
    unlike = [one != total for one, total in zip(own, parts.values(), strict=True)]
    row = await _first(
        tx,
        select(*terms, *priced, *own, *parts.values())
        .outerjoin(Meter, Meter.order_id == Order.id)
        .group_by(*terms, *priced, *own)
        .having(
            or_(
                (Order.state == "settled") & or_(*unlike),
                (Order.state == "open") & or_(*(one != 0 for one in own)),
                (Order.state == "settled") != Order.settled_at.is_not(None),
                parts["cost"] > Order.max_cost,
            )
        )
        .order_by(Order.id),
    )
    if row is None:
        return None
    paid = int(row[len(terms) + len(priced) + len(own)])
    if (row.state == "settled") != (row.settled_at is not None):
        detail = "it is settled and does not say when, or it says when and is open"
    elif row.max_cost is not None and paid > row.max_cost:
        detail = f"its charges sum to {format_unc(paid)} UNC, it allows {format_unc(row.max_cost)}"
    elif row.cost != paid:
        detail = f"it says {format_unc(row.cost)} UNC, its charges sum to {format_unc(paid)}"
    else:
        detail = "what it says is waived, credited or elapsed is not the sum of its charges"
    return Fault("order", row.id, None, detail)


async def _first(tx: Tx, query: Select[*tuple[Any, ...]]) -> Any:
    return (await tx.execute(query.limit(1))).first()
