"""Rules ask for what look-ups know, of the address and of who acted, while feeds are swapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors._mapper import Mapper
from connectors.base import Connector
from connectors.cloudtrail import CloudTrail
from detectors.enrich import folder
from detectors.enrich.enricher import Enricher
from detectors.enrich.event import enrich
from detectors.sigma import RuleSet
from schemas.ocsf import validate
from sentinel.cli.alert import _known
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.normalizer import Normalizer, Units

ADA = "arn:aws:iam::123456789012:user/ada"
RULES = """
title: Key made from an address on a feed
id: 11111111-1111-4111-8111-111111111111
logsource: {{product: aws, service: cloudtrail}}
detection:
  call: {{eventName: CreateAccessKey}}
  feed: {{intel.src.confidence|gte: 60}}
  condition: call and feed
level: high
---
title: What a critical identity does
id: 22222222-2222-4222-8222-222222222222
logsource: {{product: aws, service: cloudtrail}}
detection:
  who: {{intel.entity.criticality: critical, intel.entity.tags|contains: admin}}
  condition: who
level: medium
---
title: Call from the usual place
id: 33333333-3333-4333-8333-333333333333
logsource: {{product: aws, service: cloudtrail}}
detection:
  call: {{eventName: CreateAccessKey}}
  known: {{intel.src.{place}: {value}}}
  condition: call and not known
level: low
---
title: No look-up at all
id: 44444444-4444-4444-8444-444444444444
logsource: {{product: aws, service: cloudtrail}}
detection:
  call: {{eventName: DeleteTrail}}
  condition: call
