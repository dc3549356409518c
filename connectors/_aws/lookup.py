"""CloudTrail's event history, for accounts without a trail: 90 days of management events.

The API gives 50 events a request and allows two requests a second in an account and region,
newest first within a window. Data events and other regions are not in it.

Source: CloudTrail API Reference, "LookupEvents".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from connectors._aws.account import code_of
from connectors._aws.windows import TokenError, Windows, WindowSettings, moment
from connectors._reading.base import Record


class LookupSettings(WindowSettings):
    """How the history is asked."""

    settle_s: int = Field(
        900, ge=0, le=86_400, description="Seconds after which an event is in the history."
    )


class LookupEvents(Windows):
    """Reads CloudTrail's event history of one account and region."""

    Settings = LookupSettings
    service: ClassVar[str] = "cloudtrail"
    right: ClassVar[str] = "cloudtrail:LookupEvents"
    kept: ClassVar[timedelta | None] = timedelta(days=90)
    pause_s: ClassVar[float] = 0.5

    def ask(self, start: int, end: int, token: str) -> tuple[Sequence[Record], str]:
        """Return a page of events; times are of whole seconds, both ends included."""
        from botocore.exceptions import ClientError

        asked = {"NextToken": token} if token else {}
        last = -(-end // 1000) - 1
        if last * 1000 < start:
            return (), ""
        try:
            got = self.client.lookup_events(
                StartTime=moment(start), EndTime=moment(last * 1000), MaxResults=50, **asked
            )
        except ClientError as error:
            if token and code_of(error) in {"InvalidNextTokenException", "ExpiredTokenException"}:
                raise TokenError from error
            raise
        region = self.client.meta.region_name
        records = [
            Record(each["CloudTrailEvent"].encode(), f"lookup:{region}:{each['EventId']}")
            for each in got.get("Events", ())
        ]
        return records, str(got.get("NextToken") or "")
