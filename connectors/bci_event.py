"""Events of Sentinel's own neural stage: bursts, synchrony, rate shifts, bad channels, gaps.

One JSON object an event, as ``schemas/neural_event.schema.json`` describes it; written by
`streams.neural`, read by Sigma rules like any other source (``product: sentinel,
service: bci``), so that unusual neural activity becomes an alert the usual way. What acts is
the bank of a recording session: ``session/bank``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from connectors._json.decoder import View
from connectors._sentinel.events import FAILURE, SUCCESS, Judged, OwnEvents
from connectors.base import LogSource

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


class BciEvent(OwnEvents):
    """Events of a neural recording; what acts is the bank of the session."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("sentinel", "", "bci"),)
    required: ClassVar[Mapping[str, type]] = {"kind": str, "session": str, "time": str}
    reads: ClassVar[frozenset[str]] = frozenset({"id", "bank", "bad"})
    subject: ClassVar[str] = "session"
    activity_id: ClassVar[int] = 99

    def judge(self, event: View, kind: str) -> Judged:
        """Return the severity of the kind; a channel that works again is no fault."""
        bank = event.get("bank")
        part = str(bank) if isinstance(bank, int) else ""
        if kind == "channel_health" and event.get("bad") is False:
            return Judged(SUCCESS, 1, part)
        return Judged(FAILURE if kind in _FAULTS else SUCCESS, _SEVERITY.get(kind, 0), part)
