"""Batches of events for the tests of detection, from as little as each test needs to say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from schemas.batch import STRING_COLUMNS, EventBatch, Hit, RuleRef, Strings

Event = dict[str, Any]
MONDAY = 1_767_571_200_000  # 2026-01-05 00:00 UTC
DEFAULTS: Event = {
    "tenant": "acme",
    "entity": "alice",
    "operation": "GetObject",
    "service": "s3",
    "src_ip": "10.0.0.1",
    "user_agent": "aws-cli",
    "region": "eu-west-1",
    "class_uid": 6003,
    "activity_id": 2,
    "status_id": 1,
    "severity_id": 1,
}


def build(
    events: Sequence[Event],
    first: int = 0,
    rules: Sequence[RuleRef] = (),
    hits: Sequence[Hit] = (),
    source: str = "cloudtrail",
) -> EventBatch:
    """Make a batch of `events`; sequence numbers count up from `first` and name the ids."""
    full = [
        DEFAULTS | {"time": MONDAY + 1000 * n, "native": str(n)} | event
        for n, event in enumerate(events, first)
    ]
    count = len(full)
    raws = [f"raw {event['native']}".encode() for event in full]
    uids = b"".join(hashlib.md5(event["native"].encode()).digest() for event in full)
    columns: dict[str, Any] = {
        name: Strings.of([event[name] for event in full]) for name in STRING_COLUMNS
    }
    for name in ("class_uid", "activity_id", "status_id", "severity_id"):
        columns[name] = np.array([event[name] for event in full], dtype=np.int32)
    time = np.array([event["time"] for event in full], dtype=np.int64)
    return EventBatch(
        source=source,
        origin_topic=f"raw.{source}",
        origin_partition=0,
        origin_first=first,
        origin_last=first + count - 1,
        uid=np.frombuffer(uids, np.uint8).reshape(-1, 16),
        time=time,
        arrived=time + 5,
        origin=np.arange(first, first + count, dtype=np.int64),
        raw=b"".join(raws),
        raw_end=np.cumsum([len(raw) for raw in raws], dtype=np.int64),
        rules=list(rules),
        hits=list(hits),
        **columns,
    )


def cut(batch: EventBatch, places: Sequence[int]) -> list[EventBatch]:
    """Cut a batch in front of each row in `places`; through Avro, as Kafka would carry it."""
    edges = [0, *sorted(set(places) - {0, len(batch)}), len(batch)]
    return [
        EventBatch.decode(
            batch.split(
                np.arange(start, end),
                [end - start],
                int(batch.origin[start]),
                int(batch.origin[end - 1]),
            )[0].encode()
        )
        for start, end in pairwise(edges)
        if end > start
    ]


@pytest.fixture(scope="session")
def event_batch() -> Callable[..., EventBatch]:
    """Return `build`."""
    return build


@pytest.fixture(scope="session")
def cut_batch() -> Callable[..., list[EventBatch]]:
    """Return `cut`."""
    return cut


@pytest.fixture(scope="session")
def company() -> list[Event]:
    """1,500 seeded events of two tenants: habits, some noise, and a few odd ones."""
    rng = np.random.default_rng(7)
    events: list[Event] = []
    for n in range(1500):
        who = int(rng.zipf(1.8)) % 6
        events.append(
            {
                "tenant": "acme" if rng.random() < 0.7 else "globex",
                "entity": f"user{who}",
                "operation": f"Op{int(rng.zipf(1.6)) % 40}",
                "service": f"svc{who % 3}",
                "src_ip": f"10.0.{who}.{int(rng.zipf(2)) % 9}",
                "user_agent": "" if rng.random() < 0.1 else f"agent{who}",
                "status_id": 2 if rng.random() < 0.05 else 1,
                "time": MONDAY + 1000 * n + int(rng.integers(-30_000, 30_000)),
            }
        )
    for n in (900, 1100, 1400, 1402):
        events[n] |= {
            "src_ip": f"203.0.113.{n % 250}",
            "user_agent": "kali",
            "operation": f"Delete{n}",
            "class_uid": 3001,
            "region": "ap-east-1",
            "status_id": 2,
        }
    return events
