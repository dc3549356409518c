"""From a CloudTrail record to an OCSF event."""

from __future__ import annotations

from connectors.base import OCSF, Summary


def build(unit: bytes, summary: Summary) -> OCSF:
    """Return the OCSF event of the record `unit`, whose columns are `summary`."""
    raise NotImplementedError(f"the OCSF mapping of {len(unit)} bytes of {summary.operation}")
