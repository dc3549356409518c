"""What a kind of batch model has learnt, as plain arrays, and how it numbers events by them.

The same numbers as scikit-learn's own estimators (the tests compare), without it: workers need
neither the library nor its memory, and a stored model is data that is checked, not code that is
run when it is read, as a pickle would be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from sentinel.errors import SchemaError

Floats = NDArray[np.float64]
#: Points taken at a time, so that the work for many stays within tens of MiB.
CHUNK: Final = 1024
#: Deepest tree read; scikit-learn's, of 256 points, are 8 deep.
MAX_DEPTH: Final = 32
#: Most layers of a perceptron read; ours has 4.
MAX_LAYERS: Final = 16
_EULER: Final = 0.5772156649015329


def array(values: Mapping[str, Any], name: str, shape: Sequence[int | None]) -> Floats:
    """Return one array of a stored model as float64.

    Raises
    ------
    SchemaError
        It is not there, has another shape (None: any length), or numbers that are not finite.
    """
    found = values.get(name)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf":
        raise SchemaError(f"expected numbers as {name!r} of a model, found {type(found).__name__}")
    if found.ndim != len(shape) or any(
        size not in {None, given} for size, given in zip(shape, found.shape, strict=True)
    ):
        raise SchemaError(f"expected {name!r} of shape {tuple(shape)}, found {found.shape}")
    if not np.isfinite(found).all():
        raise SchemaError(f"expected finite numbers as {name!r} of a model, found others")
    return found.astype(np.float64)


def number(values: Mapping[str, Any], name: str) -> float:
    """Return one number of a stored model; raise `SchemaError` where it is none."""
    found = values.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not np.isfinite(found):
        raise SchemaError(f"expected a finite number as {name!r} of a model, found {found!r:.80}")
    return float(found)


class Fitted(ABC):
    """What numbers events."""

    #: Features of a point.
    width: int

    @classmethod
    @abstractmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Take up `values`; raise `SchemaError` where they are not those of this kind."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Return what `read` takes: numbers and arrays."""

    @abstractmethod
    def _some(self, points: NDArray[np.float32]) -> Floats:
        """Return the numbers of a chunk of points."""

    def oddity(self, points: NDArray[np.float32]) -> Floats:
        """Return float64[n], higher the odder."""
        chunks = [self._some(points[at : at + CHUNK]) for at in range(0, len(points), CHUNK)]
        return np.concatenate([np.empty(0), *chunks])


class Forest(Fitted):
    """Isolation forest: how far a point falls through each tree, against the mean of its size.

    Nodes of all trees lie in one row, a node's children behind it; a leaf is its own child and
    has the length of its path, with that of the tree its points would make (Liu et al. 2008,
    equation 1), a node has 0.
    """

    INTS: ClassVar = ("roots", "feature", "left", "right")

    def __init__(self, width: int, depth: int, norm: float, **arrays: NDArray[Any]) -> None:
        self.width, self._depth, self._norm = width, depth, norm
        self._threshold, self._path = arrays["threshold"], arrays["path"]
        ints = (arrays[name].astype(np.intp) for name in self.INTS)
        self._roots, self._feature, self._left, self._right = ints

    @classmethod
    def of(cls, fitted: Any) -> Self:
        """Take over scikit-learn's ``IsolationForest``."""
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("threshold", "path")}
        parts |= {name: [] for name in cls.INTS}
        first = 0
        for each in fitted.estimators_:
            tree = each.tree_
            own, leaf = np.arange(tree.node_count), tree.children_left < 0
            parts["roots"].append(np.array([first]))
            parts["feature"].append(np.where(leaf, 0, tree.feature))
            parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
            parts["left"].append(first + np.where(leaf, own, tree.children_left))
            parts["right"].append(first + np.where(leaf, own, tree.children_right))
            path = _depths(tree) + _mean_path(tree.n_node_samples)
            parts["path"].append(np.where(leaf, path, 0.0))
            first += tree.node_count
        arrays = {name: np.concatenate(rows) for name, rows in parts.items()}
        depth = max(each.tree_.max_depth for each in fitted.estimators_)
        norm = float(_mean_path(np.array([fitted.max_samples_]))[0])
        return cls(int(fitted.n_features_in_), int(depth), norm, **arrays)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Take up `values`; every path ends, in a leaf of this forest."""
        width, depth = int(number(values, "width")), int(number(values, "depth"))
        norm = number(values, "norm")
        arrays = {"threshold": array(values, "threshold", (None,))}
        nodes = len(arrays["threshold"])
        for name in ("path", "feature", "left", "right"):
            arrays[name] = array(values, name, (nodes,))
        arrays["roots"] = array(values, "roots", (None,))
        tops = {"roots": nodes, "feature": width, "left": nodes, "right": nodes}
        wrong = [n for n, top in tops.items() if ((arrays[n] < 0) | (arrays[n] >= top)).any()]
        if wrong or not (nodes and len(arrays["roots"]) and norm > 0 and 0 <= depth <= MAX_DEPTH):
            raise SchemaError(f"expected a forest of at most {MAX_DEPTH} deep, found {wrong}")
        return cls(width, depth, norm, **arrays)

    def values(self) -> dict[str, Any]:
        """Return what `read` takes."""
        ints = (self._roots, self._feature, self._left, self._right)
        rows = {name: each.astype(np.int32) for name, each in zip(self.INTS, ints, strict=True)}
        return rows | {
            "width": self.width,
            "depth": self._depth,
            "norm": self._norm,
            "threshold": self._threshold,
            "path": self._path,
        }

    def _some(self, points: NDArray[np.float32]) -> Floats:
        """Return 2 to the power of minus the mean path over what a path is on average."""
        flat = points.ravel()
        row = self.width * np.arange(len(points))
        node = np.repeat(self._roots[:, np.newaxis], len(points), axis=1)
        for _ in range(self._depth):
            low = flat[row + self._feature[node]] <= self._threshold[node]
            node = np.where(low, self._left[node], self._right[node])
        odd: Floats = 2.0 ** (-self._path[node].mean(axis=0) / self._norm)
        return odd


def _depths(tree: Any) -> Floats:
    """Return how many steps each node is below its root; children lie behind their parents."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth


