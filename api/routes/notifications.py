"""Notification channels: alerts to Slack, Teams, mail, pagers, ticket systems and SIEMs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from api.deps import DatabaseDep, PrincipalDep, ServicesDep
from api.paging import json_response
from api.subscribers import models, store
from api.subscribers.routes import MANAGE, Shared, make, owner
from api.subscribers.store import Draft
from sentinel.subscribers.kinds import KINDS, MACHINES

router = APIRouter(prefix="/v1/notifications", tags=["subscribers"], dependencies=MANAGE)
Shared(router, webhooks=False)


@router.get("/kinds", response_model=models.Kinds)
async def list_kinds() -> Response:
    """Say what each kind of channel needs in its `config`, as JSON Schema."""
    found = {name: kind.model_json_schema() for name, kind in KINDS.items() if name != "webhook"}
    return json_response({"kinds": found})


@router.post("", status_code=201, response_model=models.Subscription)
async def create_channel(
    database: DatabaseDep, services: ServicesDep, who: PrincipalDep, body: models.NewChannel
) -> Response:
    """Subscribe a channel to alerts from now on. What is secret in its `config` is not shown.

    People are told of new alerts, machines of each amendment too, unless `options.amendments`
    says otherwise.
    """
    channel = store.channel(body.kind, body.config)
    options = body.options
    if "amendments" not in options.model_fields_set:
        options = options.model_copy(update={"amendments": body.kind in MACHINES})
    new = Draft(owner(who, body.tenant), store.fresh(), body.name, channel, body.filter, options)
    return await make(database, services.settings, new)
