"""Access tokens: JSON Web Tokens signed with keys of ours, and those keys.

What is checked follows ASVS 5.0 chapter 9, RFC 8725 and RFC 9068: the algorithm is the one
that the *key* is for, never what the token says; the key is one of ours, found by ``kid``
among those in the file (``jku``, ``x5u``, ``jwk``, ``x5c`` and ``crit`` are refused, not
ignored); ``typ`` is ``at+jwt``; issuer, audience, expiry, times and subject are required.

The keys are in ``identity-keys.json`` of SENTINEL_HOME (mode 0600), not in the database:
whoever reads that, or a copy of it, can neither sign in nor read the seeds of second
factors. Processes of one installation share the file and see a new key within one request.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
import orjson
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from sentinel.errors import SettingsError

FILE: Final = "identity-keys.json"
ISSUER: Final = "sentinel"
AUDIENCE: Final = "sentinel-api"
TYPE: Final = "at+jwt"
#: Seconds an access token is good for.
ACCESS_S: Final = 900
#: Seconds that a key which no longer signs still verifies: the life of what it signed, twice.
KEPT_S: Final = 2 * ACCESS_S
ALGORITHMS: Final = ("EdDSA", "RS256")
#: Header fields by which a token would bring or point to the key that verifies it.
FOREIGN: Final = frozenset({"jku", "x5u", "jwk", "x5c", "crit"})
#: Longer ones are none of ours.
MAX_TOKEN: Final = 4096


class Claims(NamedTuple):
    """Whose access token it is: user, tenant, session."""

    user: str
    tenant: str
    session: str


class Key(NamedTuple):
    """One key: how it is named, what it is for, since when it no longer signs (0: it does)."""

    kid: str
    algorithm: str
    pem: str
    retired: float


class Keys:
    """The keys of an installation.

    Parameters
    ----------
    home
        SENTINEL_HOME; the file is made at the first use.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._seen: tuple[int, int] | None = None
        self._signing: tuple[Key, Any]
        self._verifying: dict[str, tuple[Key, Any]]
        self._fernet: Fernet

    def issue(self, claims: Claims, now: float | None = None) -> str:
        """Return an access token for `ACCESS_S` seconds."""
        self._look()
        key, private = self._signing
        issued = int(time.time() if now is None else now)
        content = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": claims.user,
            "tenant": claims.tenant,
            "sid": claims.session,
            "jti": secrets.token_urlsafe(12),
            "iat": issued,
            "exp": issued + ACCESS_S,
        }
        return jwt.encode(content, private, key.algorithm, {"kid": key.kid, "typ": TYPE})

    def read(self, token: str) -> Claims | None:
        """Return whose token it is, None where it is not one of ours or no longer good."""
        if len(token) > MAX_TOKEN:
            return None
        self._look()
        try:
            header = jwt.get_unverified_header(token)
            found = self._verifying.get(str(header.get("kid")))
            if found is None or header.get("typ") != TYPE or FOREIGN & header.keys():
                return None
            key, public = found
            content = jwt.decode(
                token,
                public,
                [key.algorithm],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["iss", "aud", "sub", "exp", "iat", "tenant", "sid"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        claims = Claims(content["sub"], content["tenant"], content["sid"])
        return claims if all(isinstance(each, str) for each in claims) else None

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set (RFC 7517)."""
        self._look()
        return {"keys": [_public_jwk(key, public) for key, public in self._verifying.values()]}

    def encrypt(self, text: str) -> bytes:
        """Return `text` so that only this installation can read it."""
        self._look()
        return self._fernet.encrypt(text.encode())

    def decrypt(self, data: bytes, ttl_s: int | None = None) -> str:
        """Return what `encrypt` was given; raise `cryptography.fernet.InvalidToken` if not its."""
        self._look()
        return self._fernet.decrypt(data, ttl_s).decode()

    def rotate(self, algorithm: str = ALGORITHMS[0]) -> str:
        """Sign with a new key from now on; return its name.

        The one before still verifies what it signed (`KEPT_S`), older ones are forgotten.
        """
        self._look()  # makes the file where there is none
        with _locked(self._path):
            content = self._content()
            now = time.time()
            kept = [key for key in content["signing"] if now - (key[3] or now) < KEPT_S]
            retired = [[*key[:3], key[3] or now] for key in kept]
            new = _new(algorithm)
            _write(self._path, content | {"signing": [*retired, list(new)]})
        return new.kid

    def _look(self) -> None:
        """Read the file again where it changed; make it where there is none."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            _make(self._path)
            state = self._path.stat()
        if self._seen == (state.st_mtime_ns, state.st_ino):
            return
        content = self._content()
        keys = [Key(*key) for key in content["signing"]]
        private = {key.kid: _private(key) for key in keys}
        signing = next(key for key in reversed(keys) if not key.retired)
        self._signing = (signing, private[signing.kid])
        self._verifying = {key.kid: (key, private[key.kid].public_key()) for key in keys}
        self._fernet = Fernet(content["encryption"])
        self._seen = (state.st_mtime_ns, state.st_ino)

    def _content(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = orjson.loads(self._path.read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(f"expected the keys of tokens in {self._path}: {error}") from error
        return content


def _new(algorithm: str) -> Key:
    private: Any = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "EdDSA"
        else rsa.generate_private_key(public_exponent=65537, key_size=3072)
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Key(secrets.token_hex(8), algorithm, pem.decode(), 0)


def _private(key: Key) -> Any:
    return serialization.load_pem_private_key(key.pem.encode(), None)


def _public_jwk(key: Key, public: Any) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    found: dict[str, Any] = algorithm.to_jwk(public, as_dict=True)
    found.pop("key_ops", None)
    return found | {"kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _make(path: Path) -> None:
    with _locked(path):
        if not path.exists():
            _write(
                path,
                {"encryption": Fernet.generate_key().decode(), "signing": [list(_new("EdDSA"))]},
            )


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    temporary = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(content))
    temporary.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
