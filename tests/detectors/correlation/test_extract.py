"""What events contribute to correlations does not depend on how many come together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import connectors
from connectors.base import Connector
from detectors.correlation.extract import Extractor, fields
from detectors.correlation.plan import Plan
from detectors.correlation.rules import parse_correlation
from detectors.engine.condition import Rule
from detectors.engine.parse import parse_document
from detectors.match import Matcher
from schemas.columns.records import Records
from schemas.strings import Strings
from sentinel.registry import discover
from sentinel.sample.hour import simulate

RULE = {
    "title": "read",
    "name": "read",
    "id": "read",
    "logsource": {"product": "aws", "service": "cloudtrail"},
    "detection": {"selection": {"eventName|startswith": ["List", "Describe", "Get"]},
                  "condition": "selection"},
}  # fmt: skip


class Batch:
    """As much of a batch as contributions look at."""

    def __init__(self, services: list[str]) -> None:
        self.service = Strings.of(services)


def correlation(**more: Any) -> dict[str, Any]:
    return {"title": "many", "name": "many", "correlation": {
        "type": "value_count" if "field" in str(more) else "event_count", "rules": ["read"],
        "timespan": "1h", "condition": {"gte": 3}, **more}}  # fmt: skip


@pytest.fixture(scope="module")
def raws():
    found = [event.raw for event in simulate(seed=3, start=1_767_600_000, minutes=20)
             if event.source == "cloudtrail"]  # fmt: skip
    return found[:1200]


@pytest.mark.parametrize(
    "document",
    [
        correlation(**{"group-by": ["userIdentity.arn"]}),
        correlation(**{"group-by": ["userIdentity.arn", "awsRegion"]}),
        correlation(**{"group-by": ["@service"]}),
        correlation(**{"group-by": ["@service", "sourceIPAddress"]}),
        correlation(**{"group-by": ["userIdentity.arn"],
                       "condition": {"gte": 3, "field": "eventName"}}),
        correlation(**{"group-by": ["requestParameters.bucketName"]}),
        correlation(**{"group-by": ["awsRegion"], "condition": {"gte": 3, "field": "eventID"}}),
        correlation(),
    ],
    ids=lambda document: "-".join(document["correlation"].get("group-by", ["all"])),
)  # fmt: skip
def test_many_events_contribute_what_each_does(raws, document):
    rule = parse_document(RULE, {})
    assert isinstance(rule, Rule)
    plan = Plan([rule], [parse_correlation(document)])
    connector = discover(connectors, Connector)["cloudtrail"]()
    wanted = rule.fields | fields(plan, [rule])
    decoder = connector.decoder(wanted)
    many = connector.decode_all(decoder, raws)
    assert isinstance(many, Records)
    batch = Batch([f"service-{row % 3}" for row in range(len(raws))])
    hits = Matcher([rule], decoder.getter).match(many)
    assert len(hits) > 100
    extractor = Extractor(plan, [rule], decoder.getter)
    found = listed(extractor.joins(batch, many, hits))
    every = list(many)
    alone = [listed(extractor.joins(batch, every, [hit])) for hit in hits]
    assert found == [each for one in alone for each in one]


def listed(joins) -> list[tuple[Any, ...]]:
    """Return contributions one by one: who, of which event, group, value."""
    if joins is None:
        return []
    assert joins.member.dtype == joins.event.dtype == np.int32
    return [
        (joins.members[member], event, joins.group.at(at), joins.value.at(at))
        for at, (member, event) in enumerate(
            zip(joins.member.tolist(), joins.event.tolist(), strict=True)
        )
    ]
