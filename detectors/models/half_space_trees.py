"""Half-space trees: how empty is the neighbourhood of this event, compared with lately.

Tan, Ting and Liu 2011, "Fast Anomaly Detection for Streaming Data" (IJCAI). Semantics,
tree building and random numbers are those of ``river.anomaly.HalfSpaceTrees`` (0.26), which
the tests use as oracle: score with the reference masses, then learn into the latest masses,
and after every window the latest become the reference.

Not run by default: the isolation forest does better on labelled data in file order (`sentinel
evaluate anomaly`); named in ``SENTINEL_MODELS`` it runs.

The raw score is calibrated against the scores this model gave before: see `detectors.score`.
They are kept as a histogram of the logarithm of the mass (the lower the mass, the rarer),
24 bins an octave; at 2¹⁷ scores all bins are halved, so that the history ages.
"""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.features import COUNT, Features, contributions, explained
from detectors.online.hashing import kernel
from detectors.online.places import Locate, nowhere
from detectors.score import DECADES
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

#: Trees, depth and window as in river: 25 trees of depth 15 (the paper) cost 28 times more
#: per event and need windows far longer than a small tenant fills in a day.
TREES = 10
DEPTH = 8
WINDOW = 250
#: Paper: below a tenth of a window the node is too thin to look deeper.
SIZE_LIMIT = 0.1
#: Paper and river: a split leaves at least 15 % of the range on either side.
PADDING = 0.15
#: Windows before the first score: one to fill the reference, one to calibrate against it.
COLD_WINDOWS = 2

BINS = 512
BINS_PER_OCTAVE = 24
HISTORY = 131_072
#: Only events at least this anomalous (1 in 30) get their contributions worked out: no
#: multiplier can lift others above a threshold of 0.45.
EXPLAIN_FROM = 0.3

_FILLED, _WINDOWS, _SCORES = 0, 1, 2


@kernel(
    "int64(float32[::1], int64, int8[:, ::1], float64[:, ::1], uint16[:, ::1], uint16[:, ::1], "
    "float64)"
)
def _walk(
    x: Any, depth: Any, feature: Any, threshold: Any, reference: Any, latest: Any, size_limit: Any
) -> Any:
    """Go down every tree: return the point's mass by the reference, add it to the latest.

    The path is walked to its end for learning; below the first node that is thinner than
    `size_limit` the weight is 0. Without branches, and with unsigned indices that numba
    need not check for wrapping, it takes half the time.
    """
    one, two = np.uint64(1), np.uint64(2)
    mass = np.int64(0)
    for tree in range(len(feature)):
        node, weight = np.uint64(0), np.int64(1)
        for _ in range(depth):
            here = np.int64(reference[tree, node])
            mass += here * weight
            weight = np.int64(2) * weight if here >= size_limit else np.int64(0)
            latest[tree, node] += np.uint16(1)
            on = np.uint64(feature[tree, node])
            node = two * node + one + np.uint64(not (x[on] < threshold[tree, node]))
        mass += np.int64(reference[tree, node]) * weight
        latest[tree, node] += np.uint16(1)
    return mass


@kernel("void(float32[::1], int8[::1], float64[::1], uint16[::1], float64, float32[::1])")
def _attribute(
    x: Any, feature: Any, threshold: Any, reference: Any, size_limit: Any, out: Any
) -> Any:
    """Add to each feature by how many octaves its splits thinned the mass on the way down.

    A split that halves the mass is what chance would do and gives 0; the sum over the
    path is exactly the octaves between the root's mass and the augmented mass at its end.
    """
    node = 0
    while node < len(feature) and reference[node] >= size_limit:
        below = 2 * node + 1 + (not (x[feature[node]] < threshold[node]))
        share = max(np.float64(reference[below]), 0.5) / reference[node]
        out[feature[node]] -= math.log2(2 * share)
        node = below


