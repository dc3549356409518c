"""The fields of a source and their types, learnt, and when they change.

A change counts when two samples in a row show it, so that a burst of one kind of event is none:
a field is *new* where half the events of a sample have it and none of the learnt ones had;
*gone* where nine of ten learnt events had it and no event of a sample has; *retyped* where the
learnt ones had one type and most of a sample have another. A field whose name ends in
``version`` tells of a *new version* by a value that was never seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

#: Events that have to be learnt before anything is said, and those that a sample has to have.
LEARNT, SAMPLE = 500, 50
OFTEN, HALF = 0.9, 0.5
#: Learnt counts are halved at so many events, so that what is usual may change slowly.
HALVE: Final = 20_000
#: Fields, and versions of one, that are kept of a source.
MOST_FIELDS, MOST_VERSIONS = 600, 12
DEPTH: Final = 4
Types = Mapping[str, Mapping[str, int]]
_NAMES: Final = {str: "text", bool: "truth", int: "number", float: "number", list: "list"}


class Shape:
    """The shape of one source."""

    def __init__(self) -> None:
        self._events = 0
        self._fields: dict[str, Counter[str]] = {}
        self._versions: dict[str, list[str]] = {}
        #: What the sample before showed.
        self._suspected: set[tuple[str, str]] = set()

    def add(self, events: Iterable[Any]) -> dict[str, list[str]]:
        """Take a sample; return what changed, by kind: nothing where all is as usual."""
        count, seen, versions = 0, dict[str, Counter[str]](), dict[str, set[str]]()
        for event in events:
            if isinstance(event, dict):
                count += 1
                for path, value in fields(event):
                    seen.setdefault(path, Counter())[_kind(value)] += 1
                    if path.lower().endswith("version") and isinstance(value, str | int):
                        versions.setdefault(path, set()).add(str(value)[:40])
        if count < SAMPLE:
            return {}
        found = self._changes(count, seen, versions) if self._events >= LEARNT else set()
        certain = found & self._suspected
        self._suspected = found
        for path, values in versions.items():  # said once: from now on it is known
            known = self._versions.setdefault(path, [])
            certain |= {each for each in found if each[0] == "version" and each[1].startswith(path)}
            known += [value for value in sorted(values) if value not in known]
            del known[:-MOST_VERSIONS]
        if not found or certain:
            self._learn(count, seen, whole=bool(certain))
        told: dict[str, list[str]] = {}
        for kind, text in sorted(certain):
            told.setdefault(kind, []).append(text)
        return told

    def _changes(
        self, count: int, seen: Types, versions: Mapping[str, set[str]]
    ) -> set[tuple[str, str]]:
        """Return what a sample shows that was not learnt."""
        found: set[tuple[str, str]] = set()
        for path, types in seen.items():
            learnt = self._fields.get(path)
            if learnt is None:
                if sum(types.values()) >= HALF * count and len(self._fields) < MOST_FIELDS:
                    found.add(("new", path))
                continue
            usual, times = learnt.most_common(1)[0]
            now = max(types, key=lambda kind: types[kind])
            if now != usual and times > OFTEN * learnt.total() and now not in learnt:
                found.add(("retyped", f"{path}: {usual}, now {now}"))
        for path, learnt in self._fields.items():
            if path not in seen and learnt.total() >= OFTEN * self._events:
                found.add(("gone", path))
        for path, values in versions.items():
            known = self._versions.get(path)
            fresh = sorted(values - set(known)) if known and len(known) < MOST_VERSIONS else []
            found |= {("version", f"{path}: {value}") for value in fresh}
        return found

    def _learn(self, count: int, seen: Types, *, whole: bool) -> None:
        """Take a sample into what is usual; with `whole` in place of what was learnt."""
        if whole:
            self._events, self._fields = 0, {}
        self._events += count
        for path, types in seen.items():
            if path in self._fields or len(self._fields) < MOST_FIELDS:
                self._fields.setdefault(path, Counter()).update(types)
        if self._events > HALVE:
            self._events //= 2
            halves = {p: Counter({k: n // 2 for k, n in c.items() if n > 1})
                      for p, c in self._fields.items()}  # fmt: skip
            self._fields = {path: learnt for path, learnt in halves.items() if learnt}

    def snapshot(self) -> list[Any]:
        """Return what was learnt, as JSON."""
        learnt = {path: dict(types) for path, types in self._fields.items()}
        return [self._events, learnt, self._versions]

    def restore(self, state: list[Any]) -> None:
        """Take up what `snapshot` returned."""
        self._events, learnt, self._versions = state
        self._fields = {path: Counter(types) for path, types in learnt.items()}


def fields(value: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of every field, objects opened `DEPTH` deep.

    >>> list(fields({"a": {"b": 1}, "c": None, "d": [2]}))
    [('a.b', 1), ('d', [2])]
    """
    for name, item in value.items():
        path = f"{before}.{name}" if before else name
        if isinstance(item, dict) and depth < DEPTH:
            yield from fields(item, path, depth + 1)
        elif item is not None:
            yield path, item


def _kind(value: Any) -> str:
    return _NAMES.get(type(value), "object")
