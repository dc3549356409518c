"""Alerts as a STIX 2.1 bundle (OASIS Standard, 10 June 2021), object by object.

An alert is a ``sighting`` of the ``indicator`` that its rule is, which ``indicates`` an
``attack-pattern`` for each technique; what was observed is the ``user-account`` that acted,
within ``observed-data``. Ids are made from our own (UUIDv5), so that the same alert is the
same object in every export.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

NAMESPACE = uuid5(NAMESPACE_URL, "urn:sentinel:stix")
SOURCE = "mitre-attack"


async def bundle(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Yield the bundle; each indicator and technique is in it once."""
    writer = _Writer()
    yield f'{{"type": "bundle", "id": "bundle--{uuid4()}", "objects": [\n'.encode()
    yield writer.first().encode()
    async for item in items:
        for text in writer.objects(item):
            yield f",\n{text}".encode()
    yield b"\n]}\n"


class _Writer:
    """Makes the objects of alerts, remembering which rules and techniques are written."""

    def __init__(self) -> None:
        import stix2

        self._stix: Any = stix2.v21
        self._written: set[str] = set()
        self._author = _id("identity", "sentinel")

    def first(self) -> str:
        """Return who says all this."""
        given = {"name": "Sentinel", "identity_class": "system"}
        made = self._stix.Identity(
            id=self._author,
            created="2026-01-01T00:00:00Z",
            modified="2026-01-01T00:00:00Z",
            **given,
        )
        return str(made.serialize())

    def objects(self, alert: dict[str, Any]) -> Iterator[str]:
        """Yield the objects of an alert that are not written yet."""
        when = {"created": alert["time"], "modified": alert["updated_at"]}
        if when["modified"] < when["created"]:  # event time may lie ahead of our clock
            when["modified"] = when["created"]
        rule = _id("indicator", alert["rule_id"])
        yield from self._once(rule, self._indicator, alert)
        for technique in alert["techniques"]:
            pattern = _id("attack-pattern", technique)
            yield from self._once(pattern, self._pattern, technique, when)
            link = _id("relationship", f"{alert['rule_id']}/{technique}")
            yield from self._once(link, self._link, rule, pattern, when)
        account = self._stix.UserAccount(
            id=_id("user-account", f"{alert['tenant']}/{alert['entity']}"),
            account_login=alert["entity"] or "unknown",
        )
        yield from self._once(account.id, lambda _: account)
        observed = self._stix.ObservedData(
            id=_id("observed-data", alert["id"]),
            created_by_ref=self._author,
            first_observed=alert["time"],
            last_observed=alert["time"],
            number_observed=min(max(alert["count"], 1), 999_999_999),
            object_refs=[account.id],
            **when,
        )
        yield str(observed.serialize())
        sighting = self._stix.Sighting(
            id=_id("sighting", alert["id"]),
            created_by_ref=self._author,
            sighting_of_ref=rule,
            observed_data_refs=[observed.id],
            first_seen=alert["time"],
            count=min(max(alert["count"], 1), 999_999_999),
            confidence=round(100 * alert["score"]),
            labels=[f"severity:{alert['severity']}", f"status:{alert['status']}"],
            **when,
        )
        yield str(sighting.serialize())

    def _once(self, identity: str, make: Any, *args: Any) -> Iterator[str]:
        if identity not in self._written:
            self._written.add(identity)
            yield str(make(identity, *args).serialize())

    def _indicator(self, identity: str, alert: dict[str, Any]) -> Any:
        return self._stix.Indicator(
            id=identity,
            created_by_ref=self._author,
            created=alert["time"],
            modified=alert["time"],
            name=alert["title"],
            indicator_types=["anomalous-activity"],
            pattern=alert["rule_id"],
            pattern_type="sigma" if _is_uuid(alert["rule_id"]) else "sentinel-model",
            valid_from=alert["time"],
        )

    def _pattern(self, identity: str, technique: str, when: dict[str, str]) -> Any:
        reference = {"source_name": SOURCE, "external_id": technique}
        return self._stix.AttackPattern(
            id=identity,
            created_by_ref=self._author,
            name=technique,
            external_references=[reference],
            **when,
        )

    def _link(self, identity: str, rule: str, pattern: str, when: dict[str, str]) -> Any:
        return self._stix.Relationship(
            id=identity,
            created_by_ref=self._author,
            relationship_type="indicates",
            source_ref=rule,
            target_ref=pattern,
            **when,
        )


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid5(NAMESPACE, f'{kind}/{name}')}"


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
