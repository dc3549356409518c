"""What keeps alerts quiet, and how a tenant has its rules and models: rows that people make."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from api.deps import LATEST, ActorDep, Database, DatabaseDep, Text, Time
from api.errors import Problem
from api.identity.audit import audit
from api.paging import json_response, moment
from api.permissions import allow
from api.routes.ingest import DEFAULT_TENANT
from api.search.language.values import MAX_INT
from api.work.learning import judged_of
from detectors.suppress.draft import TUNING, draft
from detectors.suppress.feedback import DAYS, proposals
from detectors.suppress.scope import Scope
from sentinel import suppressions
from sentinel.errors import SettingsError

router = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])
READ, CHANGES = [Depends(allow("config:read"))], [Depends(allow("rules:write"))]
MOST = 1000
#: A budget or tuning that is given no end has none.
FAR = LATEST
Kind = Literal["suppression", "maintenance", "budget", "tuning"]
Item = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]
Sentence = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00]*$"),
]


class What(BaseModel):
    """Whom it is about: any of each list that is not empty, and all of the lists."""

    model_config = ConfigDict(extra="forbid")
    rules: list[Item] = Field([], max_length=1000, examples=[["aws_root_login"]])
    sources: list[Item] = Field([], max_length=1000, examples=[["cloudtrail"]])
    entities: list[Item] = Field([], max_length=1000, examples=[["192.0.2.0/24"]])
    techniques: list[Item] = Field([], max_length=1000, examples=[["T1078"]])
    kinds: list[Item] = Field([], max_length=1000, examples=[["rule"]])


class New(BaseModel):
    """Something that keeps alerts quiet, or a rule or model as a tenant wants it."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind = Field("suppression", examples=["suppression"])
    scope: What = What()
    reason: Sentence = Field(examples=["Known scanner"])
    tenant: Item | None = Field(
        None, description="Whose alerts; of the platform also `*` for everyone's."
    )
    owner: Sentence | None = Field(
        None, description="Who answers for it; default: who asks. The audit log has who asked.",
        examples=["ada"],
    )  # fmt: skip
    starts: Time = Field(None, description="In some seconds where left out.")
    expires: Time = Field(
        None, description="A suppression and a window must have an end.",
        examples=["2026-12-31T00:00:00Z"],
    )  # fmt: skip
    weekly: Item | None = Field(
        None, description="Hours of a window.", examples=["sun 02:00-04:00 Europe/Vienna"]
    )
    per_hour: int | None = Field(None, ge=1, le=MAX_INT, description="Of a budget.")
    per_day: int | None = Field(None, ge=1, le=MAX_INT, description="Of a budget.")
    disabled: bool | None = Field(None, description="Of a tuning: the rule or model is off, or on.")
    staged: bool | None = Field(None, description="Of a tuning: on trial, or no longer.")
    severity: int | None = Field(None, ge=1, le=5, description="Of a tuning: OCSF's.")
    threshold: float | None = Field(
        None, gt=0, le=1, description="Of a tuning: the score that a model needs."
    )


class Row(BaseModel):
    """One of them as it is kept; it is never changed but to end it."""

    id: UUID
    tenant: str = Field(examples=["acme"])
    kind: Kind
    state: Literal["pending", "active", "ended"]
    scope: What
    owner: str = Field(examples=["user:ada"])
    reason: str = Field(examples=["Known scanner"])
    created: datetime = Field(examples=["2026-01-31T11:59:54.000Z"])
    starts: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    expires: datetime | None = Field(description="Null: no end.")
    removed: datetime | None
    removed_by: str | None = Field(examples=["user:bob"])
    weekly: dict[str, Any] | None
    per_hour: int | None
    per_day: int | None
    disabled: bool | None
    staged: bool | None
    severity: int | None
    threshold: float | None
    learned: bool = Field(description="Made of dispositions.")


class Rows(BaseModel):
    """Those that hold, or all, newest first."""

    items: list[Row]


class Proposed(BaseModel):
    """Something that was only ever wrong, and what could be done."""

    tenant: str = Field(examples=["acme"])
    action: Literal["suppress", "stage"]
    rule_id: str
    title: str
    source: str
    entity: str = Field(description="Empty: the rule at all.", examples=["ada"])
    wrong: int = Field(description="Alerts that were wrong; none was right.", examples=[4])


class Proposals(BaseModel):
    """What could be done, most wrong alerts first."""

    items: list[Proposed]


