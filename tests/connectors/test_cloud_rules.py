"""The public rules for Azure, Google Cloud and Microsoft 365 speak of fields that we have."""

from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
import yaml

import connectors
from connectors import _golden
from connectors.base import Connector
from sentinel.registry import discover
from sentinel.settings import Settings

RULES = Path(Settings().data) / "sigma_rules" / "rules"
GOLDEN = Path(__file__).parent / "golden"
OURS = ("azure_activity", "azure_audit", "azure_signin", "gcp_audit", "m365")
PRODUCTS = ("azure", "gcp", "m365")


def names(detection):
    """Yield the fields of a search."""
    for item in detection if isinstance(detection, list) else [detection]:
        if isinstance(item, dict):
            yield from (name.partition("|")[0] for name in item)


def rules():
    """Return the fields of every rule by log source and file."""
    found = defaultdict(dict)
    for path in sorted(RULES.rglob("*.yml")):
        text = path.read_text()
        if not any(f"product: {product}" in text for product in PRODUCTS):
            continue  # parsing three thousand rules would take half a minute
        rule = yaml.safe_load(text)
        source = rule["logsource"]
        if source.get("product") in PRODUCTS:
            searches = [v for k, v in rule["detection"].items() if k != "condition"]
            fields = {name for search in searches for name in names(search)}
            found[source["product"], source.get("service", "")][path.name] = fields
    return found


@cache
def units(name):
    """Return the events of all golden pairs of a connector."""
    connector = discover(connectors, Connector)[name]()
    raws = [raw.read_bytes() for raw, _ in _golden.cases(GOLDEN, name)]
    return connector, [unit for raw in raws for unit in connector.split(raw)]


def known(name, fields):
    """Return those of `fields` that some golden event of a connector has."""
    connector, events = units(name)
    decoder = connector.decoder(frozenset(fields))
    decoded = [decoder.decode(event) for event in events]
    getters = {field: decoder.getter(field) for field in fields}
    return {
        field for field, get in getters.items() if any(get(e) not in (None, []) for e in decoded)
    }


def test_every_field_of_every_public_rule_resolves():
    if not RULES.is_dir():
        pytest.skip(f"no {RULES}: set SENTINEL_DATA to the folder with the public rules")
    sources = defaultdict(list)
    for name in OURS:
        for source in units(name)[0].logsources:
            sources[source.product, source.service].append(name)
    missing, total = {}, 0
    for source, files in rules().items():
        assert source in sources, f"no connector takes rules of {source}"
        for file, fields in files.items():
            total += 1
            lacking = min((fields - known(name, fields) for name in sources[source]), key=len)
            if lacking:
                missing[file] = lacking

    assert missing == {}, f"{len(missing)} of {total} rules ask for what we do not have"
    assert total > 150
