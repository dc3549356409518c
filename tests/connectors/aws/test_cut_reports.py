"""Reports of scanners in objects: cut by their connector, whatever their size."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from connectors._aws.objects.cut import Cutter
from connectors.trivy import Trivy

GOLDEN = Path(__file__).parents[1] / "golden" / "trivy" / "image.raw.json"


def test_a_report_larger_than_a_message_is_one_scan() -> None:
    report = json.loads(GOLDEN.read_bytes())
    report["Results"][0]["Vulnerabilities"] *= 4_000
    raw = json.dumps(report).encode()
    packed = gzip.compress(raw, 1)
    chunks = [packed[at : at + 65_536] for at in range(0, len(packed), 65_536)]

    connector = Trivy()
    records = list(Cutter(connector).records(chunks, "s3://bucket/report.json.gz"))
    units = [unit for record in records for unit in connector.split(record.value)]

    assert len(raw) > 4 << 20
    assert units == list(connector.split(raw))
    assert [record.id for record in records[:2]] == [
        "s3://bucket/report.json.gz#0",
        "s3://bucket/report.json.gz#1",
    ]
    assert all(len(record.value) < 1 << 20 for record in records)
