"""Feeds in every format, damaged ones included."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.enrich.feeds import Feed, compared
from detectors.enrich.indicators import CONFIDENCE, Indicator, kind_of, refanged, spelled


def read(
    folder: Path, content: str | bytes | Any, name: str = "feed.txt"
) -> tuple[list[Indicator], Feed]:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    feed = Feed(path)
    return list(feed), feed


def values(folder: Path, content: Any) -> list[tuple[str, str]]:
    return [(each.kind, each.value) for each in read(folder, content)[0]]


def test_a_plain_list(tmp_path: Path) -> None:
    lines = "# comment\n192.0.2.1\n\n198.51.100.0/24 ; spam\nEvil.Example.COM\nhxxp://evil[.]example/a\n???"
    found, feed = read(tmp_path, lines)

    assert [(each.kind, each.value) for each in found] == [
        ("ip", "192.0.2.1"),
        ("ip", "198.51.100.0/24"),
        ("domain", "evil.example.com"),
        ("url", "http://evil.example/a"),
    ]
    assert feed.left_out == {"no_indicator": 1}
    assert {each.feed for each in found} == {"feed"}


def test_a_list_with_counts_is_the_surer_the_more_lists(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "192.0.2.1\t1\n192.0.2.2\t5\n192.0.2.3\n")

    assert [each.confidence for each in found] == [35, 95, CONFIDENCE]


def test_csv_by_the_names_of_its_columns(tmp_path: Path) -> None:
    found, _ = read(
        tmp_path,
        '# "indicator","type","confidence","last_seen","valid_until","malware","tags"\n'
        '"192.0.2.1","ip-dst","high","2026-03-02T09:15:00Z","1900000000","Zloader","c2, loader"\n',
    )

    assert found == [
        Indicator(
            "ip", "192.0.2.1", "feed", 85, 1772442900, 1900000000, "Zloader", ("c2", "loader")
        )
    ]


def stix(**fields: Any) -> dict[str, Any]:
    plain = {
        "type": "indicator",
        "pattern_type": "stix",
        "pattern": "[ipv4-addr:value = '192.0.2.1']",
    }
    return {"type": "bundle", "objects": [{"type": "malware"}, plain | fields]}


def test_stix(tmp_path: Path) -> None:
    found, _ = read(
        tmp_path,
        stix(
            name="C2",
            confidence=80,
            modified="2026-03-02T09:15:00.000Z",
            valid_until="2026-04-02T09:15:00Z",
            labels=["botnet"],
            indicator_types=["malicious-activity"],
        ),
    )

    labels = ("malicious-activity", "botnet")
    assert found == [Indicator("ip", "192.0.2.1", "feed", 80, 1772442900, 1775121300, "C2", labels)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"revoked": True}, "revoked"),
        ({"pattern_type": "sigma"}, "pattern_type"),
        ({"pattern": "[ipv4-addr:value = '192.0.2.1' AND url:value = 'http://a.b']"}, "pattern"),
        ({"pattern": "[ipv4-addr:value LIKE '192.%']"}, "pattern"),
        ({"pattern": "[process:name = 'x']"}, "pattern"),
        ({"pattern": "[ipv4-addr:value = 'x']"}, "no_indicator"),
    ],
)
def test_what_no_single_value_decides_is_counted(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    found, feed = read(tmp_path, stix(**fields))

    assert (found, feed.left_out) == ([], {reason: 1})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[file:hashes.MD5 = 'aa']", [("hash", "aa")]),
        (
            "[file:hashes.'SHA-256' = 'aa' OR file:hashes.'SHA-1' = 'bb']",
            [("hash", "aa"), ("hash", "bb")],
        ),
        ("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", [("ip", "192.0.2.0/24")]),
        ("[url:value = 'http://a.b/it\\'s']", [("url", "http://a.b/it's")]),
        (
            "[domain-name:value = 'a.b'] START t'2026-01-01T00:00:00Z' STOP t'2026-02-01T00:00Z'",
            [("domain", "a.b")],
        ),
        ("([url:value = 'http://a.b'])", [("url", "http://a.b")]),
        ("[domain-name:value = 'a.b'] FOLLOWEDBY [domain-name:value = 'c.d']", []),
        ("[domain-name:value = 'a.b'] AND [domain-name:value = 'c.d']", []),
        ("[domain-name:value != 'a.b']", []),
        ("[domain-name:value = 'a.b'", [("domain", "a.b")]),
        ("", []),
    ],
)
def test_patterns(pattern: str, expected: list[tuple[str, str]]) -> None:
    assert compared(pattern) == expected


def test_misp(tmp_path: Path) -> None:
    event = {
        "info": "Campaign",
        "Tag": [{"name": "tlp:clear"}],
        "Attribute": [
            {"type": "ip-dst|port", "value": "192.0.2.1|443", "timestamp": "1772442900"},
            {"type": "filename|sha256", "value": "a.exe|" + "0" * 64, "to_ids": True},
            {"type": "domain", "value": "example.com", "to_ids": False},
            {"type": "comment", "value": "hello"},
        ],
        "Object": [{"Attribute": [{"type": "url", "value": "http://evil.example/"}]}],
    }
    found, feed = read(tmp_path, {"response": [{"Event": event}]})

    assert [(each.kind, each.value) for each in found] == [
        ("ip", "192.0.2.1"),
        ("hash", "0" * 64),
        ("url", "http://evil.example"),
    ]
    assert found[0].seen == 1772442900
    assert (found[0].name, found[0].labels) == ("Campaign", ("tlp:clear",))
    assert feed.left_out == {"not_for_detection": 1, "no_indicator": 1}


def test_gzip_and_what_is_cut_off(tmp_path: Path) -> None:
    whole = gzip.compress(b"192.0.2.1\n" * 10)

    assert len(read(tmp_path, whole)[0]) == 10
    assert read(tmp_path, whole[:-9])[1].left_out["damaged"] == 1
    assert read(tmp_path, '{"objects": [')[1].left_out == {"damaged": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["objects", "Event", "Attribute", "type", "value", "pattern", "Tag"]),
            inner | st.sampled_from(["indicator", "ip-dst", "192.0.2.1", "[url:value = 'x']"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(JSON.map(json.dumps) | st.text(max_size=200) | st.binary(max_size=200))
def test_any_file_gives_indicators_or_is_counted(tmp_path: Path, content: str | bytes) -> None:
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    for each in read(tmp_path, content)[0]:
        assert spelled(each.kind, each.value) == each.value
        assert 0 <= each.confidence <= 100


@given(st.text(max_size=60))
def test_spelling_is_stable(text: str) -> None:
    plain = refanged(text)
    kind = kind_of(plain)
    if kind:
        once = spelled(kind, plain)
        assert spelled(kind, once) == once
