"""Findings of GuardDuty and Security Hub through their APIs, as they are updated.

A finding that is updated is read again: its records are told apart by the time of the update.

Sources: GuardDuty API Reference, "ListFindings" and "GetFindings"; Security Hub API Reference,
"GetFindings".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from connectors._aws.account import code_of
from connectors._aws.windows import TokenError, Windows, moment
from connectors._json.times import rfc3339
from connectors._reading.base import Record, SourceError


class GuardDutyFindings(Windows):
    """Reads the findings of the detector of one account and region."""

    service: ClassVar[str] = "guardduty"
    right: ClassVar[str] = "guardduty:ListFindings, guardduty:GetFindings"

    @cached_property
    def _detector(self) -> str:
        found = self.client.list_detectors().get("DetectorIds", ())
        if not found:
            region = self.client.meta.region_name
            raise SourceError(f"expected a detector of GuardDuty in {region}, found none")
        return str(found[0])

    def ask(self, start: int, end: int, token: str) -> tuple[Sequence[Record], str]:
        """Return a page of findings updated in a window."""
        from botocore.exceptions import ClientError

        criterion = {"updatedAt": {"GreaterThanOrEqual": start, "LessThan": end}}
        asked = {"NextToken": token} if token else {}
        try:
            listed = self.client.list_findings(
                DetectorId=self._detector,
                FindingCriteria={"Criterion": criterion},
                SortCriteria={"AttributeName": "updatedAt", "OrderBy": "ASC"},
                MaxResults=50,
                **asked,
            )
        except ClientError as error:
            if token and code_of(error) == "BadRequestException":
                raise TokenError from error
            raise
        ids = listed.get("FindingIds", [])
        if not ids:
            return (), str(listed.get("NextToken") or "")
        got = self.client.get_findings(DetectorId=self._detector, FindingIds=ids)
        records = [
            Record(_json(each), f"{each.get('Arn') or each['Id']}@{each.get('UpdatedAt', '')}")
            for each in got.get("Findings", ())
        ]
        return records, str(listed.get("NextToken") or "")


class SecurityHubFindings(Windows):
    """Reads the findings of Security Hub in one region, its own and those of other products."""

    service: ClassVar[str] = "securityhub"
    right: ClassVar[str] = "securityhub:GetFindings"

    def ask(self, start: int, end: int, token: str) -> tuple[Sequence[Record], str]:
        """Return a page of findings updated in a window."""
        from botocore.exceptions import ClientError

        asked = {"NextToken": token} if token else {}
        span = {"Start": rfc3339(moment(start)), "End": rfc3339(moment(end - 1))}
        try:
            got = self.client.get_findings(
                Filters={"UpdatedAt": [span]},
                SortCriteria=[{"Field": "UpdatedAt", "SortOrder": "asc"}],
                MaxResults=100,
                **asked,
            )
        except ClientError as error:
            if token and code_of(error) == "InvalidInputException":
                raise TokenError from error
            raise
        records = [
            Record(_json(each), f"{each['Id']}@{each.get('UpdatedAt', '')}")
            for each in got.get("Findings", ())
        ]
        return records, str(got.get("NextToken") or "")


def _json(finding: Any) -> bytes:
    return msgspec.json.encode(finding, enc_hook=str)
