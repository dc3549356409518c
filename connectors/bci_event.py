"""Events of Sentinel's own neural stage: bursts, synchrony, rate shifts, bad channels, gaps.

One JSON object an event, as ``schemas/neural_event.schema.json`` describes it; written by
`streams.neural`, read by Sigma rules like any other source (``product: sentinel,
service: bci``), so that unusual neural activity becomes an alert the usual way. What acts is
the bank of a recording session: ``session/bank``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import APPLICATION_ERROR
from sentinel.errors import MappingError

_OTHER: Final = 99
_SUCCESS, _FAILURE = 1, 2
#: OCSF severities by kind.
_SEVERITY: Final = {
    "synchrony": 4,
    "gap": 3,
    "rate_shift": 3,
    "channel_health": 3,
    "burst": 2,
    "artefact": 1,
    "stimulus": 1,
}
#: Kinds that say that something does not work.
_FAULTS: Final = frozenset({"gap", "channel_health"})


class BciEvent(JsonConnector):
    """Events of a neural recording, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("sentinel", "", "bci"),)
    product: ClassVar[Mapping[str, Any]] = {"name": "Sentinel", "vendor_name": "Sentinel"}
    required: ClassVar[Mapping[str, type]] = {"kind": str, "session": str, "time": str}
    idents: ClassVar[tuple[str, ...]] = ("id",)
    times: ClassVar[tuple[str, ...]] = ("time",)
    reads: ClassVar[frozenset[str]] = frozenset({"id", "bank", "bad"})

    def columns_of(self, event: View) -> Summary:
        """Return the columns; what acts is the bank of the session."""
        kind, session = event.text("kind"), event.text("session")
        if not kind or not session:
            raise MappingError("missing_field", "expected texts in kind and session, found none")
        bank = event.get("bank")
        healed = kind == "channel_health" and event.get("bad") is False
        failed = kind in _FAULTS and not healed
        return Summary(
            native_id=event.text("id") or None,
            time=milliseconds(event.get("time"), "time"),
            class_uid=APPLICATION_ERROR,
            activity_id=_OTHER,
            status_id=_FAILURE if failed else _SUCCESS,
            severity_id=1 if healed else _SEVERITY.get(kind, 0),
            entity=f"{session}/{bank}" if isinstance(bank, int) else session,
            operation=kind,
            service="bci",
            src_ip="",
            user_agent="",
            region="",
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return what was seen, and where."""
        return some(
            message=fields.text("message"),
            status_code=summary.operation,
            status_detail=summary.entity,
        )
