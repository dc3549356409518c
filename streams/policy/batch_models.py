"""Promoted batch models as a worker has them: read again when the history of one changes.

Workers that share SENTINEL_HOME have the same ones. Which version scores an event is decided by
when it arrived, see `detectors.batch_models.store`.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from pathlib import Path

from detectors.batch_models.live import NOTHING, Shelf, read
from detectors.batch_models.store import HISTORY
from sentinel import log, metrics
from sentinel.errors import SettingsError

LOG = log.get(__name__)
POLL_S = 2.0
#: Former versions stay for as long as a record may be read again.
KEEP_MS = 7 * 86_400_000


class Shelves:
    """Keeps `models` up to date with a folder; it is replaced, never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self.models: Shelf = NOTHING

    def look(self) -> bool:
        """Read what changed; say whether anything did. What cannot be read leaves all as it was."""
        seen = frozenset(
            (str(path), state.st_mtime_ns, state.st_size)
            for path in self._folder.glob(f"*/*/*/{HISTORY}")
            for state in [path.stat()]
        )
        if seen == self._seen:
            return False
        try:
            self.models = read(self._folder, time.time_ns() // 1_000_000 - KEEP_MS)
        except (OSError, ValueError, EOFError, SettingsError, pickle.UnpicklingError) as error:
            metrics.ERRORS.labels("detect", "", "batch_models").inc()
            LOG.warning("batch models stay", action="batch_models_kept", error=str(error))
            return False
        self._seen = seen
        LOG.info("batch models read", action="batch_models", count=len(self.models))
        return True

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await asyncio.to_thread(self.look)
