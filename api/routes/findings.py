"""Findings of scanners with their states, and the exceptions that people make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from api.deps import ActorDep, Cursor, DatabaseDep, Limit, Text
from api.errors import Problem
from api.identity.audit import audit
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import allow
from api.routes.ingest import DEFAULT_TENANT
from api.work.alerts import Name, Reason
from detectors.findings import Known, in_ocsf

router = APIRouter(
    prefix="/v1/findings", tags=["findings"], dependencies=[Depends(allow("findings:read"))]
)
State = Literal["new", "recurring", "resolved", "reopened"]
OPEN: tuple[State, ...] = ("new", "recurring", "reopened")
SEVERITIES = ("unknown", "informational", "low", "medium", "high", "critical", "fatal")
Least = Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
CHANGES = [Depends(allow("findings:update"))]


class Finding(BaseModel):
    """One finding of one tool, and what became of it from scan to scan."""

    uid: UUID = Field(description="The same in every scan.")
    tenant: str = Field(examples=["default"])
    source: str = Field(examples=["trivy"])
    tool: str = Field(examples=["trivy"])
    target: str = Field(description="What was scanned.", examples=["registry.example.com/shop"])
    scope: str = Field(
        description="Part of the target that scans with it covered; empty once a whole one had it.",
        examples=["namespace/shop"],
    )
    rule: str = Field(examples=["CVE-2026-0001"])
    title: str = Field(examples=["openssl: example of a flaw"])
    severity: str = Field(examples=["high"])
    state: State = Field(examples=["recurring"])
    suppressed: bool = Field(description="Accepted in the scanner itself.", examples=[False])
    exception: UUID | None = Field(description="Exception that covers it.", examples=[None])
    first_seen: datetime = Field(examples=["2026-01-01T06:00:00.000Z"])
    last_seen: datetime = Field(examples=["2026-01-31T06:00:00.000Z"])
    scan: UUID = Field(description="The scan that gave it its state.")


class FindingDetail(Finding):
    """One finding with its OCSF event."""

    ocsf: dict[str, Any] = Field(examples=[{"class_uid": 2002}])


class Findings(BaseModel):
    """A page of findings, worst first."""

    items: list[Finding | FindingDetail]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class NewException(BaseModel):
    """What to accept: one finding, or all that fit rule, target and tool; and until when."""

    model_config = ConfigDict(extra="forbid")
    uid: UUID | None = Field(None, description="One finding.")
    rule: Name = Field("", description="All of this rule.", examples=["CVE-2026-0001"])
    target: Name = Field("", description="All on this target.")
    tool: Name = Field("", description="Of this tool alone.")
    reason: Reason = Field(examples=["Not reachable from outside; fixed with the next release"])
    expires: AwareDatetime = Field(examples=["2027-01-01T00:00:00Z"])

    @model_validator(mode="after")
    def _whole(self) -> NewException:
        if not (self.uid or self.rule or self.target):
            raise ValueError("one of uid, rule, target")
        return self


class Exception_(BaseModel):  # noqa: N801 # the name is taken, and it is what people call it
    """Findings that somebody accepts for a while."""

    id: UUID
    tenant: str = Field(examples=["default"])
    uid: UUID | None
    rule: str
    target: str
    tool: str
    owner: str = Field(examples=["user:ada"])
    reason: str
    created_at: datetime
    expires: datetime
    ended_at: datetime | None


class Exceptions(BaseModel):
    """Exceptions, newest first; at most 1,000."""

    items: list[Exception_]


def finding(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a finding as JSON sends it."""
    number = row["severity_id"]
    names = ("tenant", "source", "tool", "target", "scope", "rule", "title")
    return {
        "uid": str(row["uid"]),
        **{name: row[name] for name in names},
        "severity": SEVERITIES[number] if number < len(SEVERITIES) else "other",
        "state": row["state"],
        "suppressed": row["suppressed"],
        "exception": row["exception"] and str(row["exception"]),
        "first_seen": moment(row["first_seen"]),
        "last_seen": moment(row["last_seen"]),
        "scan": str(row["scan"]),
    }


