"""Webhooks: signatures that the reference verifies, old and new secret, both algorithms."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from sentinel.subscribers import signing
from sentinel.testing.server import failed, reply


@pytest.fixture
def hook(adapter, server):
    server.route("POST", "/hook", lambda _: reply({}))
    return lambda secrets: adapter("webhook", {"url": f"{server.url}/hook", "secrets": secrets})


async def test_both_secrets_verify_while_one_is_being_replaced(hook, server, message):
    old, new = signing.new("v1"), signing.new("v1")
    secrets = signing.rotated([signing.Secret(value=old)], new, time.time())
    assert not (await hook(secrets).send(message())).error
    (request,) = server.requests
    for secret in (old, new):
        assert Webhook(secret).verify(request.body, dict(request.headers))["type"]
    later = signing.headers(secrets, "id", time.time() + signing.GRACE_S + 1, b"{}")
    assert later["webhook-signature"].count("v1,") == 1


async def test_ed25519_is_verified_by_the_public_key_that_was_shown(hook, server, message):
    secret = signing.new("v1a")
    sent = message()
    await hook([signing.Secret(value=secret)]).send(sent)
    (request,) = server.requests
    key = base64.b64decode(signing.shown(secret).removeprefix("whpk_"))
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    kind, _, signature = headers["webhook-signature"].partition(",")
    assert kind == "v1a"
    Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature), signed)
    assert headers["webhook-id"] == sent.id


async def test_gone_is_told_apart(hook, server, message):
    server.script("/hook", failed(410), failed(404))
    one = hook([signing.Secret(value=signing.new("v1"))])
    assert (await one.send(message())).gone
    other = await one.send(message())
    assert (other.gone, other.permanent, other.status) == (False, False, 404)
