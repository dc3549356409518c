"""Entra ID sign-ins, of people and workloads, and the risks that ID Protection detects.

Takes what people already have: Microsoft Graph's ``signIn`` and ``riskDetection`` (an answer
with its ``value``, or one), what diagnostic settings write (the categories ``SignInLogs``,
``NonInteractiveUserSignInLogs``, ``ServicePrincipalSignInLogs``,
``ManagedIdentitySignInLogs``, ``UserRiskEvents``), and rows of the tables ``SigninLogs``,
``AADNonInteractiveUserSignInLogs``, ``AADServicePrincipalSignInLogs``,
``AADManagedIdentitySignInLogs`` and ``AADUserRiskEvents``.

Every sign-in is OCSF Authentication with the activity Logon, also one without a person
(``logon_type`` tells): a token was asked for. A risk is a Detection Finding.

Sources: Microsoft, "signIn resource type", "riskDetection resource type" (Graph) and the
references of the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._azure import risk, signin
from connectors._azure.entra import Spelled, canonical
from connectors._azure.spellings import SIGN_IN, everywhere
from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.records import bare
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import AUTHENTICATION, DETECTION_FINDING
from sentinel.errors import MappingError

_SEVERITY: Final = {"low": 2, "medium": 3, "high": 4}
_LOGON: Final = 1
_CREATE: Final = 1
_SPELLED: Final = Spelled(
    *(
        "userPrincipalName",
        "userId",
        "servicePrincipalName",
        "servicePrincipalId",
        "appDisplayName",
        "appId",
    ),
    *("resourceDisplayName", "ipAddress", "userAgent", "clientAppUsed", "status.errorCode"),
    *("location.countryOrRegion", "riskLevelDuringSignIn", "riskLevel", "riskState"),
    *("riskEventType", "resultType", "status.additionalDetails", "status.failureReason"),
    own=("id", "createdDateTime", "detectedDateTime", "activityDateTime"),
)
_OUTER: Final = frozenset({"resultType", "resulttype", "callerIpAddress", "calleripaddress"})
_OKAY: Final = frozenset({"0", "Success", "success"})


class AzureSignin(JsonConnector):
    """Sign-ins of Entra ID, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="azure", service="signinlogs"),
        LogSource(product="azure", service="riskdetection"),
        LogSource(product="azure", service="pim"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "azure-monitor": "connectors._azure.reading.monitor:MonitorReader",
        "event-hubs": "connectors._azure.reading.event_hubs:EventHubsReader",
        "graph": "connectors._azure.reading.graph:GraphReader",
    }
    product: ClassVar[Mapping[str, Any]] = {"name": "Entra ID", "vendor_name": "Microsoft"}
    envelope: ClassVar[Envelope] = Envelope(lists=("records", "value"))
    profiles: ClassVar[tuple[str, ...]] = ("cloud", "host", "security_control")
    reads: ClassVar[frozenset[str]] = frozenset({*_SPELLED.paths(), *_OUTER})
    own: ClassVar[frozenset[str]] = _SPELLED.own()

    def spellings(self, field: str) -> Sequence[str]:
        """Return the names of `field` in the other spellings."""
        return SIGN_IN.get(field) or everywhere(field)

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder; rules ask ``Status`` for the outcome as well as for its details."""
        made = super().decoder(fields)
        getters = {path: made.plain(path) for path in self.reads}
        if "Status" in fields:
            own = made.plain("Status")
            made.compute("Status", lambda event: _outcome(View(event, getters), own(event)))
        return made

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time, as the event's spelling calls them."""
        at, get = _SPELLED.of(event), event.get
        when = get(at["createdDateTime"]) or get(at["detectedDateTime"])
        when = when or get(at["activityDateTime"]) or get("time") or get("TimeGenerated")
        problem = "createdDateTime, time or TimeGenerated"
        return event.text(at["id"]) or None, milliseconds(when, problem)

    def besides(self, event: View) -> str:
        """Return which spelling the event has: its times tell."""
        return _SPELLED.of(event)["id"]

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is the user, else the service principal, else the app."""
        at = _SPELLED.of(event)
        text = event.text
        entity = text(at["userPrincipalName"], at["userId"], at["servicePrincipalName"])
        entity = entity or text(at["servicePrincipalId"], at["appDisplayName"], at["appId"])
        threat = text(at["riskEventType"])
        code = text(at["status.errorCode"], at["resultType"], "resultType", "resulttype")
        if not entity and not code and not threat:
            problem = (
                "expected a sign-in with userPrincipalName, servicePrincipalId or a status, or a "
                "risk with riskEventType, found none of them; send Entra ID's sign-in logs"
            )
            raise MappingError("missing_field", problem)
        level = text(at["riskLevelDuringSignIn"], at["riskLevel"])
        address = text(at["ipAddress"], "callerIpAddress", "calleripaddress")
        return Summary(
            *self.identity_of(event),
            DETECTION_FINDING if threat else AUTHENTICATION,
            _CREATE if threat else _LOGON,
            _status(code) if not threat else risk.STATES.get(text(at["riskState"]), 0),
            _SEVERITY.get(level, 1),
            entity,
            threat or text(at["clientAppUsed"]) or "Sign-in",
            text(at["resourceDisplayName"]),
            bare(address),
            text(at["userAgent"]),
            text(at["location.countryOrRegion"]),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class."""
        fields.record = canonical(fields.record)
        if summary.class_uid == DETECTION_FINDING:
            return risk.objects(fields, summary)
        return signin.objects(fields, summary)


def _status(code: str) -> int:
    """Return OCSF's status of an error code of Entra ID: 0 is none."""
    return (1 if code in _OKAY else 2) if code else 0


def _outcome(event: View, own: Any) -> list[str]:
    """Return all that a sign-in says of its outcome: Success or Failure, and why."""
    at = _SPELLED.of(event)
    code = event.text(at["status.errorCode"], at["resultType"], "resultType", "resulttype")
    said = [("", "Success", "Failure")[_status(code)]]
    said += [event.text(at["status.additionalDetails"]), event.text(at["status.failureReason"])]
    return [text for text in (*said, own if isinstance(own, str) else "") if text]