@kernel("float64(int64, int32[::1], int64[::1])")
def _calibrate(mass: Any, history: Any, clock: Any) -> Any:
    """Return the calibrated anomaly of `mass` and add it to the history."""
    place = min(int(math.log2(1.0 + mass) * BINS_PER_OCTAVE), BINS - 1)
    # from above: almost every mass is high
    above = np.int64(0)
    for i in range(np.uint64(place + 1), np.uint64(BINS)):  # unsigned: so that it vectorises
        above += history[i]
    rarer = clock[_SCORES] + 1 - above
    anomaly = min(math.log10((clock[_SCORES] + 1) / rarer) / DECADES, 1.0)
    history[place] += 1
    clock[_SCORES] += 1
    if clock[_SCORES] >= HISTORY:
        clock[_SCORES] = 0
        for i in range(BINS):
            history[i] >>= 1
            clock[_SCORES] += history[i]
    return anomaly


@kernel(
    "void(float32[:, ::1], int8[:, ::1], float64[:, ::1], uint16[:, ::1], uint16[:, ::1], "
    "int32[::1], int64[::1], int64, int64, int64[::1], int64[::1], float64[::1], float32[:, ::1])"
)
def _score_learn(
    points: Any,
    feature: Any,
    threshold: Any,
    reference: Any,
    latest: Any,
    history: Any,
    clock: Any,
    window: Any,
    depth: Any,
    masses: Any,
    kept: Any,
    scores: Any,
    weights: Any,
) -> Any:
    """Score and learn every point in order; fill the last four."""
    size_limit = SIZE_LIMIT * window
    for i in range(len(points)):
        mass = _walk(points[i], depth, feature, threshold, reference, latest, size_limit)
        masses[i] = mass
        kept[i] = clock[_SCORES]
        if clock[_WINDOWS] > 0:
            anomaly = _calibrate(mass, history, clock)
            if clock[_WINDOWS] >= COLD_WINDOWS:
                scores[i] = anomaly
                if anomaly >= EXPLAIN_FROM:
                    for tree in range(len(feature)):
                        _attribute(
                            points[i],
                            feature[tree],
                            threshold[tree],
                            reference[tree],
                            size_limit,
                            weights[i],
                        )
        clock[_FILLED] += 1
        if clock[_FILLED] == window:
            reference[:] = latest
            latest[:] = 0
            clock[_FILLED] = 0
            clock[_WINDOWS] += 1


