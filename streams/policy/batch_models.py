"""Promoted batch models as a worker has them: read from PostgreSQL as suppressions are.

Whatever machine a worker runs on, it has the models that the others have. Which version scores
an event is decided by when it arrived, see `detectors.batch_models.history`. A version is read
once; bytes that are no model, or not those that were stored, score nothing, and that is said.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

from detectors.batch_models.history import Step
from detectors.batch_models.kinds import Trained
from detectors.batch_models.live import NOTHING, Shelf, Which, needed, shelf
from sentinel import batch_models, log
from sentinel.errors import SchemaError
from streams.runtime import telemetry

LOG = log.get(__name__)
#: Former versions stay for as long as a record may be read again.
KEEP_MS = 7 * 86_400_000


class Shelves:
    """Where the promoted models are; `models` is replaced, never changed."""

    def __init__(self) -> None:
        self._seen: list[batch_models.StepRow] = []
        self._read: dict[tuple[Which, int], Trained | None] = {}
        self.models: Shelf = NOTHING

    async def look(
        self, connection: Any, tenant: str | None = None, since: int | None = None
    ) -> bool:
        """Read what changed; return whether anything did.

        Parameters
        ----------
        tenant
            None: of all.
        since
            In ms since the epoch: what was live then or later is read; None: a week ago.
        """
        rows = await batch_models.steps(connection, tenant)
        if rows == self._seen:
            return False
        steps: dict[Which, list[Step]] = defaultdict(list)
        for *which, version, since in rows:
            steps[which[0], which[1], which[2]].append(Step(version, since))
        late = time.time_ns() // 1_000_000 - KEEP_MS if since is None else since
        read = {
            each: self._read[each] if each in self._read else await _load(connection, *each)
            for each in sorted(needed(steps, late))
        }
        good = {each: model for each, model in read.items() if model is not None}
        self._read, self.models, self._seen = read, shelf(steps, good, late), rows
        LOG.info("batch models read", action="batch_models", count=len(good))
        return True


async def _load(connection: Any, which: Which, version: int) -> Trained | None:
    """Return a version; None, which is said, where what is stored is no model."""
    try:
        found = await batch_models.model(connection, *which, version)
        return None if found is None else await asyncio.to_thread(Trained.read, found[0])
    except SchemaError as error:
        telemetry.failed("detect", which[1], "batch_models")
        LOG.warning(
            "a batch model scores nothing", action="batch_model_bad", version=version,
            tenant=which[0], source=which[1], kind=which[2], error=str(error),
        )  # fmt: skip
        return None
