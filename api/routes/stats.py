"""Counts over time, for charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import EARLIEST, DatabaseDep, Text, Time
from api.errors import Problem
from api.paging import json_response, moment
from api.permissions import allow

router = APIRouter(prefix="/v1/stats", tags=["stats"], dependencies=[Depends(allow("alerts:read"))])
BUCKETS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
MOST_BUCKETS = 2000
DEFAULT_SPAN = timedelta(days=1)
#: Columns that may be counted by; the only words that are put into the query.
ALERT_KEYS = {"severity": "severity", "rule": "rule_id", "source": "source", "status": "status"}
EVENT_KEYS = {
    "severity": "severity_id::text",
    "source": "source",
    "operation": "operation",
    "class": "class_uid::text",
}


class Count(BaseModel):
    """How many there are of `key` from `time` until the next bucket."""

    time: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    key: str = Field(examples=["high"])
    count: int = Field(examples=[3])


class Counts(BaseModel):
    """Counts over time; buckets without any are left out."""

    of: str = Field(examples=["alerts"])
    by: str = Field(examples=["severity"])
    bucket: str = Field(examples=["hour"])
    since: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    until: datetime = Field(examples=["2026-02-01T12:00:00.000Z"])
    items: list[Count]


@router.get("", response_model=Counts)
async def stats(
    database: DatabaseDep,
    of: Annotated[Literal["alerts", "events"], Query(description="What to count.")] = "alerts",
    by: Annotated[
        Literal["severity", "rule", "source", "status", "operation", "class"],
        Query(description="Rule and status are those of alerts, operation and class of events."),
    ] = "severity",
    bucket: Annotated[Literal["minute", "hour", "day"], Query()] = "hour",
    since: Annotated[Time, Query(description="Default: a day before `until`.")] = None,
    until: Annotated[Time, Query(description="Default: now.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
) -> Response:
    """Count alerts (by the time of their first event) or events over time."""
    end = until or datetime.now(UTC)
    start = since or max(end, EARLIEST + DEFAULT_SPAN) - DEFAULT_SPAN
    if end - start > BUCKETS[bucket] * MOST_BUCKETS:
        raise Problem(
            422,
            f"expected at most {MOST_BUCKETS} buckets of a {bucket} from since to until, "
            f"found {(end - start) // BUCKETS[bucket]}; take larger ones or a shorter time",
        )
    keys = ALERT_KEYS if of == "alerts" else EVENT_KEYS
    if by not in keys:
        raise Problem(422, f"by: {of} can be counted by {', '.join(keys)}, found {by}")
    query = f"{of.removesuffix('s')}_counts"
    rows = await database.fetch(
        query, BUCKETS[bucket], start, end, tenant or database.only, fill={"key": keys[by]}
    )
    return json_response(
        {
            "of": of,
            "by": by,
            "bucket": bucket,
            "since": moment(start),
            "until": moment(end),
            "items": [dict(row) | {"time": moment(row["time"])} for row in rows],
        }
    )
