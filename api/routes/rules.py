"""Rules, models and sources: what detects, on what, and how much of late."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field
from starlette.responses import Response

import detectors.rules
from api.deps import DatabaseDep, Services, ServicesDep, Text
from api.errors import Problem
from api.paging import decode_cursor, encode_cursor, json_response, moment, page
from api.permissions import allow
from api.search import SEVERITIES
from connectors._reading.ways import ways
from connectors._sources import sources
from sentinel.registry import discover

if TYPE_CHECKING:
    from detectors.base import Model
    from detectors.sigma import Rule as Sigma

router = APIRouter(prefix="/v1", tags=["detection"])
OWN = Path(detectors.rules.__path__[0])
#: How far back alerts are counted.
LATE = timedelta(days=30)
Limit = Annotated[int, Query(ge=1, le=1000, description="Most items to return.")]


class Rule(BaseModel):
    """One Sigma rule in use."""

    id: str = Field(examples=["0d7a9363-af70-4e7b-a3b7-1a176b7fbe84"])
    title: str = Field(examples=["Access key created for another user"])
    severity: str = Field(examples=["high"])
    logsource: dict[str, str] = Field(examples=[{"product": "aws", "service": "cloudtrail"}])
    techniques: list[str] = Field(examples=[["T1098.001"]])
    staged: bool = Field(description="On trial: its alerts notify nobody.", examples=[False])
    alerts: int = Field(description="Of the last 30 days.", examples=[4])
    false_positives: int = Field(description="Of those, by disposition.", examples=[1])
    last_alert: datetime | None = Field(examples=["2026-01-31T12:00:00.000Z"])


class Rules(BaseModel):
    """A page of rules by id."""

    items: list[Rule]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class RuleDetail(Rule):
    """One Sigma rule as it was written, and what it found."""

    description: str = Field(examples=["Somebody made a key for a user that is not theirs."])
    false_positives_known: list[str] = Field(
        description="As its author names them.", examples=[["Automation of accounts"]]
    )
    references: list[str] = Field(examples=[["https://attack.mitre.org/techniques/T1098/001/"]])
    condition: str = Field(examples=["selection and not filter"])
    fields: list[str] = Field(description="That it reads.", examples=[["eventName"]])
    written: str = Field(
        description="The file it is in; empty where that is gone.", examples=["title: Access key"]
    )


class OnlineModel(BaseModel):
    """One online model."""

    id: str = Field(examples=["model.half_space_trees"])
    title: str = Field(examples=["Unusual event"])
    techniques: list[str] = Field(examples=[[]])
    default: bool = Field(description="Runs where SENTINEL_MODELS names none.", examples=[True])
    alerts: int = Field(description="Of the last 30 days.", examples=[12])
    false_positives: int = Field(examples=[3])
    last_alert: datetime | None = Field(examples=["2026-01-31T12:00:00.000Z"])


class Models(BaseModel):
    """Online models by id."""

    items: list[OnlineModel]


class Source(BaseModel):
    """One source, its ways in, and what it sent."""

    source: str = Field(examples=["cloudtrail"])
    title: str = Field(examples=["AWS CloudTrail"])
    readers: list[str] = Field(examples=[["file", "http", "s3"]])
    events: int = Field(description="Since yesterday, by their arrival.", examples=[120000])
    last_event: datetime | None = Field(examples=["2026-01-31T12:00:00.000Z"])


class Sources(BaseModel):
    """Sources by name."""

    items: list[Source]


async def _rules(services: Services) -> list[Sigma]:
    """Return the rules in use, read once; pySigma is memory that most processes never need."""
    from detectors.sigma import RuleSet

    found: list[Sigma] | None = getattr(services, "rules", None)
    if found is None:
        settings = services.settings
        dirs = [OWN, *settings.rule_dirs]
        ruleset = await asyncio.to_thread(RuleSet.load, dirs, cache=settings.home / "cache")
        found = sorted(ruleset.rules, key=lambda rule: rule.id)
        services.rules = found  # type: ignore[attr-defined]
    return found


async def _counts(database: Any, tenant: str | None) -> dict[str, Any]:
    """Return alerts, false positives and the latest of each rule."""
    rows = await database.fetch("rule_counts", datetime.now(UTC) - LATE, tenant or database.only)
    return {row["rule_id"]: row for row in rows}


def _counted(row: Any) -> dict[str, Any]:
    if row is None:
        return {"alerts": 0, "false_positives": 0, "last_alert": None}
    counts = {"alerts": row["alerts"], "false_positives": row["false_positives"]}
    return counts | {"last_alert": moment(row["last_alert"])}


@router.get("/rules", response_model=Rules, dependencies=[Depends(allow("rules:read"))])
async def list_rules(
    database: DatabaseDep,
    services: ServicesDep,
    product: Annotated[Text, Query(description="Of its log source, such as aws.")] = None,
    staged: Annotated[bool | None, Query(description="Only those on trial, or not.")] = None,
    fired: Annotated[bool, Query(description="Only those with alerts.")] = False,
    tenant: Annotated[Text, Query(description="Whose alerts are counted.")] = None,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """List the Sigma rules in use with what they found in the last 30 days."""
    (after,) = decode_cursor(cursor, str) if cursor else ("",)
    counts = await _counts(database, tenant)
    chosen = [
        rule
        for rule in await _rules(services)
        if rule.id > after
        and product in {None, rule.logsource.product}
        and staged in {None, rule.staged}
        and (not fired or rule.id in counts)
    ]
    items = [_shown(rule, counts) for rule in chosen[:limit]]
    return page(items, encode_cursor(items[-1]["id"]) if len(chosen) > limit else None)


@router.get(
    "/rules/{rule_id}", response_model=RuleDetail, dependencies=[Depends(allow("rules:read"))]
)
async def one_rule(
    database: DatabaseDep,
    services: ServicesDep,
    rule_id: Annotated[str, PathParameter(max_length=200)],
    tenant: Annotated[Text, Query(description="Whose alerts are counted.")] = None,
) -> Response:
    """Show one Sigma rule in use: what it looks for, as it was written, and what it found."""
    found = next((rule for rule in await _rules(services) if rule.id == rule_id), None)
    if found is None:
        raise Problem(404, f"there is no rule {rule_id}; GET /v1/rules lists them")
    detail = {
        "description": found.description,
        "false_positives_known": list(found.falsepositives),
        "references": list(found.references),
        "condition": found.condition,
        "fields": sorted(found.fields),
        "written": await asyncio.to_thread(_written, Path(found.path)),
    }
    return json_response(_shown(found, await _counts(database, tenant)) | detail)


def _shown(rule: Sigma, counts: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as lists show it."""
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": SEVERITIES[min(max(rule.severity_id, 1), 5) - 1],
        "logsource": {name: value for name, value in rule.logsource._asdict().items() if value},
        "techniques": list(rule.techniques),
        "staged": rule.staged,
        **_counted(counts.get(rule.id)),
    }


