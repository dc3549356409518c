"""``sentinel bci``: a made recording, and how well its spikes are found."""

from __future__ import annotations

import json

from sentinel.cli import app


def test_a_made_recording_is_scored(tmp_path, capsys):
    out, truth = tmp_path / "rec.ns5", tmp_path / "rec.truth.npz"
    size = ["--channels", "8", "--seconds", "6"]
    assert app.run(["bci", "synth", *size, "--out", str(out), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)

    assert app.run(["bci", "score", str(out), str(truth), "--json"]) == 0

    whole = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made["spikes"] > whole["spikes"] > 20
    assert whole["snr"] == "all"
    assert whole["f1"] > 0.8  # by threshold: six seconds are too short to learn the shape


def test_a_truth_of_other_channels_is_refused(tmp_path, capsys):
    for channels in ("4", "6"):
        out = tmp_path / f"rec{channels}.ns5"
        size = ["--channels", channels, "--seconds", "1"]
        assert app.run(["bci", "synth", *size, "--out", str(out)]) == 0

    assert (
        app.run(["bci", "score", str(tmp_path / "rec4.ns5"), str(tmp_path / "rec6.truth.npz")]) == 1
    )

    assert "expected 6 channels as in the truth, found 4" in capsys.readouterr().err


def test_a_made_recording_is_named_as_what_it_is(tmp_path, capsys):
    assert app.run(["bci", "synth", "--seconds", "1", "--out", str(tmp_path / "rec.wav")]) == 1
    assert "expected a name that ends in .ns5 or .ns6, found rec.wav" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
