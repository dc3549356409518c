"""GitHub's audit log, of an organization or an enterprise: access, settings, and git itself.

Takes what GitHub gives: the array that the REST API answers with, its log streams (a line an
event), and the JSON that the web pages export. An event needs ``action`` and a time
(``@timestamp``, ``created_at``); its id is ``_document_id``. Webhook deliveries, which name
no time, are no audit events and are refused.

Git events (``git.clone``, ``git.push``) come only with ``include=all``; see the reader.

Source: GitHub documentation, "Using the audit log API" and "Streaming the audit log".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._github import ocsf_map
from connectors._github.classes import classify
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from sentinel.errors import MappingError

_SUCCESS, _FAILURE = 1, 2
_INFORMATIONAL, _LOW = 1, 2
#: In the order in which they are asked; the last is what some data lakes make of the first.
_TIMES: Final = ("@timestamp", "created_at", "at_sign_timestamp")


class GitHub(JsonConnector):
    """Events of GitHub's audit log, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="github", service="audit"),)
    product: ClassVar[Mapping[str, Any]] = {"name": "GitHub", "vendor_name": "GitHub"}
    readers: ClassVar[Mapping[str, str]] = {"audit-log": "connectors._github.reader:GitHubReader"}
    idents: ClassVar[tuple[str, ...]] = ("_document_id",)
    times: ClassVar[tuple[str, ...]] = _TIMES
    reads: ClassVar[frozenset[str]] = frozenset(
        {"_document_id", "action", "actor", "actor_id", "actor_ip", "business", "operation_type"}
        | {"external_identity_nameid", "org", "user", "user_agent", *_TIMES}
    )
    looks_into: ClassVar[frozenset[str]] = frozenset({"actor_location.country_code"})

    def spellings(self, field: str) -> Sequence[str]:
        """Return the other name of a time."""
        return _TIMES if field in _TIMES else ()

    def columns_of(self, event: View) -> Summary:
        """Return the columns; git with a deploy key is done by nobody that GitHub names."""
        text = event.text
        action = text("action")
        if not action:
            raise MappingError("missing_field", "expected the text action, found none")
        class_uid, activity_id = classify(action, text("operation_type"))
        when = next((found for name in _TIMES if (found := event.get(name))), None)
        failed = "failed" in action
        return Summary(
            native_id=text("_document_id") or None,
            time=milliseconds(when, _TIMES[0]),
            class_uid=class_uid,
            activity_id=activity_id,
            status_id=_FAILURE if failed else _SUCCESS,
            severity_id=_LOW if failed else _INFORMATIONAL,
            entity=text("actor", "external_identity_nameid", "actor_id", "user"),
            operation=action,
            service=text("org", "business") or "github",
            src_ip=text("actor_ip"),
            user_agent=text("user_agent"),
            region=text("actor_location.country_code"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._github.ocsf_map`."""
        return ocsf_map.objects(fields, summary)
