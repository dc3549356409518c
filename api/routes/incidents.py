"""Incidents: alerts that belong together, what people make of them, and their alerts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from api.deps import Cursor, DatabaseDep, Limit, Text, Time, Word
from api.errors import Problem
from api.identity.audit import audit
from api.paging import decode_place, encode_place, json_response, moment, more, page
from api.permissions import allow
from api.routes.alert_work import IfMatch
from api.routes.alerts import Alert, alert, columns, tag
from api.search import SEVERITIES, Place, Severity
from api.search.language.values import MAX_INT
from api.work.alerts import Name, Status, matching

Beginning = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{4,36}$")] | None
router = APIRouter(
    prefix="/v1/incidents", tags=["incidents"], dependencies=[Depends(allow("alerts:read"))]
)


class Incident(BaseModel):
    """Alerts that share who, from where or on what, within a day."""

    id: UUID = Field(examples=["3cf03f26-1556-524b-9ffe-042b51676f8d"])
    seq: int = Field(description="Counts up from incident to incident.", examples=[12])
    revision: int = Field(description="Counts up with every change of any.", examples=[345])
    tenant: str = Field(examples=["default"])
    title: str = Field(examples=["Access key created for another user"])
    severity: Severity = Field(examples=["high"])
    score: float = Field(ge=0, le=1, examples=[0.9])
    tactics: list[str] = Field(examples=[["persistence"]])
    techniques: list[str] = Field(examples=[["T1098.001"]])
    entities: list[str] = Field(examples=[["arn:aws:iam::123456789012:user/ada"]])
    sources: list[str] = Field(examples=[["cloudtrail"]])
    alerts: int = Field(description="How many; 0 once it was merged.", examples=[4])
    status: str = Field(examples=["new"])
    assignee: str = Field(examples=["user:ada"])
    merged_into: UUID | None = Field(description="The incident that has its alerts now.")
    first_seen: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    last_seen: datetime = Field(examples=["2026-01-31T12:40:00.000Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:41:00.000Z"])


class Incidents(BaseModel):
    """A page of incidents, latest first."""

    items: list[Incident]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class Member(Alert):
    """One of the alerts of an incident."""

    kind: str = Field(description="rule, model, correlation, …", examples=["rule"])
    last_seen: datetime = Field(examples=["2026-01-31T12:40:00.000Z"])


class IncidentDetail(Incident):
    """One incident with a page of its alerts, in order of time."""

    members: list[Member]
    next: str | None = Field(description="Cursor of the next page of alerts; null on the last.")


class IncidentChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    status: Status | None = Field(None, examples=["in_progress"])
    assignee: Name | None = Field(None, examples=["user:ada"])


def incident(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an incident as JSON sends it."""
    plain = ("seq", "revision", "tenant", "title", "severity", "score", "tactics", "techniques")
    times = ("first_seen", "last_seen", "updated_at")
    return {
        "id": str(row["id"]),
        **{name: row[name] for name in (*plain, "entities", "sources", "alerts")},
        **{name: row[name] for name in ("status", "assignee")},
        "merged_into": row["merged_into"] and str(row["merged_into"]),
        **{name: moment(row[name]) for name in times},
    }


@router.get("", response_model=Incidents)
async def list_incidents(
    database: DatabaseDep,
    since: Annotated[Time, Query(description="Last seen at this time or later.")] = None,
    until: Annotated[Time, Query(description="First seen before.")] = None,
    min_severity: Annotated[Severity | None, Query(description="This or worse.")] = None,
    status: Annotated[Word, Query(description="Such as new.")] = None,
    entity: Annotated[Text, Query(description="One of its entities, in full.")] = None,
    merged: Annotated[bool, Query(description="Also those that are part of another.")] = False,
    min_alerts: Annotated[int, Query(ge=0, le=MAX_INT, description="Of so many alerts.")] = 0,
    id_begins: Annotated[Beginning, Query(description="The first characters of its id.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List incidents, those with the latest events first."""
    least = SEVERITIES.index(min_severity) + 1 if min_severity else None
    place = decode_place(cursor) or (None, None)
    what = (since, until, least, status, entity, merged, tenant or database.only, min_alerts)
    begins = id_begins and id_begins.lower()
    rows = await database.fetch("incidents", *what, begins, *place, limit + 1)
    shown, last = more(rows, limit)
    following = encode_place(Place(last["last_seen"], last["id"]) if last else None)
    return page(map(incident, shown), following)


@router.get("/{incident_id:uuid}", response_model=IncidentDetail)
async def one_incident(
    database: DatabaseDep, incident_id: UUID, limit: Limit = 1000, cursor: Cursor = None
) -> Response:
    """Show one incident with its alerts, a page at a time."""
    place = decode_place(cursor) or (None, None)
    async with database.reading() as connection:
        row = await connection.fetchrow(database.sql("incident"), incident_id)
        if row is None:
            raise _missing(incident_id)
        sql = database.sql("incident_members", alert_columns=columns())
        members = await connection.fetch(sql, row["tenant"], incident_id, *place, limit + 1)
    shown, last = more(members, limit)
    following = encode_place(Place(last["first_seen"], last["id"]) if last else None)
    detail = incident(row) | {"members": [_member(each) for each in shown], "next": following}
    return json_response(detail, headers={"ETag": tag(row)})


@router.patch(
    "/{incident_id:uuid}",
    response_model=Incident,
    dependencies=[Depends(allow("alerts:update"))],
)
async def change_incident(
    database: DatabaseDep, incident_id: UUID, wanted: IncidentChange, if_match: IfMatch = None
) -> Response:
    """Change status or assignee; its alerts stay as they are. `If-Match` as with alerts."""
    async with database.writing() as connection:
        await connection.execute(database.sql("lock_alerts"))
        row = await connection.fetchrow(database.sql("incident"), incident_id)
        if row is None:
            raise _missing(incident_id)
        matching(row, if_match)
        given = wanted.model_dump(exclude_none=True)
        final = {name: given.get(name, row[name]) for name in ("status", "assignee")}
        args = (row["tenant"], incident_id, *final.values())
        await connection.execute(database.sql("change_incident"), *args)
        shown = await connection.fetchrow(database.sql("incident"), incident_id)
        await audit(connection, "incident.change", str(incident_id), given, tenant=row["tenant"])
    return json_response(incident(shown), headers={"ETag": tag(shown)})


def _member(row: Mapping[str, Any]) -> dict[str, Any]:
    return alert(row) | {"kind": row["kind"], "last_seen": moment(row["last_seen"])}


def _missing(incident_id: UUID) -> Problem:
    return Problem(404, f"there is no incident {incident_id}; GET /v1/incidents lists them")
