"""The life cycle of an alert: status, assignee, disposition, comments, merging.

``new`` (and ``suppressed`` and ``staged``, which the pipeline gives) lead to ``triaged``,
``in_progress``, ``resolved`` and ``false_positive`` in any order: work is not a one-way
street, and a closed alert may be opened again. What each change was is kept in
``alert_history``, for ever. A disposition needs a reason: it is what models learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.deps import Database
from api.errors import Problem
from api.identity.audit import audit

Status = Literal["new", "triaged", "in_progress", "resolved", "false_positive"]
Disposition = Literal["true_positive", "benign", "false_positive", "undetermined"]
Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=r"^[^\x00]*$"),
]
CLOSED = frozenset({"resolved", "false_positive"})


class Change(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    status: Status | None = Field(None, examples=["in_progress"])
    assignee: Name | None = Field(
        None, description="Who works on it; empty: nobody.", examples=["user:ada"]
    )
    disposition: Disposition | None = Field(
        None, description="What it turned out to be.", examples=["benign"]
    )
    reason: Reason | None = Field(
        None, description="Why; needed for a disposition.", examples=["Planned key rotation"]
    )
    comment: Reason | None = Field(None, examples=["Asked the owner of the account"])

    @model_validator(mode="after")
    def _whole(self) -> Change:
        if self.status == "false_positive" and self.disposition is None:
            self.disposition = "false_positive"
        if self.disposition is not None and self.reason is None:
            raise ValueError("a disposition needs a `reason`: it is what detection learns from")
        if not self.model_fields_set - {"reason"}:
            raise ValueError("at least one of status, assignee, disposition, comment")
        return self


async def change(connection: Any, row: Mapping[str, Any], wanted: Change, actor: str) -> bool:
    """Change an alert that `locked` returned; say whether anything differs now.

    Adds to its history and to the outbox of feedback. The caller tells the audit log.
    """
    now = datetime.now(UTC)
    given = wanted.model_dump(exclude_none=True, exclude={"comment", "reason"})
    changed = {name: value for name, value in given.items() if row[name] != value}
    reason = wanted.reason if "disposition" in given else None
    if reason is not None and row["disposition_reason"] != reason:
        changed["disposition_reason"] = reason
    if wanted.comment is not None:
        await _tell(connection, row, actor, "comment", {"text": wanted.comment})
    if changed:
        status = changed.get("status", row["status"])
        closed = row["resolved_at"] or now if status in CLOSED else None
        triaged = row["triaged_at"] or (now if status != "new" or "assignee" in changed else None)
        final = {name: changed.get(name, row[name]) for name in _CHANGEABLE}
        await connection.execute(
            Database.sql("change_alert"), row["tenant"], row["id"], *final.values(), triaged, closed
        )
        await _tell(connection, row, actor, "change", _differences(row, changed))
    if "disposition" in changed or "disposition_reason" in changed:
        body = {name: row[name] for name in ("tenant", "rule_id", "kind", "source", "entity")}
        body |= {"alert_id": str(row["id"]), "disposition": given["disposition"]}
        body |= {"reason": reason, "by": actor, "at": now.isoformat()}
        key = f"{row['tenant']}/{row['id']}"
        sql = Database.sql("add_feedback")
        await connection.execute(sql, row["tenant"], key, orjson.dumps(body).decode())
    return bool(changed) or wanted.comment is not None


_CHANGEABLE = ("status", "assignee", "disposition", "disposition_reason")


def _differences(row: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"from": row[name], "to": value} for name, value in changed.items()}


async def _tell(
    connection: Any, row: Mapping[str, Any], actor: str, action: str, detail: Mapping[str, Any]
) -> None:
    text = orjson.dumps(detail).decode()
    sql = Database.sql("add_history")
    await connection.execute(sql, row["tenant"], row["id"], actor, action, text)


async def locked(connection: Any, ids: Sequence[UUID]) -> list[Any]:
    """Return those alerts of `ids` that there are, locked until the transaction ends.

    Takes the lock of the writers of alerts first: revisions become visible in their order.
    """
    await connection.execute(Database.sql("lock_alerts"))
    return list(await connection.fetch(Database.sql("alerts_to_change"), ids))


def matching(row: Mapping[str, Any], expected: str | None) -> None:
    """Raise `Problem` (412) where ``If-Match`` names another version than that of the alert.

    Only what people changed counts: events that joined meanwhile are no conflict.
    """
    if expected is None or expected.strip() == "*":
        return
    versions = {
        tag.strip().removeprefix("W/").strip('"').split(".")[0] for tag in expected.split(",")
    }
    if str(row["version"]) not in versions:
        raise Problem(
            412,
            f"If-Match: expected the version {row['version']}, found {expected[:100]}; somebody "
            "changed it meanwhile, get it again and look",
        )


async def merge(
    connection: Any, into: Mapping[str, Any], others: Sequence[Mapping[str, Any]], actor: str
) -> None:
    """Let `into` stand for `others`, which are resolved; raise `Problem` (409, 422) if not."""
    if into["merged_into"] is not None:
        raise Problem(
            409, f"{into['id']} is itself merged into {into['merged_into']}; take that one"
        )
    for other in others:
        if other["tenant"] != into["tenant"]:
            raise Problem(422, "ids: expected alerts of one tenant, found several")
        if other["id"] == into["id"]:
            raise Problem(422, f"ids: expected other alerts, found {into['id']} itself")
        args = (other["tenant"], other["id"], into["id"])
        await connection.execute(Database.sql("merge_alert"), *args)
        await _tell(connection, other, actor, "merged_into", {"alert": str(into["id"])})
    ids = [str(other["id"]) for other in others]
    await _tell(connection, into, actor, "merge", {"alerts": ids})
    await connection.execute(Database.sql("touch_alert"), into["tenant"], into["id"])
    await audit(
        connection, "alert.merge", str(into["id"]), {"alerts": ids[:100]}, tenant=into["tenant"]
    )
