"""A security key made of software: answers WebAuthn's options as a browser with a passkey does."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

Json = dict[str, Any]
_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One passkey at one origin."""

    origin: str
    rp_id: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    uses: int = 0
    flags: int = _PRESENT | _VERIFIED

    def create(self, options: Json) -> Json:
        """What ``navigator.credentials.create()`` gives for ``options``."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        credential = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + encode_cbor(cose)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(_ATTESTED) + credential}
        return self._credential(
            clientDataJSON=self._client_data("webauthn.create", options),
            attestationObject=bytes_to_base64url(encode_cbor(attestation)),
        )

    def get(self, options: Json) -> Json:
        """What ``navigator.credentials.get()`` gives for ``options``."""
        self.uses += 1
        data, client = self._data(), self._client_data("webauthn.get", options)
        signed = data + hashlib.sha256(base64url_to_bytes(client)).digest()
        return self._credential(
            clientDataJSON=client,
            authenticatorData=bytes_to_base64url(data),
            signature=bytes_to_base64url(self.key.sign(signed, ec.ECDSA(SHA256()))),
        )

    def _credential(self, **response: str) -> Json:
        ident = bytes_to_base64url(self.credential_id)
        return {"id": ident, "rawId": ident, "type": "public-key", "response": response}

    def _client_data(self, kind: str, options: Json) -> str:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return bytes_to_base64url(json.dumps(said).encode())

    def _data(self, more: int = 0) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([self.flags | more]) + self.uses.to_bytes(4, "big")
