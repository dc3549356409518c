"""Alerts as they are created and amended: server-sent events and WebSocket, both resumable.

Nothing is queued for a client: what is next is read from the database once the last was
taken, so a slow client costs no memory. One that takes nothing for `SLOW_S` is dropped, with
notice where there is a way to give it; it comes back with the last id that it had, and misses
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

import anyio
import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket, WebSocketDisconnect
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.auth import BEARER
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
from sentinel import log, postgres

router = APIRouter(
    prefix="/v1/alerts", tags=["alerts"], dependencies=[Depends(allow("alerts:read"))]
)
#: Seconds between two looks of a client, and how long what one of them saw does for all.
POLL_S = 0.5
SHARED_S = POLL_S / 2
HEARTBEAT_S = 15
#: Seconds a stream has to end by itself when the server stops.
GRACE_S = 2.0
#: Seconds after which a client that takes nothing is dropped.
SLOW_S = 20.0
AT_ONCE = 200
Place = Annotated[int | None, Header(ge=0, le=MAX_BIGINT)]
After = Annotated[
    int | None, Query(ge=0, le=MAX_BIGINT, description="As Last-Event-ID, for browsers.")
]
_log = log.get("api.stream")

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
    after: After = None,
) -> EventSourceResponse:
    """Follow the alerts: event `alert` for a new one, `amendment` when one changes.

    The data of each is the alert as `GET /v1/alerts` shows it. Begins with what comes
    next, or after `Last-Event-ID` (0: from the first alert on); nothing is left out in
    between, but several amendments of one alert may come as one. Who takes nothing for 20
    seconds is dropped, and may come back with `Last-Event-ID`.
    """
    start = await _start(database, after if last_event_id is None else last_event_id)
    leaving = anyio.Event()
    return EventSourceResponse(
        _events(changes(request.app.state.head, database, wanted, start, leaving)),
        shutdown_event=leaving,
        shutdown_grace_period=GRACE_S,
        send_timeout=SLOW_S,
        ping=HEARTBEAT_S,
        ping_message_factory=lambda: ServerSentEvent(comment="heartbeat"),
    )


@router.websocket("/ws", dependencies=[Depends(allow("alerts:read"))])
async def socket(
    websocket: WebSocket, database: DatabaseDep, wanted: AlertsWanted, after: After = None
) -> None:
    """Follow the alerts as with the stream, over a WebSocket.

    Each message is JSON: `{"type": "alert", "id": "4711", "data": {…}}`, or an `amendment`.
    Resume with the query parameter `after` and the last id. A client that takes nothing for
    20 seconds is closed with code 1013.
    """
    offered = websocket.scope.get("subprotocols", [])
    start = await _start(database, after)
    await websocket.accept(BEARER if BEARER in offered else None)
    leaving = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_until_gone, websocket, leaving)
        await _send(websocket, changes(websocket.app.state.head, database, wanted, start, leaving))
        tasks.cancel_scope.cancel()


async def _until_gone(websocket: WebSocket, leaving: anyio.Event) -> None:
    """Set `leaving` when the client goes; what it says means nothing."""
    with suppress(RuntimeError, WebSocketDisconnect):
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    leaving.set()


async def _send(websocket: WebSocket, found: AsyncIterator[Change]) -> None:
    """Send changes until there are no more, or the client takes none; then say so."""
    last = ""
    async for change in found:
        message: dict[str, Any] = {"type": change.kind, "id": change.id, "data": change.data}
        if change.data is None:
            message = {"type": "notice", "detail": change.kind}
        try:
            with anyio.fail_after(SLOW_S):
                await websocket.send_text(orjson.dumps(message).decode())
        except TimeoutError:
            _log.warning("client too slow", action="drop_client", last=last)
            with anyio.move_on_after(GRACE_S), suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close(1013, f"too slow; come back with after={last}")
            return
        except (RuntimeError, WebSocketDisconnect):
            return  # the client has gone
        last = change.id or last
    with suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(1001, f"the server stops; come back with after={last}")


async def _start(database: Database, after: int | None) -> int:
    """Return the revision after which to begin."""
    if after is not None:
        return after
    return int((await database.fetch("newest_revision"))[0][0])


class Change(NamedTuple):
    """One change of an alert; without `data`, a notice whose text is `kind`."""

    kind: str
    id: str
    data: dict[str, Any] | None


async def _events(found: AsyncIterator[Change]) -> AsyncIterator[ServerSentEvent]:
    async for kind, identity, data in found:
        if data is None:
            yield ServerSentEvent(comment=kind)
        else:
            yield ServerSentEvent(orjson.dumps(data).decode(), event=kind, id=identity)


async def changes(
    newest: Head, database: Database, wanted: Node, last: int, leaving: anyio.Event
) -> AsyncIterator[Change]:
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
            yield Change(problem.detail, "", None)
            await _sleep(HEARTBEAT_S / 3, leaving)
            continue
        for row in rows:
            kind = "alert" if row["seq"] > last else "amendment"
            yield Change(kind, str(row["revision"]), alert(row))
        if len(rows) == AT_ONCE:
            last = rows[-1]["revision"]
        else:
            last = max(last, head)
            await _sleep(POLL_S, leaving)


async def _sleep(seconds: float, leaving: anyio.Event) -> None:
    """Wait, but no longer than until the server stops."""
    with anyio.move_on_after(seconds):
        await leaving.wait()
