"""Indicators: what matches, for how long, and how much memory and time it takes."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from detectors.enrich.feeds import Feed
from detectors.enrich.indicators import DAY_S, KINDS, LIFETIME, Indicator, score, spelled
from detectors.enrich.table import MATCHES, IndicatorTable, above, stem

NOW = 1_780_000_000
LABEL = st.sampled_from(["a", "b", "evil", "example", "com", "co"])
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)


def names(kind: str, values: list[str], *indicators: Indicator, now: float = NOW) -> list[set[str]]:
    """Return the names of what each value matches."""
    found = IndicatorTable(indicators).find(kind, values, now)
    return [{match.name for match in found.get(row, ())} for row in range(len(values))]


@given(st.lists(NAME, max_size=15), st.lists(NAME, max_size=15))
def test_a_domain_stands_for_the_names_below_it(listed: list[str], asked: list[str]) -> None:
    found = names("domain", asked, *(Indicator("domain", each, "f", name=each) for each in listed))

    for name, matched in zip(asked, found, strict=True):
        assert matched == {
            each for each in listed if name == each or (name.endswith(f".{each}") and "." in each)
        }


@given(NAME)
def test_names_above_end_with_the_stem(name: str) -> None:
    assert above(name)[0] == name
    assert above(name)[-1] == stem(name)


def test_a_url_matches_with_and_without_its_query() -> None:
    listed = Indicator("url", spelled("url", "http://Evil.example/a"), "f", name="x")
    asked = ["http://evil.example/a?b=1", "http://evil.example/a/b", "http://evil.example/a"]

    assert names("url", asked, listed) == [{"x"}, set(), {"x"}]


def test_an_address_matches_its_networks_and_all_feeds() -> None:
    listed = [
        Indicator("ip", "192.0.2.0/24", "f", name="net"),
        Indicator("ip", "192.0.2.7", "f", name="one"),
        Indicator("ip", "192.0.2.7", "g", name="two"),
        Indicator("ip", "not an address", "g", name="none"),
    ]

    assert names("ip", ["192.0.2.7", "192.0.2.8", "198.51.100.1"], *listed) == [
        {"net", "one", "two"},
        {"net"},
        set(),
    ]
    assert IndicatorTable(listed).refused == 1


def test_expired_and_decayed_indicators_match_no_more() -> None:
    old = NOW - (LIFETIME["ip"] + 1) * DAY_S
    listed = [
        Indicator("ip", "192.0.2.1", "f", seen=NOW, until=NOW + 1, name="valid"),
        Indicator("ip", "192.0.2.1", "f", until=NOW, name="expired"),
        Indicator("ip", "192.0.2.1", "f", seen=old, name="decayed"),
        Indicator("ip", "192.0.2.1", "f", name="undated"),
        Indicator("hash", "0" * 64, "f", seen=1, name="a hash never decays"),
    ]

    assert names("ip", ["192.0.2.1"], *listed) == [{"valid", "undated"}]
    assert names("ip", ["192.0.2.1"], *listed, now=NOW + 1) == [{"undated"}]
    assert names("hash", ["0" * 64], *listed) == [{"a hash never decays"}]


@given(st.sampled_from(KINDS), st.integers(0, 100), st.floats(0, 10**9), st.floats(0, 10**9))
def test_scores_only_fall(kind: str, confidence: int, age: float, more: float) -> None:
    assert 0 <= score(kind, confidence, age + more) <= score(kind, confidence, age) <= confidence


def test_matches_are_bounded_the_best_first() -> None:
    listed = [Indicator("ip", "192.0.2.1", f"f{n}", confidence=n) for n in range(50)]
    (found,) = IndicatorTable(listed).find("ip", ["192.0.2.1"], NOW).values()

    assert [match.confidence for match in found] == list(range(49, 49 - MATCHES, -1))


def test_real_addresses_are_all_found_and_no_others(data: Path) -> None:
    path = data / "threatintel" / "ipsum" / "ipsum.txt.gz"
    with gzip.open(path, "rt") as lines:
        rows = [line.split() for line in lines if line[:1] not in "#\n"]
    feed = Feed(path)
    table = IndicatorTable(feed)
    listed = {row[0] for row in rows}
    rng = random.Random(7)
    others = {
        f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.9" for _ in range(5000)
    }

    assert table.count["ip"] == len(rows)
    assert not feed.left_out
    some = sorted(listed)[::6]
    found = table.find("ip", [*some, *(others - listed)], NOW)
    assert sorted(found) == list(range(len(some)))
    assert table.size < 60 * len(rows)
