"""Indicator feeds: STIX 2.1, MISP, CSV and plain lists, whatever their file is called.

Sources: OASIS, "STIX Version 2.1" (section 4.7, Indicator, and 9, patterning); MISP core
format (internet draft, ``Event.Attribute``) and MISP's CSV export.

A STIX pattern that is one comparison, or several joined by OR, is indicators; one that needs
several things at once (AND, FOLLOWEDBY) cannot be decided by looking up one value and is
counted as left out, like every other entry that is no indicator of a kind that is looked up.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from detectors.enrich.indicators import (
    CONFIDENCE,
    DOMAIN,
    EMAIL,
    HASH,
    IP,
    URL,
    Indicator,
    kind_of,
    refanged,
    spelled,
)

#: STIX object paths, and what they hold.
STIX: Final = {
    "ipv4-addr:value": IP,
    "ipv6-addr:value": IP,
    "domain-name:value": DOMAIN,
    "url:value": URL,
    "email-addr:value": EMAIL,
    "email-message:from_ref.value": EMAIL,
    "network-traffic:dst_ref.value": IP,
    "network-traffic:src_ref.value": IP,
}
#: MISP attribute types; of composite ones (``filename|sha256``) the part after the bar.
MISP: Final = {
    **dict.fromkeys(("ip-src", "ip-dst", "ip-src|port", "ip-dst|port"), IP),
    **dict.fromkeys(("domain", "hostname", "domain|ip", "hostname|port"), DOMAIN),
    **dict.fromkeys(("url", "uri", "link"), URL),
    **dict.fromkeys(("email", "email-src", "email-dst"), EMAIL),
    **dict.fromkeys(("md5", "sha1", "sha224", "sha256", "sha384", "sha512"), HASH),
    **dict.fromkeys(("filename|md5", "filename|sha1", "filename|sha256"), HASH),
}
#: Names of CSV columns, and what they hold; the first that is there counts.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "value": ("value", "indicator", "ioc", "ip", "domain", "url", "hash", "sha256", "dst_ip"),
    "confidence": ("confidence", "confidence_level", "score"),
    "seen": ("last_seen", "date", "first_seen", "timestamp", "valid_from", "last_online"),
    "until": ("valid_until", "expires", "expiration"),
    "name": ("name", "malware", "malware_printable", "threat", "description", "comment"),
    "labels": ("labels", "tags"),
    "type": ("type", "ioc_type"),
}
MAX_LINE: Final = 1 << 16
MAX_DOCUMENT: Final = 512 << 20
"""Bytes of a JSON feed, unpacked: it is decoded as a whole."""
_COMPARED: Final = re.compile(
    r"\s*([a-z0-9-]+):((?:[A-Za-z0-9_.]|'[^']*'|\[[^\]]*\])+)\s*(=|IN|ISSUBSET)\s*"
    r"('(?:[^'\\]|\\.)*'|\((?:\s*'(?:[^'\\]|\\.)*'\s*,?)+\))\s*"
)
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'")
_JOINED: Final = re.compile(r"OR\b|\]\s*OR\s*\[")
_QUALIFIED: Final = re.compile(r"\]\s*(?:START\s+t'[^']*'\s+STOP\s+t'[^']*'\s*)?\Z")


class Feed:
    """One file of indicators.

    Parameters
    ----------
    path
        JSON (STIX, MISP), CSV or a plain list, gzip or not; what it is shows in its first bytes.
    name
        Of the feed; default: the file's name.

    Attributes
    ----------
    left_out
        Entries that gave no indicator, by reason; filled while the feed is read.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.path = path
        self.name = name or path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        self.left_out: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Indicator]:
        """Yield the indicators; what cannot be read to its end counts as ``damaged``."""
        try:
            with self._open() as stream:
                start = stream.read(1)
            if start in ("{", "["):
                yield from self._json()
            else:
                yield from self._lines()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error):
            self.left_out["damaged"] += 1

    def _open(self) -> Any:
        with self.path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        opened = gzip.open if packed else open
        return opened(self.path, "rt", encoding="utf-8-sig", newline="")

    def _json(self) -> Iterator[Indicator]:
        with self._open() as stream:
            text = stream.read(MAX_DOCUMENT + 1)
        if len(text) > MAX_DOCUMENT:
            self.left_out["too_large"] += 1
            return
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            self.left_out["damaged"] += 1
            return
        for item in document if isinstance(document, list) else [document]:
            yield from self._document(item)

    def _document(self, item: Any) -> Iterator[Indicator]:
        if isinstance(item, str):
            yield from self._one("", item)
        elif not isinstance(item, dict):
            self.left_out["no_indicator"] += 1
        elif "objects" in item or item.get("type") == "indicator":
            for each in _list(item.get("objects", [item])):
                yield from self._stix(each)
        elif "Event" in item or "Attribute" in item or "response" in item:
            yield from self._misp(item)
        elif isinstance(item.get("value"), str):
            yield from self._row({str(key): value for key, value in item.items()})
        else:
            self.left_out["no_indicator"] += 1

    def _stix(self, each: Any) -> Iterator[Indicator]:
        if not isinstance(each, dict) or each.get("type") != "indicator":
            return  # relationships, malware and the like are no indicators
        if each.get("revoked") is True:
            self.left_out["revoked"] += 1
            return
        pattern = each.get("pattern")
        if each.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):
            self.left_out["pattern_type"] += 1
            return
        found = compared(pattern)
        if not found:
            self.left_out["pattern"] += 1
        for kind, value in found:
            yield from self._one(
                kind,
                value,
                confidence=each.get("confidence"),
                seen=each.get("modified") or each.get("valid_from"),
                until=each.get("valid_until"),
                name=each.get("name"),
                labels=[*_list(each.get("indicator_types")), *_list(each.get("labels"))],
            )

    def _misp(self, item: dict[str, Any]) -> Iterator[Indicator]:
        found = item.get("response", item)
        for each in found if isinstance(found, list) else [found]:
            event = each.get("Event", each) if isinstance(each, dict) else None
            if not isinstance(event, dict):
                self.left_out["no_indicator"] += 1
                continue
            parts = [
                event,
                *(part for part in _list(event.get("Object")) if isinstance(part, dict)),
            ]
            tags = _list(event.get("Tag"))
            for attribute in (one for part in parts for one in _list(part.get("Attribute"))):
                if isinstance(attribute, dict):
                    yield from self._attribute(attribute, event.get("info"), tags)

    def _attribute(self, found: dict[str, Any], name: Any, tags: list[Any]) -> Iterator[Indicator]:
        kind, value = MISP.get(str(found.get("type")), ""), found.get("value")
        if not kind or not isinstance(value, str):
            self.left_out["no_indicator"] += 1
            return
        if found.get("to_ids") in (False, "0", 0):
            self.left_out["not_for_detection"] += 1
            return
        first, bar, last = value.partition("|")
        value = last if bar and str(found["type"]).startswith("filename|") else first
        labels = [
            tag.get("name") for tag in [*tags, *_list(found.get("Tag"))] if isinstance(tag, dict)
        ]
        yield from self._one(kind, value, seen=found.get("timestamp"), name=name, labels=labels)

    def _lines(self) -> Iterator[Indicator]:
        """Yield what is in a CSV with names in its first line, or in a list of values."""
        with self._open() as stream:
            lines = (line[:MAX_LINE] for line in stream)
            header = next((line for line in lines if line.strip()), "")
            names = _header(header)
            if names:
                for cells in csv.reader(filter(_is_data, lines), delimiter=_delimiter(header)):
                    yield from self._row(dict(zip(names, cells, strict=False)))
                return
            for line in (header, *lines) if header else ():
                if _is_data(line):
                    yield from self._plain(line)

    def _plain(self, line: str) -> Iterator[Indicator]:
        """Yield the value of a line; a number after it says on how many lists it is."""
        value, *rest = re.split(r"[\s,;]+", line.strip(), maxsplit=2)
        confidence: Any = None
        if rest and rest[0].isdecimal() and len(rest[0]) < 4:
            # Lists such as ipsum: on one list it is a rumour, on five hardly a mistake.
            confidence = min(100, 20 + 15 * int(rest[0]))
        yield from self._one("", value.strip("\"'"), confidence=confidence)

    def _row(self, row: Mapping[str, Any]) -> Iterator[Indicator]:
        said = {
            name: next((row[column] for column in columns if row.get(column)), None)
            for name, columns in COLUMNS.items()
        }
        labels = said["labels"]
        labels = re.split(r"[,;|]\s*", labels) if isinstance(labels, str) else labels
        kind = MISP.get(str(said["type"]), "")
        value = said["value"]
        if not isinstance(value, str):
            self.left_out["no_indicator"] += 1
            return
        yield from self._one(
            kind,
            value,
            confidence=said["confidence"],
            seen=said["seen"],
            until=said["until"],
            name=said["name"],
            labels=labels,
        )

    def _one(
        self,
        kind: str,
        value: str,
        *,
        confidence: Any = None,
        seen: Any = None,
        until: Any = None,
        name: Any = None,
        labels: Any = (),
    ) -> Iterator[Indicator]:
        value = refanged(value)
        kind = kind or kind_of(value)
        plain = spelled(kind, value) if kind else ""
        if not plain:
            self.left_out["no_indicator"] += 1
            return
        yield Indicator(
            kind=kind,
            value=plain,
            feed=self.name,
            confidence=_confidence(confidence),
            seen=_moment(seen),
            until=_moment(until),
            name=name[:256] if isinstance(name, str) else "",
            labels=tuple(str(each)[:128] for each in _list(labels)[:16] if each),
        )


