"""The second factor: what a login takes beside the password.

An authenticator app (TOTP, RFC 6238), passkeys (WebAuthn), and recovery codes for who has lost both. A code and a
challenge work once. TOTP secrets are sealed with the server's key, of recovery codes only hashes are kept, and passkeys
are public keys.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pyotp
import webauthn
from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import CursorResult
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from utcloud.accounts import audit, passwords
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Passkey, PasskeyChallenge, RecoveryCode, TotpSecret, User
from utcloud.accounts.schemas import (
    PasskeyAnswer,
    PasskeyCreate,
    PasskeyOut,
    SecondFactorAsked,
    SecondFactorMethod,
    SecondFactorOut,
    SecondStep,
    TotpSetup,
)
from utcloud.accounts.service.users import end_sessions, get_user
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from utcloud.common.ids import new_id
from utcloud.common.seal import seal, unseal
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit

RECOVERY_CODES = 10
MAX_PASSKEYS = 10
CHALLENGE_LIFETIME = timedelta(minutes=5)
_PURPOSE = "totp"
_STEP_S = 30
_DRIFT = 1
"""Steps by which the user's clock may be off, either way."""


class SecondStepRequired(Problem):
    """The password is right, and a second step is needed; ``second_factor`` says what is possible."""

    status, code, title = 403, "second_factor_required", "A second step is needed"

    def __init__(self, asked: SecondFactorAsked) -> None:
        super().__init__(
            "The password is right; a second step is needed.",
            cure="Send the code of your authenticator app, a recovery code, or the answer of a passkey as well.",
        )
        self.second_factor = asked


def demanded(settings: Settings, *, is_operator: bool) -> bool:
    """Whether the platform wants a second factor of such a user."""
    return settings.require_second_factor == "everybody" or (
        settings.require_second_factor == "operators" and is_operator
    )


def set_up_first() -> Forbidden:
    """What is said to who must set a second factor up before anything else."""
    return Forbidden(
        "This platform demands a second factor of you, and you have none.",
        cure="Log in to the console to set it up, or run: utcloud second-factor set-up",
        code="second_factor_demanded",
    )


def wrong_step() -> Invalid:
    """The same whether a code is wrong, was used, or comes too late."""
    return Invalid(
        "The second step is wrong, or was used already.",
        field="code",
        cure="Type the present code of your app; each works once.",
        code="second_factor_wrong",
    )


# --- proving it ----------------------------------------------------------------------------------------------------


async def ask(tx: Tx, now: datetime, settings: Settings, user: User) -> SecondFactorAsked:
    """What ``user`` may prove a second step with; a passkey gets a challenge, which works once."""
    methods = []
    totp = await tx.get(TotpSecret, user.id)
    if totp is not None and totp.confirmed_at is not None:
        methods.append(SecondFactorMethod.TOTP)
    passkeys = await _passkeys(tx, user.id)
    if passkeys:
        methods.append(SecondFactorMethod.PASSKEY)
    if await _codes_left(tx, user.id):
        methods.append(SecondFactorMethod.RECOVERY_CODE)
    if not passkeys:
        return SecondFactorAsked(methods=methods)
    options = webauthn.generate_authentication_options(
        rp_id=_host(settings), allow_credentials=_described(passkeys), challenge=await _challenge(tx, now, user, "use")
    )
    return SecondFactorAsked(methods=methods, passkey=json.loads(options_to_json(options)))


async def use(tx: Tx, now: datetime, settings: Settings, user: User, step: SecondStep) -> SecondFactorMethod | None:
    """What the second step proves to be, used up from now on; None when it proves nothing."""
    if step.passkey is not None:
        return SecondFactorMethod.PASSKEY if await _use_passkey(tx, now, settings, user, step.passkey) else None
    code = _plain(step.code or "")
    if len(code) == 6 and code.isascii() and code.isdigit():
        return SecondFactorMethod.TOTP if await _use_totp(tx, now, settings, user, code) else None
    return SecondFactorMethod.RECOVERY_CODE if await _use_recovery_code(tx, now, user, code) else None


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()


