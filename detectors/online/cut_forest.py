"""Robust random cut trees over the latest points: who would move the others most by leaving.

Guha, Mishra, Roy and Schrijvers 2016, "Robust Random Cut Forest Based Anomaly Detection on
Streams" (ICML). Each tree holds the latest `SIZE` points. A new point is inserted by cutting
the bounding box it would stretch, a feature being chosen in proportion to its side (their
algorithm 2); the oldest is deleted and its parent contracted (their algorithm 1). The score is
the collusive displacement: over all ancestors of the point, the largest ratio of what stands
beside to what stands below, averaged over the trees.

Because cuts follow the sides of the box, a feature counts by its spread: features should have a
common scale. Equal points share a leaf with a count. Random numbers are those of one splitmix64
counter in the state, so a restored forest goes on bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import kernel, load_arrays
from detectors.online.isolation import uniform

TREES = 12
SIZE = 256
_LEFT, _RIGHT, _UP, _FEATURE, _COUNT = 0, 1, 2, 3, 4
_SEEN = 0


@kernel("void(int64, int64, int64, int32[:, ::1], int64[::1])")
def _replace(parent: Any, child: Any, other: Any, node: Any, tree: Any) -> Any:
    """Hang `other` where `child` hung below `parent`; -1 is above the root."""
    if other >= 0:
        node[other, _UP] = parent
    if parent < 0:
        tree[0] = other
    elif node[parent, _LEFT] == child:
        node[parent, _LEFT] = other
    else:
        node[parent, _RIGHT] = other


@kernel("void(int64, int32[:, ::1], float32[:, :, ::1])")
def _tighten(start: Any, node: Any, box: Any) -> Any:
    """Set the boxes from `start` up to the union of their children's, while that changes them."""
    at, width = start, box.shape[2]
    while at >= 0:
        left, right = node[at, _LEFT], node[at, _RIGHT]
        changed = False
        for f in range(width):
            low = min(box[left, 0, f], box[right, 0, f])
            high = max(box[left, 1, f], box[right, 1, f])
            if low != box[at, 0, f] or high != box[at, 1, f]:
                box[at, 0, f], box[at, 1, f] = low, high
                changed = True
        if not changed:
            return
        at = np.int64(node[at, _UP])


@kernel("void(int64, int64[::1], int32[:, ::1], float32[:, :, ::1], int32[::1])")
def _delete(leaf: Any, tree: Any, node: Any, box: Any, free: Any) -> Any:
    """Take one point out of a leaf; `free` is the stack of free nodes, `tree[1]` its height."""
    at = leaf
    while at >= 0:
        node[at, _COUNT] -= 1
        at = np.int64(node[at, _UP])
    if node[leaf, _COUNT] > 0:
        return
    parent = np.int64(node[leaf, _UP])
    free[tree[1]] = leaf
    tree[1] += 1
    if parent < 0:
        tree[0] = -1
        return
    beside = np.int64(node[parent, _RIGHT] if node[parent, _LEFT] == leaf else node[parent, _LEFT])
    above = np.int64(node[parent, _UP])
    _replace(above, parent, beside, node, tree)
    free[tree[1]] = parent
    tree[1] += 1
    _tighten(above, node, box)


@kernel("int64(float32[::1], int64, float32[:, :, ::1], uint64[::1], float32[::1])")
def _cut(x: Any, at: Any, box: Any, counter: Any, value: Any) -> Any:
    """Cut the box of `at` stretched to `x`; return the feature, -1 where `x` is all there is."""
    total, width = 0.0, len(x)
    for f in range(width):
        total += max(box[at, 1, f], x[f]) - min(box[at, 0, f], x[f])
    if not total > 0.0:
        return np.int64(-1)
    rest = uniform(counter) * total
    for f in range(width):
        low = min(box[at, 0, f], x[f])
        side = max(box[at, 1, f], x[f]) - low
        if rest < side:
            value[0] = low + np.float32(rest)
            return np.int64(f)
        rest -= side
    return np.int64(-2)


@kernel("int64(float32[::1], int64[::1], float32[:, :, ::1], int32[::1])")
def _leaf(x: Any, tree: Any, box: Any, free: Any) -> Any:
    """Make a leaf of `x`."""
    tree[1] -= 1
    made = np.int64(free[tree[1]])
    for f in range(len(x)):
        box[made, 0, f] = x[f]
        box[made, 1, f] = x[f]
    return made


@kernel("void(int64, int32[:, ::1], float32[::1], float32[:, :, ::1])")
def _grow_up(start: Any, node: Any, x: Any, box: Any) -> Any:
    """Count one more point in every node from `start` up and stretch its box to `x`."""
    at = start
    while at >= 0:
        node[at, _COUNT] += 1
        for f in range(len(x)):
            box[at, 0, f] = min(box[at, 0, f], x[f])
            box[at, 1, f] = max(box[at, 1, f], x[f])
        at = np.int64(node[at, _UP])


