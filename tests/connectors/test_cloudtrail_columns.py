"""Batches that are decoded on demand give what record by record gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.cloudtrail import MANY, CloudTrail
from detectors.sigma import RuleSet
from schemas.batch import Strings
from schemas.columns import lexicon  # noqa: F401 - loads compiled code, which takes its time
from schemas.columns.records import Records, Texts
from sentinel.reading import Reader
from sentinel.sample.hour import simulate
from streams.policy.rule_sets import own_rules


def compare(raws: list[bytes], rules: RuleSet) -> int:
    """Compare columns, matches and errors; return how many rules matched."""
    connector = CloudTrail()
    chosen = rules.select(connector.logsources)
    decoder = connector.decoder(frozenset().union(*(rule.fields for rule in chosen.rules)))
    matcher = chosen.matcher(decoder.getter, decoder.text)
    records = decoder.all(raws)
    decoded = [decoder.decode(raw) for raw in raws]
    assert isinstance(records, Records)
    summaries = [connector.summarise(event) for event in decoded]
    for lazy, plain in zip(connector.columns(records), zip(*summaries, strict=True), strict=True):
        if isinstance(lazy, Strings):
            assert [lazy.at(row) for row in range(len(raws))] == list(plain)
        elif isinstance(lazy, Texts):
            assert [text.decode() for text in lazy.tolist()] == list(plain)
        else:
            assert np.asarray(lazy).tolist() == list(plain)
    found = matcher.match(records)
    assert found == matcher.match(decoded)
    for row, rule in found[:50]:
        assert matcher.explain(records[row], rule) == matcher.explain(decoded[row], rule)
    return len(found)


def test_very_many_are_decoded_on_demand_and_fewer_at_once() -> None:
    connector = CloudTrail()
    decoder = connector.decoder(frozenset())
    raw = next(event.raw for event in simulate(3) if event.source == "cloudtrail")
    assert isinstance(connector.decode_all(decoder, [raw] * MANY), Records)
    assert isinstance(connector.decode_all(decoder, [raw] * (MANY - 1)), list)
    twice = raw.replace(b"{", b'{"eventName":"a",', 1)
    assert isinstance(connector.decode_all(decoder, [raw] * MANY + [twice]), list)


def test_simulated_hour() -> None:
    raws = [event.raw for event in simulate(3, minutes=20) if event.source == "cloudtrail"]
    assert compare(raws, RuleSet.load([own_rules()])) > 0


def test_real_records(data: Path) -> None:
    folders = [data / "cloudtrail_invictus", data / "cloudtrail_stratus"]
    events = [orjson.loads(raw) for _, raw in Reader(folders)]
    raws = [orjson.dumps(each) for each in events if "eventID" in each]
    assert compare(raws, RuleSet.load([own_rules(), data / "sigma_rules" / "rules"])) > 100


ODD = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "true", "Success"])
USER = ODD | st.fixed_dictionaries(
    {},
    optional={
        "type": ODD | st.sampled_from(["IAMUser", "AssumedRole", "Root"]),
        "arn": ODD | st.just("arn:aws:sts::1:assumed-role/r/s"),
        "sessionContext": ODD | st.just({"sessionIssuer": {"arn": "arn:aws:iam::1:role/r"}}),
    },
)
EVENT = st.fixed_dictionaries(
    {
        "eventTime": st.sampled_from(["2024-05-01T12:00:00Z", "2024-05-01T12:00:01Z"]),
        "eventName": st.sampled_from(["ConsoleLogin", "AssumeRole", "CreateUser", "GetObject"]),
        "eventSource": st.sampled_from(["signin.amazonaws.com", "iam.amazonaws.com", "x"]),
    },
    optional={
        "eventID": ODD,
        "readOnly": ODD,
        "errorCode": ODD,
        "awsRegion": ODD,
        "sourceIPAddress": ODD,
        "userAgent": ODD,
        "userIdentity": USER,
        "responseElements": ODD | st.just({"ConsoleLogin": "Failure"}) | st.just({"a": [1]}),
        "requestParameters": ODD | st.just({"userName": "x"}),
    },
)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet.load([own_rules()])


@given(st.lists(EVENT, min_size=1, max_size=6))
def test_odd_values(rules: RuleSet, made: list[dict[str, Any]]) -> None:
    compare([orjson.dumps(each) for each in made], rules)
