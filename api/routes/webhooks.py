"""Webhooks: alerts to a URL of one's own, signed as Standard Webhooks 1.0.0 says."""

from __future__ import annotations

import time
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from api.deps import DatabaseDep, PrincipalDep, ServicesDep
from api.identity.audit import audit
from api.paging import json_response
from api.subscribers import models, store
from api.subscribers.routes import MANAGE, Shared, make, owner
from api.subscribers.store import Draft
from sentinel.subscribers import signing
from sentinel.subscribers.kinds import Webhook
from sentinel.subscribers.signing import Secret

router = APIRouter(prefix="/v1/webhooks", tags=["subscribers"], dependencies=MANAGE)
Shared(router, webhooks=True)


@router.post("", status_code=201, response_model=models.MadeWebhook)
async def create_webhook(
    database: DatabaseDep, services: ServicesDep, who: PrincipalDep, body: models.NewWebhook
) -> Response:
    """Subscribe a URL to alerts from now on. The secret is shown this once."""
    secret = signing.new(body.algorithm)
    channel = Webhook(url=body.url, algorithm=body.algorithm, secrets=[Secret(value=secret)])
    tenant = owner(who, body.tenant)
    new = Draft(tenant, store.fresh(), body.name, channel, body.filter, body.options)
    return await make(database, services.settings, new, signing.shown(secret))


@router.post("/{subscription:uuid}/rotate", response_model=models.MadeWebhook)
async def rotate_secret(
    database: DatabaseDep, services: ServicesDep, subscription: UUID
) -> Response:
    """Make a new secret; for 24 hours messages have a signature of the one before too."""
    keys = store.vault(services.settings)
    async with database.writing() as connection:
        row = await store.find(connection, database, subscription, webhooks=True, lock=True)
        before = store.draft(row, keys)
        channel = before.channel
        assert isinstance(channel, Webhook)  # noqa: S101 # `find` looks for no other
        secret = signing.new(channel.algorithm)
        secrets = signing.rotated(channel.secrets, secret, time.time())
        after = channel.model_copy(update={"secrets": secrets})
        await store.update(connection, before._replace(channel=after), keys)
        row = await store.find(connection, database, subscription, webhooks=True)
        await audit(connection, "subscription.rotate", str(subscription), {"name": row["name"]})
    return json_response(store.shown(row) | {"secret": signing.shown(secret)})
