"""What the tests of the sources of scanners share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Connector
from schemas.ocsf import SCAN_ACTIVITY


class Scans:
    """Reports of the scanner whose connector a test module names as ``CONNECTOR``."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.folder = Path(__file__).parent / "golden" / type(connector).__module__.split(".")[-1]

    def golden(self, case: str) -> Any:
        """Return the report of a golden case."""
        return json.loads((self.folder / f"{case}.raw.json").read_bytes())

    def events(self, report: Any) -> list[dict[str, Any]]:
        """Return the findings of a report in OCSF, without the event of the scan itself."""
        found = map(self._connector.to_ocsf, self._connector.split(json.dumps(report).encode()))
        return [event for event in found if event["class_uid"] != SCAN_ACTIVITY]

    def uids(self, *reports: Any) -> list[str]:
        """Return by what the first finding of each report is known."""
        return [self.events(report)[0]["finding_info"]["uid"] for report in reports]


@pytest.fixture
def scans(request: pytest.FixtureRequest) -> Scans:
    """Return the reports of the module's scanner."""
    return Scans(request.module.CONNECTOR())
