"""The state of the sources is a source: it alerts through rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.health import Health
from sentinel.errors import RecordError

GOLDEN = Path(__file__).parent / "golden" / "health"


@pytest.mark.parametrize(
    ("case", "entity", "severity"),
    [("gap", "cloudtrail/trail", 4), ("silence", "auditd", 4), ("resumed", "auditd", 1)],
)
def test_who_is_concerned_and_how_bad_it_is(case: str, entity: str, severity: int) -> None:
    health = Health()
    raw = (GOLDEN / f"{case}.raw.json").read_bytes()
    summary = health.summarise(health.decoder(frozenset()).decode(raw))
    assert (summary.entity, summary.severity_id, summary.operation) == (entity, severity, case)


def test_without_a_kind_it_says_nothing() -> None:
    health = Health()
    raw = json.dumps({"time": "2026-03-02T09:15:00Z", "source": "x"}).encode()
    with pytest.raises(RecordError):
        health.summarise(health.decoder(frozenset()).decode(raw))
