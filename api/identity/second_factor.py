"""Second factors: time-based codes (RFC 6238) and codes for when the phone is lost."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Final

import pyotp

ISSUER: Final = "Sentinel"
PERIOD_S: Final = 30
#: Clocks may be one step apart.
STEPS: Final = (0, -1, 1)
CODES: Final = 10
#: Without letters that are read for others; 16 of 32 letters are 80 random bits.
LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def new_seed() -> str:
    """Return a seed of 160 random bits, in base 32 as apps take it."""
    return pyotp.random_base32()


def address(seed: str, name: str) -> str:
    """Return the ``otpauth:`` address of a seed, which apps read as a QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(code: str, seed: str, last: int, now: float | None = None) -> int | None:
    """Return the time step that `code` is for; None where it is wrong or not after step `last`.

    A code is good once: store the step and give it as `last` from then on.
    """
    generator = pyotp.TOTP(seed, interval=PERIOD_S)
    current = int(time.time() if now is None else now) // PERIOD_S
    found = None
    for offset in STEPS:
        expected = generator.generate_otp(current + offset)
        right = hmac.compare_digest(expected.encode(), code.encode())
        if right and current + offset > last:
            found = current + offset
    return found


def new_recovery_codes() -> list[str]:
    """Return codes that replace a time-based one, each once."""
    return [
        "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))
        for _ in range(CODES)
    ]


def recovery_digest(code: str) -> bytes:
    """Return the digest under which a recovery code is stored, however it is typed."""
    plain = "".join(letter for letter in code.upper() if letter in LETTERS)
    return hashlib.sha256(plain.encode()).digest()
