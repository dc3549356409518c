"""Log groups of CloudWatch Logs: EKS control planes, flow logs, CloudTrail, and any other.

Source: CloudWatch Logs API Reference, "FilterLogEvents" (tokens are good for 24 hours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from connectors._aws.account import code_of
from connectors._aws.windows import TokenError, Windows, WindowSettings
from connectors._reading.base import Record


class LogSettings(WindowSettings):
    """Which log group."""

    log_group: str = Field(min_length=1, max_length=512, description="Name of the log group.")
    streams: str = Field("", max_length=512, description="What names of log streams begin with.")
    pattern: str = Field("", max_length=1024, description="Filter pattern; none: every event.")
    header: str = Field(
        "",
        max_length=4096,
        description="Line put above each event: the format of flow logs, if not the default.",
    )


class LogEvents(Windows):
    """Reads the events of a log group, as they are."""

    Settings = LogSettings
    settings: LogSettings
    service: ClassVar[str] = "logs"
    right: ClassVar[str] = "logs:FilterLogEvents"

    def ask(self, start: int, end: int, token: str) -> tuple[Sequence[Record], str]:
        """Return a page of events."""
        from botocore.exceptions import ClientError

        settings = self.settings
        asked: dict[str, Any] = {"nextToken": token} if token else {}
        if settings.streams:
            asked["logStreamNamePrefix"] = settings.streams
        if settings.pattern:
            asked["filterPattern"] = settings.pattern
        try:
            got = self.client.filter_log_events(
                logGroupName=settings.log_group,
                startTime=start,
                endTime=end - 1,
                limit=1000,
                **asked,
            )
        except ClientError as error:
            if token and code_of(error) == "InvalidParameterException":
                raise TokenError from error
            raise
        above = f"{settings.header}\n" if settings.header else ""
        return [
            Record(
                f"{above}{each['message']}".encode(errors="surrogatepass"),
                f"logs:{settings.log_group}:{each['logStreamName']}:{each['eventId']}",
            )
            for each in got.get("events", ())
        ], str(got.get("nextToken") or "")

    def resource(self) -> str:
        """Return the log group."""
        return f"arn:aws:logs:*:*:log-group:{self.settings.log_group}"
