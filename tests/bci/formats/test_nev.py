"""Blackrock NEV: what is written neo and we read alike; waveforms stay in the file."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bci.formats import FormatError, SpikeTrain, open
from bci.formats.nev import BASIC, EXTENDED, WAVE
from bci.formats.nev_write import NevWriter
from bci.formats.recording import AFTER_RESET

NEO = """
import sys, json, warnings
warnings.simplefilter("ignore")
from neo.rawio import BlackrockRawIO
file = BlackrockRawIO(filename=sys.argv[1], nsx_to_load=None)
file.parse_header()
found = {"spikes": [], "events": []}
for number, channel in enumerate(file.header["spike_channels"]):
    for segment in range(file.segment_count(0)):
        times = file.get_spike_timestamps(0, segment, number)
        waves = file.get_spike_raw_waveforms(0, segment, number)
        gain = float(channel["wf_gain"])
        found["spikes"].append(
            [str(channel["id"]), times.tolist(), waves[:, 0, :].tolist(), gain]
        )
for number, channel in enumerate(file.header["event_channels"]):
    for segment in range(file.segment_count(0)):
        times, _, labels = file.get_event_timestamps(0, segment, number)
        found["events"].append([str(channel["name"]), times.tolist(), labels.tolist()])
json.dump(found, open(sys.argv[2], "w"))
"""


def of_neo(path: Path, folder: Path) -> dict[str, Any]:
    """Return spikes and events as neo reads them, in a process of its own."""
    out = folder / "neo.json"
    subprocess.run(
        [sys.executable, "-c", NEO, str(path), str(out)], check=True, capture_output=True
    )
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def spikes_of(path: Path) -> SpikeTrain:
    found = open(path).spikes
    assert found is not None
    return found


def write(path: Path, version: tuple[int, int] = (2, 3), count: int = 200) -> dict[str, Any]:
    """Write spikes of three electrodes, port values and a comment; return what was written."""
    random = np.random.default_rng(1)
    sample = np.sort(random.integers(0, 90_000, count))
    channel, unit = random.integers(0, 3, count), random.integers(0, 4, count)
    waves = random.integers(-3000, 3000, (count, 20), dtype=np.int16)
    with NevWriter(path, 30_000, 0.25, ["e1", "e2", "e3"], 20, version) as writer:
        writer.spikes(sample, channel, unit, waves)
        writer.digital([90_100, 90_200], [7, 65_535])
        writer.comment(90_300, "stimulus on")
    return {"sample": sample, "channel": channel, "unit": unit, "waves": waves}


@pytest.mark.parametrize("version", [(2, 3), (3, 0)])
def test_what_is_written_neo_and_we_read_alike(tmp_path, version):
    path = tmp_path / "made.nev"
    made = write(path, version)

    recording, theirs = open(path), of_neo(path, tmp_path)

    ours = recording.spikes
    assert recording.fs == 30_000.0
    assert recording.labels == ("e1", "e2", "e3")
    assert np.allclose(recording.uv_per_bit, 0.25)
    assert np.array_equal(ours.sample, made["sample"])
    assert np.array_equal(ours.channel, made["channel"])
    assert np.array_equal(ours.unit, made["unit"])
    for name, times, waves, gain in theirs["spikes"]:
        number, unit = divmod(int(name.removeprefix("Unit ")), 1000)
        mask = (ours.channel == number - 1) & (ours.unit == unit)
        assert np.array_equal(ours.sample[mask], times)
        chosen = ours.unit[ours.channel == number - 1] == unit
        assert np.array_equal(ours.waveforms(number - 1)[chosen], waves)
        assert gain == pytest.approx(0.25)
    assert sum(len(times) for _, times, _, _ in theirs["spikes"]) == len(ours.sample)
    events = {name: (times, labels) for name, times, labels in theirs["events"]}
    marks = recording.marks
    assert marks.kind == ("digital", "digital", "comment")
    assert marks.sample.tolist() == [90_100, 90_200, 90_300]
    assert events["digital_input_port"] == ([90_100, 90_200], [str(v) for v in marks.value[:2]])
    assert marks.text[2] == "stimulus on"
    if "comments" in events:
        assert events["comments"][0] == [90_300]


def test_a_waveform_is_a_view_into_the_file(tmp_path):
    made = write(tmp_path / "made.nev")
    spikes = spikes_of(tmp_path / "made.nev")

    assert all(np.array_equal(spikes.waveform(k), made["waves"][k]) for k in range(200))
    assert np.shares_memory(spikes.waveform(3), spikes.body)
    assert isinstance(spikes.body.base, np.memmap)


def old(path: Path, version: tuple[int, int], flags: int, bytes_each: int) -> None:
    """Write a file as older specifications have it: no labels, waveforms that fill packets."""
    packet = 8 + 12
    wave = np.zeros(2, WAVE)
    wave["electrode"], wave["nv_per_bit"], wave["bytes_each"] = [5, 200], [250, 21_516], bytes_each
    wave["width"] = 12 // max(bytes_each, 1) if version >= (2, 2) else 0
    extended = np.zeros(2, EXTENDED)
    extended["type"], extended["body"] = b"NEUEVWAV", wave.view("V24")
    head = BASIC.size + extended.nbytes
    time = (2026, 1, 4, 1, 0, 0, 0, 0)
    with path.open("wb") as file:
        rates = (packet, 30_000, 30_000)
        file.write(BASIC.pack(b"NEURALEV", *version, flags, head, *rates, *time, b"", b"", 2))
        file.write(extended.tobytes())
        for at, electrode in ((10, 5), (20, 200), (30, 5)):
            body = np.arange(12, dtype=np.int8).tobytes()
            file.write(np.array([at], "<u4").tobytes() + np.array([electrode], "<u2").tobytes())
            file.write(bytes([1, 0]) + body)


@pytest.mark.parametrize("version", [(2, 1), (2, 2), (2, 3)])
def test_older_specifications_are_as_neo_reads_them(tmp_path, version):
    path = tmp_path / "old.nev"
    old(path, version, 1, 2)

    recording, theirs = open(path), of_neo(path, tmp_path)

    assert recording.spikes.sample.tolist() == [10, 20, 30]
    assert recording.uv_per_bit.tolist() == [0.25, pytest.approx(152.592547)]
    assert len(theirs["spikes"]) == 2
    for (_, times, waves, gain), channel in zip(theirs["spikes"], (0, 1), strict=True):
        mask = recording.spikes.channel == channel
        assert recording.spikes.sample[mask].tolist() == times
        assert recording.spikes.waveforms(channel).tolist() == waves
        if channel == 0:  # neo takes 21,516 for nV, which stands for what does not fit
            assert recording.uv_per_bit[channel] == pytest.approx(gain)


@pytest.mark.parametrize(("bytes_each", "kind"), [(0, "i1"), (1, "i1"), (2, "<i2"), (4, "<i4")])
def test_samples_of_other_widths(tmp_path, bytes_each, kind):
    """Neo fails on files whose header says so."""
    path = tmp_path / "old.nev"
    old(path, (2, 2), 0, bytes_each)

    spikes = spikes_of(path)

    expected = np.arange(12, dtype=np.int8).view(kind)
    assert np.array_equal(spikes.waveform(1), expected)
    assert np.array_equal(spikes.waveforms(0), [expected, expected])


def test_a_clock_that_wraps_goes_on_and_one_that_is_reset_is_told(tmp_path):
    path, turn = tmp_path / "made.nev", 1 << 32
    with NevWriter(path, 30_000, 0.25, ["a"], 10) as writer:
        times = [turn - 100, turn - 50, 20, 60, 400_000, 90, 95]
        writer.spikes(times, [0] * 7, [0] * 7, np.zeros((7, 10)))

    recording = open(path)

    first = [turn - 100, turn - 50, turn + 20, turn + 60, turn + 400_000]
    later = turn + 400_000 + AFTER_RESET
    assert recording.spikes.sample.tolist() == [*first, later, later + 5]
    assert recording.marks.kind == ("reset",)


def test_packets_that_are_a_little_out_of_order_are_put_in_order(tmp_path):
    path = tmp_path / "made.nev"
    with NevWriter(path, 30_000, 0.25, ["a"], 10) as writer:
        writer.spikes([100, 90, 110], [0] * 3, [1, 2, 3], np.zeros((3, 10)))

    recording = open(path)

    assert recording.spikes.sample.tolist() == [90, 100, 110]
    assert recording.spikes.unit.tolist() == [2, 1, 3]
    assert recording.marks.kind == ()


def test_nanoseconds_of_a_ptp_clock_are_counted_exactly(tmp_path):
    path = tmp_path / "made.nev"
    write(path, (3, 0), 1)
    data = bytearray(path.read_bytes())
    data[20:24] = (1_000_000_000).to_bytes(4, "little")
    start = int.from_bytes(data[12:16], "little")
    data[start : start + 8] = (1_700_000_000_500_000_000).to_bytes(8, "little")
    path.write_bytes(data)

    assert spikes_of(path).sample[0] == 1_700_000_000 * 30_000 + 15_000


def test_a_spike_of_an_electrode_without_header_is_kept(tmp_path):
    path = tmp_path / "made.nev"
    write(path)
    data = bytearray(path.read_bytes())
    start = int.from_bytes(data[12:16], "little")
    data[start + 4 : start + 6] = (77).to_bytes(2, "little")
    path.write_bytes(data)

    recording = open(path)

    assert len(recording.spikes.sample) == 200
    assert recording.labels == ("e1", "e2", "e3", "chan77")


def test_a_file_cut_off_is_read_to_there_and_says_so(tmp_path):
    path = tmp_path / "made.nev"
    write(path)
    path.write_bytes(path.read_bytes()[:-30])

    recording = open(path)

    assert len(recording.spikes.sample) == 200
    assert recording.marks.kind == ("digital", "digital")
    assert "cut off" in recording.notes[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected NEURALEV"),
        (b"NEURALEV", "cut off"),
        (b"NEURALEV" + bytes(400), "expected version 2 or 3"),
    ],
)
def test_what_is_no_nev_is_refused_with_a_reason(tmp_path, data, reason):
    path = tmp_path / "made.nev"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=reason):
        open(path)


def test_the_writer_refuses_what_the_format_cannot_state(tmp_path):
    with pytest.raises(FormatError, match="expected version 2"):
        NevWriter(tmp_path / "a.nev", 30_000, 0.25, ["a"], version=(2, 2))
    with NevWriter(tmp_path / "a.nev", 30_000, 0.25, ["a"], 10) as writer:
        with pytest.raises(FormatError, match="channels below 1"):
            writer.spikes([0], [1], [0], np.zeros((1, 10)))
        with pytest.raises(FormatError, match="expected samples from 0"):
            writer.digital([1 << 32], [0])


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 2000), noise=st.binary(max_size=8), at=st.integers(0, 1500))
def test_damaged_files_are_read_in_part_or_refused_with_a_reason(tmp_path, cut, noise, at):
    path = tmp_path / "made.nev"
    write(path, (3, 0), 9)
    data = path.read_bytes()
    path.write_bytes((data[:at] + noise + data[at + len(noise) :])[:cut])

    with suppress(FormatError):
        spikes = open(path).spikes
        for which in range(len(spikes.sample)):
            spikes.waveform(which)
        for channel in range(len(spikes.width)):
            spikes.waveforms(channel)