def compared(pattern: str) -> list[tuple[str, str]]:
    r"""Return kinds and values of a STIX pattern that any one value decides; else nothing.

    >>> compared("[ipv4-addr:value = '192.0.2.1' OR domain-name:value IN ('a.b', 'c.d')]")
    [('ip', '192.0.2.1'), ('domain', 'a.b'), ('domain', 'c.d')]
    >>> compared("[file:hashes.'SHA-256' = 'aa'] OR [url:value = 'http://a.b/']")
    [('hash', 'aa'), ('url', 'http://a.b/')]
    >>> compared("[ipv4-addr:value = '192.0.2.1' AND process:name = 'x']")
    []
    """
    text = pattern.strip().lstrip("[(").strip() if len(pattern) < MAX_LINE else ""
    found: list[tuple[str, str]] = []
    at = 0
    while match := _COMPARED.match(text, at):
        path = f"{match[1]}:{match[2]}"
        kind = HASH if path.startswith("file:hashes") else STIX.get(path, "")
        if not kind:
            return []
        found += [(kind, re.sub(r"\\(.)", r"\1", each)) for each in _QUOTED.findall(match[4])]
        at = match.end()
        if _QUALIFIED.match(text, at) or text[at:].strip(")] ") == "":
            return found
        joined = _JOINED.match(text, at)
        if joined is None:
            return []
        at = joined.end()
    return []


def _header(line: str) -> list[str]:
    """Return the names of the columns where a line is those of a CSV file, else nothing."""
    names = next(csv.reader([line.lstrip("#").strip()], delimiter=_delimiter(line)), [])
    names = [name.strip().strip('"').lower() for name in names]
    return names if any(name in COLUMNS["value"] for name in names) else []


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _is_data(line: str) -> bool:
    start = line.lstrip()[:2]
    return bool(start) and start[0] not in "#;" and start != "//"


def _confidence(value: Any) -> int:
    """Return a confidence; words and numbers are understood."""
    words = {"high": 85, "medium": 50, "low": 15}
    if isinstance(value, str):
        value = words.get(value.strip().lower(), value)
    try:
        return min(max(int(float(value)), 0), 100)
    except (TypeError, ValueError, OverflowError):
        return CONFIDENCE


def _moment(value: Any) -> int:
    """Return seconds since the epoch of a number or an ISO 8601 text; 0 where there is none."""
    if value is None or isinstance(value, bool):
        return 0
    try:
        number = float(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(str(value).strip().removesuffix(" UTC"))
        except ValueError:
            return 0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = moment.timestamp()
    return int(number) if 0 < number < 2**32 else 0


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
