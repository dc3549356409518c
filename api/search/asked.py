"""What a request asks for: its text in the search language and its parameters, as one node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from api.deps import Text, Time, Word
from api.errors import Problem
from api.search import SEVERITIES, Severity
from api.search.language.fields import ALERTS, EVENTS, Field, Subject
from api.search.language.nodes import (
    Below,
    Equal,
    Node,
    Or,
    Range,
    Words,
    both,
)
from api.search.language.parse import LONGEST, QueryError, parse
from api.search.language.values import MAX_INT, milliseconds
from sentinel.words import LONGEST as LONGEST_WORD
from sentinel.words import running_words

QueryText = Annotated[
    str | None,
    Query(
        max_length=LONGEST,
        description="In the search language: `user:alice AND NOT severity:low AND time>now-24h`.",
        openapi_examples={
            "example": {"value": "user:alice AND NOT severity:low AND time>now-24h"},
        },
    ),
]
FullText = Annotated[
    Text,
    Query(
        max_length=200, description="Words that must all occur, in any order, upper or lower case."
    ),
]


def understood(text: str | None, subject: Subject) -> list[Node]:
    """Return the node of a query, if there is one; raise `Problem` (422) that names the column."""
    if text is None:
        return []
    try:
        return [parse(text, subject)]
    except QueryError as error:
        errors = [{"parameter": "query", "column": error.column, "expected": error.message}]
        raise Problem(422, f"query, {error}", errors=errors) from error


def full_text(q: str | None, subject: Subject) -> list[Node]:
    """Return the nodes of the words of `q`; raise `Problem` (422) where it has none."""
    words = running_words(q) if q is not None else []
    if q is not None and not words:
        raise Problem(422, f"q: expected at least one word of letters or digits, found {q!r}")
    if any(len(word.encode()) > LONGEST_WORD for word in words):
        return [Or(())]  # no such word is kept
    return [Words(subject.text, (word,)) for word in words]


async def alerts(
    query: QueryText = None,
    q: FullText = None,
    since: Annotated[Time, Query(description="Alerts whose last event is not older.")] = None,
    until: Annotated[Time, Query(description="Alerts whose first event is older.")] = None,
    severity: Annotated[list[Severity] | None, Query(description="Any of these.")] = None,
    min_severity: Annotated[Severity | None, Query(description="This or worse.")] = None,
    rule: Annotated[Text, Query(description="Id of the rule or model.")] = None,
    entity: Annotated[Text, Query(description="Who did it, in full.")] = None,
    source: Annotated[Text, Query(description="Connector, such as cloudtrail.")] = None,
    technique: Annotated[
        str | None,
        Query(pattern=r"^[A-Z]{1,4}[0-9]{1,6}(\.[0-9]{1,6})?$", description="And what is below."),
    ] = None,
    status: Annotated[Word, Query(description="Such as new.")] = None,
    assignee: Annotated[Text, Query(description="Who works on it.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
) -> Node:
    """Return what alerts are asked for."""
    field = ALERTS.fields
    wanted = understood(query, ALERTS) + full_text(q, ALERTS)
    if since:
        wanted.append(Range(field["last_seen"], milliseconds(since), None))
    if until:
        wanted.append(Range(field["time"], None, milliseconds(until), with_high=False))
    if severity is not None:
        ids = (SEVERITIES.index(name) + 1 for name in severity)
        wanted.append(Or(tuple(Equal(field["severity"], number) for number in ids)))
    if technique is not None:
        wanted.append(Below(field["technique"], technique))
    wanted += _least(field["severity"], min_severity)
    wanted += _equal(
        (field["rule"], rule),
        (field["entity"], entity),
        (field["source"], source),
        (field["status"], status),
        (field["assignee"], assignee),
        (field["tenant"], tenant),
    )
    return both(*wanted)


async def events(
    query: QueryText = None,
    q: FullText = None,
    since: Annotated[Time, Query(description="Not older than this.")] = None,
    until: Annotated[Time, Query(description="Older than this.")] = None,
    uid: Annotated[UUID | None, Query(description="The event with this id.")] = None,
    source: Annotated[Text, Query(description="Connector, such as cloudtrail.")] = None,
    entity: Annotated[Text, Query(description="Who did it, in full.")] = None,
    operation: Annotated[Text, Query(description="What was done, in full.")] = None,
    service: Annotated[Text, Query(description="Where it was done, in full.")] = None,
    src_ip: Annotated[Text, Query(description="Address it came from.")] = None,
    class_uid: Annotated[int | None, Query(ge=0, le=MAX_INT, description="OCSF class.")] = None,
    min_severity: Annotated[Severity | None, Query(description="This or worse.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
) -> Node:
    """Return what events are asked for."""
    field = EVENTS.fields
    wanted = understood(query, EVENTS) + full_text(q, EVENTS)
    if since:
        wanted.append(Range(field["time"], milliseconds(since), None))
    if until:
        wanted.append(Range(field["time"], None, milliseconds(until), with_high=False))
    wanted += _least(field["severity"], min_severity)
    wanted += _equal(
        (field["uid"], uid),
        (field["source"], source),
        (field["entity"], entity),
        (field["operation"], operation),
        (field["service"], service),
        (field["src_ip"], src_ip),
        (field["class"], class_uid),
        (field["tenant"], tenant),
    )
    return both(*wanted)


def _equal(*pairs: tuple[Field, Any]) -> Iterable[Node]:
    return [Equal(field, value) for field, value in pairs if value is not None]


def _least(field: Field, name: Severity | None) -> Iterable[Node]:
    return [Range(field, SEVERITIES.index(name) + 1, None)] if name else []


AlertsWanted = Annotated[Node, Depends(alerts)]
EventsWanted = Annotated[Node, Depends(events)]
