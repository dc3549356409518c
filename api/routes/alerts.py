"""Alerts: list them, look at one and at the events it stands on."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import Cursor, DatabaseDep, Limit, ServicesDep, Text, Time, Word, WordsDep
from api.errors import Problem
from api.paging import decode_place, encode_place, json_response, moment, more, page, raw_json
from api.permissions import allow
from api.search import SEVERITIES, AlertFilter, Place, Severity

router = APIRouter(
    prefix="/v1/alerts", tags=["alerts"], dependencies=[Depends(allow("alerts:read"))]
)


class Alert(BaseModel):
    """One alert. Its id stays the same while more events are folded into it."""

    id: UUID = Field(examples=["6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"])
    time: datetime = Field(
        description="Time of its earliest event.", examples=["2026-01-31T12:00:00.000Z"]
    )
    tenant: str = Field(examples=["default"])
    source: str = Field(examples=["cloudtrail"])
    severity: Severity = Field(examples=["high"])
    score: float = Field(ge=0, le=1, description="Highest of its events.", examples=[0.7])
    rule_id: str = Field(examples=["0d7a9363-af70-4e7b-a3b7-1a176b7fbe84"])
    title: str = Field(examples=["Access key created for another user"])
    techniques: list[str] = Field(description="MITRE ATT&CK ids.", examples=[["T1098.001"]])
    entity: str = Field(description="Who did it.", examples=["arn:aws:iam::123456789012:user/ada"])
    event_uids: list[UUID] = Field(
        description="Its first 1,000 events; the evidence has them all.",
        examples=[["1b4e28ba-2fa1-51d2-883f-0016d3cca427"]],
    )
    explanation: dict[str, Any] = Field(
        description="Why it fired.", examples=[{"matched": {"eventName": "CreateAccessKey"}}]
    )
    status: str = Field(examples=["new"])
    count: int = Field(description="Events folded in so far.", examples=[1])


class Evidence(BaseModel):
    """One event that an alert stands on, kept as long as the alert."""

    event_uid: UUID = Field(examples=["1b4e28ba-2fa1-51d2-883f-0016d3cca427"])
    time: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    score: float = Field(examples=[0.7])
    source: str = Field(examples=["cloudtrail"])
    ocsf: dict[str, Any] | None = Field(None, examples=[{"class_uid": 6003}])
    raw: str | None = Field(None, description="As its source wrote it.", examples=["{…}"])
    raw_base64: str | None = Field(
        None, description="Instead of `raw` where that is not UTF-8.", examples=[None]
    )


class Alerts(BaseModel):
    """A page of alerts, newest first."""

    items: list[Alert]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class EvidencePage(BaseModel):
    """A page of evidence, in order of event time."""

    items: list[Evidence]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class AlertDetail(Alert):
    """One alert with a page of its evidence."""

    evidence: EvidencePage


def filters(
    since: Annotated[Time, Query(description="Alerts whose last event is not older.")] = None,
    until: Annotated[Time, Query(description="Alerts whose first event is older.")] = None,
    severity: Annotated[list[Severity] | None, Query(description="Any of these.")] = None,
    min_severity: Annotated[Severity | None, Query(description="This or worse.")] = None,
    rule: Annotated[Text, Query(description="Id of the rule or model.")] = None,
    entity: Annotated[Text, Query(description="Who did it, in full.")] = None,
    source: Annotated[Text, Query(description="Connector, such as cloudtrail.")] = None,
    technique: Annotated[
        str | None,
        Query(pattern=r"^[A-Z]{1,4}[0-9]{1,6}(\.[0-9]{1,6})?$", description="And what is below."),
    ] = None,
    status: Annotated[Word, Query(description="Such as new.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
) -> AlertFilter:
    """Return what alerts are asked for."""
    least = SEVERITIES.index(min_severity) + 1 if min_severity else None
    return AlertFilter(
        since, until, severity, least, rule, entity, source, technique, status, tenant
    )


Filters = Annotated[AlertFilter, Depends(filters)]


def alert(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an alert as JSON sends it."""
    return {
        "id": str(row["id"]),
        "time": moment(row["first_seen"]),
        "tenant": row["tenant"],
        "source": row["source"],
        "severity": row["severity"],
        "score": row["score"],
        "rule_id": row["rule_id"],
        "title": row["title"],
        "techniques": row["techniques"],
        "entity": row["entity"],
        "event_uids": [str(uid) for uid in row["event_uids"]],
        "explanation": raw_json(row["explanation"]),
        "status": row["status"],
        "count": row["count"],
    }


@router.get("", response_model=Alerts)
async def list_alerts(
    services: ServicesDep,
    database: DatabaseDep,
    filters: Filters,
    words: WordsDep,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List alerts, newest first by the time of their first event.

    `q` looks into title, rule, entity, techniques and explanation. Pages are stable: an
    alert created meanwhile does not move the others. Only one that turns out to have begun
    earlier moves on, and may come once more.
    """
    found = await services.search.alerts(database, filters, words, decode_place(cursor), limit)
    return page(map(alert, found.rows), encode_place(found.following))


@router.get("/{alert_id:uuid}", response_model=AlertDetail)
async def one_alert(
    database: DatabaseDep,
    alert_id: UUID,
    limit: Limit = 100,
    cursor: Cursor = None,
    payload: Annotated[bool, Query(description="False leaves `ocsf` and `raw` out.")] = True,
) -> Response:
    """Show one alert: its explanation and the events it stands on, a page at a time."""
    after = decode_place(cursor) or (None, None)
    async with database.reading() as connection:
        row = await connection.fetchrow(database.sql("alert"), alert_id)
        if row is None:
            raise Problem(404, f"there is no alert {alert_id}; GET /v1/alerts lists them")
        place = (row["tenant"], row["id"])
        rows = await connection.fetch(database.sql("evidence"), *place, *after, limit + 1)
    shown, last = more(rows, limit)
    following = encode_place(Place(last["time"], last["event_uid"]) if last else None)
    items = [evidence(item, payload) for item in shown]
    return json_response(alert(row) | {"evidence": {"items": items, "next": following}})


def evidence(row: Mapping[str, Any], payload: bool) -> dict[str, Any]:
    """Return the row of an event of an alert as JSON sends it."""
    item: dict[str, Any] = {
        "event_uid": str(row["event_uid"]),
        "time": moment(row["time"]),
        "score": row["score"],
        "source": row["source"],
    }
    if payload:
        item["ocsf"] = raw_json(row["ocsf"])
        try:
            item["raw"] = row["raw"].decode()
        except UnicodeDecodeError:
            item["raw_base64"] = base64.b64encode(row["raw"]).decode()
    return item
