"""What subscribers are told of an alert: the record without its events, bounded.

A message is ``{"type", "timestamp", "data"}``, as Standard Webhooks recommends. Types:
``alert.created``, ``alert.amended``, ``alert.escalated``, ``alert.resolved``, ``alert.updated``,
``alert.opinions`` (what services outside say, in ``data.opinions``) and ``alert.batch``, whose
data is ``{"items": [...]}`` of the former; ``sentinel.ping`` tests;
``neural.event`` is one of ``schemas/neural_event.schema.json``, beside an alert's fields.
Events themselves are not sent: they are to be had from the API, by those who may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

import orjson

from sentinel.subscribers.model import SEVERITIES

CREATED, AMENDED = "alert.created", "alert.amended"
ESCALATED, RESOLVED = "alert.escalated", "alert.resolved"
UPDATED = "alert.updated"
OPINIONS = "alert.opinions"
BATCH, PING = "alert.batch", "sentinel.ping"
NEURAL = "neural.event"
#: Bounds that keep a message below the 20 KB that the specification recommends.
MOST_TEXT: Final = 1024
MOST_EXPLANATION: Final = 12_288
MOST_TECHNIQUES: Final = 50
MOST_NEURAL: Final = 1 << 20
_LATEST_MS: Final = 253_402_300_799_000


def of_alert(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a record of the topic ``alerts``.

    Raises
    ------
    ValueError
        Its id is no UUID.
    """
    severity = SEVERITIES[min(max(int(record["severity_id"]), 1), len(SEVERITIES)) - 1]
    return {
        "id": str(UUID(record["id"])),
        "tenant": _text(record["tenant"]),
        "source": _text(record["source"]),
        "kind": _text(record["kind"]),
        "rule_id": _text(record["rule_id"]),
        "title": _text(record["title"]),
        "severity": severity,
        "score": record["score"],
        "techniques": [_text(each) for each in record["techniques"][:MOST_TECHNIQUES]],
        "entity": _text(record["entity"]),
        "explanation": _explanation(record["explanation"]),
        "first_seen": _moment(record["first_seen"]),
        "last_seen": _moment(record["last_seen"]),
        "count": record["count"],
        "status": record.get("status", "new"),
    }


def of_neural(value: bytes, tenant: str) -> dict[str, Any]:
    """Return the data of a record of the topic ``neural.events``: what filters go by, and it.

    Its kind is ``neural.<kind>``, so that a filter can ask for it; only those that do are told
    (`sentinel.subscribers.model.Subscription.wants`).

    Raises
    ------
    ValueError
        It is no neural event, or larger than one may be.
    """
    if len(value) > MOST_NEURAL:
        raise ValueError(f"expected at most {MOST_NEURAL} bytes, found {len(value)}")
    event = orjson.loads(value)
    try:
        session, kind, ident = event["session"], event["kind"], event["id"]
        at, message = moment(datetime.fromisoformat(event["time"])), event["message"]
    except (KeyError, TypeError, OverflowError):
        raise ValueError("expected a neural event with id, kind, time and session") from None
    return {
        "id": str(uuid5(NAMESPACE_OID, f"{tenant}/{ident}")),
        "tenant": _text(tenant),
        "source": "neural",
        "kind": f"neural.{_text(str(kind))}",
        "rule_id": _text(str(kind)),
        "title": _text(str(message)),
        "severity": "informational",
        "score": 0.0,
        "techniques": [],
        "entity": _text(str(session)),
        "explanation": {},
        "first_seen": at,
        "last_seen": at,
        "count": 1,
        "status": "new",
        "event": event,
    }


def body(kind: str, data: Mapping[str, Any], at: datetime) -> str:
    """Return the JSON of one message about what happened at `at`."""
    return orjson.dumps({"type": kind, "timestamp": moment(at), "data": data}).decode()


def joined(bodies: Sequence[str], at: datetime) -> str:
    """Return the JSON of one message that holds several."""
    items = [orjson.Fragment(each) for each in bodies]
    return orjson.dumps({"type": BATCH, "timestamp": moment(at), "data": {"items": items}}).decode()


def identity(subscription: UUID, alert: str, kind: str, revision: int) -> UUID:
    """Return the id of a message: the same whenever it is made again."""
    return uuid5(subscription, f"{alert}/{kind}/{revision}")


def moment(at: datetime) -> str:
    """Return a time in RFC 3339, UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(ms: int) -> str:
    return moment(datetime.fromtimestamp(min(max(ms, 0), _LATEST_MS) / 1000, UTC))


def _text(value: str) -> str:
    return value.replace("\0", "")[:MOST_TEXT]


def _explanation(text: str) -> Any:
    """Return the explanation, or only that it is too long."""
    if len(text) > MOST_EXPLANATION:
        return {"truncated": True, "characters": len(text)}
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"text": text}
