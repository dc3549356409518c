"""Access tokens under attack, the keys that sign them, and API keys."""

from __future__ import annotations

import base64
import json
import stat
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from api.identity.signing import ACCESS_S, AUDIENCE, FILE, ISSUER, KEPT_S, TYPE, Claims, Keys

CLAIMS = Claims(
    "6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11", "acme", "1b4e28ba-2fa1-51d2-883f-0016d3cca427"
)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def content(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": CLAIMS.user,
        "tenant": CLAIMS.tenant,
        "sid": CLAIMS.session,
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def our_key(home: Path) -> tuple[str, Any]:
    """Return name and private key of the installation, as its owner has them."""
    kid, _, pem, _ = json.loads((home / FILE).read_text())["signing"][-1]
    return kid, serialization.load_pem_private_key(pem.encode(), None)


def signed(home: Path, claims: dict[str, Any], **header: Any) -> str:
    kid, private = our_key(home)
    fields = {"kid": kid, "typ": TYPE, **header}
    return jwt.encode(claims, private, "EdDSA", {k: v for k, v in fields.items() if v is not None})


def test_what_is_issued_is_read_and_short_lived(keys: Keys) -> None:
    assert keys.read(keys.issue(CLAIMS)) == CLAIMS
    assert ACCESS_S == 900
    assert keys.read(keys.issue(CLAIMS, time.time() - ACCESS_S - 1)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another-api"},
        {"aud": None},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"iat": None},
        {"nbf": int(time.time()) + 86_400},
        {"sub": None},
        {"sub": 7},
        {"tenant": None},
        {"tenant": ["*"]},
        {"sid": None},
    ],
    ids=lambda changes: "".join(changes),  # no times: a name must stay the same
)
def test_claims_that_are_missing_or_wrong(tmp_path: Path, keys: Keys, changes: Any) -> None:
    keys.issue(CLAIMS)  # makes the file
    assert keys.read(signed(tmp_path, content())) == CLAIMS
    assert keys.read(signed(tmp_path, content(**changes))) is None


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": "../../identity-keys.json"},
        {"kid": "' OR 1=1 --"},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/cert.pem"},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"x5c": ["MIIB"]},
        {"crit": ["b64"], "b64": True},
    ],
    ids=str,
)
def test_headers_that_no_token_of_ours_has(tmp_path: Path, keys: Keys, header: Any) -> None:
    keys.issue(CLAIMS)
    assert keys.read(signed(tmp_path, content(), **header)) is None


def test_no_signature_is_none(keys: Keys) -> None:
    kid = keys.jwks()["keys"][0]["kid"]
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        parts = ({"alg": algorithm, "kid": kid, "typ": TYPE}, content())
        text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        assert keys.read(f"{text}.") is None
        assert keys.read(text) is None
    token = keys.issue(CLAIMS)
    assert keys.read(token.rpartition(".")[0] + ".") is None
    assert keys.read(token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")) is None


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("own", ["EdDSA", "RS256"])
def test_a_public_key_is_no_shared_secret(tmp_path: Path, keys: Keys, own: str) -> None:
    """HS256 with the public key as its secret: the confusion of algorithms."""
    import hashlib
    import hmac

    keys.rotate(own) if keys.jwks() else None
    kid, private = our_key(tmp_path)
    public = private.public_key()
    forms = [
        (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    ]
    if own == "EdDSA":
        forms.append((serialization.Encoding.Raw, serialization.PublicFormat.Raw))
    for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
        for form in forms:
            secret = public.public_bytes(*form)
            parts = ({"alg": algorithm, "kid": kid, "typ": TYPE}, content())
            text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
            mark = hmac.new(secret, text.encode(), digest).digest()
            assert keys.read(f"{text}.{base64url(mark)}") is None


def test_keys_of_others_do_not_sign_for_ours(keys: Keys) -> None:
    kid = keys.jwks()["keys"][0]["kid"]
    foreign: list[tuple[Any, str]] = [
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
    ]
    for private, algorithm in foreign:
        token = jwt.encode(content(), private, algorithm, {"kid": kid, "typ": TYPE})
        assert keys.read(token) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "x" * 5000, "a.b.c.d.e", "\x00"])
def test_what_is_no_token_is_refused_quietly(keys: Keys, text: str) -> None:
    assert keys.read(text) is None


def test_rotation_keeps_what_was_signed_and_then_forgets(tmp_path: Path, keys: Keys) -> None:
    first = keys.issue(CLAIMS)
    other = Keys(tmp_path)  # another process
    assert other.read(first) == CLAIMS
    kid = other.rotate("RS256")
    second = keys.issue(CLAIMS)
    assert jwt.get_unverified_header(second) == {"alg": "RS256", "kid": kid, "typ": TYPE}
    assert keys.read(first) == CLAIMS
    assert other.read(second) == CLAIMS
    shown = keys.jwks()["keys"]
    assert [key["alg"] for key in shown] == ["EdDSA", "RS256"]
    assert not {"d", "p", "q"} & {name for key in shown for name in key}
    stored = json.loads((tmp_path / FILE).read_text())
    stored["signing"][0][3] -= KEPT_S  # as time goes by
    (tmp_path / FILE).write_text(json.dumps(stored))
    keys.rotate()
    assert len(keys.jwks()["keys"]) == 2
    assert keys.read(first) is None


def test_the_file_of_keys_is_private(tmp_path: Path, keys: Keys) -> None:
    keys.issue(CLAIMS)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    keys.rotate()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


async def test_a_token_of_ours_that_is_changed_is_refused_by_the_api(
    people, stranger, home, tenant
) -> None:
    ada = await people.add(tenant)
    claims = jwt.decode(ada.access, options={"verify_signature": False})
    for changes in ({"tenant": "*"}, {"tenant": "other"}, {"sid": CLAIMS.session}):
        token = signed(home, claims | changes)  # even with our own key
        answer = await stranger.get("/v1/account", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, changes
    keys = (await stranger.get("/.well-known/jwks.json")).json()["keys"]
    public = jwt.PyJWK(keys[0])
    assert jwt.decode(ada.access, public, ["EdDSA"], audience=AUDIENCE)["sub"] == ada.id


async def test_signing_keys_are_changed_by_the_platform_only(people, stranger, tenant) -> None:
    admin = await people.add(tenant, "admin")
    refused = await stranger.post("/v1/auth/signing-keys", headers=admin.headers, json={})
    assert refused.status_code == 403
    assert (await people.client.post("/v1/auth/signing-keys", json={})).status_code == 201
    assert (await stranger.get("/v1/account", headers=admin.headers)).status_code == 200
