"""``sentinel bci info``: what a recording holds, gaps and events included."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bci.formats.nev_write import NevWriter
from bci.formats.nsx_write import NsxWriter
from bci.truth import Truth
from sentinel.cli import app


@pytest.fixture
def folder(tmp_path):
    """Return a folder with samples and events of one session."""
    with NsxWriter(tmp_path / "rec.ns5", 30_000.0, 0.25, ["a", "b"]) as writer:
        writer.write(np.zeros((60, 2), np.int16))
        writer.write(np.zeros((40, 2), np.int16), start=1000)
    with NevWriter(tmp_path / "rec.nev", 30_000, 0.25, ["a", "b"], 10) as spikes:
        spikes.spikes([5, 90], [0, 1], [0, 0], np.zeros((2, 10)))
        spikes.comment(95, "on")
    return tmp_path


def test_gaps_are_shown_with_their_cause(folder, capsys):
    assert app.run(["bci", "info", str(folder / "rec.ns5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["segments"] == [
        {"start": 0, "samples": 60, "cause": ""},
        {"start": 1000, "samples": 40, "cause": "gap"},
    ]
    assert (found["fs"], found["channels"], found["breaks"]) == (30_000.0, 2, {"gap": 1})

    assert app.run(["bci", "info", str(folder / "rec.ns5")]) == 0
    assert "1 gap" in capsys.readouterr().out


def test_events_are_counted(folder, capsys):
    assert app.run(["bci", "info", str(folder / "rec.nev"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["spikes"], found["marks"], found["segments"]) == (2, {"comment": 1}, [])


def test_what_was_left_out_is_a_note(folder, capsys):
    path = folder / "rec.ns5"
    path.write_bytes(path.read_bytes()[:-7])
    assert app.run(["bci", "info", str(path)]) == 0
    assert "cut off" in capsys.readouterr().out


def test_a_file_of_events_alone_cannot_be_replayed_and_says_what_can(folder, capsys):
    assert app.run(["bci", "replay", str(folder / "rec.nev")]) == 1
    assert "2 spikes and 1 marks of the device; replay rec.ns5" in capsys.readouterr().err


def test_a_folder_of_several_asks_for_one(folder, capsys):
    assert app.run(["bci", "info", str(folder)]) == 1
    assert "found 2 of: rec.nev, rec.ns5; name one with --var" in capsys.readouterr().err
    assert app.run(["bci", "info", str(folder), "--var", "ns5", "--json"]) == 0


def slow(folder, fs):
    """Write a recording without spikes, and a truth of none."""
    with NsxWriter(folder / "eeg.ns3", fs, 0.25, ["a", "b"]) as writer:
        writer.write(np.zeros((60, 2), np.int16))
    electrodes, none = np.zeros((2, 2)), np.zeros(0, np.int64)
    truth = Truth(fs, electrodes, none, none.astype(np.int32), electrodes, np.ones(2))
    truth.save(folder / "truth.npz")
    return str(folder / "eeg.ns3"), str(folder / "truth.npz")


def test_a_rate_that_is_not_worked_on_is_refused(tmp_path, capsys):
    recording, _ = slow(tmp_path, 40.0)
    assert app.run(["bci", "replay", recording]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "eeg.ns3: expected a sampling rate of 50 to 200000 Hz, found 40 Hz" in said
    assert app.run(["bci", "info", recording, "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("not replayed: expected a sampling rate of 50 to")


def test_a_recording_too_slow_for_spikes_says_so_and_has_none_to_score(tmp_path, capsys):
    recording, truth = slow(tmp_path, 500.0)
    assert app.run(["bci", "info", recording, "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("at 500 Hz there is no room for spikes (from 1333 Hz on): only band")
    assert app.run(["bci", "score", recording, truth]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "expected spikes to score, but at 500 Hz there is no room" in said
