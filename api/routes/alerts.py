"""Alerts: list them, look at one and at the events it stands on."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import Cursor, Database, DatabaseDep, Limit, ServicesDep
from api.errors import Problem
from api.fields import Chosen, chooser, cut
from api.paging import decode_place, encode_place, json_response, moment, more, page, raw_json
from api.permissions import allow
from api.reading import Read
from api.search import Place, Severity
from api.search.asked import AlertsWanted
from api.search.language.fields import DISPOSITIONS, STATUSES

router = APIRouter(
    prefix="/v1/alerts",
    tags=["alerts"],
    dependencies=[Depends(allow("alerts:read"))],
    route_class=Read,
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
    status: str = Field(description=f"One of {', '.join(STATUSES)}.", examples=["new"])
    count: int = Field(description="Events folded in so far.", examples=[1])
    assignee: str = Field(description="Who works on it.", examples=["user:ada"])
    disposition: str = Field(
        description=f"What it turned out to be: {', '.join(DISPOSITIONS)}; empty: not known yet.",
        examples=["true_positive"],
    )
    disposition_reason: str = Field(examples=["Key was rotated without a ticket"])
    merged_into: UUID | None = Field(description="The alert that stands for it.", examples=[None])
    suppression: str = Field(description="Id of what suppressed it.", examples=[""])
    updated_at: datetime = Field(
        description="When it last changed in any way.", examples=["2026-01-31T12:00:01.000Z"]
    )


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


class Opinion(BaseModel):
    """What a service outside says of a value in the alert (`SENTINEL_OPINIONS`)."""

    service: str = Field(examples=["virustotal"])
    kind: str = Field(description="ip, domain or hash.", examples=["ip"])
    value: str = Field(examples=["192.0.2.1"])
    state: str = Field(description="pending, answered or failed.", examples=["answered"])
    said: str = Field(examples=["12 of 90 engines"])
    malicious: bool | None = Field(description="Null: it does not judge.", examples=[True])
    link: str = Field(description="Where to read more.", examples=[""])
    error: str = Field(description="Why there is no answer yet.", examples=[""])
    asked_at: datetime | None = Field(examples=["2026-01-31T12:00:01.000Z"])


class AlertDetail(Alert):
    """One alert with a page of its evidence, and what services outside say of it."""

    evidence: EvidencePage
    opinions: list[Opinion]


Fields = Annotated[Chosen, Depends(chooser(Alert))]


def columns(fields: Chosen = None) -> str:
    """Return the columns of an alert; those that cost most only where they are asked for."""
    fill = {name: "NULL" for name in ("event_uids", "explanation") if fields and name not in fields}
    return Database.sql("alert_columns", **fill)


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
        "event_uids": [str(uid) for uid in row["event_uids"] or ()],
        "explanation": raw_json(row["explanation"] or "null"),
        "status": row["status"],
        "count": row["count"],
        "assignee": row["assignee"],
        "disposition": row["disposition"],
        "disposition_reason": row["disposition_reason"],
        "merged_into": row["merged_into"] and str(row["merged_into"]),
        "suppression": row["suppression"],
        "updated_at": moment(row["updated_at"]),
    }


@router.get("", response_model=Alerts)
async def list_alerts(
    services: ServicesDep,
    database: DatabaseDep,
    wanted: AlertsWanted,
    fields: Fields,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List alerts, newest first by the time of their first event.

    `query` is in the search language, where words look into title, rule, entity, techniques
    and explanation; `q` are such words. The other parameters must hold too. Pages are
    stable: an alert created meanwhile does not move the others. Only one that turns out to
    have begun earlier moves on, and may come once more.
    """
    place = decode_place(cursor)
    found = await services.search.alerts(database, wanted, place, limit, columns(fields))
    items = [cut(alert(row), fields) for row in found.rows]
    return page(items, encode_place(found.following))


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
    wanted = (alert_id, *after, limit + 1)
    fill = {"alert_columns": columns()}
    rows = await database.fetch("alert_detail", *wanted, fill=fill, by_id=True)
    if not rows:
        raise Problem(404, f"there is no alert {alert_id}; GET /v1/alerts lists them")
    row = rows[0]
    shown, last = more([Proof(*each) for each in row["evidence"]], limit)
    following = encode_place(Place(last.time, last.event_uid) if last else None)
    detail = alert(row) | {
        "evidence": {"items": [evidence(each, payload) for each in shown], "next": following},
        "opinions": [opinion(*each) for each in row["opinions"]],
    }
    return json_response(detail, headers={"ETag": tag(row)})


def tag(row: Mapping[str, Any]) -> str:
    """Return the ETag of an alert: of what people changed, and of any change."""
    return f'"{row["version"]}.{row["revision"]}"'


class Proof(NamedTuple):
    """An event of an alert as ``queries.sql`` has it."""

    event_uid: UUID
    time: datetime
    score: float
    source: str
    ocsf: str
    raw: bytes


def evidence(event: Proof, payload: bool) -> dict[str, Any]:
    """Return an event of an alert as JSON sends it."""
    item: dict[str, Any] = {
        "event_uid": str(event.event_uid),
        "time": moment(event.time),
        "score": event.score,
        "source": event.source,
    }
    if payload:
        item["ocsf"] = raw_json(event.ocsf)
        try:
            item["raw"] = event.raw.decode()
        except UnicodeDecodeError:
            item["raw_base64"] = base64.b64encode(event.raw).decode()
    return item


def opinion(*values: Any) -> dict[str, Any]:
    """Return what a service said as JSON sends it."""
    item = dict(zip(Opinion.model_fields, values, strict=True))
    return item | {"asked_at": item["asked_at"] and moment(item["asked_at"])}
