"""Events that Sentinel writes of itself, one JSON object each: what kind, of what, and when."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._json.times import milliseconds
from connectors.base import OCSF, Summary
from schemas.ocsf import APPLICATION_ERROR
from sentinel.errors import MappingError

SUCCESS: Final = 1
FAILURE: Final = 2


class Judged(NamedTuple):
    """What a kind of event means: OCSF status and severity, and which part it is about."""

    status_id: int
    severity_id: int
    part: str


class OwnEvents(JsonConnector):
    """Application errors of Sentinel's own; what acts is `subject`, or a part of it.

    Attributes
    ----------
    subject
        The field that names what the event is about.
    activity_id
        OCSF activity of Application Error.
    """

    product: ClassVar[Mapping[str, Any]] = {"name": "Sentinel", "vendor_name": "Sentinel"}
    idents: ClassVar[tuple[str, ...]] = ("id",)
    times: ClassVar[tuple[str, ...]] = ("time",)
    subject: ClassVar[str]
    activity_id: ClassVar[int]

    @abstractmethod
    def judge(self, event: View, kind: str) -> Judged:
        """Return what an event of a kind means."""

    def columns_of(self, event: View) -> Summary:
        """Return the columns; raise `MappingError` without a kind or a subject."""
        kind, subject = event.text("kind"), event.text(self.subject)
        if not kind or not subject:
            raise MappingError(
                "missing_field", f"expected texts in kind and {self.subject}, found none"
            )
        judged = self.judge(event, kind)
        return Summary(
            native_id=event.text("id") or None,
            time=milliseconds(event.get("time"), "time"),
            class_uid=APPLICATION_ERROR,
            activity_id=self.activity_id,
            status_id=judged.status_id,
            severity_id=judged.severity_id,
            entity=f"{subject}/{judged.part}" if judged.part else subject,
            operation=kind,
            service=self.logsources[0].service,
            src_ip="",
            user_agent="",
            region="",
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return what was seen, and of what."""
        return some(
            message=fields.text("message"),
            status_code=summary.operation,
            status_detail=summary.entity,
        )
