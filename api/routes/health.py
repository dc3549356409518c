"""Whether it runs, part by part, and its metrics for Prometheus."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import DatabaseDep, ServicesDep, topic_states
from api.errors import Problem
from api.paging import json_response
from api.permissions import allow
from api.routes.operations import added_up
from sentinel import __version__
from sentinel.metrics import LEDGER_BALANCE

router = APIRouter(tags=["health"])
INSIDE = [Depends(allow("operations:read"))]
ANSWER_S = 5.0
#: The stage whose checkpoints hold the models, and the topic it reads.
MODELS = ("detect", "events")
#: A model checkpoint may be this old while there are events it has not seen.
STALE = timedelta(seconds=60)


class Health(BaseModel):
    """Whether a part does its work; the status of the response is 503 where not."""

    ok: bool = Field(examples=[True])
    detail: dict[str, Any] = Field(examples=[{"version": __version__}])


@router.get("/health", response_model=Health)
async def alive() -> Response:
    """Say that the API answers. Needs no token; says nothing about the other parts."""
    return answer(True, {"version": __version__})


@router.get("/health/kafka", response_model=Health, dependencies=INSIDE)
async def kafka(services: ServicesDep) -> Response:
    """Say whether the broker answers and has the topics."""
    states = await topic_states(services.settings, ANSWER_S)
    missing = [state.name for state in states if not state.exists]
    return answer(not missing, {"topics": len(states), "missing": missing})


@router.get("/health/db", response_model=Health, dependencies=INSIDE)
async def db(database: DatabaseDep) -> Response:
    """Say whether PostgreSQL answers."""
    await database.fetch("ping")
    return answer(True, {"postgres": "answers"})


@router.get("/health/search", response_model=Health, dependencies=INSIDE)
async def search(services: ServicesDep, database: DatabaseDep) -> Response:
    """Say whether the store that lists events and alerts answers, and which it is."""
    return answer(True, await services.search.health(database))


@router.get("/health/ml", response_model=Health, dependencies=INSIDE)
async def ml(services: ServicesDep, database: DatabaseDep) -> Response:
    """Say whether the models keep up: no event waits while their checkpoint is over 60 s old."""
    rows = await database.fetch("positions")
    states = await topic_states(services.settings, ANSWER_S)
    ends = {state.name: state.end for state in states}.get(MODELS[1], [])
    saved = {row["partition"]: row for row in rows if (row["stage"], row["topic"]) == MODELS}
    partitions = [partition(number, end, saved.get(number)) for number, end in enumerate(ends)]
    return answer(all(part["ok"] for part in partitions), {"partitions": partitions})


def partition(number: int, end: int, row: Any) -> dict[str, Any]:
    """Return the state of the models of one partition; `row` is their checkpoint, if any."""
    waiting = max(0, end - ((row and row["next_offset"]) or 0))
    age = datetime.now(UTC) - row["updated_at"] if row else None
    return {
        "partition": number,
        "events_batches_waiting": waiting,
        "checkpoint_age_s": age and round(age.total_seconds(), 1),
        "ok": not waiting or (age is not None and age <= STALE),
    }


@router.get("/metrics", response_class=Response, dependencies=INSIDE)
async def metrics(services: ServicesDep, database: DatabaseDep) -> Response:
    """Show the metrics of the API, and the ledger's balance, in Prometheus' text format."""
    LEDGER_BALANCE.clear()  # an old balance is no balance
    with suppress(Problem):
        report, _ = await added_up(services, database)
        for row in report.rows:
            LEDGER_BALANCE.labels(row["stage"]).inc(row["difference"])
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def answer(ok: bool, detail: dict[str, Any]) -> Response:
    """Return the response of a health check."""
    return json_response({"ok": ok, "detail": detail}, 200 if ok else 503)
