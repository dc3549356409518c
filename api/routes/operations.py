"""What operators look at: dead letters, and the ledger with each stage's position."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.deps import (
    BROKER_S,
    Cursor,
    Database,
    DatabaseDep,
    Limit,
    Services,
    ServicesDep,
    Text,
    Word,
    topic_states,
)
from api.errors import Problem
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import allow
from api.search.language.values import MAX_INT
from sentinel import ledger

router = APIRouter(
    prefix="/v1", tags=["operations"], dependencies=[Depends(allow("operations:read"))]
)


class DeadLetter(BaseModel):
    """A record that a stage could not handle, where it is and why."""

    topic: str = Field(description="Where the whole record is.", examples=["dead_letter"])
    partition: int = Field(examples=[0])
    offset: int = Field(examples=[17])
    origin_topic: str = Field(description="Where it came from.", examples=["raw.cloudtrail"])
    origin_partition: int = Field(examples=[2])
    origin_offset: int = Field(examples=[4711])
    origin_index: int = Field(description="Its place within the message.", examples=[0])
    stage: str = Field(examples=["normalize"])
    reason: str = Field(examples=["json"])
    detail: str = Field(examples=["expected a JSON object, found end of text at byte 12"])
    tenant: str = Field(examples=["default"])
    source: str = Field(examples=["cloudtrail"])
    time: datetime = Field(description="When it arrived.", examples=["2026-01-31T12:00:00.000Z"])
    size: int = Field(description="Bytes of the whole record.", examples=[12])
    preview: str | None = Field(None, description="Up to 4 KiB of it.", examples=['{"eventID": '])
    preview_base64: str | None = Field(None, description="Instead, where it is not UTF-8.")
    status: Literal["new", "replayed", "discarded"] = Field(examples=["new"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])


class DeadLetters(BaseModel):
    """A page of dead letters, newest first."""

    items: list[DeadLetter]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class LedgerRow(BaseModel):
    """What one stage counted for one tenant and source, over all partitions.

    Counts that are zero are left out.
    """

    model_config = ConfigDict(extra="allow")
    stage: str = Field(examples=["normalize"])
    tenant: str = Field(examples=["default"])
    source: str = Field(examples=["cloudtrail"])
    difference: int = Field(description="`in` less its outcomes; 0 when sound.", examples=[0])
    __pydantic_extra__: dict[str, int] = Field(init=False)


class Position(BaseModel):
    """Where a stage is in one partition; `next_offset` is null before its first record."""

    stage: str = Field(examples=["normalize"])
    topic: str = Field(examples=["raw.cloudtrail"])
    partition: int = Field(examples=[0])
    next_offset: int | None = Field(examples=[4711])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])


class Ledger(BaseModel):
    """The ledger added up, as `sentinel ledger --json` prints it, and where each stage is."""

    balance: int = Field(
        description="Sum of all differences; 0 unless something is lost or doubled.", examples=[0]
    )
    in_flight: int = Field(description="Put out and not yet taken up.", examples=[0])
    rows: list[LedgerRow]
    positions: list[Position]


@router.get("/dead-letters", response_model=DeadLetters)
async def dead_letters(
    database: DatabaseDep,
    status: Annotated[Literal["new", "replayed", "discarded"] | None, Query()] = None,
    reason: Word = None,
    stage: Word = None,
    source: Text = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List dead letters, newest first. `sentinel dead-letters` replays and discards them."""
    before: tuple[Any, ...] = (None, None, None)
    if cursor:
        before = decode_cursor(cursor, int, int, str)
        if not 0 <= before[1] <= MAX_INT or "\x00" in before[2]:
            raise Problem(422, "cursor: expected `next` of an earlier page, found another")
    what = (status, reason, stage, source, tenant)
    rows = await database.fetch("dead_letters", *what, *before, limit + 1)
    shown, last = more(rows, limit)
    following = encode_cursor(last["offset"], last["partition"], last["topic"]) if last else None
    return page(map(dead_letter, shown), following)


def dead_letter(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a dead letter as JSON sends it."""
    item = dict(row) | {"time": moment(row["time"]), "updated_at": moment(row["updated_at"])}
    value = item.pop("value")
    try:
        return item | {"preview": value.decode()}
    except UnicodeDecodeError:
        return item | {"preview_base64": base64.b64encode(value).decode()}


@router.get("/ledger", response_model=Ledger)
async def show_ledger(services: ServicesDep, database: DatabaseDep) -> Response:
    """Add up what each stage counted, per tenant and source, and show where it is."""
    report, positions = await added_up(services, database)
    return json_response(
        {
            "balance": report.balance,
            "in_flight": report.in_flight,
            "rows": report.rows,
            "positions": [
                dict(row) | {"updated_at": moment(row["updated_at"])} for row in positions
            ],
        }
    )


async def added_up(services: Services, database: Database) -> tuple[ledger.Report, list[Any]]:
    """Return the ledger of a tenant, and the position of every stage.

    Raises
    ------
    Problem
        503: the broker or PostgreSQL is away.
    """
    # the topics' ends before the checkpoints: then a lag of zero is a fact
    states = await topic_states(services.settings, BROKER_S)
    async with database.reading() as connection:
        counts = await connection.fetch(database.sql("ledger"), database.tenant)
        positions = await connection.fetch(database.sql("positions"))
    offsets = {
        (row["stage"], row["topic"], row["partition"]): row["next_offset"] or 0 for row in positions
    }
    behind = ledger.lags(states, offsets)
    rows = ({**row, row["what"]: row["count"]} for row in counts)
    report = ledger.add_up([rows], ledger.draining(behind))
    return report, list(positions)
