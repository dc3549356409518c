"""How many events the whole tenant sends, as one series: surges, silence, another rhythm.

Events of the tenant's source are counted in steps of five minutes of event time and judged by
`detectors.online.series`, the detector that `sentinel evaluate nab` measures. The score is given
to the first event after a step has ended: a silence is told when it is over (until then
``sentinel status`` shows the source's age). A ratio of `RATIO` to the record is a score of 0.6,
each doubling 0.2 more. Late events are counted in the step that is open.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.series import NAMES, Series
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

STEP_MS = 300_000
#: The threshold that `sentinel evaluate nab` finds best for most series.
RATIO = 1.06
#: Steps without events that are learnt as such; after a longer pause counting starts anew.
PAUSE = 7 * 288
COLD_STEPS = 7 * 288
_WORDS = {
    "step": "the hour before",
    "hour": "the six hours before",
    "day": "the day before",
    "season": "this time of the last seven days",
}


class Volume(Model):
    """The number of events in five minutes, against all five minutes before.

    State: 18 kB.
    """

    id: ClassVar[str] = "model.volume"
    title: ClassVar[str] = "Number of events as never before"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        self._series = Series()
        self._step = 0
        self._count = 0
        self._steps = 0
        self._since = 0
        self._said: dict[int, tuple[float, str, int, int]] = {}

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        scores, self._said = np.zeros(len(rows)), {}
        if not len(rows):
            return scores
        if not self._since:
            self._since = int(batch.time[rows[0]])
            self._step = self._since // STEP_MS
        if int(batch.time[rows].max()) // STEP_MS <= self._step:  # nearly always
            self._count += len(rows)
            return scores
        # the open step never goes back: late events count where we are
        steps = np.maximum.accumulate(np.maximum(batch.time[rows] // STEP_MS, self._step))
        starts = np.flatnonzero(np.diff(steps, prepend=self._step))
        edges = np.concatenate((starts, [len(rows)]))
        self._count += int(edges[0])
        for at, end in zip(starts.tolist(), edges[1:].tolist(), strict=True):
            scores[at] = self._close(int(steps[at]), int(rows[at]))
            self._count = end - at
        return scores

    def _close(self, step: int, row: int) -> float:
        """Learn the open step and the empty ones up to `step`; return the score of their worst."""
        quiet = step - self._step - 1
        counts = np.zeros(1 + (quiet if quiet <= PAUSE else 0))
        counts[0] = self._count
        ratios, which = self._series.score_learn(counts)
        self._step = step
        self._steps += len(counts)
        worst = int(np.argmax(ratios))
        ratio = float(ratios[worst])
        if ratio < 1.0:
            return 0.0
        name = NAMES[int(which[worst])]
        self._said[row] = (ratio, name, int(counts[worst]), self._steps)
        return min(max(0.6 + 0.2 * math.log2(ratio / RATIO), 0.0), 1.0)

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say how many events there were, and against what that is a record."""
        ratio, name, count, steps = self._said.get(row, (0.0, NAMES[0], 0, self._steps))
        return {
            "contributions": [{"field": "events in 5 minutes", "value": count, "weight": 1.0}],
            "baseline": {
                "compared_with": f"{_WORDS[name]}: {ratio:.2f} times the largest change so far",
                "steps": steps,
                "since": self._since,
            },
            "cold_start": steps < COLD_STEPS,
            "quiet": "A number of events nearer to " + _WORDS[name] + ".",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        values = {
            "series": self._series.arrays,
            "step": self._step,
            "count": self._count,
            "steps": self._steps,
            "since": self._since,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._series.load(values["series"])
        self._step, self._count = int(values["step"]), int(values["count"])
        self._steps, self._since = int(values["steps"]), int(values["since"])
