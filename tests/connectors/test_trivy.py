"""Trivy: counts as its own, big reports in little memory, identities that last."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._findings.report import MESSAGE_BYTES
from connectors.trivy import Trivy
from schemas.ocsf import SCAN_ACTIVITY, validate
from sentinel.errors import DecodeError, RecordError

GOLDEN = Path(__file__).parent / "golden" / "trivy"
#: Findings in the reports of DefectDojo's tests, as those tests state them; where Trivy's list
#: has an entry without an id of a vulnerability, DefectDojo leaves it out as well.
DEFECTDOJO = {
    "legacy_many_vulns.json": 93,
    "legacy_trivy_mix.json": 6,
    "scheme_2_no_vuln.json": 0,
    "scheme_2_many_vulns.json": 5,
    "kubernetes.json": 20,
    "license_scheme.json": 19,
    "issue_9092.json": 1,
    "issue_9263.json": 1,
    "severity_prio.json": 2,
}
LISTS = ("Vulnerabilities", "Misconfigurations", "Secrets", "Licenses")


def events(report: bytes) -> list[dict[str, Any]]:
    """Return the findings of a report."""
    connector = Trivy()
    found = []
    for unit in connector.split(report):
        try:
            found.append(connector.to_ocsf(unit))
        except RecordError:
            continue
    return [event for event in found if event["class_uid"] != SCAN_ACTIVITY]


def uids(report: Any) -> list[str]:
    return [event["finding_info"]["uid"] for event in events(json.dumps(report).encode())]


def entries(found: Any) -> int:
    """Count the entries of all lists of findings, however deep."""
    if isinstance(found, list):
        return sum(map(entries, found))
    if not isinstance(found, dict):
        return 0
    here = sum(len(found.get(name) or []) for name in LISTS if "Target" in found)
    return here + sum(entries(value) for value in found.values())


@pytest.mark.parametrize(("name", "count"), DEFECTDOJO.items())
def test_as_many_as_defectdojo_finds(data: Path, name: str, count: int) -> None:
    assert len(events((data / "scanners" / "trivy" / name).read_bytes())) == count


def test_as_many_as_trivy_lists_in_every_golden_report(data: Path) -> None:
    folder = data / "scanners" / "trivy_golden" / "integration" / "testdata"
    reports = [
        path
        for path in sorted(folder.glob("*.json.golden"))
        if b'"bomFormat"' not in path.read_bytes()[:500] and b"spdxVersion" not in path.read_bytes()
    ]
    assert reports
    for path in reports:
        found = events(path.read_bytes())
        report = json.loads(path.read_bytes())
        assert len(found) == entries(report), path.name
        assert [problem for event in found for problem in validate(event)] == []
        severities = Counter(
            entry["Severity"].capitalize()
            for result in report.get("Results") or []
            for name in LISTS
            for entry in result.get(name) or []
        )
        assert Counter(event["severity"] for event in found) == severities


def image() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / "image.raw.json").read_bytes())
    return loaded


@given(st.integers(0, 10**6), st.text("abcdef0123456789.", min_size=1, max_size=20), st.data())
@settings(max_examples=50)
def test_a_new_tag_a_new_order_and_a_moved_line_leave_a_finding_what_it_is(
    line: int, tag: str, data: st.DataObject
) -> None:
    before, after = image(), image()
    after["ArtifactName"] = f"registry.example.com/shop/web:v{tag}"
    after["CreatedAt"] = "2026-04-02T09:15:00Z"
    after["Results"][0]["Target"] = f"registry.example.com/shop/web:v{tag} (debian 12.{line})"
    for result in after["Results"]:
        result["Vulnerabilities"] = data.draw(st.permutations(result["Vulnerabilities"]))
        for each in result["Vulnerabilities"]:
            each["Severity"] = "LOW"  # scored anew
            each["FixedVersion"] = tag
    assert sorted(uids(before)) == sorted(uids(after))

    misconfigured = json.loads((GOLDEN / "misconfiguration.raw.json").read_bytes())
    moved = json.loads((GOLDEN / "misconfiguration.raw.json").read_bytes())
    cause = moved["Results"][0]["Misconfigurations"][0]["CauseMetadata"]
    cause["StartLine"], cause["EndLine"] = line, line + 2
    for number, each in enumerate(cause["Code"]["Lines"]):
        each["Number"], each["Content"] = line + number, f"    {each['Content'].strip()}  "
    assert uids(misconfigured) == uids(moved)


def test_different_findings_differ() -> None:
    every = [
        uid for path in GOLDEN.glob("*.raw.json") for uid in uids(json.loads(path.read_bytes()))
    ]
    plain = image()
    for change in (
        {"VulnerabilityID": "CVE-2026-99999"},
        {"PkgName": "another"},
        {"PkgPath": "elsewhere/package.json"},
    ):
        other = image()
        other["Results"][0]["Vulnerabilities"][0] |= change
        assert uids(other)[0] not in uids(plain)
        every.append(uids(other)[0])
    elsewhere = image() | {"ArtifactName": "registry.example.com/shop/api:1.4.2"}
    assert not set(uids(elsewhere)) & set(every)


def test_the_event_is_another_in_each_scan_and_the_same_when_sent_again() -> None:
    def native(report: Any) -> list[Any]:
        return [event["metadata"]["uid"] for event in events(json.dumps(report).encode())]

    again = image() | {"CreatedAt": "2026-03-03T09:15:00Z", "ReportID": "another"}

    assert native(image()) == native(image())
    assert not set(native(image())) & set(native(again))


def test_a_report_is_cut_into_messages_that_say_how_many_there_are() -> None:
    report = image()
    report["Results"][0]["Vulnerabilities"] *= 500
    raw = json.dumps(report).encode()
    connector = Trivy()
    with gzip.open(io.BytesIO(gzip.compress(raw))) as packed:
        messages = list(connector.records(packed))
    units = [unit for message in messages for unit in connector.split(message)]

    assert len(messages) > 1
    assert max(map(len, messages)) < 2 * MESSAGE_BYTES
    assert units == connector.split(raw)
    assert [json.loads(unit)["at"] for unit in units] == list(range(len(units)))
    end = connector.to_ocsf(units[-1])
    assert (end["class_uid"], end["num_detections"]) == (SCAN_ACTIVITY, len(units) - 1)


def test_what_is_no_report_is_refused_with_a_reason() -> None:
    with pytest.raises(DecodeError, match="run trivy with --format json"):
        Trivy().split(b'{"hello": 1}')
    assert list(Trivy().records(io.BytesIO(b'{"hello": 1}'))) == [b'{"hello": 1}']


MEASURE = """
import sys
from connectors.trivy import Trivy

