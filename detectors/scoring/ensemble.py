"""The models of one tenant's source together: one probability for an event, one budget of alerts.

**Calibration.** The anomaly each model gives is turned into a tail probability against that
model's own history in this tenant (`detectors.online.tail`): 0.7 of a model that often says so
counts less than 0.5 of one that never does. What a model said before it was warm is in no
history: it says 0, which is not counted against it.

**Combination.** Models see the same event, so they are not independent: their decades are added
with halving weights, largest first, and multiplied by the event's own multiplier
(`detectors.score`). The sum is judged against its own history in turn: its tail probability `p`
is that of an event of this tenant at least as odd in all. The score is ``log10(1 / p) / 5``.

**Budget.** Without one, an event is reported whose score reaches the threshold: 0.65 is about one
event in 1,800 whatever the data. With a budget of `b` alerts per entity and week it is one
whose ``p <= b · entities / events``, both of the last week: the weights of events and of entities'
last events fade with ``exp(-age / week)``, and a shorter past is taken to go on like that. A model
cannot claim more than its history shows, so a new tenant is quiet until about
``events / (b · entities)`` events have been seen.

**Drift.** Where the means of the combined decades of every `STRIDE` events change
(`detectors.scoring.adaptive_window`), all histories are cut to an eighth and the models are told to
learn anew (`Model.reopen`): for a while alerts say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.models.isolation_forest import IsolationForest
from detectors.online.hashing import Table, find, insert, kernel
from detectors.online.rarity import combined
from detectors.online.tail import BINS, BLOCK, tail_decades
from detectors.score import DECADES
from detectors.scoring.adaptive_window import changed
from sentinel.errors import SchemaError

HOUR_MS = 3_600_000.0
WEEK_MS = 7 * 24 * HOUR_MS
#: Entities whose last event is remembered, for their number a week; 16 B each.
ENTITIES = 4096
#: Events whose mean is one value for the drift detector.
STRIDE = 256
#: Values after which the drift detector starts anew from the later half.
DRIFT_KEEP = 512
#: False alarms of the drift detector, per comparison (Bifet and Gavaldà's delta).
DRIFT_DELTA = 0.002
#: Means between two looks; river's default.
DRIFT_EVERY = 32
#: Events after which nothing more is said of a drift.
REOPENED = 20_000
_EVENTS, _NAMES, _LATEST, _SUM, _FIRST = 0, 1, 2, 3, 4
_CLOCK, _FILLED, _DRIFT_AT, _DRIFTS = 0, 1, 2, 3


class Judged(NamedTuple):
    """What `Ensemble.judge` says of each row.

    Attributes
    ----------
    decades
        float64[n]: log10(1 / p) of the event in all.
    needed
        float64[n]: the decades that the budget asked for there.
    parts
        float64[models, n]: the decades of each model.
    kept
        int64[n]: events that it was compared with.
    """

    decades: NDArray[np.float64]
    needed: NDArray[np.float64]
    parts: NDArray[np.float64]
    kept: NDArray[np.int64]

    def score(self, row: int) -> float:
        """Return the score of a row, 0 to 1."""
        return min(float(self.decades[row]) / DECADES, 1.0)


@kernel("void(uint64, int64, int64, float64[::1], uint64[::1], int32[::1], int64[::1], int64[::1])")
def _activity(
    entity: Any, time: Any, clock: Any, week: Any, keys: Any, slots: Any, size: Any, last: Any
) -> Any:
    """Let a week's events and entities fade, and count this event; `last` holds times."""
    now = max(np.float64(time), week[_LATEST])
    if week[_EVENTS] == 0.0:
        week[_FIRST] = now
    fading = np.exp(-(now - week[_LATEST]) / WEEK_MS) if week[_EVENTS] > 0.0 else 1.0
    week[_LATEST] = now
    week[_EVENTS] = week[_EVENTS] * fading + 1.0
    week[_NAMES] *= fading
    row = find(keys, slots, entity)
    if row < 0:
        if size[0] == len(keys):  # so many that one more makes no difference
            return
        row = insert(keys, slots, size, entity)
        week[_NAMES] += 1.0
    else:
        week[_NAMES] += 1.0 - np.exp(-max(now - last[row], 0.0) / WEEK_MS)
    last[row] = np.int64(now)


