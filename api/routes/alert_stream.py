"""Alerts as they are created and amended: server-sent events, resumable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.deps import Database, DatabaseDep, Services
from api.errors import Problem
from api.paging import MAX_BIGINT
from api.permissions import allow
from api.routes.alerts import alert, columns
from api.search.asked import AlertsWanted
from api.search.language.fields import ALERTS
from api.search.language.nodes import Node
from api.search.language.to_sql import Sql
from api.search.postgres import own
from sentinel import postgres

router = APIRouter(
    prefix="/v1/alerts", tags=["alerts"], dependencies=[Depends(allow("alerts:read"))]
)
#: Seconds between two looks of a client, and how long what one of them saw does for all.
POLL_S = 0.5
SHARED_S = POLL_S / 2
HEARTBEAT_S = 15
#: Seconds a stream has to end by itself when the server stops.
GRACE_S = 2.0
AT_ONCE = 200
Place = Annotated[int | None, Header(ge=0, le=MAX_BIGINT)]

STREAM = """\
event: alert
id: 4711
data: {"id": "6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11", "severity": "high", …}

: heartbeat
"""


class Head:
    """The newest revision of any tenant, looked up once for all clients of this process."""

    def __init__(self, services: Services) -> None:
        self._database = Database(services, postgres.ALL_TENANTS)
        self._looking = asyncio.Lock()
        self._looked = float("-inf")
        self._revision = 0

    async def revision(self) -> int:
        """Return the newest revision, at most `SHARED_S` old."""
        async with self._looking:
            now = time.monotonic()
            if now - self._looked > SHARED_S:
                self._revision = (await self._database.fetch("newest_revision"))[0][0]
                self._looked = now
            return self._revision


@router.get(
    "/stream",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": STREAM}}}},
)
async def stream(
    request: Request,
    database: DatabaseDep,
    wanted: AlertsWanted,
    last_event_id: Place = None,
    after: Annotated[
        int | None, Query(ge=0, le=MAX_BIGINT, description="As Last-Event-ID, for browsers.")
    ] = None,
) -> EventSourceResponse:
    """Follow the alerts: event `alert` for a new one, `amendment` when more events join one.

    The data of each is the alert as `GET /v1/alerts` shows it. Begins with what comes
    next, or after `Last-Event-ID` (0: from the first alert on); nothing is left out in
    between, but several amendments of one alert may come as one.
    """
    start = after if last_event_id is None else last_event_id
    if start is None:
        start = (await database.fetch("newest_revision"))[0][0]
    leaving = anyio.Event()
    return EventSourceResponse(
        changes(request.app.state.head, database, wanted, start, leaving),
        shutdown_event=leaving,
        shutdown_grace_period=GRACE_S,
        ping=HEARTBEAT_S,
        ping_message_factory=lambda: ServerSentEvent(comment="heartbeat"),
    )


async def changes(
    newest: Head, database: Database, wanted: Node, last: int, leaving: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    """Yield alerts changed after revision `last` until `leaving`; wait for an absent database."""
    while not leaving.is_set():
        try:
            head = await newest.revision()
            rows: list[Any] = []
            if head > last:
                sql = Sql(after=3)
                fill = {"wanted": sql.condition(own(database, ALERTS, wanted))}
                fill["alert_columns"] = columns()
                args = (last, head, AT_ONCE, *sql.args)
                rows = await database.fetch("changes", *args, fill=fill)
        except Problem as problem:
            yield ServerSentEvent(comment=problem.detail)
            await _sleep(HEARTBEAT_S / 3, leaving)
            continue
        for row in rows:
            yield ServerSentEvent(
                orjson.dumps(alert(row)).decode(),
                event="alert" if row["seq"] > last else "amendment",
                id=str(row["revision"]),
            )
        if len(rows) == AT_ONCE:
            last = rows[-1]["revision"]
        else:
            last = max(last, head)
            await _sleep(POLL_S, leaving)


async def _sleep(seconds: float, leaving: anyio.Event) -> None:
    """Wait, but no longer than until the server stops."""
    with anyio.move_on_after(seconds):
        await leaving.wait()
