"""From a risk detection of Entra ID Protection, in Graph's spelling, to OCSF Detection Finding."""

from __future__ import annotations

from typing import Final

from connectors._azure.objects import cloud
from connectors._azure.signin import person, place
from connectors._json.fields import Fields, some
from connectors._json.records import said
from connectors._json.times import moment
from connectors.base import OCSF, Summary

#: OCSF ``status_id`` of a finding by ``riskState``.
STATES: Final = {
    **{"atRisk": 1, "confirmedCompromised": 2, "dismissed": 3, "remediated": 4},
    "confirmedSafe": 4,
}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of Detection Finding."""
    evidence = some(src_endpoint=place(fields, summary), user=person(fields, summary))
    uid = summary.native_id or said(fields, "requestId", "correlationId") or summary.operation
    return {
        "evidences": [evidence],
        "finding_info": some(
            created_time=moment(fields.get("detectedDateTime")),
            desc=said(fields, "riskDetail"),
            first_seen_time=moment(fields.get("activityDateTime")),
            last_seen_time=moment(fields.get("lastUpdatedDateTime")),
            title=summary.operation,
            types=[text for text in (said(fields, "detectionTimingType"),) if text],
            uid=uid,
        ),
        **some(
            actor={"user": evidence["user"]},
            cloud=cloud("", said(fields, "tenantId", "homeTenantId"), ""),
            is_alert=True,
            message=f"{summary.operation}: {summary.entity}",
            metadata=some(
                correlation_uid=said(fields, "correlationId"),
                log_name=said(fields, "category") or "RiskDetections",
            ),
        ),
    }
