"""Running a reader as the runner does: position by position, over failures and crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, Protocol

import msgspec


class _Page(Protocol):
    """As of `connectors._reading.base.Page`."""

    @property
    def records(self) -> Sequence[Any]: ...

    @property
    def position(self) -> dict[str, Any]: ...


class _Listed(Protocol):
    """As of `connectors._reading.base.Listed`."""

    @property
    def id(self) -> str: ...


class _Reader(Protocol):
    """As of `connectors._reading.base.Reader`."""

    def read(self, position: dict[str, Any] | None) -> Iterator[_Page]: ...

    def listing(self, since: datetime, until: datetime) -> Iterator[_Listed]: ...

    def close(self) -> None: ...


class Drain:
    """Everything that readers of one input gave, and where reading goes on.

    Parameters
    ----------
    make
        Makes the reader; anew after each crash, as a new process would.
    failures
        What a reader raises for what trying again may mend.

    Attributes
    ----------
    records
        Every record that was handed on, doubles included.
    errors
        What was raised.
    position
        What is stored: as JSON, for that is what survives.
    """

    def __init__(self, make: Callable[[], _Reader], failures: type[Exception]) -> None:
        self._make, self._failures = make, failures
        self.records: list[Any] = []
        self.errors: list[Exception] = []
        self.position: dict[str, Any] | None = None

    @property
    def ids(self) -> list[str]:
        """The ids of all records, in the order they came."""
        return [record.id for record in self.records]

    def listed(self, since: datetime, until: datetime) -> list[str]:
        """Return the ids of what a new reader lists from `since` until before `until`."""
        with closing(self._make()) as reader:
            return [each.id for each in reader.listing(since, until)]

    def run(self, pages: int | None = None, tries: int = 12) -> None:
        """Read until there is no more, going on after failures.

        Parameters
        ----------
        pages
            After so many pages the process is killed: the last one has reached the broker, its
            position was not stored.
        tries
            Failures after which it is given up.
        """
        reader = self._make()
        try:
            for _ in range(tries):
                try:
                    if self._once(reader, pages):
                        return
                except self._failures as error:
                    self.errors.append(error)
            raise AssertionError(f"expected an end after {tries} tries, found {self.errors[-3:]}")
        finally:
            reader.close()

    def _once(self, reader: _Reader, pages: int | None) -> bool:
        """Read once through; return whether it is over."""
        for count, page in enumerate(reader.read(self.position), 1):
            self.records += page.records
            if count == pages:
                return True
            self.position = msgspec.json.decode(msgspec.json.encode(page.position))
        return True
