"""What Elasticsearch is sent: documents of events, alerts and evidence, and their indices.

Mappings are strict: a document has the fields of ``elasticsearch.json`` and no others, so
that no source can add fields without end or change the type of one. What the source wrote
beside the columns is kept in one field of type ``flattened``, by path, bounded
(`sentinel.words.leaves`); the whole event in ``ocsf``, which is stored and not indexed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from connectors._mapper import Mapper
from sentinel.words import leaves, word_lines, written
from streams.sinks._storable import json as storable
from streams.sinks.base import AlertRow, EventRow, Key, Rows

#: Indices of another version have other mappings: they are left alone, and filled anew.
PREFIX = "sentinel-v2"
#: The alias of all days; the others are one index each.
EVENTS, ALERTS = f"{PREFIX}-events", f"{PREFIX}-alerts"
EVIDENCE, STATE = f"{PREFIX}-alert-events", f"{PREFIX}-state"
#: What is indexed only: it can be made again from the rest.
_UNSTORED = ["words", "entity_words", "title_words", "raw", "src_ip_address"]
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
_ADDRESS = re.compile(r"[0-9a-fA-F:.]+")


class Item(NamedTuple):
    """One document to send: the kind of row and what it counts as, and its two lines."""

    kind: str
    key: Key
    lines: bytes


def templates() -> dict[str, dict[str, Any]]:
    """Return the index template of each kind of document, by name."""
    given = json.loads(Path(__file__).with_name("elasticsearch.json").read_text())
    found = {}
    for kind, fields in given["kinds"].items():
        mappings = {
            "dynamic": "strict",
            "_source": {"excludes": [name for name in _UNSTORED if name in fields]},
            "properties": {name: given["types"][type_] for name, type_ in fields.items()},
        }
        template: dict[str, Any] = {"settings": given["settings"], "mappings": mappings}
        pattern = f"{PREFIX}-{kind}"
        if kind == "events":
            template["aliases"] = {EVENTS: {}}
            pattern = f"{EVENTS}-2*"
        found[f"{PREFIX}-{kind}"] = {
            "index_patterns": [pattern],
            "priority": 200,
            "template": template,
        }
    return found


def day_index(day: date) -> str:
    """Return the index of the events that arrived on a day.

    >>> day_index(date(2026, 11, 21))
    'sentinel-v2-events-2026.11.21'
    """
    return f"{EVENTS}-{day:%Y.%m.%d}"


def day_of(index: str) -> date | None:
    """Return the day of an index, None where it is none of a day.

    >>> day_of("sentinel-v2-events-2026.11.21")
    datetime.date(2026, 11, 21)
    """
    try:
        text = index.removeprefix(f"{EVENTS}-")
        return datetime.strptime(text, "%Y.%m.%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


class Documents:
    """Makes documents of rows.

    Parameters
    ----------
    mapper
        Writes events out in OCSF.
    """

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def of(self, rows: Rows, first: date, last: date) -> Iterator[Item]:
        """Yield what to send; days of arrival are bounded to those from `first` to `last`."""
        for event in rows.events:
            yield self._event(event, first, last)
        for alert in rows.alerts:
            yield from _alert(alert)

    def _event(self, row: EventRow, first: date, last: date) -> Item:
        ocsf = row.ocsf or self._mapper.ocsf(row.source, row.tenant, row.uid, row.raw)
        said = written(row.raw)
        uid = str(UUID(bytes=row.uid))
        document = {
            "uid": uid,
            "tenant": row.tenant,
            "time": _at(row.time),
            "arrived": _at(row.arrived),
            "source": row.source,
            "class_uid": row.class_uid,
            "activity_id": row.activity_id,
            "status_id": row.status_id,
            "severity_id": row.severity_id,
            "entity": row.entity,
            "entity_words": word_lines(row.entity),
            "operation": row.operation,
            "service": row.service,
            "src_ip": row.src_ip,
            "ocsf": orjson.Fragment(_one_line(ocsf)),
            "raw": leaves(said),
            "words": word_lines(said),
        }
        if _is_address(row.src_ip):
            document["src_ip_address"] = row.src_ip
        arrived = datetime.fromtimestamp(max(_at(row.arrived), 0) / 1000, UTC).date()
        index = day_index(min(max(arrived, first), last))
        return _item("events", row, "create", index, f"{row.tenant}/{uid}", document)


def _alert(row: AlertRow) -> Iterator[Item]:
    """Yield the alert and its new evidence."""
    explanation = _one_line(row.explanation)
    texts = [row.title, row.rule_id, row.entity, list(row.techniques), _decoded(explanation)]
    document = {
        "id": row.id,
        "tenant": row.tenant,
        "kind": row.kind,
        "rule_id": row.rule_id,
        "title": row.title,
        "title_words": word_lines(row.title),
        "source": row.source,
        "severity_id": min(max(row.severity_id, 1), 5),
        "score": row.score,
        "techniques": list(row.techniques),
        "entity": row.entity,
        "entity_words": word_lines(row.entity),
        "explanation": orjson.Fragment(explanation),
        "count": row.count,
        "first_seen": _at(row.first_seen),
        "last_seen": _at(row.last_seen),
        "words": word_lines(texts),
    }
    identity = f"{row.tenant}/{row.id}"
    version = {"version": row.count, "version_type": "external"}
    yield _item("alerts", row, "index", ALERTS, identity, document, version)
    for event in row.events:
        uid = str(UUID(bytes=event.uid))
        evidence = {
            "tenant": row.tenant,
            "alert_id": row.id,
            "uid": uid,
            "time": _at(event.time),
            "arrived": _at(event.arrived),
            "score": event.score,
            "source": event.source,
            "ocsf": orjson.Fragment(_one_line(event.ocsf)),
        }
        yield _item("alert_events", row, "create", EVIDENCE, f"{identity}/{uid}", evidence)


def _item(
    kind: str,
    row: EventRow | AlertRow,
    action: str,
    index: str,
    identity: str,
    document: dict[str, Any],
    options: dict[str, Any] | None = None,
) -> Item:
    # An _id has at most 512 bytes; the UUID at its end is what tells documents apart.
    head = {action: {"_index": index, "_id": identity[-128:], **(options or {})}}
    lines = orjson.dumps(head) + b"\n" + orjson.dumps(document) + b"\n"
    return Item(kind, (row.tenant, row.source), lines)


def _at(time: int) -> int:
    """Return a time in milliseconds as PostgreSQL keeps it."""
    return min(max(time, _EARLIEST), _LATEST)


def _is_address(text: str) -> bool:
    """Say whether ``ip_of`` in the migration ``0016`` says that it is an address."""
    if not _ADDRESS.fullmatch(text):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _one_line(text: str | bytes) -> bytes:
    """Return JSON on one line, as bulk wants it, and with nothing that PostgreSQL refuses."""
    found = text if isinstance(text, bytes) else text.encode()
    if b"\\u" in found:
        found = storable(found).encode()
    return found.replace(b"\n", b" ").replace(b"\r", b" ")


def _decoded(text: bytes) -> Any:
    """Return decoded JSON; None where it is none, which Elasticsearch then refuses itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
