"""The public Sigma rules meant for a source find their fields in its events.

A field counts as found where some golden event of the source has a value for it: so it is
spelled as the rules spell it, or translated (`JsonConnector.spellings`, `compute`). `SHARE` is
the rules all of whose fields are found, and how many there are; what is missing is named:

- suricata: cookies are not in EVE unless somebody adds the header to its ``http`` log.
- osquery: no table of events has the program of the parent process, the host name behind an
  address, or the logon session.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

import connectors
from connectors import _golden
from connectors.base import Connector
from detectors.sigma import RuleSet
from sentinel.registry import discover
from sentinel.settings import Settings

RULES: Final = Path(Settings().data) / "sigma_rules" / "rules"
#: All but those for Windows, which are most, and whose sources are not these.
FOLDERS: Final = (
    *("application", "category", "cloud/gcp", "identity", "linux", "macos", "network", "web"),
)
GOLDEN: Final = Path(__file__).parent / "golden"
CONNECTORS: Final = discover(connectors, Connector)
#: Rules whose fields are all found, and rules meant for the source.
SHARE: Final = {
    "github": (15, 15),
    "gworkspace": (10, 10),
    "k8s_audit": (16, 16),
    "okta": (21, 21),
    "osquery": (191, 219),
    "suricata": (48, 49),
    "syslog": (22, 22),
}


@cache
def ruleset() -> RuleSet:
    """Return all public rules."""
    if not RULES.exists():
        pytest.skip(f"no {RULES}: set SENTINEL_DATA to the folder with real rules")
    return RuleSet.load([RULES / folder for folder in FOLDERS])


def events(connector: Connector, decoder: Any, name: str) -> list[Any]:
    """Return the decoded golden events of a source."""
    raws = [raw.read_bytes() for raw, _ in _golden.cases(GOLDEN, name)]
    return [decoder.decode(unit) for raw in raws for unit in connector.split(raw)]


@pytest.mark.parametrize("name", sorted(SHARE))
def test_the_fields_of_public_rules_are_found(name):
    connector = CONNECTORS[name]()
    rules = ruleset().select(connector.logsources).rules
    decoder = connector.decoder(frozenset().union(*(rule.fields for rule in rules)))
    decoded = events(connector, decoder, name)
    found = {
        field
        for field in {field for rule in rules for field in rule.fields}
        if any(decoder.getter(field)(event) is not None for event in decoded)
    }
    whole = sum(rule.fields <= found for rule in rules)
    missing = sorted({field for rule in rules for field in rule.fields} - found)
    assert (whole, len(rules)) == SHARE[name], missing
