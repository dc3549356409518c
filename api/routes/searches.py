"""Searches that people keep: their own, and those that others of the tenant share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from api.deps import ActorDep, DatabaseDep
from api.errors import Problem
from api.identity.audit import audit
from api.paging import json_response, moment
from api.permissions import allow
from api.routes.ingest import DEFAULT_TENANT
from api.search.asked import understood
from api.search.language.fields import ALERTS, EVENTS
from api.search.language.parse import LONGEST

router = APIRouter(
    prefix="/v1/searches", tags=["searches"], dependencies=[Depends(allow("alerts:read"))]
)
CHANGES = [Depends(allow("searches:write"))]
MOST = 500


class NewSearch(BaseModel):
    """A search to keep."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[
        str,
        StringConstraints(
            strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$"
        ),
    ] = Field(examples=["Keys made by night"])
    subject: Literal["alerts", "events"] = Field("alerts", examples=["alerts"])
    query: str = Field(max_length=LONGEST, examples=["title:key AND severity>=high"])
    shared: bool = Field(False, description="Others of the tenant see it too.")


class Search(NewSearch):
    """A search that is kept."""

    model_config = ConfigDict(extra="ignore")
    id: UUID
    owner: str = Field(examples=["user:ada"])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])


class Searches(BaseModel):
    """Searches by name."""

    items: list[Search]


@router.get("", response_model=Searches)
async def list_searches(database: DatabaseDep, actor: ActorDep) -> Response:
    """List one's own searches, and those that are shared."""
    rows = await database.fetch("searches", actor.subject, MOST)
    return json_response({"items": [_search(row) for row in rows]})


@router.put("", response_model=Search, dependencies=CHANGES)
async def keep_search(database: DatabaseDep, actor: ActorDep, given: NewSearch) -> Response:
    """Keep a search, in the place of one's own of that name."""
    understood(given.query, ALERTS if given.subject == "alerts" else EVENTS)
    whose = database.only or DEFAULT_TENANT
    what = (given.name, given.subject, given.query, given.shared)
    async with database.writing() as connection:
        sql = database.sql("keep_search")
        row = await connection.fetchrow(sql, whose, actor.subject, *what, MOST)
        if row is None:
            raise Problem(409, f"expected at most {MOST} searches of one's own; remove some")
        await audit(connection, "search.keep", str(row["id"]), {"name": given.name}, tenant=whose)
    return json_response(_search(row))


@router.delete("/{search_id:uuid}", status_code=204, dependencies=CHANGES)
async def remove_search(database: DatabaseDep, actor: ActorDep, search_id: UUID) -> Response:
    """Remove one of one's own searches."""
    async with database.writing() as connection:
        sql = database.sql("remove_search")
        row = await connection.fetchrow(sql, search_id, actor.subject)
        if row is None:
            raise Problem(404, f"there is no search {search_id} of {actor.subject}")
        await audit(connection, "search.remove", str(search_id), tenant=row["tenant"])
    return Response(status_code=204)


def _search(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "subject", "query", "shared")
    return {
        **{name: row[name] for name in names},
        "id": str(row["id"]),
        "owner": row["owner"],
        "created_at": moment(row["created_at"]),
    }
