"""``sentinel bci loop``: which records call for a stimulus, and what is said of wrong rules."""

from __future__ import annotations

import json

import numpy as np
import pytest

from schemas import avro
from sentinel import topics
from sentinel.cli import app
from sentinel.cli._bci import loop

RULES = {
    "setup": [{"call": "setDevice", "arguments": {"index": 0}}, {"call": "connect"}],
    "rules": [
        {"name": "fast", "electrode": 7, "config": 1, "channels": [3], "spikes": 2},
        {"name": "burst", "electrode": 8, "config": 2, "kind": "burst", "hold_ms": 1000},
    ],
}


def window(*spikes: tuple[int, int]) -> bytes:
    samples, channels = zip(*spikes, strict=True)
    return avro.encode(
        "neural_spikes",
        {
            "session": "s", "bank": 0, "fs": 30_000.0, "epoch": 0, "first": 0, "last": 600,
            "sent": 5_000, "sample": np.array(samples, "<i8").tobytes(),
            "channel": np.array(channels, "<i4").tobytes(), "score": b"", "amplitude": b"",
            "taps": 36, "snippets": b"", "unit": b"",
        },
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    return tmp_path / "rules.json"


def test_windows_and_events_call_for_stimuli_and_their_delay_is_kept(path):
    asked = loop.load(path)

    found = asked.take(topics.SPIKES, window((10, 3), (12, 4), (60, 3)), 25_000)

    assert [(each["id"], each["arguments"]["electrode"]) for each in found] == [("s/0/fast/60", 7)]
    assert list(asked.late_ms) == [20.0]
    burst = {"kind": "burst", "session": "s", "bank": 0, "fs": 30_000.0, "last": 900}
    (order,) = asked.take(topics.NEURAL_EVENTS, json.dumps(burst).encode(), 30_000)
    assert order["id"] == "s/0/burst/900"
    batch = burst | {"kind": "spike_batch", "sample": [1, 2], "channel": [3, 3]}
    assert asked.take(topics.NEURAL_EVENTS, json.dumps(batch).encode(), 0) == []  # had as windows
    assert asked.commands == 2


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"a": 1}', b"\xff" * 40])
def test_what_cannot_be_read_calls_for_nothing(path, value):
    asked = loop.load(path)
    assert asked.take(topics.SPIKES, value, 0) == []
    assert asked.take(topics.NEURAL_EVENTS, value, 0) == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"rules": []}',
        '{"rules": [{"name": "a", "electrode": 1}]}',
        '{"rules": [{"name": "a", "electrode": "1", "config": 1}]}',
        '{"rules": [{"name": "a", "electrode": 1, "config": 1, "other": 1}]}',
        '{"rules": [{"name": "a", "electrode": 1, "config": 1}], "setup": [{"call": "x"}]}',
    ],
)
def test_wrong_rules_are_refused_before_anything_starts(tmp_path, capsys, text):
    (tmp_path / "rules.json").write_text(text)
    assert app.run(["bci", "loop", str(tmp_path / "rules.json")]) == 1
    assert "rules.json: expected" in capsys.readouterr().err
