"""The kinds of batch models: isolation forest (the primary one), one-class SVM, autoencoder.

Each maps the features of `detectors.online.features` to a number that is higher the odder an
event is; where it lies among the numbers of the training events makes the anomaly, 0 to 1, as in
`detectors.score`: decades of the tail probability over 5. Contamination is the share of the
training events taken to be odd: an event is flagged whose number is among that share.

Scikit-learn's estimators, seeded, are what learns: isolation forest (Liu et al. 2008) on features
as they are; one-class SVM (Schölkopf et al. 2001, RBF kernel, ``nu`` = contamination) and
autoencoder (a perceptron 19-10-4-10-19 that is to give back its input; the number is the squared
error) on features brought to mean 0 and deviation 1. What is kept are the numbers they found
(`detectors.batch_models.fitted`), so that who scores needs no scikit-learn and runs no pickle.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.batch_models.fitted import FITTED, Autoencoder, Fitted, Forest, Svm, array, number
from detectors.online.features import COUNT
from detectors.score import DECADES
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError, SettingsError

CONTAMINATION: Final = 0.1
TREES: Final = 100
#: Events the SVM learns from at most, evenly spread: its cost grows with their square.
SVM_EVENTS: Final = 5000
HIDDEN: Final = (10, 4, 10)
#: Fewest events that a model learns from.
LEAST: Final = 10
VERSION: Final = 1


def _forest(points: NDArray[np.float32], contamination: float, seed: int) -> Forest:
    from sklearn.ensemble import IsolationForest

    made = IsolationForest(n_estimators=TREES, contamination=contamination, random_state=seed)
    return Forest.of(made.fit(points))


def _svm(points: NDArray[np.float32], contamination: float, seed: int) -> Svm:
    """Learn from an even sample."""
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import OneClassSVM

    del seed  # nothing about it is random
    some = points[:: max(len(points) // SVM_EVENTS, 1)]
    scaler = StandardScaler().fit(some)
    return Svm.of(scaler, OneClassSVM(nu=min(contamination, 0.5)).fit(scaler.transform(some)))


def _autoencoder(points: NDArray[np.float32], contamination: float, seed: int) -> Autoencoder:
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    del contamination
    scaler = StandardScaler().fit(points)
    made = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        random_state=seed,
        max_iter=60,
        early_stopping=len(points) >= 100,
        tol=1e-3,
    )
    scaled = scaler.transform(points)
    fitted = made.partial_fit(scaled, scaled) if len(points) < 20 else _fit(made, scaled)
    return Autoencoder.of(scaler, fitted)


def _fit(made: Any, scaled: NDArray[np.float64]) -> Any:
    """Fit, without the warning that it could go on: the early stop is ours."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made.fit(scaled, scaled)


KINDS: Final[dict[str, Any]] = {
    "isolation_forest": _forest,
    "one_class_svm": _svm,
    "autoencoder": _autoencoder,
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
    """A model of one kind, trained: `learn` makes one, `read` takes up what `dump` wrote.

    Parameters
    ----------
    kind
        Of `KINDS`.
    contamination
        Share of the training events taken to be odd.
    fitted
        What numbers events.
    known
        float64[n], ascending: the numbers of the training events.
    usual
        float32[features]: the median of each feature of theirs.
    """

    def __init__(
        self,
        kind: str,
        contamination: float,
        fitted: Fitted,
        known: NDArray[np.float64],
        usual: NDArray[np.float32],
    ) -> None:
        self.kind, self.contamination = kind, contamination
        self._fitted, self._known, self._usual = fitted, known, usual

    @classmethod
    def learn(
        cls,
        kind: str,
        points: NDArray[np.float32],
        contamination: float = CONTAMINATION,
        seed: int = 42,
    ) -> Trained:
        """Train a model.

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
        if kind not in KINDS:
            raise SettingsError(f"expected a model among {', '.join(KINDS)}, found {kind!r}")
        if not 0 < contamination <= 0.5:
            raise SettingsError(f"expected a contamination in (0, 0.5], found {contamination}")
        if len(points) < LEAST:
            raise SettingsError(
                f"expected at least {LEAST} events to train on, found {len(points)}"
            )
        fitted: Fitted = KINDS[kind](points, contamination, seed)
        known = np.sort(fitted.oddity(points))
        return cls(kind, contamination, fitted, known, np.median(points, axis=0))

    @classmethod
    def read(cls, data: bytes) -> Trained:
        """Take up what `dump` wrote: numbers only, each checked, so that no bytes can do harm.

        Raises
        ------
        SchemaError
            The bytes are not that.
        """
        values = unpack("batch model", VERSION, data)
        kind = values.get("kind")
        if kind not in FITTED or not isinstance(values.get("fitted"), dict):
            raise SchemaError(
                f"expected a model among {', '.join(FITTED)} and its numbers, found {kind!r:.80}"
            )
        fitted = FITTED[kind].read(values["fitted"])
        if fitted.width != COUNT:
            raise SchemaError(
                f"expected a model of {COUNT} features, found {fitted.width}: train a new version"
            )
        known = array(values, "known", (None,))
        if len(known) < LEAST or (np.diff(known) < 0).any():
            raise SchemaError(f"expected {LEAST} or more ascending numbers, found {known[:3]}")
        contamination = number(values, "contamination")
        usual = array(values, "usual", (COUNT,)).astype(np.float32)
        return cls(kind, contamination, fitted, known, usual)

    def dump(self) -> bytes:
        """Return the model as bytes, for `read`: some KiB, and 8 bytes an event learnt from."""
        values = {
            "kind": self.kind,
            "contamination": self.contamination,
            "fitted": self._fitted.values(),
            "known": self._known,
            "usual": self._usual,
        }
        return pack("batch model", VERSION, values)

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
        odd = self._fitted.oddity(others)
        less: NDArray[np.float32] = (odd[-1] - odd[:-1]).astype(np.float32)
        return less

    def score(self, points: NDArray[np.float32]) -> Scored:
        """Judge events by where their oddity lies among that of the training events."""
        if not len(points):
            return Scored(np.zeros(0), np.zeros(0, np.bool_))
        count = len(self._known)
        above = count - np.searchsorted(self._known, self._fitted.oddity(points), "left")
        tail = (above + 1) / (count + 1)
        anomaly = np.minimum(-np.log10(tail) / DECADES, 1.0)
        return Scored(np.maximum(anomaly, 0.0), above < self.contamination * count)
