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
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import APPLICATION_ERROR
from sentinel.errors import MappingError

_GENERAL_ERROR: Final = 1
_SUCCESS, _FAILURE = 1, 2
#: OCSF severities.
_SEVERITY: Final = {"gap": 4, "silence": 4, "drift": 3, "resumed": 1}


class Health(JsonConnector):
    """The state of the sources, one JSON object a finding."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("sentinel", "", "health"),)
    product: ClassVar[Mapping[str, Any]] = {"name": "Sentinel", "vendor_name": "Sentinel"}
    required: ClassVar[Mapping[str, type]] = {"kind": str, "source": str, "time": str}
    idents: ClassVar[tuple[str, ...]] = ("id",)
    times: ClassVar[tuple[str, ...]] = ("time",)
    reads: ClassVar[frozenset[str]] = frozenset({"id", "input"})

    def columns_of(self, event: View) -> Summary:
        """Return the columns; what acts is the source, or the input that reads it."""
        kind, source = event.text("kind"), event.text("source")
        if not kind or not source:
            raise MappingError("missing_field", "expected texts in kind and source, found none")
        name = event.text("input")
        return Summary(
            native_id=event.text("id") or None,
            time=milliseconds(event.get("time"), "time"),
            class_uid=APPLICATION_ERROR,
            activity_id=_GENERAL_ERROR,
            status_id=_SUCCESS if kind == "resumed" else _FAILURE,
            severity_id=_SEVERITY.get(kind, 0),
            entity=f"{source}/{name}" if name else source,
            operation=kind,
            service="health",
            src_ip="",
            user_agent="",
            region="",
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return what is the matter."""
        return some(
            message=fields.text("message"),
            status_code=summary.operation,
            status_detail=summary.entity,
        )
