"""The alert of a correlation: one record that grows, and why it was raised."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from detectors.correlation.held.evidence import Seen
from detectors.correlation.plan import Node, Tree
from detectors.correlation.rules import Correlation
from detectors.engine.explain import LONGEST, MOST
from detectors.explain import Explanation
from detectors.score import rule_score
from schemas.identity import uid_text

#: Events that one alert carries; more are counted.
ATTACHED: Final = 50
#: Of those, the ones that the explanation lists.
LISTED: Final = 20
#: Correlations of which what is always the same is remembered.
ROOTS: Final = 1024

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"))
_WORDS: Final = {
    "gt": "more than",
    "gte": "at least",
    "lt": "fewer than",
    "lte": "at most",
    "eq": "exactly",
    "neq": "not",
}
_OPPOSITES: Final = {
    "gt": "{} or fewer",
    "gte": "fewer than {}",
    "lt": "{} or more",
    "lte": "more than {}",
    "eq": "more or fewer than {}",
    "neq": "exactly {}",
}


class Raised(msgspec.Struct, array_like=True):
    """An alert that may still grow.

    Attributes
    ----------
    count
        Events that it is about.
    members
        How many of them matched each rule.
    value, at, since
        The highest value that the condition held for, when, and where that window began.
    listed
        Time, place of the rule and id of the first events; no id of a match of a correlation.
    """

    first_seen: int
    last_seen: int
    members: list[int]
    value: float
    at: int
    since: int
    count: int = 0
    attached: list[bytes] = []
    listed: list[tuple[int, int, bytes]] = []


@lru_cache(maxsize=ROOTS)
def span(milliseconds: int) -> str:
    """Return a length of time as a rule would state it.

    >>> span(5_400_000), span(86_400_000)
    ('90m', '1d')
    """
    for unit, name in _UNITS:
        if milliseconds % unit == 0:
            return f"{milliseconds // unit}{name}"
    return f"{milliseconds}ms"


def clock(time: int) -> str:
    """Return an event time (ms) as people read it, UTC.

    >>> clock(1_767_571_200_000)
    '2026-01-05 00:00:00 UTC'
    """
    day, rest = divmod(time // 1000, 86_400)
    minutes, second = divmod(rest, 60)
    date = _date(day)
    if not date:
        return f"{time} ms"
    return f"{date} {minutes // 60:02}:{minutes % 60:02}:{second:02} UTC"


@lru_cache(maxsize=1 << 8)
def _date(day: int) -> str:
    """Return the date so many days after 1970; empty where no calendar has it."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(day)).strftime("%Y-%m-%d")
    except OverflowError:
        return ""


@lru_cache(maxsize=1 << 13)  # the first events of an alert come with each amendment
def _listed(title: str, time: int, uid: bytes) -> msgspec.Raw:
    """Return what an explanation says of an event, as JSON."""
    row = {"selection": title, "field": "time", "value": clock(time), "event": _text(uid)}
    return msgspec.Raw(msgspec.json.encode(row))


@lru_cache(maxsize=1 << 13)
def _text(uid: bytes) -> str:
    return uid_text(uid) if uid else ""


def alert(
    ident: str, tree: Tree, tenant: str, values: Sequence[str], raised: Raised, new: Sequence[Seen]
) -> dict[str, Any]:
    """Return the record of ``alert.avsc``.

    Parameters
    ----------
    values
        Those of the group.
    new
        The events that come with this record.
    """
    root = tree.root
    node = tree.nodes[root.id]
    newest = max(new, key=lambda seen: (seen.time, seen.uid), default=None)
    entities = {seen.entity for seen in new if seen.entity}
    named = dict(zip(root.group_by, values, strict=True))
    entity = named.get("@entity") or (entities.pop() if len(entities) == 1 else ", ".join(values))
    score = rule_score(root.severity_id)
    return {
        "id": ident,
        "tenant": tenant,
        "source": newest.source if newest else "",
        "kind": "correlation",
        "rule_id": root.id,
        "title": root.title,
        "techniques": list(root.techniques),
        "severity_id": root.severity_id,
        "score": score,
        "entity": entity,
        "explanation": explanation(node, named, raised),
        "first_seen": raised.first_seen,
        "last_seen": raised.last_seen,
        "count": raised.count,
        "status": "staged" if root.staged else "new",
        "events": [
            {
                "uid": seen.uid,
                "time": seen.time,
                "arrived": seen.arrived,
                "score": score,
                "raw": seen.raw,
                "source": seen.source,
            }
            for seen in new
        ],
    }


