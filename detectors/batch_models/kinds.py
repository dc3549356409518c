"""The kinds of batch models: isolation forest (the primary one), one-class SVM, autoencoder.

Each maps the features of `detectors.online.features` to a number that is higher the odder an
event is; where it lies among the numbers of the training events makes the anomaly, 0 to 1, as in
`detectors.score`: decades of the tail probability over 5. Contamination is the share of the
training events taken to be odd: an event is flagged whose number is among that share.

Scikit-learn's estimators, seeded: isolation forest (Liu et al. 2008) on features as they are;
one-class SVM (Schölkopf et al. 2001, RBF kernel, ``nu`` = contamination) and autoencoder (a
perceptron 19-10-4-10-19 that is to give back its input; the number is the squared error) on
features brought to mean 0 and deviation 1.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.score import DECADES
from sentinel.errors import SettingsError

CONTAMINATION: Final = 0.1
TREES: Final = 100
#: Events the SVM learns from at most, evenly spread: its cost grows with their square.
SVM_EVENTS: Final = 5000
HIDDEN: Final = (10, 4, 10)


class Estimator(Protocol):
    """What numbers events."""

    def oddity(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return float64[n], higher the odder."""


class _Forest:
    """Scikit-learn's isolation forest."""

    def __init__(self, points: NDArray[np.float32], contamination: float, seed: int) -> None:
        from sklearn.ensemble import IsolationForest

        made = IsolationForest(n_estimators=TREES, contamination=contamination, random_state=seed)
        self._fitted = made.fit(points)

    def oddity(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean isolation of each point."""
        return -np.asarray(self._fitted.score_samples(points), np.float64)


class _Svm:
    """Scikit-learn's one-class SVM, on an even sample."""

    def __init__(self, points: NDArray[np.float32], contamination: float, seed: int) -> None:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import OneClassSVM

        del seed  # nothing about it is random
        every = max(len(points) // SVM_EVENTS, 1)
        made = make_pipeline(StandardScaler(), OneClassSVM(nu=min(contamination, 0.5)))
        self._fitted = made.fit(points[::every])

    def oddity(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how far outside of the learnt region each point is."""
        return -np.asarray(self._fitted.decision_function(points), np.float64)


class _Autoencoder:
    """A perceptron that gives back its input where that is usual."""

    def __init__(self, points: NDArray[np.float32], contamination: float, seed: int) -> None:
        from sklearn.neural_network import MLPRegressor
        from sklearn.preprocessing import StandardScaler

        del contamination
        self._scaler = StandardScaler().fit(points)
        made = MLPRegressor(
            hidden_layer_sizes=HIDDEN,
            random_state=seed,
            max_iter=60,
            early_stopping=len(points) >= 100,
            tol=1e-3,
        )
        scaled = self._scaler.transform(points)
        self._fitted = made.partial_fit(scaled, scaled) if len(points) < 20 else _fit(made, scaled)

    def oddity(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean squared error of giving back each point."""
        scaled = self._scaler.transform(points)
        error = scaled - self._fitted.predict(scaled)
        return np.asarray((error * error).mean(axis=1), np.float64)


def _fit(made: Any, scaled: NDArray[np.float64]) -> Any:
    """Fit, without the warning that it could go on: the early stop is ours."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made.fit(scaled, scaled)


KINDS: Final[dict[str, Any]] = {
    "isolation_forest": _Forest,
    "one_class_svm": _Svm,
    "autoencoder": _Autoencoder,
}


class Scored(NamedTuple):
    """What a trained model says of events.

    Attributes
    ----------
    anomaly
        float64[n], 0 to 1.
    flagged
        bool[n], whether it is as odd as the contamination of the training events.
    """

    anomaly: NDArray[np.float64]
    flagged: NDArray[np.bool_]


class Trained:
    """A model of one kind, trained.

    Parameters
    ----------
    kind
        Of `KINDS`.
    points
        float32[n, features], of usual days.
    contamination
        Share of them taken to be odd, above 0 and at most 0.5.
    seed
        Of what is random about it.

    Raises
    ------
    SettingsError
        There is no such kind, too few events, or the contamination is none.
    """

    def __init__(
        self,
        kind: str,
        points: NDArray[np.float32],
        contamination: float = CONTAMINATION,
        seed: int = 42,
    ) -> None:
        if kind not in KINDS:
            raise SettingsError(f"expected a model among {', '.join(KINDS)}, found {kind!r}")
        if not 0 < contamination <= 0.5:
            raise SettingsError(f"expected a contamination in (0, 0.5], found {contamination}")
        if len(points) < 10:
            raise SettingsError(f"expected at least 10 events to train on, found {len(points)}")
        self.kind, self.contamination = kind, contamination
        self._estimator: Estimator = KINDS[kind](points, contamination, seed)
        self._known = np.sort(self._estimator.oddity(points))
        self._usual = np.median(points, axis=0)

    def __len__(self) -> int:
        """Return how many events it learnt from."""
        return len(self._known)

    def contributions(self, point: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return by how much less odd a point were with each feature as it usually is.

        Parameters
        ----------
        point
            float32[features].

        Returns
        -------
        float32[features]
            In units of the model's own oddity; negative where the feature makes it more usual.
        """
        others = np.repeat(point[np.newaxis], len(point) + 1, axis=0)
        places = np.arange(len(point))
        others[places, places] = self._usual
        odd = self._estimator.oddity(others)
        less: NDArray[np.float32] = (odd[-1] - odd[:-1]).astype(np.float32)
        return less

    def score(self, points: NDArray[np.float32]) -> Scored:
        """Judge events by where their oddity lies among that of the training events."""
        if not len(points):
            return Scored(np.zeros(0), np.zeros(0, np.bool_))
        count = len(self._known)
        above = count - np.searchsorted(self._known, self._estimator.oddity(points), "left")
        tail = (above + 1) / (count + 1)
        anomaly = np.minimum(-np.log10(tail) / DECADES, 1.0)
        return Scored(np.maximum(anomaly, 0.0), above < self.contamination * count)
