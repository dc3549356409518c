"""kube-bench: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.kube_bench import KubeBench
from schemas.ocsf import SCAN_ACTIVITY
from sentinel.errors import DecodeError

GOLDEN = Path(__file__).parent / "golden" / "kube_bench"


def events(report: Any) -> list[dict[str, Any]]:
    connector = KubeBench()
    units = connector.split(json.dumps(report).encode())
    found = [connector.to_ocsf(unit) for unit in units]
    return [event for event in found if event["class_uid"] != SCAN_ACTIVITY]


def golden(case: str) -> Any:
    return json.loads((GOLDEN / f"{case}.raw.json").read_bytes())


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of kube-bench"):
        KubeBench().split(b'{"hello": 1}')


def test_as_many_as_the_totals_say() -> None:
    report = golden("controls")
    outcomes = [event["compliance"]["status"] for event in events(report)]
    totals = report["report"]["Totals"]

    assert outcomes.count("Pass") == totals["total_pass"]
    assert outcomes.count("Fail") == totals["total_fail"]


def test_a_new_measured_value_is_no_new_finding_and_another_node_is() -> None:
    before, after, other = golden("controls"), golden("controls"), golden("controls")
    after["report"]["Controls"][0]["tests"][0]["results"][0]["actual_value"] = "permissions=777"
    other["scan"]["target"] = "node-2.prod-eu"

    uids = [events(report)[0]["finding_info"]["uid"] for report in (before, after, other)]
    assert uids[0] == uids[1] != uids[2]
