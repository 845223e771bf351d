"""The second factor: authenticator apps, passkeys, recovery codes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from utcloud.accounts.schemas.common import Input, Name

Encoded = Annotated[str, Field(max_length=20_000, pattern="^[A-Za-z0-9_-]*$", examples=["AAECAw"])]
"""Bytes in base64url without padding, as browsers write them."""
Code = Annotated[str, Field(min_length=1, max_length=64, examples=["123456"])]


class SecondFactorMethod(StrEnum):
    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"


class PasskeyAssertion(Input):
    """``AuthenticatorAssertionResponse``."""

    clientDataJSON: Encoded  # noqa: N815 - the standard's name
    authenticatorData: Encoded  # noqa: N815
    signature: Encoded
    userHandle: Encoded | None = None  # noqa: N815


class PasskeyAnswer(Input):
    """What ``navigator.credentials.get()`` gave, of a challenge that the server asked with."""

    id: Encoded
    rawId: Encoded  # noqa: N815
    type: Literal["public-key"] = "public-key"
    response: PasskeyAssertion


class PasskeyAttestation(Input):
    """``AuthenticatorAttestationResponse``."""

    clientDataJSON: Encoded  # noqa: N815
    attestationObject: Encoded  # noqa: N815


class NewPasskey(Input):
    """What ``navigator.credentials.create()`` gave."""

    id: Encoded
    rawId: Encoded  # noqa: N815
    type: Literal["public-key"] = "public-key"
    response: PasskeyAttestation


class SecondStep(Input):
    """The second step, for who has a second factor: a ``code`` of the authenticator app or a recovery code, or the
    answer of a ``passkey``."""

    code: Code | None = None
    passkey: PasskeyAnswer | None = None

    @property
    def given(self) -> bool:
        return self.code is not None or self.passkey is not None


class Proof(SecondStep):
    """One's own password once more and, for who has a second factor, the second step."""

    password: Annotated[str, Field(max_length=256)]


class SecondFactorAsked(BaseModel):
    """Which second step is possible. ``passkey``: the options for ``navigator.credentials.get()``."""

    methods: list[SecondFactorMethod]
    passkey: dict[str, Any] | None = None


class PasskeyOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


class SecondFactorOut(BaseModel):
    """One's second factor. ``demanded``: the platform wants one; ``passkeys_possible_at``: the host at which this
    platform's passkeys work."""

    demanded: bool
    totp_since: datetime | None
    passkeys: list[PasskeyOut]
    recovery_codes_left: int
    passkeys_possible_at: str


class TotpSetup(BaseModel):
    """What an authenticator app needs: ``uri`` as a QR code, or ``secret`` typed by hand."""

    secret: str
    uri: str


class TotpConfirm(Input):
    code: Code


class SecondFactorAdded(BaseModel):
    """``recovery_codes``: shown this once; null when one has some already."""

    recovery_codes: list[str] | None


class RecoveryCodes(BaseModel):
    """New recovery codes, each good for one login; shown this once."""

    recovery_codes: list[str]


class PasskeyOptions(BaseModel):
    """The options for ``navigator.credentials.create()``."""

    options: dict[str, Any]


class PasskeyCreate(Input):
    name: Name
    credential: NewPasskey
