"""A report of 100 MB cut up in a process of its own, and a finding normalised."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench._with.context import Context
from bench._with.events import ROOT, batches
from bench.measure import Meter, Row, line
from connectors.trivy import Trivy
from schemas.ocsf import SCAN_ACTIVITY

REPORT_BYTES: Final = 100_000_000
FINDINGS: Final = 20_000
BATCH: Final = 2_000
#: Prints findings, CPU seconds, peak memory in MB, and CPU seconds of orjson on the findings.
CHILD: Final = """
import json, re, sys, time
from connectors.trivy import Trivy
connector, findings = Trivy(), 0
started = time.process_time()
with open(sys.argv[1], "rb") as report:
    for message in connector.records(report):
        findings += len(connector.split(message))
cpu = time.process_time() - started
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
import orjson
started = time.process_time()
with open(sys.argv[1], "rb") as report:
    for message in connector.records(report):
        for unit in connector.split(message):
            orjson.loads(unit)
print(json.dumps([findings, cpu, peak, time.process_time() - started]))
"""


def run(context: Context) -> Iterator[Row]:
    """Cut a big report, then decode, summarise and map findings of a small one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        _write(path, REPORT_BYTES)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, path], capture_output=True, check=True, cwd=ROOT
        )
        findings, cpu, peak, load = json.loads(done.stdout)  # load: with the cutting, once more
        row = line("findings_cut", cpu / findings, max(load - cpu, 1e-9) / findings)
        yield row | {
            "report_mb": REPORT_BYTES // 10**6,
            "findings": findings,
            "peak_mb": round(peak),
        }
        _write(path, 1500 * FINDINGS)
        units = Trivy().split(path.read_bytes())
    yield from _normalise([unit for unit in units if b'"done":true' not in unit][:FINDINGS])


def _normalise(units: list[bytes]) -> Iterator[Row]:
    """Measure what the stream does with a finding, and what whoever shows it does."""
    connector = Trivy()
    decoder = connector.decoder(frozenset())
    meter = Meter()
    for _ in range(2):  # the first time warms up
        meter.begin()
        for part in batches(units, BATCH):
            meter.yardstick(part)
            connector.columns(connector.decode_all(decoder, part))
            meter.note(len(part))
    yield meter.row("findings_summarise")
    meter.begin()
    for part in batches(units[: BATCH * 2], BATCH):
        meter.yardstick(part)
        mapped = [connector.to_ocsf(unit) for unit in part]
        meter.note(len(part))
        assert all(event["class_uid"] != SCAN_ACTIVITY for event in mapped)
    yield meter.row("findings_to_ocsf")


def _write(path: Path, size: int) -> None:
    """Write a report of an image with vulnerabilities like those of real ones."""
    head = {"SchemaVersion": 2, "ArtifactName": "registry.example.com/shop/web:1"}
    head |= {"CreatedAt": "2026-03-02T09:15:00Z", "ArtifactType": "container_image"}
    with path.open("w") as file:
        file.write(json.dumps(head)[:-1] + ', "Results": [')
        number = written = 0
        while written < size:
            found = [_vulnerability(number + n) for n in range(200)]
            result = {"Target": f"app/{number}/go.mod", "Class": "lang-pkgs", "Type": "gomod"}
            text = json.dumps(result | {"Vulnerabilities": found}, indent=1)
            file.write(("," if number else "") + text)
            number, written = number + 200, written + len(text)
        file.write("]}")


def _vulnerability(number: int) -> dict[str, Any]:
    return {
        "VulnerabilityID": f"CVE-2026-{10_000 + number}",
        "PkgID": f"golang.example.com/lib{number % 97}@v1.2.3",
        "PkgName": f"golang.example.com/lib{number % 97}",
        "PkgIdentifier": {"PURL": f"pkg:golang/golang.example.com/lib{number % 97}@v1.2.3"},
        "InstalledVersion": "v1.2.3",
        "FixedVersion": "v1.2.4",
        "Status": "fixed",
        "SeveritySource": "nvd",
        "PrimaryURL": f"https://vuln.example.com/CVE-2026-{10_000 + number}",
        "DataSource": {"ID": "ghsa", "Name": "GitHub Security Advisory Go"},
        "Title": "a buffer overflow in the parser",
        "Description": "A buffer overflow lets who sends a message run what they like. " * 6,
        "Severity": ("LOW", "MEDIUM", "HIGH", "CRITICAL")[number % 4],
        "CweIDs": ["CWE-787"],
        "CVSS": {
            "nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}
        },
        "References": [f"https://references.example.com/{number}/{n}" for n in range(6)],
        "PublishedDate": "2026-01-10T04:15:00Z",
        "LastModifiedDate": "2026-02-01T12:15:00.123Z",
    }
