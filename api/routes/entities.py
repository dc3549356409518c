"""Entities: who acts, how much risk their alerts add up to, and what happened around them.

The risk of an entity is that of its alerts that are neither resolved nor suppressed, merged
nor disproved, of the last 30 days. Alerts count by their score, halved each 7 days, and add
up as independent evidence does: ``100 * (1 - product(1 - score * 0.5 ** (age / 7 d)))``, the
noisy-or of Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, section 4.3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import Cursor, DatabaseDep, Limit, Text
from api.errors import Problem
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import allow

router = APIRouter(
    prefix="/v1/entities", tags=["entities"], dependencies=[Depends(allow("alerts:read"))]
)
Name = Annotated[str, Query(alias="entity", min_length=1, max_length=512, pattern=r"^[^\x00]*$")]


class Entity(BaseModel):
    """Who acts, with the risk of what is open."""

    entity: str = Field(examples=["arn:aws:iam::123456789012:user/ada"])
    tenant: str = Field(examples=["default"])
    risk: float = Field(ge=0, le=100, examples=[83.5])
    alerts: int = Field(description="Open ones of the last 30 days.", examples=[3])
    worst: str = Field(examples=["high"])
    techniques: list[str] = Field(examples=[["T1078.004"]])
    sources: list[str] = Field(examples=[["cloudtrail"]])
    last_seen: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])


class Entities(BaseModel):
    """Entities with open alerts, highest risk first."""

    items: list[Entity]


class Happening(BaseModel):
    """One thing that happened: an alert of the entity, or an event that an alert stands on."""

    at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    kind: str = Field(description="alert or event", examples=["alert"])
    id: str = Field(description="Of the alert or the event.")
    alert_id: str
    title: str = Field(examples=["Access key created for another user"])
    severity: str = Field(examples=["high"])
    status: str = Field(examples=["new"])
    source: str = Field(examples=["cloudtrail"])


class Happenings(BaseModel):
    """A page of what happened, latest first."""

    items: list[Happening]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


def entity(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an entity as JSON sends it."""
    return dict(row) | {"risk": round(row["risk"], 1), "last_seen": moment(row["last_seen"])}


@router.get("", response_model=Entities)
async def list_entities(
    database: DatabaseDep,
    name: Annotated[Text, Query(alias="entity", description="This one alone, in full.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
) -> Response:
    """List who has open alerts, highest risk first."""
    rows = await database.fetch("entities", name, tenant or database.only, limit)
    return json_response({"items": [entity(row) for row in rows]})


@router.get("/timeline", response_model=Happenings)
async def timeline(
    database: DatabaseDep,
    name: Name,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Show the alerts of an entity and the events they stand on, latest first."""
    place: tuple[Any, ...] = (None, None)
    if cursor:
        at, identity = decode_cursor(cursor, str, str)
        try:
            place = (datetime.fromisoformat(at), identity)
        except ValueError:
            raise Problem(
                422, "cursor: expected `next` of an earlier page, found another"
            ) from None
    rows = await database.fetch("entity_timeline", name, tenant or database.only, *place, limit + 1)
    shown, last = more(rows, limit)
    following = encode_cursor(last["at"].isoformat(), last["id"]) if last else None
    return page((dict(row) | {"at": moment(row["at"])} for row in shown), following)