def detailed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a finding with its OCSF event."""
    first, last, judged = (_ms(row[name]) for name in ("first_seen", "last_seen", "judged"))
    known = Known(row["state"], str(row["scan"]), first, last, judged)
    return finding(row) | {"ocsf": in_ocsf(orjson.loads(row["ocsf"]), known)}


@router.get("", response_model=Findings)
async def list_findings(
    database: DatabaseDep,
    state: Annotated[
        list[State] | None, Query(description="Any of these; default: all but resolved.")
    ] = None,
    min_severity: Annotated[Least, Query(description="This or worse.")] = "unknown",
    source: Annotated[Text, Query(description="Such as trivy.")] = None,
    target: Annotated[Text, Query(description="What was scanned, in full.")] = None,
    scope: Annotated[
        Text, Query(description="Part of the target, in full; empty: found by a whole scan.")
    ] = None,
    rule: Annotated[Text, Query(description="In full.")] = None,
    accepted: Annotated[
        bool, Query(description="Also what an exception or the scanner accepts.")
    ] = False,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    payload: Annotated[bool, Query(description="True adds `ocsf` to each.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List findings, worst first, then those seen last."""
    before: tuple[Any, ...] = (None, None, None)
    if cursor:
        number, seen, identity = decode_cursor(cursor, int, str, str)
        try:
            before = (number, datetime.fromisoformat(seen), UUID(identity))
        except ValueError:
            raise Problem(
                422, "cursor: expected `next` of an earlier page, found another"
            ) from None
    states, least = list(state or OPEN), SEVERITIES.index(min_severity)
    what = (states, least, source, target, scope, rule, accepted, tenant or database.only)
    rows = await database.fetch("findings", *what, *before, limit + 1)
    shown, last = more(rows, limit)
    following = None
    if last:
        seen = last["last_seen"].isoformat()
        following = encode_cursor(last["severity_id"], seen, str(last["uid"]))
    return page(map(detailed if payload else finding, shown), following)


@router.get("/exceptions", response_model=Exceptions)
async def list_exceptions(
    database: DatabaseDep,
    ended: Annotated[bool, Query(description="Also those that hold no more.")] = False,
) -> Response:
    """List exceptions, newest first."""
    rows = await database.fetch("exceptions", ended)
    return json_response({"items": [_exception(row) for row in rows]})


@router.post("/exceptions", response_model=Exception_, status_code=201, dependencies=CHANGES)
async def make_exception(
    database: DatabaseDep,
    actor: ActorDep,
    given: NewException,
    tenant: Annotated[Text, Query(description="Default: the token's.")] = None,
) -> Response:
    """Accept findings until a day; they are left out of lists unless `accepted` is asked for."""
    if given.expires <= datetime.now(UTC):
        raise Problem(422, f"expires: expected a time to come, found {given.expires.isoformat()}")
    whose = tenant or database.only or DEFAULT_TENANT
    if database.only not in {None, whose}:
        raise Problem(403, f"tenant: expected {database.only}, whose token this is, found {whose}")
    what = (given.tool, given.uid, given.rule, given.target, actor.subject, given.reason)
    async with database.writing() as connection:
        sql = database.sql("add_exception")
        row = await connection.fetchrow(sql, whose, *what, given.expires)
        detail = orjson.loads(given.model_dump_json(exclude_defaults=True))
        await audit(connection, "finding.exception", str(row["id"]), detail, tenant=whose)
    return json_response(_exception(row), 201)


@router.delete("/exceptions/{exception_id:uuid}", status_code=204, dependencies=CHANGES)
async def end_exception(database: DatabaseDep, actor: ActorDep, exception_id: UUID) -> Response:
    """End an exception now; it stays in the list of those that ended."""
    async with database.writing() as connection:
        sql = database.sql("end_exception")
        row = await connection.fetchrow(sql, exception_id, actor.subject)
        if row is None:
            raise Problem(404, f"there is no exception {exception_id} that holds")
        await audit(connection, "finding.exception_end", str(exception_id), tenant=row["tenant"])
    return Response(status_code=204)


@router.get("/{uid:uuid}", response_model=FindingDetail)
async def one_finding(
    database: DatabaseDep,
    uid: UUID,
    tool: Annotated[Text, Query(description="Where several tools have it.")] = None,
) -> Response:
    """Show one finding with its OCSF event, states of the scans included."""
    rows = await database.fetch("finding", uid, tool)
    if not rows:
        raise Problem(404, f"there is no finding {uid}; GET /v1/findings lists them")
    return json_response(detailed(rows[0]))


def _exception(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        name: row[name] and moment(row[name]) for name in ("created_at", "expires", "ended_at")
    }
    names = ("tenant", "rule", "target", "tool", "owner", "reason")
    return {
        "id": str(row["id"]),
        "uid": row["uid"] and str(row["uid"]),
        **{name: row[name] for name in names},
        **times,
    }


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
