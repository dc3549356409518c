"""Points in file order: reading, scaling as river does it, and the figures we claim."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from river.preprocessing import MinMaxScaler

from detectors.evaluate import points
from sentinel.errors import SettingsError
from sentinel.settings import load


@pytest.fixture
def sets():
    folder = load().data / "adbench"
    if not folder.is_dir():
        pytest.skip(f"needs ADBench files in {folder} (SENTINEL_DATA)")
    return folder


def test_scaling_is_rivers() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 3, (200, 3)).astype(np.float32)
    x[:, 2] = 7.0
    scaler, expected = MinMaxScaler(), []
    for row in x:
        point = dict(enumerate(row.tolist()))
        scaler.learn_one(point)
        expected.append([scaler.transform_one(point)[n] for n in range(3)])
    assert np.allclose(points.scale(x), expected, atol=1e-6)


def test_kdd_rows_words_by_how_common_they_are(tmp_path) -> None:
    rows = ["0,tcp,http,normal,20", "3,tcp,http,normal,20", "1,udp,ftp,neptune,19"]
    (tmp_path / "kdd.txt.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    (tmp_path / "names.csv").write_text("duration,continuous\n")
    (found,) = points.read(tmp_path)
    assert found.x[:, 0].tolist() == [0, 3, 1]
    assert found.x[:, 1].tolist() == pytest.approx([0, np.log(2), 0])
    assert found.y.tolist() == [False, False, True]


def test_nothing_to_read_is_said(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"expected ADBench \.npz or KDD rows"):
        points.read(tmp_path)
    np.savez(tmp_path / "x.npz", Z=np.zeros(3))
    with pytest.raises(SettingsError, match="expected arrays X and y"):
        points.read(tmp_path)


def test_the_default_ensemble_beats_rivers_trees_and_keeps_up_with_offline_forests(sets) -> None:
    files = [sets / name for name in ("6_cardio.npz", "2_annthyroid.npz")]
    report = points.evaluate(files, seeds=(0, 1))
    for name, found in report["sets"].items():
        auroc = found["ensemble"]["auroc"]
        assert auroc > found["half_space_trees"]["auroc"], name
        assert auroc > found["scikit_learn_offline"]["auroc"] - 0.03, name
    assert report["sets"]["cardio"]["published"]["river_half_space_trees_auroc_ap"] == (
        0.755,
        0.298,
    )
