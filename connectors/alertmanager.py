"""Prometheus alerts, as Alertmanager sends them to a webhook.

Takes the webhook's body (version 4: ``alerts[]``), and a single alert. An alert that fires or
is resolved is an event; that Alertmanager repeats it (``repeat_interval``) is none, since the
id is made of fingerprint, start and state. With the way in `http`::

    receivers:
      - name: sentinel
        webhook_configs:
          - url: http://sentinel.example.com:8099/
            http_config: {authorization: {credentials_file: /etc/alertmanager/token}}

Source: Prometheus documentation, "Alerting > Configuration > <webhook_config>".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields, some
from connectors._json.objects import text
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING
from sentinel.errors import MappingError

_CREATE, _CLOSE = 1, 3
_NEW, _RESOLVED = 1, 4
_SEVERITY: Final = {
    "none": 1,
    "info": 1,
    "information": 1,
    "low": 2,
    "warning": 3,
    "medium": 3,
    "error": 4,
    "high": 4,
    "page": 5,
    "critical": 5,
    "emergency": 6,
}
_WHO: Final = ("labels.instance", "labels.pod", "labels.host", "labels.node", "labels.job")
_HOST: Final = ("labels.node", "labels.host", "labels.instance")


class Alertmanager(JsonConnector):
    """Alerts of Prometheus, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("prometheus", "", "alertmanager"),)
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Alertmanager",
        "vendor_name": "Prometheus Authors",
    }
    required: ClassVar[Mapping[str, type]] = {"labels.alertname": str, "startsAt": str}
    reads: ClassVar[frozenset[str]] = frozenset(
        {"status", "endsAt", "fingerprint", "labels.severity", "labels.job", *_WHO, *_HOST}
    )
    own: ClassVar[frozenset[str]] = frozenset({"fingerprint", "startsAt", "endsAt"})
    envelope: ClassVar[Envelope] = Envelope(("alerts",))

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: an alert that fires and its end are two events."""
        fingerprint, start = event.text("fingerprint"), event.text("startsAt")
        resolved = event.text("status") == "resolved"
        when = event.get("endsAt") if resolved else start
        state = "resolved" if resolved else "firing"
        native_id = f"{fingerprint}/{start}/{state}" if fingerprint else None
        return native_id, milliseconds(when, "startsAt or endsAt")

    def columns_of(self, event: View) -> Summary:
        """Return the columns; it acted what the alert is about."""
        name = event.text("labels.alertname")
        if not name:
            raise MappingError("missing_field", "expected a name in labels.alertname, found none")
        resolved = event.text("status") == "resolved"
        native_id, when = self.identity_of(event)
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=DETECTION_FINDING,
            activity_id=_CLOSE if resolved else _CREATE,
            status_id=_RESOLVED if resolved else _NEW,
            severity_id=_SEVERITY.get(event.text("labels.severity").lower(), 0),
            entity=event.text(*_WHO),
            operation=name,
            service=event.text("labels.job"),
            src_ip="",
            user_agent="",
            region=event.text(*_HOST),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the finding, and what it is about."""
        host = summary.region
        about = fields.text("annotations.description") or fields.text("annotations.message")
        return some(
            finding_info=some(
                uid=fields.text("fingerprint") or summary.operation,
                title=fields.text("annotations.summary") or summary.operation,
                desc=about,
                types=[summary.operation],
                src_url=text(fields.get("generatorURL")),
            ),
            message=about or fields.text("annotations.summary") or summary.operation,
            resources=[some(name=summary.entity, type="instance")] if summary.entity else [],
            device=some(hostname=host, type_id=0, type="Unknown") if host else {},
            metadata=some(log_name="alertmanager", labels=self._labels(fields)),
        )

    @staticmethod
    def _labels(fields: Fields) -> list[str]:
        """Return the labels, ``name:value`` each."""
        found = fields.get("labels")
        if not isinstance(found, dict):
            return []
        return [f"{name}:{value}"[:200] for name, value in found.items() if isinstance(value, str)]
