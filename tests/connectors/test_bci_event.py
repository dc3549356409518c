"""Events of neural recordings are a source: what is unusual alerts through rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from connectors.bci_event import BciEvent
from schemas import avro

GOLDEN = Path(__file__).parent / "golden" / "bci_event"
SCHEMA = json.loads((avro.HERE / "neural_event.schema.json").read_text())


@pytest.mark.parametrize(
    ("case", "entity", "operation", "severity", "status"),
    [
        ("synchrony", "rec/0", "synchrony", 4, 1),
        ("gap", "rec/0", "gap", 3, 2),
        ("without_bank", "rec", "gap", 3, 2),
        ("channel_health", "rec/0", "channel_health", 3, 2),
        ("channel_healed", "rec/0", "channel_health", 1, 1),
    ],
)
def test_who_is_concerned_and_how_bad_it_is(case, entity, operation, severity, status):
    source = BciEvent()
    raw = (GOLDEN / f"{case}.raw.json").read_bytes()
    summary = source.summarise(source.decoder(frozenset()).decode(raw))

    assert (summary.entity, summary.operation) == (entity, operation)
    assert (summary.severity_id, summary.status_id) == (severity, status)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.raw.json")), ids=lambda path: path.stem)
def test_samples_are_what_the_schema_says(path):
    event = json.loads(path.read_text())
    fits = Draft202012Validator(SCHEMA).is_valid(event)

    assert fits == (path.stem not in {"unknown_kind.raw", "without_bank.raw"})