def _mean_path(count: NDArray[Any]) -> Floats:
    """Return the mean length of a path in a tree of so many points: 0, 0, 1, then c(n)."""
    most = np.maximum(count, 3).astype(np.float64)
    long = 2.0 * (np.log(most - 1.0) + _EULER) - 2.0 * (most - 1.0) / most
    return np.where(count <= 1, 0.0, np.where(count == 2, 1.0, long))


class Svm(Fitted):
    """One-class SVM with an RBF kernel: how far outside of the learnt region a point is."""

    ROWS: ClassVar = ("mean", "scale")

    def __init__(self, gamma: float, offset: float, **arrays: Floats) -> None:
        self._gamma, self._offset = gamma, offset
        self._mean, self._scale = arrays["mean"], arrays["scale"]
        self._support, self._weight = arrays["support"], arrays["weight"]
        self.width = len(self._mean)
        self._squares = (self._support**2).sum(axis=1)

    @classmethod
    def of(cls, scaler: Any, fitted: Any) -> Self:
        """Take over scikit-learn's ``StandardScaler`` and ``OneClassSVM``."""
        return cls(
            float(fitted._gamma),
            float(fitted.intercept_[0]),
            mean=scaler.mean_,
            scale=scaler.scale_,
            support=np.asarray(fitted.support_vectors_, np.float64),
            weight=np.asarray(fitted.dual_coef_[0], np.float64),
        )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Take up `values`."""
        support = array(values, "support", (None, None))
        return cls(
            number(values, "gamma"),
            number(values, "offset"),
            **_scaling(values, support.shape[1]),
            support=support,
            weight=array(values, "weight", (len(support),)),
        )

    def values(self) -> dict[str, Any]:
        """Return what `read` takes."""
        return {
            "gamma": self._gamma,
            "offset": self._offset,
            "mean": self._mean,
            "scale": self._scale,
            "support": self._support,
            "weight": self._weight,
        }

    def _some(self, points: NDArray[np.float32]) -> Floats:
        scaled = (points - self._mean) / self._scale
        apart = (scaled**2).sum(axis=1)[:, np.newaxis] + self._squares
        apart -= 2.0 * (scaled @ self._support.T)
        near = np.exp(-self._gamma * np.maximum(apart, 0.0))
        odd: Floats = -(near @ self._weight + self._offset)
        return odd


class Autoencoder(Fitted):
    """A perceptron that gives back its input where that is usual: the mean squared error."""

    def __init__(
        self, mean: Floats, scale: Floats, layers: Sequence[tuple[Floats, Floats]]
    ) -> None:
        self._mean, self._scale, self._layers = mean, scale, layers
        self.width = len(mean)

    @classmethod
    def of(cls, scaler: Any, fitted: Any) -> Self:
        """Take over scikit-learn's ``StandardScaler`` and ``MLPRegressor`` with ReLU."""
        layers = [
            (np.asarray(weights, np.float64), np.asarray(bias, np.float64))
            for weights, bias in zip(fitted.coefs_, fitted.intercepts_, strict=True)
        ]
        return cls(scaler.mean_, scaler.scale_, layers)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Take up `values`; the layers fit one another, and the last the input."""
        count = int(number(values, "layers"))
        if not 0 < count <= MAX_LAYERS:
            raise SchemaError(f"expected 1 to {MAX_LAYERS} layers of a model, found {count}")
        width = size = len(array(values, "mean", (None,)))
        layers = []
        for place in range(count):
            last = width if place == count - 1 else None
            weights = array(values, f"weights {place}", (size, last))
            size = weights.shape[1]
            layers.append((weights, array(values, f"bias {place}", (size,))))
        return cls(**_scaling(values, width), layers=layers)

    def values(self) -> dict[str, Any]:
        """Return what `read` takes."""
        found: dict[str, Any] = {"mean": self._mean, "scale": self._scale}
        for place, (weights, bias) in enumerate(self._layers):
            found |= {f"weights {place}": weights, f"bias {place}": bias}
        return found | {"layers": len(self._layers)}

    def _some(self, points: NDArray[np.float32]) -> Floats:
        scaled = (points - self._mean) / self._scale
        back = scaled
        for place, (weights, bias) in enumerate(self._layers):
            back = back @ weights + bias
            if place < len(self._layers) - 1:
                back = np.maximum(back, 0.0)
        error: Floats = ((scaled - back) ** 2).mean(axis=1)
        return error


def _scaling(values: Mapping[str, Any], width: int) -> dict[str, Floats]:
    """Return what brings features to mean 0 and deviation 1."""
    scale = array(values, "scale", (width,))
    if (scale <= 0).any():
        raise SchemaError("expected positive deviations of a model, found others")
    return {"mean": array(values, "mean", (width,)), "scale": scale}


FITTED: Final[dict[str, type[Fitted]]] = {
    "isolation_forest": Forest,
    "one_class_svm": Svm,
    "autoencoder": Autoencoder,
}
