"""Waiting until a worker has handled what there is, without costing it anything."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Collection

from sentinel.ledger import ORDER
from sentinel.settings import Settings
from streams.runtime import progress
from streams.runtime.checkpoint import Store

POLL_S = 0.5
LONGEST_S = 180.0


def until_drained(
    settings: Settings, stages: Collection[str], process: subprocess.Popen[bytes] | None = None
) -> None:
    """Return when `stages` have checkpointed all that their topics hold.

    Raises
    ------
    RuntimeError
        The worker ended, or is not done in time.
    """
    asyncio.run(_until(settings, stages, process))


async def _until(
    settings: Settings, stages: Collection[str], process: subprocess.Popen[bytes] | None
) -> None:
    store, end = await Store.open(settings.postgres), time.monotonic() + LONGEST_S
    try:
        while not await _drained(settings, store, stages):
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"the worker ended with status {process.returncode}")
            if time.monotonic() > end:
                raise RuntimeError(f"expected the worker to be done within {LONGEST_S} s")
            await asyncio.sleep(POLL_S)
    finally:
        await store.close()


async def _drained(settings: Settings, store: Store, stages: Collection[str]) -> bool:
    for stage in ORDER:
        if stage in stages:
            behind, _ = await progress.read(settings, store)
            if any(lag.records for lag in behind if lag.stage == stage):
                return False
    return True