@cache
def build_trees(
    features: int, trees: int, depth: int, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return feature and threshold, ``[trees, 2^depth - 1]`` in heap order, over the unit cube.

    Draws the same random numbers in the same order as ``river.tree.padded``. Built once for
    all tenants: the trees are never written to.
    """
    rng = random.Random(seed)  # noqa: S311 - reproducible, not a secret
    feature = np.zeros((trees, (1 << depth) - 1), np.int8)
    threshold = np.zeros(feature.shape, np.float64)
    limits = [(0.0, 1.0)] * features

    def grow(tree: int, node: int) -> None:
        if node >= feature.shape[1]:
            return
        on = rng.choices(range(features), weights=[high - low for low, high in limits])[0]
        low, high = limits[on]
        margin = PADDING * (high - low)
        at = rng.uniform(low + margin, high - margin)
        feature[tree, node], threshold[tree, node] = on, at
        for child, part in ((2 * node + 1, (low, at)), (2 * node + 2, (at, high))):
            limits[on] = part
            grow(tree, child)
        limits[on] = (low, high)

    for tree in range(trees):
        grow(tree, 0)
    return feature, threshold


class Scored(NamedTuple):
    """What `Forest.score_learn` says of each point.

    Attributes
    ----------
    raw
        float64[n], river's score: 0 during the first window, else 1 - mass / largest mass.
    anomaly
        float64[n], calibrated; 0 during the first `COLD_WINDOWS` windows.
    weights
        float32[n, features], octaves by which each feature thinned the mass, summed over
        the trees; 0 where the anomaly is below `EXPLAIN_FROM`.
    kept
        int64[n], earlier scores that it was calibrated against.
    """

    raw: NDArray[np.float64]
    anomaly: NDArray[np.float64]
    weights: NDArray[np.float32]
    kept: NDArray[np.int64]


class Forest:
    """The trees alone, over any points in the unit cube: what river's class does.

    State: 4 B for each of ``trees · (2^(depth+1) - 1)`` nodes and 2 kB of history.
    """

    def __init__(
        self,
        features: int,
        trees: int = TREES,
        depth: int = DEPTH,
        window: int = WINDOW,
        seed: int = 42,
    ) -> None:
        self.window = window
        self._depth = depth
        self._feature, self._threshold = build_trees(features, trees, depth, seed)
        shape = (trees, (1 << (depth + 1)) - 1)
        self._most = trees * window * shape[1]
        self.arrays: dict[str, NDArray[Any]] = {
            "reference": np.zeros(shape, np.uint16),
            "latest": np.zeros(shape, np.uint16),
            "history": np.zeros(BINS, np.int32),
            "clock": np.zeros(3, np.int64),
        }

    def score_learn(self, points: NDArray[np.float32]) -> Scored:
        """Score, then learn, each row of ``float32[n, features]`` in order."""
        count, points = len(points), np.ascontiguousarray(points, dtype=np.float32)
        masses, kept = np.zeros(count, np.int64), np.zeros(count, np.int64)
        scores = np.zeros(count)
        weights = np.zeros(points.shape, np.float32)
        state = self.arrays
        clock = state["clock"]
        cold = 0 if clock[_WINDOWS] else self.window - int(clock[_FILLED])
        _score_learn(
            points,
            self._feature,
            self._threshold,
            state["reference"],
            state["latest"],
            state["history"],
            clock,
            self.window,
            self._depth,
            masses,
            kept,
            scores,
            weights,
        )
        raw = 1.0 - masses / self._most
        raw[:cold] = 0.0
        return Scored(raw, scores, weights, kept)


class HalfSpaceTrees(Model):
    """Half-space trees over what an event is, when it came and how its entity behaves.

    State: at most 290 kB in a snapshot (10 trees of 511 nodes, 512 bins, 2,048 entities).
    """

    id: ClassVar[str] = "model.half_space_trees"
    title: ClassVar[str] = "Unusual combination of time, action, origin and rate"
    default: ClassVar[bool] = False
    version: ClassVar[int] = 2

    def __init__(self, seed: int = 42, locate: Locate = nowhere) -> None:
        self._features = Features(locate=locate)
        self._forest = Forest(COUNT, seed=seed)
        self._since = 0
        self._rows = np.empty(0, np.int64)
        self._points = np.empty((0, COUNT), np.float32)
        self._scored = self._forest.score_learn(self._points)

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities dropped since the start."""
        return self._features.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        if not self._since and len(rows):
            self._since = int(batch.time[rows[0]])
        self._rows = rows
        self._points = self._features.matrix(batch, rows)
        self._scored = self._forest.score_learn(self._points)
        return self._scored.anomaly

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say which features set the event apart, by their share in thinning the mass."""
        at = int(np.searchsorted(self._rows, row))
        parts = contributions(batch, row, self._points[at], self._scored.weights[at])
        return explained(
            parts, score, int(self._scored.kept[at]), self._since,
            f"the tenant's last {WINDOW} to {2 * WINDOW} events here",
            "More events like it: after some repeats it is no longer rare.",
        )  # fmt: skip

    def snapshot(self) -> bytes:
        """Return the whole state; the trees themselves follow from the seed."""
        values = {
            "forest": self._forest.arrays,
            "features": self._features.state(),
            "since": self._since,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        for name, array in self._forest.arrays.items():
            found = values["forest"].get(name)
            if found is None or found.shape != array.shape or found.dtype != array.dtype:
                raise SchemaError(f"expected {name} of {array.dtype}{array.shape}, found another")
            array[:] = found
        self._features.load(values["features"])
        self._since = int(values["since"])
