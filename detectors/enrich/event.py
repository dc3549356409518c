"""What look-ups know of an OCSF event, in OCSF's own objects.

Where an endpoint is goes to its ``location`` and ``autonomous_system``; an indicator to
``osint`` (profile ``osint``) and, like benign lists, assets and identities, to
``enrichments``, which name the attribute and the value that they are about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from detectors.enrich.enricher import NOTHING, Enricher, Row
from detectors.enrich.geo import NOWHERE, Place
from detectors.enrich.indicators import DOMAIN, EMAIL, HASH, IP, URL
from detectors.enrich.table import Match

#: OCSF ``observable.type_id``, and as what it is looked up; "" in the context alone.
OBSERVABLES: Final = {2: IP, 1: DOMAIN, 6: URL, 8: HASH, 5: EMAIL, 4: "", 31: "", 10: ""}
#: OCSF ``osint.type_id`` by kind.
OSINT: Final = {
    IP: (1, "IP Address"),
    DOMAIN: (2, "Domain"),
    URL: (5, "URL"),
    HASH: (4, "Hash"),
    EMAIL: (9, "Email Address"),
}
ENDPOINTS: Final = ("src_endpoint", "dst_endpoint", "device")
#: Of ``actor.user``: what the context may call who acted.
USER: Final = ("uid", "uid_alt", "name", "email_addr")
MOST: Final = 64
"""Enrichments of one event."""
Asked = tuple[str, str]


def enrich(
    event: Mapping[str, Any], enricher: Enricher, now_s: float | None = None
) -> dict[str, Any]:
    """Return an event with what is known of its observables and endpoints.

    Parameters
    ----------
    event
        Valid OCSF; it is not changed.
    now_s
        Seconds since the epoch, for validity and decay of indicators; None: now.
    """
    asked = dict(_observed(event))
    rows = _rows(asked, enricher, now_s)
    found = dict(event)
    for name in ENDPOINTS:
        endpoint = event.get(name)
        address = endpoint.get("ip") if isinstance(endpoint, dict) else None
        row = rows.get((IP, address), NOTHING) if isinstance(address, str) else NOTHING
        if row.place is not NOWHERE:
            found[name] = dict(endpoint or {}) | _where(row.place, name)
    made = [each for key, row in rows.items() for each in _enrichments(asked[key], key, row)]
    osint = [_osint(key[1], match) for key, row in rows.items() if key[0] for match in row.matches]
    if made:
        found["enrichments"] = [*event.get("enrichments", ()), *made][:MOST]
    if osint:
        metadata = dict(event.get("metadata", {}))
        profiles = metadata.get("profiles", [])
        metadata["profiles"] = [*profiles, *(["osint"] if "osint" not in profiles else [])]
        found |= {"metadata": metadata, "osint": [*event.get("osint", ()), *osint][:MOST]}
    return found


def _observed(event: Mapping[str, Any]) -> Iterator[tuple[Asked, str]]:
    """Yield what can be looked up, and where in the event it stands."""
    for name in ENDPOINTS:
        endpoint = event.get(name)
        if isinstance(endpoint, dict) and isinstance(endpoint.get("ip"), str):
            yield (IP, endpoint["ip"]), f"{name}.ip"
    actor = event.get("actor")
    user = actor.get("user") if isinstance(actor, dict) else None
    for name in USER:
        value = user.get(name) if isinstance(user, dict) else None
        if isinstance(value, str) and value:
            yield ("", value), f"actor.user.{name}"
    for each in event.get("observables", ()):
        kind = OBSERVABLES.get(each.get("type_id"))
        if kind is not None and isinstance(each.get("value"), str) and each["value"]:
            yield (kind, each["value"]), str(each.get("name", ""))


def _rows(asked: Mapping[Asked, str], enricher: Enricher, now_s: float | None) -> dict[Asked, Row]:
    """Look everything up, kind by kind."""
    by_kind: dict[str, list[str]] = {}
    for kind, value in asked:
        by_kind.setdefault(kind, []).append(value)
    found: dict[Asked, Row] = {}
    for kind, values in by_kind.items():
        if kind == IP:
            rows = enricher.addresses(values, now_s)
        elif kind:
            rows = enricher.names(kind, values, now_s)
        else:
            rows = [Row(entry=entry) for entry in enricher.tables.context.find(values)]
        found |= {(kind, value): row for value, row in zip(values, rows, strict=True)}
    return found


def _where(place: Place, endpoint: str) -> dict[str, Any]:
    """Return ``location`` and ``autonomous_system`` of an endpoint."""
    named = {
        "city": place.city,
        "country": place.country,
        "region": place.region,
        "postal_code": place.postal_code,
    }
    location: dict[str, Any] = {name: value for name, value in named.items() if value}
    made: dict[str, Any] = {}
    if location:
        if place.continent:
            location["continent"] = place.continent
        if place.lat is not None and place.long is not None:
            location |= {"lat": place.lat, "long": place.long}
        made["location"] = location
    if endpoint != "device" and (place.asn is not None or place.as_name):
        number = {"number": place.asn} if place.asn is not None and place.asn < 2**31 else {}
        name = {"name": place.as_name} if place.as_name else {}
        if number or name:
            made["autonomous_system"] = number | name
    return made


def _enrichments(place: str, asked: Asked, row: Row) -> Iterator[dict[str, Any]]:
    """Yield ``enrichments`` of one value."""
    about = {"name": place or asked[0] or "value", "value": asked[1]}
    for match in row.matches:
        yield about | {
            "type": "indicator",
            "provider": match.feed,
            "short_desc": match.name or f"on the feed {match.feed}",
            "data": {
                "confidence": match.confidence,
                "score": round(match.score, 1),
                "labels": list(match.labels),
            },
        }
    if row.benign:
        yield about | {"type": "benign", "data": {"lists": list(row.benign)}}
    if row.place.flags:
        yield about | {"type": "anonymity", "data": {"flags": list(row.place.flags)}}
    if row.entry is not None:
        entry = row.entry
        said = entry._asdict() | {"tags": list(entry.tags), "more": dict(entry.more)}
        data = {name: value for name, value in said.items() if value and name != "kind"}
        yield about | {"type": entry.kind, "data": data}


def _osint(value: str, match: Match) -> dict[str, Any]:
    """Return ``osint`` of a match."""
    type_id, kind = OSINT[match.kind]
    level = 1 if match.score < 34 else 2 if match.score < 67 else 3
    made = {
        "value": value,
        "type_id": type_id,
        "type": kind,
        "confidence_id": level,
        "confidence": ("Low", "Medium", "High")[level - 1],
        "vendor_name": match.feed,
    }
    made |= {"name": match.name} if match.name else {}
    made |= {"labels": list(match.labels)} if match.labels else {}
    made |= {"expiration_time": match.until * 1000} if match.until else {}
    return made | ({"modified_time": match.seen * 1000} if match.seen else {})