@kernel(
    "int64(int64, uint64[::1], int64[::1], float64[:, ::1], float64[::1], float64, int32[:, ::1], "
    "int32[:, ::1], int64[:, ::1], float64[::1], int64[::1], uint64[::1], int32[::1], int64[::1], "
    "int64[::1], float64[::1], float64[::1], float64[:, ::1], int64[::1])"
)
def _judge(
    start: Any,
    entity: Any,
    time: Any,
    anomaly: Any,
    multiplier: Any,
    budget: Any,
    bins: Any,
    blocks: Any,
    total: Any,
    week: Any,
    clock: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    decades: Any,
    needed: Any,
    parts: Any,
    kept: Any,
) -> Any:
    """Judge rows from `start`; return the row after which a stride was full, else the end."""
    models = len(anomaly)
    mine = np.zeros(models)
    for i in range(start, len(entity)):
        _activity(entity[i], time[i], clock[_CLOCK], week, keys, slots, size, last)
        odd, most = 0.0, 0.0
        for m in range(models):
            mine[m] = 0.0
            if anomaly[m, i] > 0.0:
                mine[m] = tail_decades(anomaly[m, i], bins[m], blocks[m], total[m])
                odd += mine[m]
                most = max(most, mine[m])
            else:
                bins[m, 0] += 1
                blocks[m, 0] += 1
                total[m, 0] += 1
            parts[m, i] = mine[m]
        kept[i] = total[models, 0]
        # nearly always one model alone has something to say: it needs no sorting
        joint = most / DECADES if most == odd else combined(mine)
        joint = min(joint, 1.0) * multiplier[i]
        decades[i] = tail_decades(min(joint, 1.0), bins[models], blocks[models], total[models])
        # of the first week only a part has passed, at least an hour
        known = 1.0 - np.exp(-max(week[_LATEST] - week[_FIRST], HOUR_MS) / WEEK_MS)
        needed[i] = np.log10(max(week[_EVENTS] / known / (budget * week[_NAMES]), 1.0))
        week[_SUM] += joint
        clock[_CLOCK] += 1
        clock[_FILLED] += 1
        if clock[_FILLED] == STRIDE:
            return i + 1
    return len(entity)