def _written(path: Path) -> str:
    """Return the text of a rule's file, empty where it was removed since it was read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _models() -> list[type[Model]]:
    import detectors.models
    from detectors.base import Model

    return list(discover(detectors.models, Model).values())  # type: ignore[type-abstract]


@router.get("/models", response_model=Models, dependencies=[Depends(allow("models:read"))])
async def list_models(
    database: DatabaseDep,
    tenant: Annotated[Text, Query(description="Whose alerts are counted.")] = None,
) -> Response:
    """List the online models with what they found in the last 30 days."""
    counts = await _counts(database, tenant)
    # the first time, their libraries are imported, for seconds: nobody else waits for that
    found = await asyncio.to_thread(_models)
    items = [
        {
            "id": model.id,
            "title": model.title,
            "techniques": list(model.techniques),
            "default": model.default,
            **_counted(counts.get(model.id)),
        }
        for model in sorted(found, key=lambda model: model.id)
    ]
    return json_response({"items": items})


@router.get("/sources", response_model=Sources, dependencies=[Depends(allow("config:read"))])
async def list_sources(
    database: DatabaseDep,
    services: ServicesDep,
    of: Annotated[Literal["all", "sending"], Query(description="Or those that send.")] = "all",
    tenant: Annotated[Text, Query(description="Whose events are counted.")] = None,
) -> Response:
    """List the sources there are, their ways in, and what they sent since yesterday."""
    rows = await database.fetch("source_counts", tenant or database.only)
    counts = {row["source"]: row for row in rows}
    items = [
        {
            "source": name,
            "title": (kind.__doc__ or name).strip().partition("\n")[0].rstrip("."),
            "readers": list(ways(kind)),
            "events": counts[name]["events"] if name in counts else 0,
            "last_event": moment(counts[name]["last_event"]) if name in counts else None,
        }
        for name, kind in sorted(sources(services.settings).items())
        if of == "all" or name in counts
    ]
    return json_response({"items": items})
