"""kube-bench: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kube_bench import KubeBench
from sentinel.errors import DecodeError

CONNECTOR = KubeBench


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of kube-bench"):
        KubeBench().split(b'{"hello": 1}')


def test_as_many_as_the_totals_say(scans: Any) -> None:
    report = scans.golden("controls")
    outcomes = [event["compliance"]["status"] for event in scans.events(report)]
    totals = report["report"]["Totals"]

    assert outcomes.count("Pass") == totals["total_pass"]
    assert outcomes.count("Fail") == totals["total_fail"]


def test_a_new_measured_value_is_no_new_finding_and_another_node_is(scans: Any) -> None:
    before, after, other = (scans.golden("controls") for _ in range(3))
    after["report"]["Controls"][0]["tests"][0]["results"][0]["actual_value"] = "permissions=777"
    other["scan"]["target"] = "node-2.prod-eu"

    uids = scans.uids(before, after, other)
    assert uids[0] == uids[1] != uids[2]
