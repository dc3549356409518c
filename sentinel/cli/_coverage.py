"""Which fields of a source its mapping uses, which it leaves over, which never came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from connectors._json.connector import JsonConnector
from connectors._json.fields import MAX_LEFT
from connectors.base import OCSF, Connector

#: Below this depth an object counts as one field, as it does in ``unmapped``.
DEPTH = 8
#: Fields that are told apart; a source that uses values as keys has no end of them.
MOST = 10_000
STATES = ("mapped", "partly", "unmapped", "unseen")


class Field(NamedTuple):
    """What became of a field.

    Attributes
    ----------
    state
        ``mapped``: always used; ``partly``: in some events; ``unmapped``: never;
        ``unseen``: the connector knows it, and no event had it.
    seen, mapped, unmapped
        Events that had it, and those in which it was used or left over.
    """

    field: str
    state: str
    seen: int
    mapped: int
    unmapped: int


class Coverage:
    """Counts fields over many events. Only JSON objects have fields that can be told apart."""

    def __init__(self, connector: Connector) -> None:
        self._declared: frozenset[str] = frozenset()
        if isinstance(connector, JsonConnector):
            self._declared = connector.reads | connector.required.keys() | connector.looks_into
        self._seen: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self.events = 0
        #: Events whose ``unmapped`` was full: what is beyond counts as mapped.
        self.cut = 0

    def add(self, raw: bytes, event: OCSF) -> None:
        """Count the fields of one event; what is no JSON object has none."""
        try:
            record = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            return
        if not isinstance(record, dict):
            return
        self.events += 1
        left = event.get("unmapped", {})
        self.cut += len(left) >= MAX_LEFT
        for path in paths(record):
            if path in self._seen or len(self._seen) < MOST:
                self._seen[path] += 1
                self._left[path] += _is_left(path, left)

    def rows(self) -> list[Field]:
        """Return every field: used ones first, then those left over, then those unseen."""
        found = [self._row(path, seen) for path, seen in self._seen.items()]
        known = self._seen.keys()
        found += [
            Field(path, "unseen", 0, 0, 0)
            for path in self._declared
            if not any(seen == path or seen.startswith(f"{path}.") for seen in known)
        ]
        return sorted(found, key=lambda row: (STATES.index(row.state), -row.seen, row.field))

    def _row(self, path: str, seen: int) -> Field:
        left = self._left[path]
        state = "unmapped" if left == seen else "partly" if left else "mapped"
        return Field(path, state, seen, seen - left, left)


def paths(value: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the dotted path of every field that says something.

    >>> list(paths({"a": {"b": 1, "c": None}, "d": [{"e": 1}]}))
    ['a.b', 'd']
    """
    for name, item in value.items():
        path = f"{before}.{name}" if before else name
        if isinstance(item, dict) and item and depth < DEPTH:
            yield from paths(item, path, depth + 1)
        elif item is not None and item != {}:
            yield path


def _is_left(path: str, left: Mapping[str, Any]) -> bool:
    """Return whether a path, or an object that it is in, was left over."""
    while path:
        if path in left:
            return True
        path = path.rpartition(".")[0]
    return False
