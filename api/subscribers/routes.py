"""The routes that webhooks and notification channels share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api.deps import Cursor, Database, DatabaseDep, Limit, ServicesDep, Text
from api.errors import Problem
from api.identity.audit import audit
from api.paging import MAX_BIGINT, decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import Principal, allow
from api.subscribers import models, store
from api.subscribers.store import Draft
from sentinel.settings import Settings

MANAGE: Final = [Depends(allow("webhooks:manage"))]
DEFAULT_TENANT: Final = "default"


def owner(who: Principal, wanted: str | None) -> str:
    """Return whose a new subscription is; raise `Problem` (403) for another tenant's."""
    if who.everywhere:
        return wanted or DEFAULT_TENANT
    if wanted not in (None, who.tenant):
        raise Problem(403, f"tenant: expected {who.tenant} or none, found {wanted}")
    return who.tenant


async def make(
    database: Database, settings: Settings, new: Draft, secret: str | None = None
) -> Response:
    """Add a subscription and answer with it."""
    store.check_address(new.channel, settings.deliver_allow)
    async with database.writing() as connection:
        await store.insert(connection, new, store.vault(settings))
        kind = type(new.channel).__name__.lower()
        row = await store.find(connection, database, new.id, kind == "webhook")
        detail = {"name": new.name, "kind": kind, "tenant": new.tenant}
        await audit(connection, "subscription.create", str(new.id), detail)
    made = store.shown(row) | ({} if secret is None else {"secret": secret})
    return json_response(made, 201)