@kernel(
    "int64(float32[::1], int64[::1], int32[:, ::1], float32[::1], float32[:, :, ::1], int32[::1], "
    "uint64[::1])"
)
def _insert(x: Any, tree: Any, node: Any, value: Any, box: Any, free: Any, counter: Any) -> Any:
    """Insert a point; return its leaf."""
    chosen = np.empty(1, np.float32)
    at, above = tree[0], np.int64(-1)
    while at >= 0:
        on = _cut(x, at, box, counter, chosen)
        if on == -1:  # the same as the leaf's
            _grow_up(at, node, x, box)
            return at
        if on >= 0:
            left = x[on] <= chosen[0] < box[at, 0, on]
            if left or box[at, 1, on] <= chosen[0] < x[on]:
                made = _leaf(x, tree, box, free)
                tree[1] -= 1
                branch = np.int64(free[tree[1]])
                _replace(above, at, branch, node, tree)
                node[branch, _LEFT] = made if left else at
                node[branch, _RIGHT] = at if left else made
                node[branch, _FEATURE], value[branch] = on, chosen[0]
                node[branch, _COUNT] = node[at, _COUNT]
                node[at, _UP] = node[made, _UP] = branch
                node[branch, _UP], node[made, _LEFT], node[made, _COUNT] = above, -1, 1
                for f in range(len(x)):
                    box[branch, 0, f] = box[at, 0, f]
                    box[branch, 1, f] = box[at, 1, f]
                _grow_up(branch, node, x, box)
                return made
        if node[at, _LEFT] < 0:
            continue  # a leaf: rounding kept the cut from setting it apart, cut again
        above = at
        side = _LEFT if x[node[at, _FEATURE]] <= value[at] else _RIGHT
        at = np.int64(node[at, side])
    made = _leaf(x, tree, box, free)
    node[made, _UP], node[made, _LEFT], node[made, _COUNT] = -1, -1, 1
    tree[0] = made
    return made


@kernel("float64(int64, int32[:, ::1], float32[::1])")
def _displacement(leaf: Any, node: Any, apart: Any) -> Any:
    """Return the collusive displacement of a leaf; add it to the feature that set it apart."""
    best, at, on = 0.0, leaf, np.int64(-1)
    parent = np.int64(node[at, _UP])
    while parent >= 0:
        below = node[at, _COUNT]
        ratio = (node[parent, _COUNT] - below) / below
        if ratio > best:
            best, on = ratio, np.int64(node[parent, _FEATURE])
        at, parent = parent, np.int64(node[parent, _UP])
    if on >= 0:
        apart[on] += best
    return best


@kernel(
    "void(float32[:, ::1], int64[::1], int64[:, ::1], int32[:, :, ::1], float32[:, ::1], "
    "float32[:, :, :, ::1], int32[:, ::1], int32[:, ::1], uint64[::1], float64[::1], "
    "float32[:, ::1])"
)
def _score_learn(
    rows: Any,
    clock: Any,
    tree: Any,
    node: Any,
    value: Any,
    box: Any,
    free: Any,
    leaves: Any,
    counter: Any,
    scores: Any,
    apart: Any,
) -> Any:
    """Insert every point in order; fill its displacement, and by which features."""
    trees, size = leaves.shape
    for i in range(len(rows)):
        slot, total = clock[_SEEN] % size, 0.0
        for t in range(trees):
            if clock[_SEEN] >= size:
                _delete(np.int64(leaves[t, slot]), tree[t], node[t], box[t], free[t])
            leaf = _insert(rows[i], tree[t], node[t], value[t], box[t], free[t], counter)
            leaves[t, slot] = leaf
            total += _displacement(leaf, node[t], apart[i])
        scores[i] = total / trees
        clock[_SEEN] += 1


class CutTrees:
    """The trees, over any points: ``float32[n, features]`` of a common scale.

    State: per tree 24 B and 8 B for each feature in each of ``2 · size`` nodes:
    0.9 MB with the defaults and 15 features.
    """

    def __init__(self, features: int, trees: int = TREES, size: int = SIZE, seed: int = 42) -> None:
        nodes = 2 * size
        self.size = size
        self.arrays: dict[str, NDArray[Any]] = {
            "clock": np.zeros(1, np.int64),
            "counter": np.array([seed], np.uint64),
            "tree": np.tile(np.array([-1, nodes], np.int64), (trees, 1)),
            "node": np.full((trees, nodes, 5), -1, np.int32),
            "value": np.zeros((trees, nodes), np.float32),
            "box": np.zeros((trees, nodes, 2, features), np.float32),
            "free": np.tile(np.arange(nodes, dtype=np.int32), (trees, 1)),
            "leaves": np.zeros((trees, size), np.int32),
        }

    def score_learn(
        self, points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Insert each row in turn.

        Returns
        -------
        tuple
            float64[n]: displacement, in points: near 1 is usual, `size` the most.
            float32[n, features]: its parts by the features whose cuts set the point apart.
        """
        points = np.ascontiguousarray(points, dtype=np.float32)
        scores, apart = np.zeros(len(points)), np.zeros(points.shape, np.float32)
        state = self.arrays
        _score_learn(
            points,
            state["clock"],
            state["tree"],
            state["node"],
            state["value"],
            state["box"],
            state["free"],
            state["leaves"],
            state["counter"],
            scores,
            apart,
        )
        return scores, apart

    def load(self, arrays: dict[str, Any]) -> None:
        """Take up the `arrays` of another; raise `SchemaError` where they do not fit."""
        load_arrays(self.arrays, arrays)
