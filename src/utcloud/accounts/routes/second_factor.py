"""One's own second factor. Whoever must set one up first may call these, and little else."""

from fastapi import APIRouter

from utcloud.accounts import service
from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import (
    IdPath,
    PasskeyCreate,
    PasskeyOptions,
    Proof,
    RecoveryCodes,
    SecondFactorAdded,
    SecondFactorOut,
    TotpConfirm,
    TotpSetup,
)
from utcloud.accounts.service import second_factor
from utcloud.db.web import AppSettings, Db, Now

router = APIRouter(prefix="/auth/second-factor", tags=["auth"])


@router.get("")
async def get_second_factor(actor: CurrentActor, db: Db, settings: AppSettings) -> SecondFactorOut:
    """One's authenticator app, passkeys, and how many recovery codes are left."""
    async with db.read() as tx:
        return await second_factor.status(tx, settings, actor)


@router.post("/totp", status_code=201)
async def begin_totp(body: Proof, actor: CurrentActor, db: Db, now: Now, settings: AppSettings) -> TotpSetup:
    """Begin to set up an authenticator app: a secret, shown this once. It counts once a code of it is confirmed."""
    await service.prove_again(db, now, settings, actor, body)
    async with db.write() as tx:
        return await second_factor.begin_totp(tx, now, settings, await service.get_user(tx, actor.id))


@router.post("/totp/confirm")
async def confirm_totp(
    body: TotpConfirm, actor: CurrentActor, db: Db, now: Now, settings: AppSettings
) -> SecondFactorAdded:
    """Confirm the authenticator app by a code of it. The first factor brings recovery codes, shown this once."""
    async with db.write() as tx:
        codes = await second_factor.confirm_totp(tx, now, settings, actor, body.code)
    return SecondFactorAdded(recovery_codes=codes)


@router.post("/totp/remove", status_code=204)
async def remove_totp(body: Proof, actor: CurrentActor, db: Db, now: Now, settings: AppSettings) -> None:
    """Remove the authenticator app."""
    await service.prove_again(db, now, settings, actor, body)
    async with db.write() as tx:
        await second_factor.remove_totp(tx, settings, actor)


@router.post("/passkeys/options")
async def begin_passkey(body: Proof, actor: CurrentActor, db: Db, now: Now, settings: AppSettings) -> PasskeyOptions:
    """Begin to add a passkey: options for the browser, good once within five minutes."""
    await service.prove_again(db, now, settings, actor, body)
    async with db.write() as tx:
        user = await service.get_user(tx, actor.id)
        return PasskeyOptions(options=await second_factor.passkey_options(tx, now, settings, user))


@router.post("/passkeys", status_code=201)
async def add_passkey(
    body: PasskeyCreate, actor: CurrentActor, db: Db, now: Now, settings: AppSettings
) -> SecondFactorAdded:
    """Add the passkey that the browser made. The first factor brings recovery codes, shown this once."""
    async with db.write() as tx:
        codes = await second_factor.add_passkey(tx, now, settings, actor, body)
    return SecondFactorAdded(recovery_codes=codes)


@router.post("/passkeys/{passkey_id}/remove", status_code=204)
async def remove_passkey(
    passkey_id: IdPath, body: Proof, actor: CurrentActor, db: Db, now: Now, settings: AppSettings
) -> None:
    """Remove one of one's passkeys."""
    async with db.read() as tx:
        await second_factor.require_own(tx, actor, passkey_id)
    await service.prove_again(db, now, settings, actor, body)
    async with db.write() as tx:
        await second_factor.remove_passkey(tx, settings, actor, passkey_id)


@router.post("/recovery-codes", status_code=201)
async def create_recovery_codes(
    body: Proof, actor: CurrentActor, db: Db, now: Now, settings: AppSettings
) -> RecoveryCodes:
    """Make new recovery codes, shown this once; those of before no longer work."""
    await service.prove_again(db, now, settings, actor, body)
    async with db.write() as tx:
        return RecoveryCodes(recovery_codes=await second_factor.new_recovery_codes(tx, now, actor))
