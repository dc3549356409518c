"""What is kept of a model numbers events as scikit-learn does, and no bytes do harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from detectors.batch_models.fitted import Autoencoder, Forest, Svm
from detectors.batch_models.kinds import KINDS, Trained
from detectors.online.features import COUNT
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

RNG = np.random.default_rng(7)
X = RNG.normal(0.5, 0.1, (700, COUNT)).astype(np.float32)
X[:, 3], X[:, 9] = RNG.random(700) < 0.2, 0.0  # a flag, and what is always the same
#: More than a chunk.
PROBES = RNG.uniform(0, 1, (1500, COUNT)).astype(np.float32)


@pytest.mark.parametrize("count", [10, 700])
def test_the_forest_is_that_of_scikit_learn(count) -> None:
    theirs = IsolationForest(n_estimators=30, random_state=3).fit(X[:count])
    ours = Forest.of(theirs).oddity(PROBES)
    np.testing.assert_allclose(ours, -theirs.score_samples(PROBES), rtol=1e-12)


def test_the_svm_is_that_of_scikit_learn() -> None:
    scaler = StandardScaler().fit(X)
    theirs = OneClassSVM(nu=0.1).fit(scaler.transform(X))
    ours = Svm.of(scaler, theirs).oddity(PROBES)
    expected = -theirs.decision_function(scaler.transform(PROBES))
    np.testing.assert_allclose(ours, expected, atol=1e-4)  # theirs scales in float32


def test_the_autoencoder_is_that_of_scikit_learn() -> None:
    scaler = StandardScaler().fit(X)
    scaled = scaler.transform(X)
    theirs = MLPRegressor(hidden_layer_sizes=(10, 4, 10), random_state=1).partial_fit(
        scaled, scaled
    )
    probes = scaler.transform(PROBES)
    expected = ((probes - theirs.predict(probes)) ** 2).mean(axis=1)
    np.testing.assert_allclose(Autoencoder.of(scaler, theirs).oddity(PROBES), expected, rtol=1e-3)


@pytest.fixture(scope="module")
def trained() -> dict[str, Trained]:
    return {kind: Trained.learn(kind, X) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_scores_and_explains_the_same(trained, kind) -> None:
    model = trained[kind]
    again = Trained.read(model.dump())
    assert (again.kind, again.contamination, len(again)) == (kind, 0.1, 700)
    for one, other in zip(model.score(PROBES), again.score(PROBES), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.contributions(X[0]), again.contributions(X[0]))
    assert again.dump() == model.dump()


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("isolation_forest", {"left": -1}),
    ("isolation_forest", {"right": 1 << 30}),
    ("isolation_forest", {"feature": COUNT}),
    ("isolation_forest", {"roots": 1 << 20}),
    ("isolation_forest", {"threshold": np.nan}),
    ("isolation_forest", {"depth": 1_000_000}),
    ("isolation_forest", {"norm": 0}),
    ("isolation_forest", {"width": 4}),
    ("one_class_svm", {"gamma": "much"}),
    ("one_class_svm", {"scale": 0.0}),
    ("autoencoder", {"layers": 10**9}),
    ("autoencoder", {"weights 1": "none"}),
]


@pytest.mark.parametrize(("kind", "change"), WRONG, ids=lambda value: str(value))
def test_numbers_that_make_no_model_are_refused(trained, kind, change) -> None:
    values = unpack("batch model", 1, trained[kind].dump())
    for name, wrong in change.items():
        found = values["fitted"][name]
        if isinstance(found, np.ndarray) and not isinstance(wrong, str):
            found[-1] = wrong
        else:
            values["fitted"][name] = wrong
    with pytest.raises(SchemaError, match="expected"):
        Trained.read(pack("batch model", 1, values))


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_damaged_bytes_are_refused_or_still_score(trained, kind, data) -> None:
    good = bytearray(trained[kind].dump())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    try:
        model = Trained.read(bytes(good[: len(good) - cut]))
    except SchemaError:
        return
    with np.errstate(all="ignore"):
        assert model.score(PROBES[:3]).anomaly.shape == (3,)