class Ensemble:
    """The models of one tenant's source, and what they said before.

    State: 4.3 kB a model and 80 kB of entities, besides the models' own.

    Parameters
    ----------
    models
        The models, in a fixed order.
    budget
        Alerts per entity and week; 0: the threshold alone decides.
    """

    def __init__(self, models: Sequence[Model], budget: float = 0.0) -> None:
        count = len(models) + 1
        self.models = list(models)
        self._budget = budget
        self._arrays: dict[str, NDArray[Any]] = {
            "bins": np.zeros((count, BINS), np.int32),
            "blocks": np.zeros((count, BLOCK), np.int32),
            "total": np.zeros((count, 1), np.int64),
            "week": np.zeros(5),
            "clock": np.zeros(4, np.int64),
        }
        self._entities = Table(ENTITIES, {})
        self._means: list[float] = []

    def judge(
        self,
        anomaly: NDArray[np.float64],
        multiplier: NDArray[np.float64],
        entity: NDArray[np.uint64],
        time: NDArray[np.int64],
    ) -> Judged:
        """Judge every event in order, then take it into the histories.

        Parameters
        ----------
        anomaly
            float64[models, n], what each model gave, 0 where it gave nothing.
        multiplier, entity, time
            float64[n], uint64[n] and int64[n]: of the events.
        """
        count = len(entity)
        found = Judged(
            np.zeros(count),
            np.zeros(count),
            np.zeros((len(self.models), count)),
            np.zeros(count, np.int64),
        )
        state, start = self._arrays, 0
        while start < count:
            start = _judge(
                start,
                entity,
                time,
                np.ascontiguousarray(anomaly),
                multiplier,
                self._budget or np.inf,
                state["bins"],
                state["blocks"],
                state["total"],
                state["week"],
                state["clock"],
                self._entities.keys,
                self._entities.slots,
                self._entities.size,
                self._entities.last,
                found.decades,
                found.needed,
                found.parts,
                found.kept,
            )
            if state["clock"][_FILLED] == STRIDE:
                self._stride()
        return found

    def alerts(
        self, found: Judged, threshold: float, bars: NDArray[np.float64] | None = None
    ) -> NDArray[np.int64]:
        """Return the rows to report: by the budget, or by the threshold where there is none.

        Parameters
        ----------
        bars
            float64[models, n]: decades needed where a model leads, NaN for as everywhere. With a
            budget they can only ask for more.
        """
        needed = found.needed
        if not self._budget:
            needed = np.full(len(found.decades), threshold * DECADES)
        if bars is not None and len(needed):
            own = bars[found.parts.argmax(axis=0), np.arange(len(needed))]
            asked = np.maximum(needed, own) if self._budget else own
            needed = np.where(np.isnan(own), needed, asked)
        odd = np.flatnonzero(found.decades >= needed - 1e-9)
        rows: NDArray[np.int64] = odd[found.parts.take(odd, axis=1).max(axis=0, initial=0.0) > 0]
        return rows

    @property
    def points(self) -> NDArray[np.float32] | None:
        """The events of the latest call as points; None where no model here makes them."""
        found = [model.points for model in self.models if isinstance(model, IsolationForest)]
        return found[0] if found else None

    @property
    def drifts(self) -> int:
        """Changes of the stream seen since the start."""
        return int(self._arrays["clock"][_DRIFTS])

    def said(self, found: Judged, row: int) -> dict[str, Any]:
        """Return what an explanation says of the models together."""
        clock = self._arrays["clock"]
        parts = found.parts[:, row]
        recent = self.drifts and clock[_CLOCK] - clock[_DRIFT_AT] < REOPENED
        return {
            "models": {
                self.models[at].id: round(float(parts[at]), 2)
                for at in np.argsort(-parts, kind="stable").tolist()
                if parts[at] > 0
            },
            "events": int(found.kept[row]),
            "rarity": f"about 1 in {round(10 ** float(found.decades[row])):,} of the tenant's "
            "events here, all models together",
        } | ({"drift": "the stream changed lately; the models learn anew"} if recent else {})

    def _stride(self) -> None:
        """Give the drift detector the mean of a stride; open learning where it sees a change."""
        state = self._arrays
        mean = float(state["week"][_SUM]) / STRIDE
        state["week"][_SUM] = 0.0
        state["clock"][_FILLED] = 0
        if len(self._means) >= 2 * DRIFT_KEEP:
            self._means = self._means[DRIFT_KEEP:]
        self._means.append(mean)
        if len(self._means) % DRIFT_EVERY == 0 and changed(self._means, DRIFT_DELTA):
            self._means = []
            self._reopen()

    def _reopen(self) -> None:
        """Let what is new count soon: cut the histories, tell the models."""
        state = self._arrays
        state["bins"] >>= 3
        state["blocks"][:] = state["bins"].reshape(len(state["bins"]), BLOCK, BLOCK).sum(axis=2)
        state["total"][:, 0] = state["blocks"].sum(axis=1)
        state["clock"][_DRIFT_AT] = state["clock"][_CLOCK]
        state["clock"][_DRIFTS] += 1
        for model in self.models:
            model.reopen()

    def state(self) -> dict[str, Any]:
        """Return the histories, for `load`; the models have snapshots of their own."""
        return {
            "models": [model.id for model in self.models],
            "arrays": self._arrays,
            "entities": self._entities.state(),
            "means": self._means,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; raise `SchemaError` where it is of other models."""
        if state["models"] != [model.id for model in self.models]:
            raise SchemaError(f"expected the histories of {self.models}, found {state['models']}")
        for name, array in self._arrays.items():
            if state["arrays"][name].shape != array.shape:
                raise SchemaError(f"expected {name} of {array.shape}, found another")
            array[:] = state["arrays"][name]
        self._entities.load(state["entities"])
        self._means = list(state["means"])
