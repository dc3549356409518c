"""What `match`, `normalize` and `push` share: a source by name, the events in files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from connectors._sources import sources
from connectors.base import Connector
from schemas.identity import event_uid
from sentinel.cli import _common
from sentinel.errors import RecordError, SettingsError
from sentinel.reading import Reader, summary

#: Tenant of events that no one said the tenant of; the same as in the stream.
TENANT = "default"

#: Faulty records that are named on stderr; all are counted.
NAMED = 3


class Unit(NamedTuple):
    """One raw event, and the file and number of the record that completed it."""

    place: str
    raw: bytes


class Problems:
    """Counts records that could not be handled, by reason, and keeps the first few."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.first: list[str] = []

    def add(self, place: str, error: RecordError) -> None:
        """Count one record."""
        self.reasons[error.reason] += 1
        if len(self.first) < NAMED:
            self.first.append(f"{place}: {error.reason}: {error.detail}")

    def lines(self) -> list[str]:
        """Return sentences for a person."""
        if not self.reasons:
            return []
        counts = ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common())
        return [f"{self.reasons.total()} could not be handled ({counts})", *self.first]


def connector(source: str) -> Connector:
    """Return the connector of a source; raise SettingsError where there is none."""
    found = sources(_common.settings())
    if source not in found:
        raise SettingsError(f"expected --source among {', '.join(found)}, found {source!r}")
    return found[source]()


def units(reader: Reader, source: Connector, problems: Problems) -> Iterator[Unit]:
    """Yield the raw events of all records, in order, as the normalize stage would cut them.

    Records of several lines are put together across files; what is incomplete at the end
    is yielded as it is.
    """
    assembler = source.assembler()
    place = "-"
    for offset, (place, data) in enumerate(reader):
        try:
            parts = list(source.split(data))
        except RecordError as error:
            problems.add(place, error)
            continue
        if assembler is not None:
            parts = assembler.feed(parts, offset)
        yield from _placed(place, parts)
    if assembler is not None:
        yield from _placed(f"{place}/end", assembler.flush())


def _placed(place: str, parts: Sequence[bytes]) -> Iterator[Unit]:
    for index, raw in enumerate(parts):
        yield Unit(f"{place}/{index}" if index else place, raw)


def uid_of(source: str, native_id: str | None, place: str) -> bytes:
    """Return the id of an event: of its own id, else of its place."""
    return event_uid(TENANT, source, native_id or place)


def report(reader: Reader, problems: Problems, read: int, done: str) -> None:
    """Say on stderr what was done and what could not be; raise where there was nothing.

    Raises
    ------
    SettingsError
        Not one event could be read.
    """
    for line in [done, *problems.lines(), *summary(reader)]:
        _common.note(line)
    if not read:
        raise SettingsError(f"expected events in {', '.join(reader.paths)}, found none")
