"""Recent events, in OCSF."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import Cursor, DatabaseDep, Limit, ServicesDep
from api.fields import Chosen, chooser, cut
from api.paging import decode_place, encode_place, moment, page, raw_json
from api.permissions import allow
from api.reading import Read
from api.search.asked import EventsWanted
from connectors._mapper import Mapper

router = APIRouter(
    prefix="/v1/events",
    tags=["events"],
    dependencies=[Depends(allow("events:read"))],
    route_class=Read,
)


class Event(BaseModel):
    """One event; numbers are those of OCSF."""

    uid: UUID = Field(examples=["1b4e28ba-2fa1-51d2-883f-0016d3cca427"])
    time: datetime = Field(description="When it happened.", examples=["2026-01-31T12:00:00.000Z"])
    arrived: datetime = Field(
        description="When it reached Kafka.", examples=["2026-01-31T12:00:03.000Z"]
    )
    tenant: str = Field(examples=["default"])
    source: str = Field(examples=["cloudtrail"])
    class_uid: int = Field(examples=[6003])
    activity_id: int = Field(examples=[1])
    status_id: int = Field(examples=[1])
    severity_id: int = Field(examples=[1])
    entity: str = Field(examples=["arn:aws:iam::123456789012:user/ada"])
    operation: str = Field(examples=["CreateAccessKey"])
    service: str = Field(examples=["iam.amazonaws.com"])
    src_ip: str = Field(examples=["192.0.2.1"])
    ocsf: dict[str, Any] = Field(description="The whole event.", examples=[{"class_uid": 6003}])


class Events(BaseModel):
    """A page of events, newest first by event time."""

    items: list[Event]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


Fields = Annotated[Chosen, Depends(chooser(Event))]


@router.get("", response_model=Events)
async def list_events(
    services: ServicesDep,
    database: DatabaseDep,
    wanted: EventsWanted,
    fields: Fields,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List events, newest first by event time.

    `query` is in the search language, where words and `raw.…` look into what the source
    wrote; `q` are words of it. The other parameters must hold too.

    PostgreSQL keeps those of the last days (SENTINEL_RETENTION_DAYS), Elasticsearch all.
    """
    found = await services.search.events(database, wanted, decode_place(cursor), limit)
    rows = [cut(event(row, services.mapper, fields), fields) for row in found.rows]
    return page(rows, encode_place(found.following))


def event(row: Mapping[str, Any], mapper: Mapper, fields: Chosen = None) -> dict[str, Any]:
    """Return the row of an event as JSON sends it: in OCSF, not as the source wrote it."""
    sent = dict(row)
    raw, ocsf = sent.pop("raw", ""), row["ocsf"]
    if ocsf is None and (fields is None or "ocsf" in fields):
        ocsf = mapper.ocsf(row["source"], row["tenant"], row["uid"].bytes, raw.encode())
    return sent | {
        "uid": str(row["uid"]),
        "time": moment(row["time"]),
        "arrived": moment(row["arrived"]),
        "ocsf": raw_json(ocsf or "null"),
    }
