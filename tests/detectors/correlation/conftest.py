"""Correlations and contributions, from as little as each test needs to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import md5
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from detectors.correlation.plan import Plan
from detectors.correlation.rules import parse_correlation
from detectors.engine.condition import Rule
from detectors.engine.parse import parse_document
from schemas.batch import Strings
from schemas.joins import SEPARATOR, Arrivals, Member

#: Watermark of events of whose source nothing else has been seen.
NOTHING = -(1 << 62)
DAY = 86_400_000

#: Rule, values grouped by, event time (ms), value, name.
Hit = tuple[str, tuple[str, ...], int, str, str]


def rule(name: str) -> dict[str, Any]:
    """Return a rule of a name that is also its id and title."""
    return {
        "title": name,
        "name": name,
        "id": name,
        "logsource": {"product": "test"},
        "detection": {"selection": {"what": name}, "condition": "selection"},
    }


@cache
def rules() -> list[Rule]:
    """Return the rules a, b, c and d; each has its name as id."""
    parsed = [parse_document(rule(name), {}) for name in "abcd"]
    return [each for each in parsed if isinstance(each, Rule)]


def plan_of(*documents: dict[str, Any]) -> Plan:
    """Return correlations over the rules; each has its name as id."""
    made = []
    for document in documents:
        name = document.get("name", "root")
        parsed = parse_correlation({"title": name, **document})
        made.append(structs.replace(parsed, id=name))
    plan = Plan(rules(), made)
    assert plan.refused == []
    return plan


def arrivals_of(
    plan: Plan, hits: Sequence[Hit], first: int = 0, marks: Sequence[int] | None = None
) -> Arrivals:
    """Return contributions as they come from an events partition; one event an offset."""
    rows = [
        (place, Member(step.root, step.node, step.rule, step.key), hit)
        for place, hit in enumerate(hits)
        for step in plan.steps.get(hit[0], ())
    ]
    members = list(dict.fromkeys(row[1] for row in rows))
    count = len(hits)
    times = np.array([hit[2] for hit in hits], np.int64)
    same = Strings.of(["acme"] * count)
    return Arrivals(
        members=members,
        member=np.array([members.index(row[1]) for row in rows], np.int32),
        event=np.array([row[0] for row in rows], np.int32),
        group=Strings.of([SEPARATOR.join(row[2][1]) for row in rows]),
        value=Strings.of([row[2][3] for row in rows]),
        uid=np.frombuffer(b"".join(uid(hit[4]) for hit in hits), np.uint8).reshape(-1, 16),
        time=times,
        arrived=times,
        origin=np.arange(first, first + count, dtype=np.int64),
        watermark=np.array(marks or [NOTHING] * count, np.int64),
        tenant=same,
        source=Strings.of(["test"] * count),
        entity=same,
        raw=b"".join(hit[4].encode() for hit in hits),
        raw_end=np.cumsum([len(hit[4]) for hit in hits], dtype=np.int64),
    )


def uid(name: str) -> bytes:
    """Return the id of an event."""
    return md5(name.encode(), usedforsecurity=False).digest()


class Reader:
    """Keeps what any consumer of alerts keeps: the highest count, and each event once."""

    def __init__(self) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        self.events: dict[str, set[bytes]] = {}
        self.counts: dict[str, int] = {}

    def take(self, joined: Any) -> None:
        """Take the alerts and counts of one call."""
        for alert in joined.alerts:
            known = self.alerts.get(alert["id"])
            if known is None or known["count"] <= alert["count"]:
                self.alerts[alert["id"]] = alert
            self.events.setdefault(alert["id"], set()).update(e["uid"] for e in alert["events"])
        for counts in joined.counts.values():
            for name, count in counts.items():
                self.counts[name] = self.counts.get(name, 0) + count

    def result(self) -> dict[str, Any]:
        """Return count, first and last time and events of each alert, by id."""
        names = ("count", "first_seen", "last_seen")
        return {
            ident: (*(alert[name] for name in names), self.events[ident])
            for ident, alert in self.alerts.items()
        }


@pytest.fixture(scope="session")
def arrivals() -> Callable[..., Arrivals]:
    """Return `arrivals_of`."""
    return arrivals_of


@pytest.fixture(scope="session")
def plans() -> Callable[..., Plan]:
    """Return ``plans(document, …)``."""
    return plan_of


@pytest.fixture(scope="session")
def reader() -> type[Reader]:
    """Return the class of readers of alerts."""
    return Reader


@pytest.fixture(scope="session")
def uid_of() -> Callable[[str], bytes]:
    """Return `uid`."""
    return uid
