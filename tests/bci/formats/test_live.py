"""What is no file: recordings of SpikeInterface, and live streams of LSL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from bci.formats import FormatError
from bci.formats.spikeinterface import from_recording

SAMPLES = np.random.default_rng(4).integers(-900, 900, (900, 3), dtype=np.int16)


class Like:
    """What of SpikeInterface's BaseRecording is used."""

    def __init__(self, *pieces: Any, starts: tuple[float, ...] = (), gain: float = 0.5) -> None:
        self._pieces, self._starts, self._gain = pieces, starts, gain

    def get_traces(self, segment_index: int) -> Any:
        return self._pieces[segment_index]

    def get_sampling_frequency(self) -> float:
        return 1000.0

    def get_channel_ids(self) -> Any:
        return np.array(["x", "y", "z"])

    def get_num_segments(self) -> int:
        return len(self._pieces)

    def get_channel_gains(self) -> Any:
        return np.full(3, self._gain)

    def get_start_time(self, segment_index: int) -> float | None:
        return self._starts[segment_index] if self._starts else None


def test_segments_of_spikeinterface_are_never_joined():
    recording = from_recording(Like(SAMPLES[:400], SAMPLES[400:], starts=(1.0, 1.4)))

    assert recording.labels == ("x", "y", "z")
    assert recording.uv_per_bit.tolist() == [0.5] * 3
    assert recording.segments[0].start == 1000
    assert recording.segments[1].start > 1400
    assert recording.segments[1].cause == "reset"
    later = from_recording(Like(SAMPLES[:400], SAMPLES[400:], starts=(1.0, 2.0)))
    assert [(s.start, s.cause) for s in later.segments] == [(1000, ""), (2000, "gap")]
    assert all(
        np.array_equal(segment.samples, part)
        for segment, part in zip(later.segments, (SAMPLES[:400], SAMPLES[400:]), strict=True)
    )


def test_floats_of_spikeinterface_are_rounded_alike_in_all_segments():
    made = SAMPLES / 7.0
    recording = from_recording(Like(made[:400], made[400:], gain=1.0))
    found = np.concatenate([s.samples for s in recording.segments]) * recording.uv_per_bit
    assert np.abs(found - made).max() < 0.01


def test_what_is_no_recording_is_refused():
    with pytest.raises(FormatError, match="found str without get_traces"):
        from_recording("x")


def test_a_real_recording_of_spikeinterface():
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    theirs = core.NumpyRecording([SAMPLES], 1000.0)
    theirs.set_channel_gains(0.25)
    theirs.set_channel_offsets(0.0)
    recording = from_recording(theirs)
    assert np.array_equal(recording.segments[0].samples, SAMPLES)
    assert recording.uv_per_bit.tolist() == [0.25] * 3


# --- LSL

CHANNELS = 4


@pytest.fixture
def sender() -> Iterator[Any]:
    """Yield a sender of a stream of floats at 1 kHz, and its name."""
    pylsl = pytest.importorskip("pylsl", exc_type=(ImportError, RuntimeError))
    name = f"test-{uuid4().hex[:8]}"
    info = pylsl.StreamInfo(name, "ephys", CHANNELS, 1000, "float32", name)
    info.set_channel_labels(["a", "b", "c", "d"])
    outlet = pylsl.StreamOutlet(info)
    yield name, outlet, pylsl
    del outlet


def send(outlet: Any, first: int, count: int, value: float, zero: float) -> None:
    """Send samples of one value, the last of which is at sample first + count - 1."""
    rows = np.full((count, CHANNELS), value, np.float32).tolist()
    outlet.push_chunk(rows, zero + (first + count - 1) / 1000)


def pull(inlet: Any, count: int) -> list[Any]:
    """Return blocks of at least `count` samples."""
    found: list[Any] = []
    for _ in range(600):
        found += inlet.pull(0.2)
        if sum(len(block.samples) for block in found) >= count:
            return found
    raise AssertionError(f"expected {count} samples, found {found}")


def test_a_live_stream_is_parted_where_samples_are_missing(sender):
    from bci.formats.lsl import Inlet

    name, outlet, pylsl = sender
    with Inlet(name, 0.5) as inlet:
        assert (inlet.fs, inlet.labels) == (1000.0, ("a", "b", "c", "d"))
        assert outlet.wait_for_consumers(120)
        zero = pylsl.local_clock() - 2.0
        send(outlet, 0, 200, 1.0, zero)
        send(outlet, 200, 100, 30_000.0, zero)
        send(outlet, 1300, 200, -2.0, zero)
        blocks = pull(inlet, 500)

        first = [block for block in blocks if block.start < 300]
        last = [block for block in blocks if block.start >= 300]
        assert sum(len(block.samples) for block in first) == 300
        assert last[0].start == 1300
        assert (last[0].samples == -4).all()
        assert first[0].samples[0].tolist() == [2] * CHANNELS
        assert sum(block.clipped for block in blocks) == 100 * CHANNELS
        assert blocks[-1].lag_s > 0.3


def test_catching_up_drops_what_waits_as_a_gap(sender):
    from bci.formats.lsl import Inlet

    name, outlet, pylsl = sender
    with Inlet(name, 0.5) as inlet:
        assert outlet.wait_for_consumers(120)
        zero = pylsl.local_clock() - 5.0
        send(outlet, 0, 100, 0.0, zero)
        pull(inlet, 100)
        send(outlet, 100, 1000, 0.0, zero)
        waiting = 1000
        while waiting > 0:  # they may come one after the other
            waiting -= inlet.catch_up()
        send(outlet, 1100, 50, 0.0, zero)
        blocks = pull(inlet, 50)
        assert blocks[-1].start + len(blocks[-1].samples) == 1150


def test_no_stream_of_that_name_is_said():
    pytest.importorskip("pylsl", exc_type=(ImportError, RuntimeError))
    from bci.formats.lsl import Inlet

    with pytest.raises(FormatError, match="expected an LSL stream with name or type 'none-such'"):
        Inlet("none-such", timeout_s=0.1)


def test_blocks_for_the_topic_count_on_and_end_with_empty_ones(sender, monkeypatch):
    from bci.formats.lsl import Inlet
    from sentinel.cli._bci import live

    name, outlet, pylsl = sender
    said: list[str] = []
    monkeypatch.setattr(live, "MOST_LAG_S", 1000.0)  # a slow machine is no loss here
    with Inlet(name, 0.5) as inlet:
        assert outlet.wait_for_consumers(120)
        zero = pylsl.local_clock() - 0.5
        send(outlet, 0, 120, 1.0, zero)
        send(outlet, 400, 100, 1.0, zero)
        groups = list(live.blocks(inlet, "s", 0.5, 0, said.append))
    starts = [(group[0].start, len(group[0].samples)) for group in groups]
    assert starts[-1] == (500, 0)
    assert all(length <= 50 for _, length in starts)
    assert sum(length for _, length in starts) == 220
    assert 400 in dict(starts)
    assert groups[0][0].bank.labels == ("a", "b", "c", "d")
    assert said == []
