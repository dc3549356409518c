"""AbuseIPDB: how sure it is that an address is abusive, and from how many reports.

Source: AbuseIPDB APIv2 documentation, "CHECK Endpoint" and "API Daily Rate Limits" (1,000
checks a day on the free plan; 429 with ``Retry-After`` beyond them).
"""

from __future__ import annotations

from typing import Any, Final

from streams.opinions.services.base import IP, Opinion, Request, Service, count, part

#: Days of reports that are looked at, and the score from which an address counts as bad.
AGE_DAYS: Final = 90
BAD: Final = 50


class AbuseIpDbAdapter(Service):
    """The check of one address; it has no pages."""

    title = "AbuseIPDB"
    url = "https://api.abuseipdb.com"
    kinds = frozenset({IP})
    per_minute = 60
    per_day = 1000

    def request(self, kind: str, value: str, key: str) -> Request:
        """Ask for the check of an address."""
        params = {"ipAddress": value, "maxAgeInDays": str(AGE_DAYS)}
        return Request("/api/v2/check", params, {"Key": key, "Accept": "application/json"})

    def read(self, kind: str, value: str, answer: Any) -> Opinion:
        """Read score and reports."""
        data = part(answer, "data")
        if "abuseConfidenceScore" not in data:
            raise ValueError("expected 'abuseConfidenceScore' in the answer, found none")
        score, reports = count(data, "abuseConfidenceScore"), count(data, "totalReports")
        listed = ", on its list of good ones" if data.get("isWhitelisted") is True else ""
        said = f"abuse confidence {score} %, {reports} reports in {AGE_DAYS} days{listed}"
        return Opinion(said, score >= BAD, f"https://www.abuseipdb.com/check/{value}")
