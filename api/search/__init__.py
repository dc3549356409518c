"""The port to the store that lists events and alerts: PostgreSQL, or Elasticsearch where set.

Both give the same answers to the same data (contract test). Which one it is, is decided once,
when a process starts; there is no falling back, which would hide that one of them is away.
An alert's detail, its evidence, and what people make of it (status, assignee, disposition)
are always PostgreSQL's.

What is looked for is a node of the search language (`api.search.language`), however it was
asked: as a text in that language, or as parameters of a request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from uuid import UUID

from api.search.language.nodes import Node

if TYPE_CHECKING:
    from api.deps import Database

Severity = Literal["informational", "low", "medium", "high", "critical"]
#: By their number in OCSF, 1 for the first.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class Place(NamedTuple):
    """Where a page ends: after the row of this time and id. Lists go back in time."""

    time: datetime
    id: UUID


class Found(NamedTuple):
    """One page of rows, whose keys are the columns of ``queries.sql``, and where it ends.

    `following` is None on the last page.
    """

    rows: Sequence[Mapping[str, Any]]
    following: Place | None


class Search(ABC):
    """A store that lists what the tenant of a `Database` may see, newest first.

    Every method raises `Problem` (503) where the store cannot be reached or takes too long.
    """

    @abstractmethod
    async def alerts(
        self, database: Database, wanted: Node, after: Place | None, limit: int, columns: str
    ) -> Found:
        """Return a page of alerts by the time of their first event; `columns` are SQL."""

    @abstractmethod
    async def events(
        self, database: Database, wanted: Node, after: Place | None, limit: int
    ) -> Found:
        """Return a page of events by their time."""

    @abstractmethod
    async def health(self, database: Database) -> dict[str, Any]:
        """Return what store it is and how it is; raise `Problem` where it is away."""

    async def close(self) -> None:
        """Let go of connections of its own."""
        return