def peak():  # of this program alone, in kB; getrusage counts what forked it
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

connector, units = Trivy(), 0
before = peak()
for message in connector.records(open(sys.argv[1], "rb")):
    units += len(connector.split(message))
print(units, peak() - before)
"""


def test_a_big_report_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    whole = json.dumps(image() | {"Padding": "x" * 6_000_000}).encode()
    (tmp_path / "cut.json").write_bytes(whole[:-9])
    connector = Trivy()
    with (tmp_path / "cut.json").open("rb") as stream:
        (message,) = connector.records(stream)

    with pytest.raises(DecodeError, match="do not parse"):
        connector.split(message)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_memory_grows_less_than_the_report(tmp_path: Path) -> None:
    report, size = image(), 30_000_000
    one = json.dumps(report["Results"][0]["Vulnerabilities"][0])
    head = json.dumps(report | {"Results": []}).removesuffix("]}")
    result = '{"Target": "go.mod", "Class": "lang-pkgs", "Vulnerabilities": ['
    count = size // len(one)
    with (tmp_path / "big.json").open("w") as file:
        file.write(head + result + ",".join([one] * count) + "]}]}")

    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "big.json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    units, kilobytes = map(int, done.stdout.split())

    assert units == count + 1
    assert kilobytes < 2 * size / 1000