level: low
"""


def event(number: int, ip: str, name: str = "CreateAccessKey", who: str = ADA) -> bytes:
    return json.dumps(
        {
            "eventVersion": "1.08",
            "eventID": f"{number:08x}-0000-4000-8000-000000000000",
            "eventTime": "2026-01-31T12:00:00Z",
            "eventName": name,
            "eventSource": "iam.amazonaws.com",
            "awsRegion": "eu-central-1",
            "sourceIPAddress": ip,
            "userIdentity": {"type": "IAMUser", "arn": who, "userName": who.rpartition("/")[2]},
        }
    ).encode()


@pytest.fixture
def intel(tmp_path: Path) -> Path:
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "bad.csv").write_text(
        "indicator,type,confidence,name\n198.51.100.7,ip,90,Botnet\n198.51.100.8,ip,30,Noise\n"
    )
    (tmp_path / "identities.csv").write_text(
        f"key,name,owner,criticality,tags\n{ADA},Ada,Platform team,critical,admin;human\n"
    )
    (tmp_path / "assets.csv").write_text("key,owner,environment\n192.0.2.0/24,Net,production\n")
    return tmp_path


def normalizer(
    tmp_path: Path, enricher: Enricher | None, place: str = "environment", value: str = "production"
) -> Normalizer:
    path = tmp_path / "rules.yml"
    path.write_text(RULES.format(place=place, value=value))
    return Normalizer(
        "cloudtrail", CloudTrail(), RuleSet.load([path]), 2, enricher=lambda: enricher
    )


def hits(made: Normalizer, *raws: bytes, slowly: bool = False) -> list[tuple[int, str]]:
    units = Units()
    for number, raw in enumerate(raws):
        units.add(raw, "default", number, 0, 2 * number, 0)
    place, last = ("raw.cloudtrail", 0), 2 * len(raws)
    found = None if slowly else made.quickly(units, place, 0, last)
    batches = found if found is not None else made.normalize(units, place, 0, last)[0]
    return sorted(
        (int(batch.origin[hit.event]) // 2, batch.rules[hit.rule].id[0])
        for _, batch in batches
        for hit in batch.hits
    )


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("filling", [0, 400])
def test_rules_match_on_what_is_known(intel, tmp_path, slowly, filling):
    """Also in large batches, where plain rules are matched once for all that are alike."""
    made = normalizer(tmp_path, Enricher(folder.load(intel)[0]))
    raws = [
        event(0, "198.51.100.7"),
        event(1, "198.51.100.8", who="arn:aws:iam::123456789012:user/eve"),
        event(2, "192.0.2.9", "DeleteTrail"),
        event(3, "192.0.2.9", who="arn:aws:iam::123456789012:user/eve"),
        *(event(9 + n, "192.0.2.9", "ListUsers", who="x") for n in range(filling)),
    ]
    expected = [(0, "1"), (0, "2"), (0, "3"), (1, "3"), (2, "2"), (2, "4")]
    assert hits(made, *raws, slowly=slowly) == expected


def test_indicators_travel_with_the_events_as_weights(intel, tmp_path):
    made = normalizer(tmp_path, Enricher(folder.load(intel)[0]))
    found = {}
    for number, ip in enumerate(("198.51.100.7", "198.51.100.8", "192.0.2.9")):
        units = Units()
        units.add(event(number, ip), "default", number, 0, 2 * number, 0)
        ((_, batch),) = made.quickly(units, ("raw.cloudtrail", 0), 0, 9)
        found[ip] = None if batch.weight is None else float(batch.weight[0])
    assert found["198.51.100.7"] > 0.5 > found["198.51.100.8"] > 0
    assert found["192.0.2.9"] is None


def test_without_look_ups_nothing_is_known_and_other_rules_work(tmp_path):
    made = normalizer(tmp_path, None)
    found = hits(made, event(0, "198.51.100.7"), event(1, "192.0.2.9", "DeleteTrail"))
    assert found == [(0, "3"), (1, "4")]


def of_feeds(tmp_path: Path, enricher: Enricher | None) -> Normalizer:
    """Return a normalizer with the rule on the feed alone: it needs something to be known."""
    path = tmp_path / "needs.yml"
    path.write_text(RULES.partition("---")[0].format())
    rules = RuleSet.load([path])
    return Normalizer("cloudtrail", CloudTrail(), rules, 2, enricher=lambda: enricher)


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("filling", [0, 400])
def test_events_of_which_nothing_is_known_cost_such_rules_nothing(intel, tmp_path, slowly, filling):
    made = of_feeds(tmp_path, Enricher(folder.load(intel)[0]))
    strangers = [event(9 + n, "203.0.113.9", who="x") for n in range(filling)]
    raws = [*strangers, event(1, "198.51.100.7"), *strangers, event(2, "198.51.100.7", who="x")]
    assert hits(made, *raws, slowly=slowly) == [(filling, "1"), (2 * filling + 1, "1")]
    assert hits(made, event(0, "203.0.113.9", who="x"), slowly=slowly) == []

    without = of_feeds(tmp_path, None)
    assert without.compiled(RuleSet.load([tmp_path / "needs.yml"])).knowing is None
    assert hits(without, *raws, slowly=slowly) == []


def test_the_explanation_says_what_was_known(intel, tmp_path):
    made = normalizer(tmp_path, Enricher(folder.load(intel)[0]))
    units = Units()
    units.add(event(0, "198.51.100.7"), "default", 0, 0, 0, 0)
    batches = made.quickly(units, ("raw.cloudtrail", 0), 0, 0)
    assert batches is not None
    batch = batches[0][1]
    said = {batch.rules[hit.rule].id[0]: json.loads(hit.explanation) for hit in batch.hits}
    parts = {part["field"]: part["value"] for part in said["1"]["matched"]}
    assert parts["intel.src.confidence"] == 90
    assert parts["eventName"] == "CreateAccessKey"


def test_new_tables_count_from_the_next_batch_on(intel, tmp_path):
    watch = folder.Watch(intel, every_s=3600)
    made = normalizer(tmp_path, watch.enricher)
    raw = event(0, "203.0.113.5", who="x")
    assert hits(made, raw) == [(0, "3")]
    (intel / "feeds" / "more.csv").write_text("indicator,type,confidence\n203.0.113.5,ip,99\n")
    assert watch.look()
    assert hits(made, raw) == [(0, "1"), (0, "3")]
    watch.close()


def test_rules_ask_for_countries_and_networks(data, tmp_path):
    geo = tmp_path / "geo"
    geo.mkdir()
    for name in ("GeoIP2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb"):
        (geo / name).symlink_to(data / "threatintel" / "maxmind" / "test-data" / name)
    enricher = Enricher(folder.load(tmp_path)[0])
    at_home = normalizer(tmp_path, enricher, "country", "GB")
    assert hits(at_home, event(0, "81.2.69.142"), event(1, "1.128.0.0")) == [(1, "3")]
    network = normalizer(tmp_path, enricher, "asn", "1221")
    assert hits(network, event(0, "81.2.69.142"), event(1, "1.128.0.0")) == [(0, "3")]


GOLDEN = Path(__file__).parents[1] / "connectors" / "golden"
WENT = {name: kind() for name, kind in discover(connectors, Connector).items() if kind.destinations}


@pytest.mark.parametrize("source", sorted(WENT))
def test_a_destination_is_where_the_event_went(source):
    """Rules ask about the address that OCSF has as the end of the way."""
    connector = WENT[source]
    decoder = connector.decoder(frozenset(connector.destinations))
    ways = [decoder.getter(field) for field in connector.destinations]
    units = [
        unit
        for path in sorted((GOLDEN / source).glob("*.raw.*"))
        for unit in connector.split(path.read_bytes())
    ]
    decoded = [(decoder.decode(unit), connector.to_ocsf(unit)) for unit in units]
    said = {
        (
            next(filter(None, (get(event) for get in ways)), None),
            ocsf.get("dst_endpoint", {}).get("ip"),
        )
        for event, ocsf in decoded
    }
    assert [pair for pair in said if all(pair)], "no golden event has a destination"
    assert [pair for pair in said if all(pair) and pair[0] != pair[1]] == []


FLOW = "2 123456789012 eni-1 192.0.2.9 {to} 40000 443 6 1 40 1772442900 1772442960 ACCEPT OK"
EVE = {"timestamp": "2026-03-02T09:15:00.000000+0000", "event_type": "flow", "proto": "TCP"}


def sent_to(source: str, address: str) -> bytes:
    if source == "vpc_flow":
        return FLOW.format(to=address).encode()
    return json.dumps({**EVE, "src_ip": "192.0.2.9", "dest_ip": address}).encode()


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("source", ["suricata", "vpc_flow"])
def test_rules_ask_where_an_event_went(intel, tmp_path, source, slowly):
    log = WENT[source].logsources[0]
    rule = {
        "title": "Sent to an address on a feed",
        "id": "55555555-5555-4555-8555-555555555555",
        "logsource": {name: value for name, value in log._asdict().items() if value},
        "detection": {"feed": {"intel.dst.confidence|gte": 60}, "condition": "feed"},
        "level": "high",
    }
    (tmp_path / "went.yml").write_text(json.dumps(rule))
    rules = RuleSet.load([tmp_path / "went.yml"])
    enricher = Enricher(folder.load(intel)[0])
    made = Normalizer(source, WENT[source], rules, 2, enricher=lambda: enricher)
    raws = [sent_to(source, f"198.51.100.{last}") for last in (9, 7, 8, 7)]
    assert hits(made, *raws, slowly=slowly) == [(1, "5"), (3, "5")]


def test_an_alert_shows_whose_it_is_and_which_feed_has_it(intel):
    enricher = Enricher(folder.load(intel)[0])
    mapper = Mapper(Settings(), "test", None, lambda found: enrich(found, enricher))
    ocsf: dict[str, Any] = json.loads(
        mapper.ocsf("cloudtrail", "default", bytes(16), event(0, "198.51.100.7"))
    )
    assert validate(ocsf) == []
    lines = list(_known([{"ocsf": ocsf}, {"ocsf": ocsf}, {"ocsf": None}]))
    assert lines[:2] == ["", "What is known"]
    assert any(
        line.startswith(f"  {ADA}: identity: ")
        and "owner Platform team" in line
        and "criticality critical" in line
        for line in lines
    ), lines
    assert any(
        line.startswith("  198.51.100.7: indicator: Botnet, confidence 90") for line in lines
    ), lines
    assert len(lines) == len(set(lines)), "said twice"
