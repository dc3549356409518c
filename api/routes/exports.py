"""Exports: everything a search finds, as a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from api.deps import EARLIEST, LATEST, Database, DatabaseDep, ServicesDep
from api.exports import report, rows, stix, text
from api.exports.report import Content
from api.permissions import allow
from api.routes.alerts import alert, columns
from api.search.asked import AlertsWanted, EventsWanted, QueryText
from api.search.language.fields import ALERTS
from api.search.language.nodes import Node
from api.search.language.to_sql import Sql
from api.search.postgres import own
from sentinel import postgres

router = APIRouter(
    prefix="/v1/exports", tags=["exports"], dependencies=[Depends(allow("exports:read"))]
)
#: How many there are when the export begins; more or fewer may come.
TOTAL = "X-Total-Count"
Items = AsyncIterator[dict[str, Any]]
TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "xml": "application/xml",
    "stix": "application/stix+json;version=2.1",
    "pdf": "application/pdf",
}
SUFFIXES = {"stix": "stix.json"}
_ANY: dict[str, Any] = {}
OF: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: _ANY for kind in TYPES.values()}}
}


@router.get(
    "/alerts",
    response_class=Response,
    responses=OF,
    dependencies=[Depends(allow("alerts:read"))],
)
async def export_alerts(
    services: ServicesDep,
    database: DatabaseDep,
    wanted: AlertsWanted,
    query: QueryText = None,
    form: Annotated[
        Literal["json", "jsonl", "csv", "xml", "stix", "pdf"], Query(alias="format")
    ] = "jsonl",
) -> Response:
    """Export all alerts that a search finds, newest first, as one file.

    CSV leaves the explanation out, and cells that a spreadsheet would run begin with `'`.
    The PDF is a report with charts and the worst alerts. The others are sent while they
    are read: a connection that breaks leaves a file that is not whole.
    """
    count = await rows.total(database, "alerts", wanted)
    if form == "pdf":
        content = await _content(database, wanted, query or "", count)
        made = await asyncio.to_thread(report.pdf, content)
        return Response(made, headers=_headers("alerts", form, count), media_type=TYPES[form])
    fields = frozenset(text.COLUMNS["alerts"]) if form in {"csv", "stix"} else None
    return _streamed("alerts", form, count, rows.alerts(services, database, wanted, fields))


@router.get(
    "/events",
    response_class=Response,
    responses=OF,
    dependencies=[Depends(allow("events:read"))],
)
async def export_events(
    services: ServicesDep,
    database: DatabaseDep,
    wanted: EventsWanted,
    form: Annotated[Literal["json", "jsonl", "csv", "xml"], Query(alias="format")] = "jsonl",
) -> Response:
    """Export all events that a search finds, newest first; CSV has their columns alone."""
    count = await rows.total(database, "events", wanted)
    fields = frozenset(text.COLUMNS["events"]) if form == "csv" else None
    return _streamed("events", form, count, rows.events(services, database, wanted, fields))


def _streamed(of: str, form: str, count: int, items: Items) -> Response:
    writers: dict[str, Callable[[Items], AsyncIterator[bytes]]] = {
        "json": text.json,
        "jsonl": text.jsonl,
        "csv": partial(text.table, columns=text.COLUMNS[of]),
        "xml": partial(text.xml, of=of),
        "stix": stix.bundle,
    }
    parts = text.chunks(writers[form](items))
    return StreamingResponse(parts, headers=_headers(of, form, count), media_type=TYPES[form])


def _headers(of: str, form: str, count: int) -> dict[str, str]:
    name = f"sentinel-{of}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{SUFFIXES.get(form, form)}"
    return {"Content-Disposition": f'attachment; filename="{name}"', TOTAL: str(count)}


async def _content(database: Database, wanted: Node, query: str, count: int) -> Content:
    """Read what a report needs, all in one state of the database."""
    node = own(database, ALERTS, wanted)
    bounds = (EARLIEST, LATEST)
    charts: dict[str, list[tuple[str, int]]] = {}
    keys = {
        "By severity": "severity",
        "By status": "status",
        "By source": "source",
        "Rules and models": "title",
        "Who": "entity",
    }
    async with database.reading() as connection:
        for name, key in keys.items():
            found = await _ask(connection, "alert_top", node, (*bounds, report.BARS), key=key)
            charts[name] = [(row["key"], row["count"]) for row in found]
        found = await _ask(connection, "alert_techniques", node, bounds)
        charts["MITRE ATT&CK"] = [(row["technique"], row["count"]) for row in found]
        heat = await _ask(connection, "alert_heat", node, bounds)
        slim = frozenset({"explanation"})
        worst = await _ask(
            connection, "worst_alerts", node, (report.WORST,), alert_columns=columns(slim)
        )
    return Content(
        title="Security alerts",
        tenant="all" if database.tenant == postgres.ALL_TENANTS else database.tenant,
        query=query,
        total=count,
        charts=charts,
        heat=[(row["weekday"], row["hour"], row["count"]) for row in heat],
        worst=[alert(row) | {"explanation": orjson.loads(row["explanation"])} for row in worst],
    )


async def _ask(
    connection: Any, name: str, node: Node, args: tuple[Any, ...], **fill: str
) -> list[Any]:
    sql = Sql(after=len(args))
    text_ = Database.sql(name, wanted=sql.condition(node), **fill)
    return list(await connection.fetch(text_, *args, *sql.args))
