"""Where a stage is in each partition: offset, ledger and state, saved together in PostgreSQL.

A worker that is assigned a partition calls `Store.claim`, which hands it what was last
saved and makes it the owner. From then on a save by the previous owner fails with
`FencedError`: a worker that was paused past its session (or is a zombie) cannot move a
partition back. Saves are idempotent (same owner, offset not lower), so they are
repeated whenever the connection breaks, the ambiguous commit included.

The stores know nothing about what the state is: bytes, bounded by whoever makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

import orjson

from sentinel import postgres
from sentinel.errors import FencedError

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))


class Position(NamedTuple):
    """A place in one partition, and what belongs to it.

    Attributes
    ----------
    stage, topic, partition
        Whose place it is.
    owner
        The fencing token that `Store.claim` was called with.
    next_offset
        First offset that is not done yet.
    ledger
        Counts up to there, anything that is JSON (`streams.runtime.ledger.Ledger.dump`).
    state
        State up to there; None keeps the one saved before.
    """

    stage: str
    topic: str
    partition: int
    owner: UUID
    next_offset: int
    ledger: Any
    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What the last owner saved; see `Position`. `state` is empty where none was."""

    next_offset: int
    ledger: Any
    state: bytes


class Row(NamedTuple):
    """One checkpoint without its state; `next_offset` is None while nothing is done."""

    stage: str
    topic: str
    partition: int
    owner: UUID
    next_offset: int | None
    ledger: Any
    state_bytes: int
    updated_at: datetime


class Store:
    """The checkpoints. Every call waits for PostgreSQL as long as it takes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, dsn: str) -> Self:
        """Connect as the worker role.

        Raises
        ------
        AwayError
            PostgreSQL cannot be reached now.
        StackError
            It does not let us in.
        """
        pool = await postgres.open_pool(dsn, postgres.WORKER, tenant=postgres.ALL_TENANTS, size=2)
        return cls(pool)

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Do as `connect` does, waiting until PostgreSQL is there."""
        async for attempt in postgres.retrying():
            with attempt:
                store = await cls.connect(dsn)
        return store

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def claim(self, stage: str, topic: str, partition: int, owner: UUID) -> Saved | None:
        """Become the owner of a partition; return what was saved last, or None if nothing was.

        Waits for a save of the previous owner that is under way: it is either in what is
        returned, or refused.
        """
        async for attempt in postgres.retrying():
            with attempt:
                row = await self._pool.fetchrow(SQL["claim"], stage, topic, partition, owner)
        if row["next_offset"] is None:
            return None
        return Saved(row["next_offset"], orjson.loads(row["ledger"]), row["state"])

    async def save(self, position: Position, connection: Any = None) -> None:
        """Save one position; see `save_many`."""
        await self.save_many([position], connection)

    async def save_many(self, positions: Sequence[Position], connection: Any = None) -> None:
        """Save all positions, or none.

        Parameters
        ----------
        positions
            At most one a partition.
        connection
            In whose transaction to save, without repeating; None: in one of its own,
            repeated until PostgreSQL has it.

        Raises
        ------
        FencedError
            A position has another owner now, or was saved further on than this.
        """
        if connection is not None:
            await save_in(connection, positions)
            return
        async for attempt in postgres.retrying():
            with attempt:
                async with self._pool.acquire() as own, own.transaction():
                    await save_in(own, positions)

    async def read_all(self) -> list[Row]:
        """Return every checkpoint without its state, ordered by stage, topic and partition."""
        async for attempt in postgres.retrying():
            with attempt:
                rows = await self._pool.fetch(SQL["all"])
        return [Row(*row)._replace(ledger=orjson.loads(row["ledger"])) for row in rows]


async def save_in(connection: Any, positions: Sequence[Position]) -> None:
    """Save `positions` in the transaction that `connection` is in; see `Store.save_many`."""
    if not positions:
        return
    columns: list[list[Any]] = [list(column) for column in zip(*positions, strict=True)]
    columns[5] = [orjson.dumps(ledger).decode() for ledger in columns[5]]
    saved = await connection.fetch(SQL["save"], *columns)
    if len(saved) == len(positions):
        return
    done = {tuple(row) for row in saved}
    for position in positions:
        if position[:3] not in done:
            found = await connection.fetchrow(SQL["one"], *position[:3])
            raise FencedError(_refusal(position, found))


def _refusal(position: Position, found: Any) -> str:
    place = f"{position.stage} of {position.topic}[{position.partition}]"
    if found is None:
        return f"{place}: expected a claimed partition, found none; call claim before save"
    if found["owner"] != position.owner:
        return (
            f"{place}: expected owner {position.owner}, found {found['owner']}: "
            "another worker has the partition now, drop what is in flight"
        )
    return (
        f"{place}: expected to move on from offset {found['next_offset']}, "
        f"found {position.next_offset}: a checkpoint never goes back"
    )
