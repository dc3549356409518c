"""Alerts as a STIX 2.1 bundle (OASIS Standard, 10 June 2021), object by object.

An alert is a ``sighting`` of the ``indicator`` that its rule is, which ``indicates`` an
``attack-pattern`` for each technique; what was observed is the ``user-account`` that acted,
within ``observed-data``. Ids are made from our own (UUIDv5), so that the same alert is the
same object in every export.

Objects are written as they are: to make and check each with the library ``stix2`` took a
millisecond and more an alert, minutes in all. That it takes them, whatever an alert holds,
the tests show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import orjson

NAMESPACE = uuid5(NAMESPACE_URL, "urn:sentinel:stix")
SOURCE = "mitre-attack"
#: Largest count that STIX has.
MOST: Final = 999_999_999


async def bundle(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Yield the bundle, an object a line; each indicator, technique and account is in it once."""
    writer = _Writer()
    yield b'{"type":"bundle","id":"bundle--%s","objects":[\n' % str(uuid4()).encode()
    yield orjson.dumps(AUTHOR)
    async for item in items:
        for made in writer.objects(item):
            yield b",\n" + orjson.dumps(made)
    yield b"\n]}\n"


class _Writer:
    """Makes the objects of alerts, remembering which rules, techniques and accounts there were."""

    def __init__(self) -> None:
        self._written: set[str] = set()

    def objects(self, alert: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the objects of an alert that are not written yet."""
        when = {"created": alert["time"], "modified": alert["updated_at"]}
        if when["modified"] < when["created"]:  # event time may lie ahead of our clock
            when["modified"] = when["created"]
        rule = _shared_id("indicator", alert["rule_id"])
        if self._first(rule):
            yield _indicator(rule, alert)
        for technique in alert["techniques"]:
            pattern = _shared_id("attack-pattern", technique)
            if self._first(pattern):
                reference = {"source_name": SOURCE, "external_id": technique}
                said = {"name": technique, "external_references": [reference]}
                yield _object("attack-pattern", pattern, when, **said)
            link = _shared_id("relationship", f"{alert['rule_id']}/{technique}")
            if self._first(link):
                said = {"relationship_type": "indicates", "source_ref": rule}
                yield _object("relationship", link, when, **said, target_ref=pattern)
        account = _shared_id("user-account", f"{alert['tenant']}/{alert['entity']}")
        if self._first(account):
            yield {
                "type": "user-account",
                "spec_version": "2.1",
                "id": account,
                "account_login": alert["entity"] or "unknown",
            }
        yield from _observed(alert, when, rule, account)

    def _first(self, identity: str) -> bool:
        if identity in self._written:
            return False
        self._written.add(identity)
        return True


def _observed(
    alert: dict[str, Any], when: dict[str, str], rule: str, account: str
) -> Iterator[dict[str, Any]]:
    """Yield what was observed, and that it was a sighting of the rule."""
    observed = _id("observed-data", alert["id"])
    count = min(max(alert["count"], 1), MOST)
    yield _object(
        "observed-data",
        observed,
        when,
        first_observed=alert["time"],
        last_observed=alert["time"],
        number_observed=count,
        object_refs=[account],
    )
    yield _object(
        "sighting",
        _id("sighting", alert["id"]),
        when,
        sighting_of_ref=rule,
        observed_data_refs=[observed],
        first_seen=alert["time"],
        count=count,
        confidence=round(100 * alert["score"]),
        labels=[f"severity:{alert['severity']}", f"status:{alert['status']}"],
    )


def _indicator(identity: str, alert: dict[str, Any]) -> dict[str, Any]:
    return _object(
        "indicator",
        identity,
        {"created": alert["time"], "modified": alert["time"]},
        name=alert["title"],
        indicator_types=["anomalous-activity"],
        pattern=alert["rule_id"],
        pattern_type="sigma" if _is_uuid(alert["rule_id"]) else "sentinel-model",
        valid_from=alert["time"],
    )


def _object(kind: str, identity: str, when: dict[str, str], **said: Any) -> dict[str, Any]:
    """Return an object of ours; readers, and progress, find its type first."""
    head = {"type": kind, "spec_version": "2.1", "id": identity, "created_by_ref": _AUTHOR}
    return {**head, **when, **said}


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid5(NAMESPACE, f'{kind}/{name}')}"


#: What many alerts name.
_shared_id = lru_cache(maxsize=4096)(_id)
_AUTHOR: Final = _id("identity", "sentinel")
#: Who says all this.
AUTHOR: Final = {
    "type": "identity",
    "spec_version": "2.1",
    "id": _AUTHOR,
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-01T00:00:00.000Z",
    "name": "Sentinel",
    "identity_class": "system",
}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