def explanation(node: Node, group: dict[str, str], raised: Raised) -> str:
    """Return why, as JSON: the shape of `detectors.explain`.

    ``contributions`` has a row for each rule, ``matched`` the first events with rule and time,
    ``baseline`` the value against the condition and the window.
    """
    root = node.correlation
    parts = [
        {"field": title, "value": count, "weight": round(count / max(1, raised.count), 4)}
        for title, count in zip(node.titles, raised.members, strict=True)
        if count
    ]
    whose = ", ".join(f"{name} {value}" for name, value in group.items())
    about = f" for {whose}" if whose else ""
    made = Explanation(
        kind="correlation",
        what=f"{root.title}{about}: {_said(root, raised)} between "
        f"{clock(max(raised.since, raised.first_seen))} and {clock(raised.at)}.",
        description=_described(root),
        condition=_condition(root),
        matched=[_listed(node.titles[member], time, uid) for time, member, uid in raised.listed],
        contributions=sorted(parts, key=lambda part: -part["weight"]),
        baseline={
            "value": raised.value,
            "condition": root.condition,
            "timespan": span(root.timespan_ms),
            "window": root.window,
            "since": raised.since,
            "until": raised.at,
            "group": group,
        },
        events=[_text(uid) for _, _, uid in raised.listed if uid],
        techniques=list(root.techniques),
        quiet=_quiet(root),
        false_positives=list(root.falsepositives),
        references=list(root.references[:MOST]),
    )
    return msgspec.json.encode(made).decode()


def _said(root: Correlation, raised: Raised) -> str:
    what = _what(root)
    if root.kind.startswith("temporal"):
        met = sum(1 for count in raised.members if count)
        order = ", in their order," if root.kind == "temporal_ordered" else ""
        return (
            f"{met} of its {len(root.rules)} rules matched{order} within {span(root.timespan_ms)}"
        )
    return f"{raised.value:g} {what} within {span(root.timespan_ms)}"


@lru_cache(maxsize=ROOTS)
def _what(root: Correlation) -> str:
    fields = " and ".join(root.fields)
    return {
        "event_count": "events",
        "value_count": f"different values of {fields}",
        "value_sum": f"as the sum of {fields}",
        "value_avg": f"as the mean of {fields}",
        "value_median": f"as the median of {fields}",
        "value_percentile": f"as percentile {root.percentile:g} of {fields}",
        "temporal": "of the rules",
        "temporal_ordered": "of the rules, in their order",
    }[root.kind]


@lru_cache(maxsize=ROOTS)
def _condition(root: Correlation) -> str:
    if root.expression:
        return f"{root.condition} within {span(root.timespan_ms)}"
    wanted = " and ".join(f"{_WORDS[name]} {number:g}" for name, number in root.conditions)
    return f"{wanted} {_what(root)} within {span(root.timespan_ms)}"


@lru_cache(maxsize=ROOTS)
def _quiet(root: Correlation) -> str:
    if root.expression:
        return f"not ({root.condition}) within {span(root.timespan_ms)}"
    opposite = " or ".join(_OPPOSITES[name].format(f"{n:g}") for name, n in root.conditions)
    return f"{opposite} {_what(root)} within {span(root.timespan_ms)}"


@lru_cache(maxsize=ROOTS)
def _described(root: Correlation) -> str:
    return " ".join(root.description.split())[:LONGEST]
