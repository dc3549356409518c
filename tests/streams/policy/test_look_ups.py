"""An alert's evidence says what was known of the addresses in it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from connectors._mapper import Mapper
from sentinel.settings import Settings
from streams.policy.look_ups import look_ups

GOLDEN = Path(__file__).parents[2] / "connectors" / "golden" / "cloudtrail"


def test_evidence_has_what_is_known(tmp_path: Path) -> None:
    raw = min(GOLDEN.glob("*.raw.json")).read_bytes()
    address = json.loads(raw)["sourceIPAddress"]
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "list.txt").write_text(address)
    settings = Settings(intel=str(tmp_path))
    mapper = Mapper(settings, "test", None, look_ups(settings))

    event = json.loads(mapper.ocsf("cloudtrail", "default", uuid.uuid4().bytes, raw))

    assert [found["value"] for found in event["osint"]] == [address]
    assert event["metadata"]["tenant_uid"] == "default"


def test_nothing_is_added_where_no_folder_is_set() -> None:
    assert look_ups(Settings()) is None
