"""Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 (``v1``) and ed25519 (``v1a``).

Signed is ``id.timestamp.body``. A secret is ``whsec_`` and base64 of 24 to 64 bytes, a private
key ``whsk_`` and base64 of the 32 bytes of RFC 8032, its public key ``whpk_``. Where several
are valid, the header has a signature of each, separated by spaces: so a receiver that knows
the old secret or the new one accepts. Source: the specification, sections "Signature scheme"
and "Secret rotation" (standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

Algorithm = Literal["v1", "v1a"]
SYMMETRIC: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
SECRET_BYTES: Final = 32
#: Seconds that the secret before stays valid after a rotation.
GRACE_S: Final = 86_400.0


class Secret(BaseModel, frozen=True):
    """A secret that signs, until `expires_at` (seconds since the epoch) where it has an end."""

    value: str
    expires_at: float | None = None


def new(algorithm: Algorithm) -> str:
    """Return a fresh secret.

    >>> new("v1")[:6], new("v1a")[:5]
    ('whsec_', 'whsk_')
    """
    prefix = SYMMETRIC if algorithm == "v1" else PRIVATE
    return prefix + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def shown(secret: str) -> str:
    """Return what a receiver needs to verify: the secret itself, or the public key of a pair."""
    if secret.startswith(SYMMETRIC):
        return secret
    public = _private(secret).public_key().public_bytes_raw()
    return PUBLIC + base64.b64encode(public).decode()


def valid(found: Iterable[Secret], now: float) -> list[Secret]:
    """Return the secrets that have not expired at `now`, in seconds since the epoch."""
    return [each for each in found if each.expires_at is None or each.expires_at > now]


def rotated(found: Iterable[Secret], fresh: str, now: float) -> list[Secret]:
    """Return `fresh` and the newest secret before it, which stays valid for `GRACE_S`."""
    before = valid(found, now)[:1]
    kept = [each.model_copy(update={"expires_at": now + GRACE_S}) for each in before]
    return [Secret(value=fresh), *kept]


def headers(found: Iterable[Secret], ident: str, at: float, body: bytes) -> dict[str, str]:
    """Return the three headers of a message sent at `at`, in seconds since the epoch."""
    signed = b"%b.%d.%b" % (ident.encode(), int(at), body)
    signatures = " ".join(_sign(each.value, signed) for each in valid(found, at))
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signatures,
    }


def _sign(secret: str, signed: bytes) -> str:
    if secret.startswith(PRIVATE):
        return "v1a," + base64.b64encode(_private(secret).sign(signed)).decode()
    key = base64.b64decode(secret.removeprefix(SYMMETRIC))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _private(secret: str) -> Ed25519PrivateKey:
    seed = base64.b64decode(secret.removeprefix(PRIVATE))
    return Ed25519PrivateKey.from_private_bytes(seed)
