"""What Sentinel says of its sources: a gap, silence, another schema.

Written by ``sentinel reconcile`` and by the watch over sources (`connectors._running`), read by
Sigma rules like any other source (``product: sentinel, service: health``), so that the state of
the sources raises alerts the usual way. One JSON object each::

    {"id": "…", "time": "2026-03-02T09:15:00Z", "kind": "gap", "source": "cloudtrail",
     "input": "trail", "message": "…", "details": {"missing": 3}}

``kind``: ``gap`` (the source lists what never arrived), ``silence`` (far less than usual
arrives), ``resumed`` (it arrives again), ``drift`` (fields are new, gone or of another type).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from connectors._json.decoder import View
from connectors._sentinel.events import FAILURE, SUCCESS, Judged, OwnEvents
from connectors.base import LogSource

#: OCSF severities.
_SEVERITY: Final = {"gap": 4, "silence": 4, "drift": 3, "resumed": 1}


class Health(OwnEvents):
    """The state of the sources; what acts is the source, or the input that reads it."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("sentinel", "", "health"),)
    required: ClassVar[Mapping[str, type]] = {"kind": str, "source": str, "time": str}
    reads: ClassVar[frozenset[str]] = frozenset({"id", "input"})
    subject: ClassVar[str] = "source"
    activity_id: ClassVar[int] = 1

    def judge(self, event: View, kind: str) -> Judged:
        """Return the severity of the kind; all but what arrives again is a failure."""
        status = SUCCESS if kind == "resumed" else FAILURE
        return Judged(status, _SEVERITY.get(kind, 0), event.text("input"))
