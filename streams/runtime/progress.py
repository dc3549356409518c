"""How far each stage is: checkpoints against the ends of the topics they read."""

from __future__ import annotations

import asyncio
from typing import Any

from sentinel.kafka import describe_topics
from sentinel.ledger import ORDER, Lag, Report, add_up, draining, lags
from sentinel.settings import Settings
from streams.runtime.checkpoint import Store


async def read(settings: Settings, store: Store) -> tuple[list[Lag], list[list[dict[str, Any]]]]:
    """Return the lags, and the ledgers of all checkpoints.

    Checkpoints are read after the topics' ends, so a lag of zero is a fact. A stage that is
    idle goes on past what no reader sees (`Runner`), so a lag that stays is one too.
    """
    states = await asyncio.to_thread(describe_topics, settings)
    saved = await store.read_all()
    offsets = {(row.stage, row.topic, row.partition): row.next_offset or 0 for row in saved}
    return lags(states, offsets), [_rows(row.ledger) for row in saved]


def _rows(ledger: Any) -> list[dict[str, Any]]:
    """Return the rows of a checkpoint's ledger; one just claimed, or not of a stage, has none."""
    return ledger.get("rows", []) if isinstance(ledger, dict) else []


async def report(settings: Settings, store: Store) -> tuple[Report, list[Lag]]:
    """Return the ledger added up, knowing which stages still have records to read."""
    behind, ledgers = await read(settings, store)
    return add_up(ledgers, draining(behind)), behind


async def drained(settings: Settings, store: Store) -> bool:
    """Return whether every stage has handled all there is, and nothing is held back.

    One pass is enough: stages are read in the order of the flow, and a stage whose
    checkpoint has reached the end has made all its output before that checkpoint.
    """
    for stage in ORDER:
        behind, ledgers = await read(settings, store)
        if any(lag.records for lag in behind if lag.stage == stage):
            return False
        if any(row.get("pending", 0) for rows in ledgers for row in rows):
            return False
    return True