async def _use_totp(tx: Tx, now: datetime, settings: Settings, user: User, code: str) -> bool:
    row = await tx.get(TotpSecret, user.id, with_for_update=True, populate_existing=True)
    if row is None or row.confirmed_at is None:
        return False
    step = _step_of(settings, row, now, code)
    if step is None:
        return False
    row.last_step = step
    return True


def _step_of(settings: Settings, row: TotpSecret, now: datetime, code: str) -> int | None:
    """The step whose code this is, if it is later than the last one that was used."""
    secret = unseal(settings, _PURPOSE, row.sealed)
    if secret is None:
        return None
    totp, here = pyotp.TOTP(secret), int(now.timestamp()) // _STEP_S
    for step in range(here - _DRIFT, here + _DRIFT + 1):
        if step > row.last_step and hmac.compare_digest(totp.generate_otp(step), code):
            return step
    return None


async def _use_recovery_code(tx: Tx, now: datetime, user: User, code: str) -> bool:
    mine = (RecoveryCode.user_id == user.id, RecoveryCode.code_hash == _hash(code), RecoveryCode.used_at.is_(None))
    result = await tx.execute(update(RecoveryCode).where(*mine).values(used_at=now))
    return isinstance(result, CursorResult) and result.rowcount == 1


async def _use_passkey(tx: Tx, now: datetime, settings: Settings, user: User, answer: PasskeyAnswer) -> bool:
    challenge = await _take_challenge(tx, now, user, "use", answer.response.clientDataJSON)
    passkey = await tx.scalar(
        select(Passkey)
        .where(Passkey.user_id == user.id, Passkey.credential_hash == _hash(answer.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if challenge is None or passkey is None:
        return False
    try:
        verified = webauthn.verify_authentication_response(
            credential=answer.model_dump(exclude_none=True),
            expected_challenge=challenge,
            expected_rp_id=_host(settings),
            expected_origin=settings.console_origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
        )
    except (WebAuthnException, ValueError, KeyError):
        return False
    passkey.sign_count, passkey.last_used_at = verified.new_sign_count, now
    return True


# --- setting it up -------------------------------------------------------------------------------------------------


async def status(tx: Tx, settings: Settings, actor: Actor) -> SecondFactorOut:
    """What the actor has."""
    totp = await tx.get(TotpSecret, actor.id)
    return SecondFactorOut(
        demanded=demanded(settings, is_operator=actor.is_operator),
        totp_since=totp.confirmed_at if totp else None,
        passkeys=[PasskeyOut.model_validate(one) for one in await _passkeys(tx, actor.id)],
        recovery_codes_left=await _codes_left(tx, actor.id),
        passkeys_possible_at=_host(settings),
    )


async def begin_totp(tx: Tx, now: datetime, settings: Settings, user: User) -> TotpSetup:
    """A new secret for an authenticator app; it counts once a code of it was confirmed."""
    row = await tx.get(TotpSecret, user.id, with_for_update=True)
    if row is not None and row.confirmed_at is not None:
        raise Conflict(
            "You have an authenticator app already.", cure="Remove it first, then set up the new one.", code="has_totp"
        )
    if row is None:
        row = TotpSecret(user_id=user.id, last_step=0)
        tx.add(row)
    secret = pyotp.random_base32()
    row.sealed, row.created_at = seal(settings, _PURPOSE, secret), now
    await tx.flush()
    app = pyotp.TOTP(secret, name=user.username, issuer=f"utcloud {_host(settings)}")
    return TotpSetup(secret=secret, uri=app.provisioning_uri())


async def confirm_totp(tx: Tx, now: datetime, settings: Settings, actor: Actor, code: str) -> list[str] | None:
    """The app works: from now on it is asked for. The first factor brings recovery codes along."""
    row = await tx.get(TotpSecret, actor.id, with_for_update=True)
    if row is None or row.confirmed_at is not None:
        raise Conflict("No authenticator app is being set up.", cure="Begin once more.", code="no_totp")
    step = _step_of(settings, row, now, _plain(code))
    if step is None:
        raise wrong_step()
    row.confirmed_at, row.last_step = now, step
    return await _added(tx, now, actor, "second_factor.totp_add", {})


async def passkey_options(tx: Tx, now: datetime, settings: Settings, user: User) -> dict[str, object]:
    """The options with which a browser makes a new passkey."""
    passkeys = await _passkeys(tx, user.id)
    if len(passkeys) >= MAX_PASSKEYS:
        raise Conflict(f"You have {MAX_PASSKEYS} passkeys already.", cure="Remove one that you no longer use.")
    options = webauthn.generate_registration_options(
        rp_id=_host(settings),
        rp_name="utcloud",
        user_id=user.id.encode(),
        user_name=user.username,
        user_display_name=user.display_name or user.username,
        challenge=await _challenge(tx, now, user, "register"),
        exclude_credentials=_described(passkeys),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    made: dict[str, object] = json.loads(options_to_json(options))
    return made


async def add_passkey(tx: Tx, now: datetime, settings: Settings, actor: Actor, body: PasskeyCreate) -> list[str] | None:
    """Keep a new passkey, of a challenge that this user was given."""
    user = await get_user(tx, actor.id)
    challenge = await _take_challenge(tx, now, user, "register", body.credential.response.clientDataJSON)
    refused = Invalid(
        "The passkey could not be verified.", field="credential", cure="Begin once more.", code="passkey_refused"
    )
    if challenge is None:
        raise refused
    try:
        verified = webauthn.verify_registration_response(
            credential=body.credential.model_dump(),
            expected_challenge=challenge,
            expected_rp_id=_host(settings),
            expected_origin=settings.console_origin,
        )
    except (WebAuthnException, ValueError, KeyError):
        raise refused from None
    credential_id = bytes_to_base64url(verified.credential_id)
    if await tx.scalar(select(Passkey.id).where(Passkey.credential_hash == _hash(credential_id))):
        raise Conflict("This passkey is known already.", field="credential", cure="Use another one.")
    tx.add(
        Passkey(
            id=new_id("psk"),
            user_id=actor.id,
            name=body.name,
            credential_hash=_hash(credential_id),
            credential_id=credential_id,
            public_key=bytes_to_base64url(verified.credential_public_key),
            sign_count=verified.sign_count,
            created_at=now,
        )
    )
    await tx.flush()
    return await _added(tx, now, actor, "second_factor.passkey_add", {"name": body.name})


async def new_recovery_codes(tx: Tx, now: datetime, actor: Actor) -> list[str]:
    """New codes in place of those of before."""
    user = await tx.get_one(User, actor.id, with_for_update=True)
    if user.second_factor_at is None:
        raise Conflict(
            "You have no second factor.",
            cure="Set up an authenticator app or a passkey first.",
            code="no_second_factor",
        )
    audit.record(tx, actor, "second_factor.recovery_codes", "user", actor.id, actor.username)
    emit(tx, f"ui:{actor.id}")
    return await _make_codes(tx, now, actor.id)


async def remove_totp(tx: Tx, settings: Settings, actor: Actor) -> None:
    """Take the authenticator app away."""
    row = await tx.get(TotpSecret, actor.id)
    if row is None:
        raise NotFound("You have no authenticator app.", cure="There is nothing to remove.")
    await tx.delete(row)
    await _removed(tx, settings, actor, "second_factor.totp_remove", {})


async def require_own(tx: Tx, actor: Actor, passkey_id: str) -> Passkey:
    """One of the actor's own passkeys; raises NotFound."""
    passkey = await tx.get(Passkey, passkey_id)
    if passkey is None or passkey.user_id != actor.id:
        raise NotFound.of("passkey", passkey_id)
    return passkey


async def remove_passkey(tx: Tx, settings: Settings, actor: Actor, passkey_id: str) -> None:
    """Take one of one's own passkeys away."""
    passkey = await require_own(tx, actor, passkey_id)
    await tx.delete(passkey)
    await _removed(tx, settings, actor, "second_factor.passkey_remove", {"name": passkey.name})


async def reset(tx: Tx, actor: Actor, user_id: str) -> User:
    """Take another's second factor away who has lost it; the user's browser sessions end."""
    actor.require_operator()
    user = await get_user(tx, user_id)
    if user.id == actor.id:
        raise Conflict(
            "You cannot reset your own second factor.",
            cure="Remove it under Security, or ask another operator.",
            code="oneself",
        )
    await forget(tx, actor, user)
    return user


async def forget(tx: Tx, actor: Actor, user: User) -> None:
    """Take a user's second factor away. On the machine itself the platform does so (``SYSTEM``)."""
    for table in (TotpSecret, Passkey, RecoveryCode, PasskeyChallenge):
        await tx.execute(delete(table).where(table.user_id == user.id))
    user.second_factor_at = None
    await end_sessions(tx, user.id)
    audit.record(tx, actor, "user.reset_second_factor", "user", user.id, user.username)
    emit(tx, "ui:miners")
    emit(tx, f"ui:{user.id}")


async def forget_challenges(tx: Tx, now: datetime) -> None:
    """Remove the challenges that nobody answered in time."""
    await tx.execute(delete(PasskeyChallenge).where(PasskeyChallenge.expires_at <= now))


async def _added(tx: Tx, now: datetime, actor: Actor, action: str, detail: dict[str, str]) -> list[str] | None:
    user = await tx.get_one(User, actor.id, with_for_update=True)
    first = user.second_factor_at is None
    if first:
        user.second_factor_at = now
    audit.record(tx, actor, action, "user", actor.id, actor.username, detail)
    emit(tx, "ui:miners")
    emit(tx, f"ui:{actor.id}")
    return await _make_codes(tx, now, actor.id) if first else None


async def _removed(tx: Tx, settings: Settings, actor: Actor, action: str, detail: dict[str, str]) -> None:
    """Without any app and passkey there is no second factor, and recovery codes are for nothing."""
    await tx.flush()
    user = await tx.get_one(User, actor.id, with_for_update=True)
    totp = await tx.scalar(
        select(TotpSecret.user_id).where(TotpSecret.user_id == user.id, TotpSecret.confirmed_at.is_not(None))
    )
    if totp is None and not await _passkeys(tx, user.id):
        if user.second_factor_at is not None and demanded(settings, is_operator=user.is_operator):
            raise Conflict(
                "This platform demands a second factor of you, and this is your last one.",
                cure="Add another one first.",
                code="second_factor_demanded",
            )
        user.second_factor_at = None
        await tx.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    audit.record(tx, actor, action, "user", actor.id, actor.username, detail)
    emit(tx, "ui:miners")
    emit(tx, f"ui:{actor.id}")


async def _make_codes(tx: Tx, now: datetime, user_id: str) -> list[str]:
    await tx.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [passwords.generate(3) for _ in range(RECOVERY_CODES)]
    tx.add_all(RecoveryCode(code_hash=_hash(_plain(code)), user_id=user_id, created_at=now) for code in codes)
    await tx.flush()
    return codes


async def _codes_left(tx: Tx, user_id: str) -> int:
    left = (RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return await tx.scalar(select(func.count()).select_from(RecoveryCode).where(*left)) or 0


async def _passkeys(tx: Tx, user_id: str) -> Sequence[Passkey]:
    return (await tx.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id))).all()


def _described(passkeys: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential_id)) for one in passkeys]


async def _challenge(tx: Tx, now: datetime, user: User, purpose: str) -> bytes:
    challenge = webauthn.helpers.generate_challenge()
    row = PasskeyChallenge(
        challenge_hash=_hash(bytes_to_base64url(challenge)),
        user_id=user.id,
        purpose=purpose,
        expires_at=now + CHALLENGE_LIFETIME,
    )
    tx.add(row)
    await tx.flush()
    return challenge


async def _take_challenge(tx: Tx, now: datetime, user: User, purpose: str, client_data: str) -> bytes | None:
    """The challenge that was answered, if it is one of ours for this user and purpose; it is used up."""
    try:
        challenge = parse_client_data_json(base64url_to_bytes(client_data)).challenge
    except (WebAuthnException, ValueError, KeyError):
        return None
    mine = (
        PasskeyChallenge.challenge_hash == _hash(bytes_to_base64url(challenge)),
        PasskeyChallenge.user_id == user.id,
        PasskeyChallenge.purpose == purpose,
    )
    until = await tx.scalar(delete(PasskeyChallenge).where(*mine).returning(PasskeyChallenge.expires_at))
    return challenge if until is not None and until > now else None


def _host(settings: Settings) -> str:
    """The relying party's id: the consoles' host name."""
    return urlsplit(settings.console_origin).hostname or "localhost"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
