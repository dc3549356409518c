"""Every modifier that pySigma knows: an event that it matches, one that it nearly does.

The oracle is pySigma with its SQLite backend, over the same two events, where it can say it.
"""

import base64
import re
import sqlite3
from typing import Any

import pytest
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.modifiers import modifier_mapping

from tests.detectors.sigma_rules import load, matches, write

WIDE = "foo".encode("utf-16le").decode()
TIME = "2026-01-02T03:04:05Z"


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


#: By modifier: the item, what it matches and what it does not.
TABLE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "all": ({"f|contains|all": ["a", "b"]}, {"f": "xbxa"}, {"f": "xa"}),
    "base64": ({"f|base64": "foobar"}, {"f": "Zm9vYmFy"}, {"f": "Zm9vYmF6"}),
    "base64offset": (
        {"f|base64offset|contains": "foobar"},
        {"f": encoded(b"xfoobary")},
        {"f": encoded(b"xfooxbary")},
    ),
    "cased": ({"f|cased": "aB"}, {"f": "aB"}, {"f": "ab"}),
    "cidr": ({"f|cidr": "192.0.2.0/24"}, {"f": "192.0.2.7"}, {"f": "192.0.3.7"}),
    "contains": ({"f|contains": "B"}, {"f": "abc"}, {"f": "ac"}),
    "day": ({"f|day": 2}, {"f": TIME}, {"f": "2026-01-03T03:04:05Z"}),
    "dotall": ({"f|re|dotall": "a.b"}, {"f": "a\nb"}, {"f": "a\nc"}),
    "endswith": ({"f|endswith": "C"}, {"f": "abc"}, {"f": "bca"}),
    "exists": ({"f|exists": True}, {"f": "x"}, {"g": "x"}),
    "expand": ({"f|expand": "%admins%"}, {"f": "ROOT"}, {"f": "guest"}),
    "fieldref": ({"f|fieldref": "g"}, {"f": "a", "g": "a"}, {"f": "a", "g": "b"}),
    "gt": ({"f|gt": 5}, {"f": 6}, {"f": 5}),
    "gte": ({"f|gte": 5}, {"f": 5}, {"f": 4}),
    "hour": ({"f|hour": 3}, {"f": TIME}, {"f": "2026-01-02T04:04:05Z"}),
    "i": ({"f|re|i": "^B.D$"}, {"f": "bcd"}, {"f": "bccd"}),
    "ignorecase": ({"f|re|ignorecase": "^B.D$"}, {"f": "bcd"}, {"f": "bccd"}),
    "lt": ({"f|lt": 5}, {"f": 4}, {"f": 5}),
    "lte": ({"f|lte": 5}, {"f": 5}, {"f": 6}),
    "m": ({"f|re|m": "^b$"}, {"f": "a\nb"}, {"f": "ab"}),
    "minute": ({"f|minute": 4}, {"f": TIME}, {"f": "2026-01-02T03:05:05Z"}),
    "month": ({"f|month": 1}, {"f": TIME}, {"f": "2026-02-02T03:04:05Z"}),
    "multiline": ({"f|re|multiline": "^b$"}, {"f": "a\nb"}, {"f": "ab"}),
    "neq": ({"f|neq": "a"}, {"f": "b"}, {"f": "A"}),
    "re": ({"f|re": "b.d"}, {"f": "abcde"}, {"f": "aBcde"}),
    "s": ({"f|re|s": "a.b"}, {"f": "a\nb"}, {"f": "a\nc"}),
    "startswith": ({"f|startswith": "A"}, {"f": "abc"}, {"f": "bca"}),
    "utf16": ({"f|utf16": "foo"}, {"f": "\ufeff" + WIDE}, {"f": WIDE}),
    "utf16be": ({"f|utf16be": "foo"}, {"f": "\0f\0o\0o"}, {"f": WIDE}),
    "week": ({"f|week": 1}, {"f": TIME}, {"f": "2026-01-05T03:04:05Z"}),
    "wide": ({"f|wide": "foo"}, {"f": WIDE}, {"f": "foo"}),
    "windash": ({"f|windash|contains": " -f"}, {"f": "x /f"}, {"f": "x +f"}),
    "year": ({"f|year": 2026}, {"f": TIME}, {"f": "2025-01-02T03:04:05Z"}),
}

#: SQLite has no case-sensitive LIKE with NOCASE columns, no placeholders and no NUL in SQL, and
#: its backend takes times apart in its own format.
NO_ORACLE = {
    *("cased", "expand", "exists"),
    *("wide", "utf16", "utf16be"),
    *("minute", "hour", "day", "week", "month", "year"),
}


@pytest.mark.parametrize("modifier", sorted(modifier_mapping))
def test_modifier(tmp_path, modifier):
    item, yes, no = TABLE[modifier]
    detection = {"selection": item, "condition": "selection"}
    ruleset = load(tmp_path, detection, placeholders={"admins": ["root", "toor"]})
    assert matches(ruleset, yes)
    assert not matches(ruleset, no)


@pytest.mark.parametrize("modifier", sorted(set(modifier_mapping) - NO_ORACLE))
def test_pysigma_says_the_same(tmp_path, modifier):
    item, yes, no = TABLE[modifier]
    file = write(tmp_path, {"selection": item, "condition": "selection"})
    (query,) = sqliteBackend().convert(SigmaCollection.from_yaml(file.read_text()))
    base = sqlite3.connect(":memory:")
    base.create_function("REGEXP", 2, lambda regex, text: re.search(regex, text or "") is not None)
    base.execute("CREATE TABLE events (f COLLATE NOCASE, g COLLATE NOCASE)")
    base.executemany(
        "INSERT INTO events VALUES (?, ?)", [(each.get("f"), each.get("g")) for each in (yes, no)]
    )
    where = query.split(" WHERE ", 1)[1]
    found = base.execute(f"SELECT rowid FROM events WHERE {where}").fetchall()
    base.close()
    assert found == [(1,)]


@pytest.mark.parametrize(
    "item",
    [
        {"f|contains|nonsense": "a"},
        {"f|cidr": "192.0.2.0/99"},
        {"f|lt": "many"},
        {"f|exists": "perhaps"},
        {"f|wide": "\u00e9"},
        {"f|re": "(?=a)b"},
    ],
)
def test_what_a_modifier_cannot_take_is_listed(tmp_path, item):
    ruleset = load(tmp_path, {"selection": item, "condition": "selection"})
    assert not ruleset.rules
    (listed,) = ruleset.unsupported
    assert listed.reason
    with pytest.raises(SigmaError):
        SigmaCollection.from_yaml((tmp_path / "rule.yml").read_text())
