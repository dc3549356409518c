"""KICS: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.kics import Kics
from sentinel.errors import DecodeError

CONNECTOR = Kics


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of KICS"):
        Kics().split(b'{"hello": 1}')


def test_as_many_as_the_total_counter_says(scans: Any) -> None:
    for path in scans.folder.glob("*.raw.json"):
        report = json.loads(path.read_bytes())
        report = report.get("report", report)
        assert len(scans.events(report)) == report["total_counter"], path.name


def test_a_moved_line_is_no_new_finding_and_another_key_is(scans: Any) -> None:
    before, moved, other = (scans.golden("terraform") for _ in range(3))
    moved["queries"][0]["files"][0] |= {"line": 99, "search_line": 99}
    other["queries"][0]["files"][0]["search_key"] = "aws_s3_bucket[data].acl"

    uids = scans.uids(before, moved, other)
    assert uids[0] == uids[1] != uids[2]


def test_its_own_id_is_kept(scans: Any) -> None:
    assert scans.events(scans.golden("terraform"))[0]["finding_info"]["uid_alt"] == "0a" * 32
