"""Counts for charts: over time, the most frequent, by weekday and hour, by MITRE technique."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import EARLIEST, DatabaseDep, Text, Time
from api.errors import Problem
from api.paging import json_response, moment
from api.permissions import allow
from api.reading import Read
from api.search.asked import QueryText, understood
from api.search.language.fields import ALERTS, EVENTS
from api.search.language.nodes import Equal, Node, both
from api.search.language.to_sql import Sql
from api.search.postgres import own

router = APIRouter(
    prefix="/v1/stats",
    tags=["stats"],
    dependencies=[Depends(allow("alerts:read"))],
    route_class=Read,
)
BUCKETS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
MOST_BUCKETS = 2000
DEFAULT_SPAN = timedelta(days=1)
#: Columns that may be counted by; the only words that are put into the query.
ALERT_KEYS = {
    "severity": "severity",
    "rule": "rule_id",
    "source": "source",
    "status": "status",
    "entity": "entity",
    "assignee": "assignee",
    "disposition": "disposition",
}
EVENT_KEYS = {
    "severity": "severity_id::text",
    "source": "source",
    "operation": "operation",
    "class": "class_uid::text",
    "entity": "entity",
    "service": "service",
    "src_ip": "src_ip",
}
# fmt: off
Key = Literal[
    "severity", "rule", "source", "status", "entity", "assignee", "disposition",
    "operation", "class", "service", "src_ip",
]
# fmt: on


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


class Ranked(BaseModel):
    """One of the most frequent."""

    key: str = Field(examples=["arn:aws:iam::123456789012:user/ada"])
    count: int = Field(examples=[42])


class Top(BaseModel):
    """The most frequent, and how many there are in all."""

    of: str = Field(examples=["alerts"])
    by: str = Field(examples=["entity"])
    total: int = Field(examples=[96])
    items: list[Ranked]


class Cell(BaseModel):
    """How many there were in an hour of a weekday, UTC."""

    weekday: int = Field(description="1 is Monday, 7 Sunday.", examples=[1])
    hour: int = Field(examples=[13])
    count: int = Field(examples=[7])


class Heat(BaseModel):
    """Counts by weekday and hour; cells without any are left out."""

    of: str = Field(examples=["alerts"])
    items: list[Cell]


class Technique(BaseModel):
    """How many alerts a technique has, and the worst of them."""

    technique: str = Field(examples=["T1078.004"])
    count: int = Field(examples=[5])
    worst: str = Field(description="Highest severity.", examples=["high"])


class Matrix(BaseModel):
    """Counts by MITRE ATT&CK technique."""

    items: list[Technique]


class Span(NamedTuple):
    """What is counted, and from when until when."""

    of: str
    start: datetime
    end: datetime
    wanted: Node

    def sql(self, database: Any, after: int) -> tuple[str, list[Any]]:
        """Return the condition and its parameters, numbered from ``after + 1`` on."""
        sql = Sql(after)
        subject = ALERTS if self.of == "alerts" else EVENTS
        return sql.condition(own(database, subject, self.wanted)), sql.args


async def span(
    of: Annotated[Literal["alerts", "events"], Query(description="What to count.")] = "alerts",
    since: Annotated[Time, Query(description="Default: a day before `until`.")] = None,
    until: Annotated[Time, Query(description="Default: now.")] = None,
    query: QueryText = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
) -> Span:
    """Return what is to be counted."""
    end = until or datetime.now(UTC)
    start = since or max(end, EARLIEST + DEFAULT_SPAN) - DEFAULT_SPAN
    subject = ALERTS if of == "alerts" else EVENTS
    wanted = understood(query, subject)
    if tenant is not None:
        wanted.append(Equal(subject.fields["tenant"], tenant))
    return Span(of, start, end, both(*wanted))


SpanDep = Annotated[Span, Depends(span)]


def column(of: str, by: str) -> str:
    """Return the column to count by; raise `Problem` (422) where there is none."""
    keys = ALERT_KEYS if of == "alerts" else EVENT_KEYS
    if by not in keys:
        raise Problem(422, f"by: {of} can be counted by {', '.join(keys)}, found {by}")
    return keys[by]


@router.get("", response_model=Counts)
async def stats(
    database: DatabaseDep,
    wanted: SpanDep,
    by: Annotated[Key, Query(description="Some are of alerts or of events alone.")] = "severity",
    bucket: Annotated[Literal["minute", "hour", "day"], Query()] = "hour",
) -> Response:
    """Count alerts (by the time of their first event) or events over time."""
    if wanted.end - wanted.start > BUCKETS[bucket] * MOST_BUCKETS:
        raise Problem(
            422,
            f"expected at most {MOST_BUCKETS} buckets of a {bucket} from since to until, found "
            f"{(wanted.end - wanted.start) // BUCKETS[bucket]}; take larger ones or a shorter time",
        )
    condition, args = wanted.sql(database, 3)
    fill = {"key": column(wanted.of, by), "wanted": condition}
    what = (BUCKETS[bucket], wanted.start, wanted.end, *args)
    rows = await database.fetch(f"{wanted.of.removesuffix('s')}_counts", *what, fill=fill)
    return json_response(
        {
            "of": wanted.of,
            "by": by,
            "bucket": bucket,
            "since": moment(wanted.start),
            "until": moment(wanted.end),
            "items": [dict(row) | {"time": moment(row["time"])} for row in rows],
        }
    )


@router.get("/top", response_model=Top)
async def top(
    database: DatabaseDep,
    wanted: SpanDep,
    by: Annotated[Key, Query(description="Some are of alerts or of events alone.")] = "entity",
    limit: Annotated[int, Query(ge=1, le=100, description="How many of them.")] = 10,
) -> Response:
    """Rank what alerts or events there are most of."""
    condition, args = wanted.sql(database, 3)
    fill = {"key": column(wanted.of, by), "wanted": condition}
    what = (wanted.start, wanted.end, limit, *args)
    rows = await database.fetch(f"{wanted.of.removesuffix('s')}_top", *what, fill=fill)
    items = [{"key": row["key"], "count": row["count"]} for row in rows]
    total = rows[0]["total"] if rows else 0
    return json_response({"of": wanted.of, "by": by, "total": total, "items": items})


@router.get("/heatmap", response_model=Heat)
async def heatmap(database: DatabaseDep, wanted: SpanDep) -> Response:
    """Count by weekday and hour, in UTC."""
    condition, args = wanted.sql(database, 2)
    query = f"{wanted.of.removesuffix('s')}_heat"
    what = (wanted.start, wanted.end, *args)
    rows = await database.fetch(query, *what, fill={"wanted": condition})
    return json_response({"of": wanted.of, "items": [dict(row) for row in rows]})


@router.get("/mitre", response_model=Matrix)
async def mitre(database: DatabaseDep, wanted: SpanDep) -> Response:
    """Count alerts by ATT&CK technique; an alert counts for each that it has."""
    if wanted.of != "alerts":
        raise Problem(422, "of: expected alerts, which have techniques; found events")
    condition, args = wanted.sql(database, 2)
    what = (wanted.start, wanted.end, *args)
    rows = await database.fetch("alert_techniques", *what, fill={"wanted": condition})
    return json_response({"items": [dict(row) for row in rows]})
