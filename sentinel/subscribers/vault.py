"""Secrets at rest: sealed with AES-256-GCM, bound to the row they belong to.

Keys come from ``SENTINEL_SECRETS_KEY`` (base64 of 32 bytes, or ``env:``/``file:`` references;
several separated by commas, the first one seals) or from the file ``secrets.key`` of
SENTINEL_HOME, which is made at first use. Whoever has the database alone has no secret; a
sealed value that is moved to another row does not open there.

Sealed: 1 byte of format, 4 of the key's SHA-256, 12 of nonce (random; NIST SP 800-38D allows
2^32 seals a key), then cipher text and tag.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sentinel.errors import SettingsError
from sentinel.settings import Settings, resolve

KEY_FILE: Final = "secrets.key"
KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
_NONCE: Final = 12
_HEAD: Final = 1 + 4


class Vault:
    """Seals and opens with one key, and opens with older ones too.

    >>> vault = Vault([bytes(32)])
    >>> vault.open(vault.seal(b"secret", "row 1"), "row 1")
    b'secret'

    Parameters
    ----------
    keys
        Of 32 bytes each; the first one seals.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_name(key): AESGCM(key) for key in keys}
        self._first = _name(keys[0])

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Take the keys of `settings`, else those of SENTINEL_HOME, made where there are none.

        Raises
        ------
        SettingsError
            A key is not base64 of 32 bytes, or the file cannot be read or made.
        """
        given = settings.secrets_key.get_secret_value()
        if given:
            return cls([_key(resolve(part.strip())) for part in given.split(",")])
        path = settings.home / KEY_FILE
        try:
            _make(path)
            return cls([_key(line) for line in path.read_text().split()])
        except OSError as error:
            raise SettingsError(f"expected to read the key in {path}: {error}") from error

    def seal(self, plain: bytes, row: str) -> bytes:
        """Return `plain` sealed for `row`."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._keys[self._first].encrypt(nonce, plain, row.encode())
        return _FORMAT + self._first + nonce + sealed

    def open(self, sealed: bytes, row: str) -> bytes:
        """Return what was sealed for `row`.

        Raises
        ------
        SettingsError
            No key of ours sealed it, or it was changed, or belongs to another row.
        """
        key = self._keys.get(sealed[1:_HEAD]) if sealed[:1] == _FORMAT else None
        if key is None:
            raise SettingsError(
                "expected a secret sealed with SENTINEL_SECRETS_KEY or secrets.key of "
                "SENTINEL_HOME, found one of another key: add that key, or set the secret anew"
            )
        nonce, rest = sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
        try:
            return key.decrypt(nonce, rest, row.encode())
        except (InvalidTag, ValueError) as error:
            raise SettingsError("a sealed secret was changed, or is another row's") from error


def _name(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[: _HEAD - 1]


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"expected a key for secrets: base64 of {KEY_BYTES} bytes, found {len(key)} bytes; "
            "make one with `openssl rand -base64 32`"
        )
    return key


def _make(path: Path) -> None:
    """Make the key file (mode 0600) where there is none: whole, or not at all."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
    with suppress(FileExistsError):  # another process was first: its key holds
        os.link(fresh, path)
    fresh.unlink()


def bound(tenant: str, ident: object) -> str:
    """Return the row that the secrets of a subscription are bound to."""
    return f"{tenant}/{ident}"
