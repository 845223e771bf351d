"""What each kind of entry tells, hashed with it, so that its lines can be computed from that alone.

``KINDS`` is the one registry: a kind's facts, and the rule that says what its lines must be. An entry of a kind that is
not there can neither be written nor be found right. A new kind of entry needs its facts, its rule, and its
word in the constraint of ``models.Entry``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from utcloud.billing.solvency import MS_PER_HOUR, Interval
from utcloud.common.clock import to_ms
from utcloud.common.money import format_unc

PLATFORM = "platform"
"""The owner of the accounts ``fee`` and ``issuance``."""

Line = tuple[str, int]
"""An account's id and micro-UNC."""
Role = tuple[str, str]
"""An account's kind and owner."""
ISSUANCE: Role = ("issuance", PLATFORM)
FEE: Role = ("fee", PLATFORM)
_MILLION = 1_000_000


class FactsError(Exception):
    """An entry is not what its facts say; or, where ``account_id`` is set, that account is not what it was."""

    def __init__(self, detail: str, account_id: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.account_id = account_id


@dataclass(slots=True)
class Accounts:
    """All accounts, and what they held when the entry that is looked at had been written."""

    roles: dict[str, Role] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    ids: dict[str, dict[str, str]] = field(init=False)
    """Their ids by kind and owner."""

    def __post_init__(self) -> None:
        self.ids = {kind: {} for kind, _ in (*self.roles.values(), ("wallet", ""), ("earnings", ""), FEE)}
        for ident, (kind, owner) in self.roles.items():
            self.ids[kind][owner] = ident

    def has_nothing(self, role: Role) -> bool:
        """Whether the account of ``role`` is empty, or was never made."""
        return not any(self.balances[ident] for ident, one in self.roles.items() if one == role)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order agreed on that bounds its charges. Amounts in micro-UNC."""

    fault_credit: str
    max_cost: int | None
    max_ms: int | None


class Metered(Interval, Protocol):
    """What a meter's facts are made of: a meter, or a row of ``settling.COLUMNS``."""

    @property
    def attempt_id(self) -> str: ...
    @property
    def payer_id(self) -> str: ...
    @property
    def group_id(self) -> str | None: ...
    @property
    def payee_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def fee_ppm(self) -> int: ...


class Charge(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Of a charge, a reversal or a credit: by them the attempt has cost ``was`` before, ``settled - credited`` now.

    In the order in which they are written, which is read quickest.
    """

    attempt: str
    credited: int
    fault_credit: str | None
    fee_ppm: int
    began: int = msgspec.field(name="from")
    group: str | None
    max_cost: int | None
    max_ms: int | None
    order: str
    payee: str
    payer: str
    price: int
    settled: int
    silent_ms: int
    until: int
    waived: int
    was: int


class Transfer(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The facts of a recharge or a deduction: whose account it changes, and by how much."""

    account: str
    amount: int
    kind: str
    owner: str


class Release(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The facts of a release: so much of what was held of the miner ``owner``'s earnings is his."""

    amount: int
    owner: str


def of_meter(
    meter: Metered, terms: Terms | None, *, was: int, settled: int, waived: int, credited: int
) -> dict[str, object]:
    """``Charge`` of ``meter``.

    ``settled``, ``waived`` and ``credited`` are the meter's own sums once the entry is written.
    """
    began, until = meter.started_at, meter.ended_at or meter.witnessed_until
    return {
        "attempt": meter.attempt_id,
        "credited": credited,
        "fault_credit": terms and terms.fault_credit,
        "fee_ppm": meter.fee_ppm,
        "from": to_ms(began) if began else 0,
        "group": meter.group_id,
        "max_cost": terms and terms.max_cost,
        "max_ms": terms and terms.max_ms,
        "order": meter.order_id,
        "payee": meter.payee_id,
        "payer": meter.payer_id,
        "price": meter.price,
        "settled": settled,
        "silent_ms": meter.silent_ms,
        "until": to_ms(until) if until else 0,
        "waived": waived,
        "was": was,
    }


def of_transfer(account_id: str, role: Role, amount: int) -> dict[str, object]:
    """``Transfer`` into or out of the account of ``role``."""
    kind, owner = role
    return {"account": account_id, "amount": amount, "kind": kind, "owner": owner}


def of_release(owner: str, amount: int) -> dict[str, object]:
    """``Release`` to the miner ``owner``."""
    return {"amount": amount, "owner": owner}


def _transfer(kind: str, cause_id: str, told: Transfer, lines: Sequence[Line], accounts: Accounts) -> None:
    ident, amount, role = told.account, told.amount, (told.kind, told.owner)
    if (amount > 0) != (kind == "recharge") or (cause_id and cause_id != ident):
        raise _no_such_facts(kind)
    found = accounts.roles.get(ident)
    if found is not None and found != role:
        raise _not_whose(ident, role, found)
    _compare({role: amount, ISSUANCE: -amount}, lines, accounts)


def _release(kind: str, cause_id: str, told: Release, lines: Sequence[Line], accounts: Accounts) -> None:
    owner, amount = told.owner, told.amount
    if amount <= 0 or cause_id != owner:
        raise _no_such_facts(kind)
    _compare({("held", owner): -amount, ("earnings", owner): amount}, lines, accounts)


def _charge(kind: str, cause_id: str, told: Charge, lines: Sequence[Line], accounts: Accounts) -> None:
    settled, credited, waived, was = told.settled, told.credited, told.waived, told.was
    span, max_cost, net = told.until - told.began - told.silent_ms, told.max_cost, settled - credited
    most = told.price * span // MS_PER_HOUR if span > 0 else 0
    if settled + waived > most or (max_cost is not None and net > max_cost):
        said, allowed = format_unc(settled), format_unc(most if max_cost is None else min(most, max_cost))
        raise FactsError(f"by it {said} UNC are settled, its interval, price and order allow {allowed} UNC")
    if credited < 0 or settled < credited or waived < 0 or was < 0 or told.silent_ms < 0:
        raise _no_such_facts(kind)
    if (net > was) != (kind == "charge"):
        raise _no_such_facts(kind)
    fee = net * told.fee_ppm // _MILLION - was * told.fee_ppm // _MILLION
    payer, payee, ids = told.group or told.payer, told.payee, accounts.ids
    usual = {
        ids["wallet"].get(payer): was - net,
        ids["earnings"].get(payee): net - was - fee,
        ids["fee"].get(PLATFORM): fee,
    }
    if len(lines) == 3 and dict(lines) == usual:
        return  # as nearly all are
    wallet, earned = ("wallet", payer), ("earnings", payee)
    want, roles = {wallet: was - net, earned: net - was - fee, FEE: fee}, accounts.roles
    _split(want, earned, {roles[ident]: amount for ident, amount in lines}, accounts, back=kind != "charge")
    _compare(want, lines, accounts)


def _split(want: dict[Role, int], earned: Role, found: dict[Role, int], accounts: Accounts, *, back: bool) -> None:
    """Let ``want`` follow what was possible: a miner's part may be held, or come from what is; going ``back``, the
    issuance pays what miner or platform no longer have.
    """
    held: Role = ("held", earned[1])
    for role, own in ((earned, (earned, held)), (FEE, (FEE,))):
        due, given = want[role], sum(found.get(one, 0) for one in own)
        if back and due < given <= 0 and all(map(accounts.has_nothing, own)):
            want[ISSUANCE] = want.get(ISSUANCE, 0) + due - given
            due = given
        want[role] = due
    if held in found:
        want[held] = found[held]
        want[earned] -= found[held]


def _compare(want: dict[Role, int], lines: Sequence[Line], accounts: Accounts) -> None:
    """Raise FactsError unless ``lines`` are what is wanted; what is wanted to be zero has no line."""
    roles = accounts.roles
    found = {roles[ident]: amount for ident, amount in lines}
    for ident, amount in lines:
        role = kind, owner = roles[ident]
        if role not in want:
            for wanted, due in want.items():
                if due == amount and wanted not in found:
                    raise _not_whose(ident, wanted, role)
            raise FactsError(
                f"its line of {format_unc(amount)} UNC on the {kind} account of {owner} is not in its facts"
            )
        if want[role] != amount or len(found) != len(lines):
            said, told = format_unc(amount), format_unc(want[role])
            raise FactsError(f"its line on the {kind} account of {owner} is {said} UNC, its facts come to {told} UNC")
    for (kind, owner), due in want.items():
        if due and (kind, owner) not in found:
            raise FactsError(f"its line of {format_unc(due)} UNC on the {kind} account of {owner} is missing")


def _not_whose(ident: str, was: Role, found: Role) -> FactsError:
    detail = f"it is the {found[0]} account of {found[1]}; when it was booked it was the {was[0]} account of {was[1]}"
    return FactsError(detail, ident)


def _no_such_facts(kind: str) -> FactsError:
    return FactsError(f"its facts are not those of an entry of kind {kind}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entry: its facts, and its rule.

    The rule is given an entry's kind, cause, facts and lines; it raises FactsError.
    """

    facts: type[msgspec.Struct]
    rule: Callable[[str, str, Any, Sequence[Line], Accounts], None]
    read: Callable[[bytes], Any] = field(init=False)
    """Its facts of JSON; raises ``msgspec.DecodeError`` for what are none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", msgspec.json.Decoder(self.facts).decode)

    @property
    def names(self) -> frozenset[str]:
        """Its facts' names."""
        return frozenset(self.facts.__struct_encode_fields__)


_CHARGE, _TRANSFER, _RELEASE = Kind(Charge, _charge), Kind(Transfer, _transfer), Kind(Release, _release)
KINDS = {
    ("recharge", "wallet"): _TRANSFER,
    ("recharge", ""): _TRANSFER,
    ("deduct", "wallet"): _TRANSFER,
    ("deduct", ""): _TRANSFER,
    ("charge", "meter"): _CHARGE,
    ("reversal", "meter"): _CHARGE,
    ("credit", "meter"): _CHARGE,
    ("reversal", "held"): _RELEASE,
}
"""By an entry's kind and the type of its cause."""


def require(kind: str, cause_type: str, facts: dict[str, object]) -> None:
    """Raise ValueError unless ``facts`` are all that such an entry tells."""
    known = KINDS.get((kind, cause_type))
    if known is None or facts.keys() != known.names:
        raise ValueError(f"these are not the facts of {kind!r} by {cause_type!r} (see billing/facts.py): {facts}")
