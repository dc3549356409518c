"""An outside oracle: pySigma's SQLite backend over the same real events, flattened.

SQLite knows no lists: a list becomes one row of the event per element (an event matches
where any of its rows does), so that "any element" means the same. LIKE and NOCASE ignore
the case of ASCII letters only, which is all that these events have.
"""

import json
import re
import sqlite3
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

from connectors.cloudtrail import CloudTrail
from detectors.match import dict_getter
from detectors.sigma import RuleSet
from sentinel.reading import Reader


def flat(event: dict[str, Any], prefix: str = "") -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, value in event.items():
        for item in value if isinstance(value, list) else [value]:
            inner = (
                flat(item, f"{prefix}{key}.")
                if isinstance(item, dict)
                else {f"{prefix}{key}": [item]}
            )
            for name, values in inner.items():
                found.setdefault(name, []).extend(values)
    return found


def table(events: list[dict[str, list[Any]]], fields: set[str]) -> sqlite3.Connection:
    base = sqlite3.connect(":memory:")
    base.create_function("REGEXP", 2, lambda regex, text: re.search(regex, text or "") is not None)
    columns = sorted(fields)
    quoted = ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in columns)
    base.execute(f"CREATE TABLE events (row INTEGER, {quoted})")
    marks = ", ".join("?" * (len(columns) + 1))
    for row, values in enumerate(events):
        for combination in product(*(values.get(name) or [None] for name in columns)):
            cells = [str(v).lower() if isinstance(v, bool) else v for v in combination]
            base.execute(f"INSERT INTO events VALUES ({marks})", [row, *cells])
    return base


def oracle(rules: list[Path], events: list[dict[str, Any]]) -> set[tuple[str, int]]:
    found = set()
    flattened = [flat(event) for event in events]
    for path in rules:
        collection = SigmaCollection.from_yaml(path.read_text())
        (query,) = sqliteBackend().convert(collection)
        fields = RuleSet.load([path]).rules[0].fields
        base = table(flattened, set(fields))
        where = query.split(" WHERE ", 1)[1]
        for name in sorted(fields, key=len, reverse=True):
            where = re.sub(rf'(?<![\w."`]){re.escape(name)}(?![\w."`])', f'"{name}"', where)
        where = where.replace("`", '"')
        rows = base.execute(f"SELECT DISTINCT row FROM events WHERE {where}").fetchall()
        found |= {(path.name, row) for (row,) in rows}
        base.close()
    return found


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(record.data) for record in Reader([folder])]


@pytest.fixture(scope="module")
def rules(data: Path) -> list[Path]:
    found = sorted((data / "sigma_rules" / "rules" / "cloud" / "aws").rglob("*.yml"))
    assert len(found) == 57
    return found


@pytest.mark.parametrize("name", ["cloudtrail_stratus", "cloudtrail_invictus"])
def test_same_matches_as_sqlite(data, rules, name):
    events = events_of(data / name)
    matcher = RuleSet.load(rules).matcher(dict_getter)
    ours = {(Path(rule.path).name, row) for row, rule in matcher.match(events)}
    assert not matcher.errors
    assert ours == oracle(rules, events)
    assert len(ours) > 50


@pytest.mark.parametrize("name", ["cloudtrail_stratus", "cloudtrail_invictus"])
def test_same_matches_through_the_connector(data, rules, name):
    source = CloudTrail()
    chosen = RuleSet.load(rules).select(source.logsources)
    decoder = source.decoder(frozenset().union(*(rule.fields for rule in chosen.rules)))
    raws = [record.data for record in Reader([data / name])]
    typed = chosen.matcher(decoder.getter)
    plain = chosen.matcher(dict_getter)
    found = typed.match([decoder.decode(raw) for raw in raws])
    assert not typed.errors
    assert found == plain.match([json.loads(raw) for raw in raws])
    assert len(found) > 50


def test_stratus_files_with_a_hit(data, rules):
    matcher = RuleSet.load(rules).matcher(dict_getter)
    hits = []
    for file in sorted((data / "cloudtrail_stratus").rglob("*.json")):
        found = matcher.match(events_of(file))
        hits.append({Path(rule.path).stem for _, rule in found})
    assert len(hits) == 35
    assert sum(map(bool, hits)) == 18
    assert sum(bool(found - {"aws_sts_assumerole_misuse"}) for found in hits) == 12


@pytest.mark.parametrize(
    ("name", "every"), [("cloudtrail_stratus", 10), ("cloudtrail_invictus", 100)]
)
def test_index_equals_brute_force_on_real_events_with_every_public_rule(
    data, name, every, tmp_path_factory
):
    events = events_of(data / name)[::every]
    cache = tmp_path_factory.getbasetemp() / "sigma-cache"  # that of test_sigma too
    public = RuleSet.load([data / "sigma_rules" / "rules"], cache=cache)
    matcher = public.matcher(dict_getter)
    ours = [(row, rule.id) for row, rule in matcher.match(events)]
    assert not matcher.errors
    assert ours == [(row, rule.id) for row, rule in matcher.match_brute(events)]