@router.get("", response_model=Rows, dependencies=READ)
async def list_suppressions(
    database: DatabaseDep,
    kind: Annotated[Kind | None, Query(description="Only of this kind.")] = None,
    ended: Annotated[bool, Query(description="Also those that have ended.")] = False,
    tenant: Annotated[Text, Query(description="Whose alerts.")] = None,
) -> Response:
    """List suppressions, maintenance windows, budgets, and tunings of rules and models."""
    async with database.reading() as connection:
        rows = await suppressions.listed(connection, tenant, ended=ended, limit=MOST)
    return json_response({"items": [_shown(row) for row in rows if kind in {None, row["kind"]}]})


@router.post("", status_code=201, response_model=Row, dependencies=CHANGES)
async def add_suppression(database: DatabaseDep, actor: ActorDep, given: New) -> Response:
    """Keep alerts quiet, or set a rule or model for a tenant; it holds in some seconds.

    A tuning names rules, correlations or models and switches them off (`disabled`), puts them on
    trial (`staged`), or gives them another `severity`; models take a `threshold`, too. What a
    tenant says counts before what is said for `*`, a later one before an earlier.
    """
    row = _drafted(given, _whose(database, given.tenant), given.owner or actor.subject)
    async with database.writing() as connection:
        made = await suppressions.add(connection, row)
        detail = given.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        await audit(connection, f"{made['kind']}.add", made["id"], detail, tenant=made["tenant"])
    return json_response(_shown(made), 201)


@router.get("/proposals", response_model=Proposals, dependencies=READ)
async def list_proposals(
    database: DatabaseDep, tenant: Annotated[Text, Query(description="Whose alerts.")] = None
) -> Response:
    """List rules that people found wrong again and again, and never right, in 90 days."""
    async with database.reading() as connection:
        rows = await suppressions.judged(connection, DAYS, tenant or database.only)
    items = [
        {"tenant": whose, **each._asdict()}
        for whose in sorted({row["tenant"] for row in rows})
        for each in proposals([judged_of(row) for row in rows if row["tenant"] == whose])
    ]
    return json_response({"items": sorted(items, key=lambda item: -item["wrong"])})


@router.delete("/{suppression_id:uuid}", response_model=Row, dependencies=CHANGES)
async def remove_suppression(
    database: DatabaseDep, actor: ActorDep, suppression_id: UUID
) -> Response:
    """End one before its time, in some seconds; it stays in the list of those that ended."""
    async with database.writing() as connection:
        row = await suppressions.remove(connection, suppression_id, actor.subject, database.only)
        if row is None:
            raise Problem(
                404, f"nothing that holds has the id {suppression_id}; GET /v1/suppressions lists"
            )
        await audit(connection, f"{row['kind']}.remove", str(suppression_id), tenant=row["tenant"])
    return json_response(_shown(row))


def _whose(database: Database, wanted: str | None) -> str:
    """Return the tenant that it is for: one's own, or of the platform any."""
    if database.only is None:
        return wanted or DEFAULT_TENANT
    if wanted not in {None, database.only}:
        raise Problem(403, f"tenant: expected {database.only}, one's own, found {wanted}")
    return database.only


def _drafted(given: New, tenant: str, owner: str) -> dict[str, Any]:
    """Return what was asked for as a row; raise `Problem` (422) where it makes no sense."""
    endless = given.kind in {"budget", "tuning"}
    if given.expires is None and not endless:
        raise Problem(422, f"expires: expected the end of a {given.kind}, found none")
    try:
        return draft(
            given.kind,
            msgspec.convert(given.scope.model_dump(), Scope),
            tenant=tenant,
            owner=owner,
            reason=given.reason,
            expires=_ms(given.expires or FAR),
            now=time.time_ns() // 1_000_000,
            starts=None if given.starts is None else _ms(given.starts),
            hours=given.weekly or "",
            per_hour=given.per_hour,
            per_day=given.per_day,
            tuning={name: getattr(given, name) for name in TUNING},
        )
    except SettingsError as error:
        raise Problem(422, str(error)) from error


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    ended = now >= row["expires"] or (row["removed"] is not None and now >= row["removed"])
    names = ("id", "tenant", "kind", "scope", "owner", "reason", "weekly", "per_hour", "per_day")
    return {
        **{name: row[name] for name in (*names, *TUNING, "learned", "removed_by")},
        "state": "ended" if ended else "pending" if now < row["starts"] else "active",
        "created": _time(row["created"]),
        "starts": _time(row["starts"]),
        "expires": None if row["expires"] >= _ms(FAR) else _time(row["expires"]),
        "removed": None if row["removed"] is None else _time(row["removed"]),
    }


def _time(milliseconds: int) -> str | None:
    return moment(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _ms(time_: datetime) -> int:
    return round(1000 * time_.timestamp())
