"""Work on alerts: change, comment, merge, all of a search at once; what happened to one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Depends, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.deps import ActorDep, Cursor, Database, DatabaseDep, Limit, ServicesDep
from api.errors import Problem
from api.identity.audit import audit
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page, raw_json
from api.permissions import allow
from api.routes.alerts import Alert, alert, columns, tag
from api.search.asked import understood
from api.search.language.fields import ALERTS
from api.search.language.nodes import both
from api.work import feedback
from api.work.alerts import Change, Reason, change, locked, matching, merge
from api.work.learning import learn

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])
MOST = 1000
CHANGES = [Depends(allow("alerts:update"))]
IfMatch = Annotated[
    str | None, Header(max_length=500, description="ETag of the alert as it was looked at.")
]


class Comment(BaseModel):
    """A comment."""

    model_config = ConfigDict(extra="forbid")
    text: Reason = Field(examples=["Asked the owner of the account"])


class Bulk(BaseModel):
    """Which alerts to change, by id or by a search, and how."""

    model_config = ConfigDict(extra="forbid")
    ids: list[UUID] | None = Field(None, min_length=1, max_length=MOST)
    query: str | None = Field(
        None,
        max_length=2000,
        description=f"Those that it finds, at most {MOST}; fewer than it finds is an error.",
        examples=["rule:noisy AND status:new"],
    )
    change: Change


class Bulked(BaseModel):
    """What became of a change of many."""

    changed: int = Field(examples=[17])
    unchanged: int = Field(description="Were so already.", examples=[2])
    missing: list[UUID] = Field(description="Ids that there are not.")


class Merge(BaseModel):
    """Alerts that another one stands for from now on."""

    model_config = ConfigDict(extra="forbid")
    ids: list[UUID] = Field(min_length=1, max_length=100)


class Entry(BaseModel):
    """One thing that happened to an alert: by a person, or an event that it stands on."""

    at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    actor: str = Field(description="Empty for the pipeline.", examples=["user:ada"])
    action: str = Field(description="change, comment, merge, …, event", examples=["change"])
    detail: dict[str, Any] = Field(examples=[{"status": {"from": "new", "to": "triaged"}}])


class Timeline(BaseModel):
    """A page of what happened, oldest first."""

    items: list[Entry]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


@router.patch("/{alert_id:uuid}", response_model=Alert, dependencies=CHANGES)
async def change_alert(
    database: DatabaseDep,
    services: ServicesDep,
    actor: ActorDep,
    later: BackgroundTasks,
    alert_id: UUID,
    wanted: Change,
    if_match: IfMatch = None,
) -> Response:
    """Change status, assignee or disposition, or comment.

    With `If-Match` nothing is changed (412) where another person changed the alert since;
    events that joined it meanwhile do not matter. A disposition is published to the topic
    `feedback`; where it judges a model, the model's threshold for the tenant follows.
    """
    async with database.writing() as connection:
        row = _found(await locked(connection, [alert_id]), alert_id)
        matching(row, if_match)
        await change(connection, row, wanted, actor.subject)
        if wanted.disposition:
            await learn(connection, [row], services.settings.model_threshold)
        shown = await connection.fetchrow(database.sql("alert", alert_columns=columns()), alert_id)
        detail = wanted.model_dump(exclude_none=True, exclude={"comment"})
        await audit(connection, "alert.change", str(alert_id), detail, tenant=row["tenant"])
    if wanted.disposition:
        later.add_task(feedback.send, services)
    return _shown(shown, later)


@router.post("/{alert_id:uuid}/comments", response_model=Alert, dependencies=CHANGES)
async def comment(
    database: DatabaseDep, actor: ActorDep, alert_id: UUID, given: Comment
) -> Response:
    """Comment on an alert; the timeline shows it."""
    async with database.writing() as connection:
        row = _found(await locked(connection, [alert_id]), alert_id)
        await change(connection, row, Change(comment=given.text), actor.subject)
        shown = await connection.fetchrow(database.sql("alert", alert_columns=columns()), alert_id)
        await audit(connection, "alert.comment", str(alert_id), tenant=row["tenant"])
    return _shown(shown)


@router.post("/{alert_id:uuid}/merge", response_model=Alert, dependencies=CHANGES)
async def merge_alerts(
    database: DatabaseDep, actor: ActorDep, alert_id: UUID, given: Merge
) -> Response:
    """Let this alert stand for others: they are resolved and say where they went."""
    async with database.writing() as connection:
        rows = await locked(connection, [alert_id, *given.ids])
        into = _found(rows, alert_id)
        others = [_found(rows, each) for each in dict.fromkeys(given.ids)]
        await merge(connection, into, others, actor.subject)
        shown = await connection.fetchrow(database.sql("alert", alert_columns=columns()), alert_id)
    return _shown(shown)


@router.post("/bulk", response_model=Bulked, dependencies=CHANGES)
async def change_many(
    database: DatabaseDep,
    services: ServicesDep,
    actor: ActorDep,
    later: BackgroundTasks,
    given: Bulk,
) -> Response:
    """Change many alerts at once, all or none: those with these ids, or that a search finds."""
    if (given.ids is None) == (given.query is None):
        raise Problem(422, "expected either `ids` or `query`, found both or neither")
    wanted = list(dict.fromkeys(given.ids or await _searched(database, services, given.query)))
    changed = 0
    async with database.writing() as connection:
        rows = await locked(connection, wanted)
        for row in rows:
            changed += await change(connection, row, given.change, actor.subject)
        if given.change.disposition:
            await learn(connection, rows, services.settings.model_threshold)
        detail = given.change.model_dump(exclude_none=True) | {"alerts": len(rows)}
        for tenant in {row["tenant"] for row in rows}:
            await audit(connection, "alert.bulk", given.query or "", detail, tenant=tenant)
    if given.change.disposition:
        later.add_task(feedback.send, services)
    missing = set(wanted) - {row["id"] for row in rows}
    answer = {"changed": changed, "unchanged": len(rows) - changed}
    response = json_response(answer | {"missing": sorted(map(str, missing))})
    response.background = later
    return response


async def _searched(database: Database, services: Any, query: str | None) -> list[UUID]:
    wanted = both(*understood(query, ALERTS))
    slim = columns(frozenset({"id"}))
    found = await services.search.alerts(database, wanted, None, MOST, slim)
    if found.following:
        raise Problem(
            422, f"query: expected one that finds at most {MOST} alerts, found more; narrow it"
        )
    return [row["id"] for row in found.rows]


@router.get(
    "/{alert_id:uuid}/timeline",
    response_model=Timeline,
    dependencies=[Depends(allow("alerts:read"))],
)
async def timeline(
    database: DatabaseDep, alert_id: UUID, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Show what happened to an alert: its events, and what people changed and said."""
    after = decode_cursor(cursor, str, str) if cursor else (None, None)
    try:
        place = (after[0] and datetime.fromisoformat(after[0]), after[1])
    except ValueError:
        raise Problem(422, "cursor: expected `next` of an earlier page, found another") from None
    async with database.reading() as connection:
        row = await connection.fetchrow(database.sql("alert", alert_columns=columns()), alert_id)
        if row is None:
            raise _missing(alert_id)
        args = (row["tenant"], alert_id, *place, limit + 1)
        rows = await connection.fetch(database.sql("timeline"), *args)
    shown, last = more(rows, limit)
    following = encode_cursor(last["at"].isoformat(), last["place"]) if last else None
    return page((_entry(each) for each in shown), following)


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at": moment(row["at"]),
        "actor": row["actor"],
        "action": row["action"],
        "detail": raw_json(row["detail"]),
    }


def _found(rows: list[Any], alert_id: UUID) -> Any:
    for row in rows:
        if row["id"] == alert_id:
            return row
    raise _missing(alert_id)


def _missing(alert_id: UUID) -> Problem:
    return Problem(404, f"there is no alert {alert_id}; GET /v1/alerts lists them")


def _shown(row: Any, later: BackgroundTasks | None = None) -> Response:
    response = json_response(alert(row), headers={"ETag": tag(row)})
    response.background = later
    return response