class Shared:
    """Routes over one of the two: `webhooks`, or every other kind."""

    def __init__(self, router: APIRouter, webhooks: bool) -> None:
        self._webhooks = webhooks
        one = "/{subscription:uuid}"
        add = router.add_api_route
        add("", self.list_(), methods=["GET"], response_model=models.Subscriptions)
        add(one, self.show(), methods=["GET"], response_model=models.Subscription)
        add(one, self.change(), methods=["PATCH"], response_model=models.Subscription)
        add(one, self.delete(), methods=["DELETE"], status_code=204, response_class=Response)
        add(
            f"{one}/test", self.test(), methods=["POST"], status_code=202,
            response_model=models.Accepted,
        )  # fmt: skip
        add(f"{one}/deliveries", self.log(), methods=["GET"], response_model=models.Deliveries)
        add(
            f"{one}/deliveries/{{delivery:uuid}}", self.delivery(), methods=["GET"],
            response_model=models.DeliveryDetail,
        )  # fmt: skip
        add(
            f"{one}/replay", self.replay(), methods=["POST"], status_code=202,
            response_model=models.Replayed,
        )  # fmt: skip

    def list_(self) -> Any:
        """Return the route of the list."""
        webhooks = self._webhooks

        async def list_subscriptions(
            database: DatabaseDep, tenant: Text = None, limit: Limit = 100, cursor: Cursor = None
        ) -> Response:
            """List them by name, without their secrets."""
            after = decode_cursor(cursor, str, str) if cursor else (None, None)
            only = database.only or tenant
            async with database.reading() as connection:
                rows = await connection.fetch(store.sql("list"), webhooks, only, *after, limit + 1)
            rows, last = more(rows, limit)
            return page(
                map(store.shown, rows),
                encode_cursor(last["tenant"], last["name"]) if last else None,
            )

        return list_subscriptions

    def show(self) -> Any:
        """Return the route of one."""
        webhooks = self._webhooks

        async def show_subscription(database: DatabaseDep, subscription: UUID) -> Response:
            """Show one, with how many deliveries wait and since when it fails."""
            async with database.reading() as connection:
                row = await store.find(connection, database, subscription, webhooks)
            return json_response(store.shown(row))

        return show_subscription

    def change(self) -> Any:
        """Return the route that changes."""
        webhooks = self._webhooks

        async def change_subscription(
            database: DatabaseDep, services: ServicesDep, subscription: UUID, body: models.Change
        ) -> Response:
            """Change one; what waits goes by the new options at once."""
            keys = store.vault(services.settings)
            async with database.writing() as connection:
                row = await store.find(connection, database, subscription, webhooks, lock=True)
                before = store.draft(row, keys)
                given = body.model_dump(exclude_none=True, include={"name", "enabled"})
                if body.filter is not None:
                    given["filter"] = body.filter
                if body.options is not None:
                    given["options"] = body.options
                if body.config is not None:
                    given["channel"] = store.changed(before.channel, row["kind"], body.config)
                    store.check_address(given["channel"], services.settings.deliver_allow)
                new = before._replace(**given)
                await store.update(connection, new, keys)
                if body.options is not None:
                    await store.relane(connection, new)
                after = await store.find(connection, database, subscription, webhooks)
                detail = {"name": after["name"], "changed": sorted(body.model_fields_set)}
                await audit(connection, "subscription.change", str(subscription), detail)
            return json_response(store.shown(after))

        return change_subscription

    def delete(self) -> Any:
        """Return the route that deletes."""
        webhooks = self._webhooks

        async def delete_subscription(database: DatabaseDep, subscription: UUID) -> Response:
            """Delete one, with what it was still to be told and its log."""
            async with database.writing() as connection:
                row = await store.find(connection, database, subscription, webhooks)
                await connection.execute(store.SQL["delete"], row["tenant"], subscription)
                detail = {"name": row["name"], "kind": row["kind"]}
                await audit(connection, "subscription.delete", str(subscription), detail)
            return Response(status_code=204)

        return delete_subscription

    def test(self) -> Any:
        """Return the route that sends a test."""
        webhooks = self._webhooks

        async def test_subscription(database: DatabaseDep, subscription: UUID) -> Response:
            """Send a test message, past what waits; its delivery tells what became of it."""
            async with database.writing() as connection:
                row = await store.find(connection, database, subscription, webhooks)
                if not row["enabled"]:
                    raise Problem(409, "expected one that is switched on: enable it first")
                ident = uuid4()
                text = orjson.dumps(ping(row, ident)).decode()
                await connection.execute(
                    store.SQL["ping"], row["tenant"], ident, subscription, text
                )
                await audit(connection, "subscription.test", str(subscription))
            return json_response({"delivery": str(ident)}, 202)

        return test_subscription

    def log(self) -> Any:
        """Return the route of the deliveries."""
        webhooks = self._webhooks

        async def list_deliveries(
            database: DatabaseDep,
            subscription: UUID,
            state: models.State | None = None,
            alert: Annotated[UUID | None, Query(description="Of this alert.")] = None,
            limit: Limit = 100,
            cursor: Cursor = None,
        ) -> Response:
            """List deliveries, the newest first; those that are over are kept for 30 days."""
            before = decode_cursor(cursor, int)[0] if cursor else None
            async with database.reading() as connection:
                row = await store.find(connection, database, subscription, webhooks)
                rows = await connection.fetch(
                    store.sql("deliveries"), row["tenant"], subscription, state, alert,
                    None if before is None else min(before, MAX_BIGINT), limit + 1,
                )  # fmt: skip
            rows, last = more(rows, limit)
            return page(map(store.shown, rows), encode_cursor(last["seq"]) if last else None)

        return list_deliveries

    def delivery(self) -> Any:
        """Return the route of one delivery."""
        webhooks = self._webhooks

        async def show_delivery(
            database: DatabaseDep, subscription: UUID, delivery: UUID
        ) -> Response:
            """Show what was sent and every attempt."""
            async with database.reading() as connection:
                row = await store.find(connection, database, subscription, webhooks)
                found = await connection.fetchrow(
                    store.sql("delivery"), row["tenant"], subscription, delivery
                )
                if found is None:
                    raise Problem(404, f"expected the id of a delivery, found {delivery}")
                tries = await connection.fetch(store.SQL["attempts"], row["tenant"], delivery)
            return json_response(store.shown(found) | {"log": list(map(store.shown, tries))})

        return show_delivery

    def replay(self) -> Any:
        """Return the route that sends again."""
        webhooks = self._webhooks

        async def replay_deliveries(
            database: DatabaseDep, subscription: UUID, body: models.Replay
        ) -> Response:
            """Send again with the same ids, or at once what waits to be tried again."""
            if not body.model_dump(exclude_none=True):
                raise Problem(422, "expected deliveries, state, since or until, found none")
            times = [each and each.astimezone(UTC) for each in (body.since, body.until)]
            async with database.writing() as connection:
                row = await store.find(connection, database, subscription, webhooks)
                done = await connection.execute(
                    store.SQL["replay"], row["tenant"], subscription, body.deliveries, body.state,
                    *times,
                )  # fmt: skip
                count = int(done.split()[-1])
                await audit(connection, "subscription.replay", str(subscription), {"count": count})
            return json_response({"replayed": count}, 202)

        return replay_deliveries


def ping(row: Mapping[str, Any], ident: UUID) -> dict[str, Any]:
    """Return a message in the form of an alert, that says it is a test."""
    now = moment(datetime.now(UTC))
    data = {
        "id": str(ident), "tenant": row["tenant"], "source": "sentinel", "kind": "test",
        "rule_id": "test", "title": f"Test of {row['name']}", "severity": "informational",
        "score": 0.0, "techniques": [], "entity": "sentinel", "explanation": {},
        "first_seen": now, "last_seen": now, "count": 0, "status": "new",
    }  # fmt: skip
    return {"type": "sentinel.ping", "timestamp": now, "data": data}
