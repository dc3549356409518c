"""Pages of bounded size, put together record by record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors._reading.base import Page, Position, Record

#: A page is full at so many bytes or records.
PAGE_BYTES: Final = 4 << 20
PAGE_RECORDS: Final = 4000


class Pile:
    """The records of the page that is being put together."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.done: list[str] = []
        self.skipped: dict[str, int] = {}
        self._size = 0

    def add(self, record: Record) -> bool:
        """Take a record; return whether the page is now full."""
        self.records.append(record)
        self._size += len(record.value)
        return self.is_full

    @property
    def is_full(self) -> bool:
        """Whether it should go."""
        return self._size >= PAGE_BYTES or len(self.records) >= PAGE_RECORDS

    def skip(self, reason: str, count: int = 1) -> None:
        """Count what is no record."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.records or self.done or self.skipped)

    def page(self, position: Position, lag_s: float | None = None) -> Page:
        """Return the page and begin the next."""
        records: Sequence[Record] = self.records
        made = Page(records, position, lag_s, self.skipped, tuple(self.done))
        self.records, self.done, self.skipped, self._size = [], [], {}, 0
        return made
