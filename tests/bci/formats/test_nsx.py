"""Blackrock NSx: what neo reads, we read; what we write, neo reads; broken files say so."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bci.formats import FormatError, read
from bci.formats.nsx_write import NsxWriter
from bci.formats.recording import AFTER_RESET
from sentinel import settings as sentinel_settings

FILES = ("Test_anonymized", "test_BRSMPGRP_raw", "test_NEURALCD_raw", "test_NEURALSG_raw")


NEO = """
import sys, numpy
from neo.rawio import BlackrockRawIO
file = BlackrockRawIO(filename=sys.argv[1], OPTIONS)
file.parse_header()
parts = [
    file.get_analogsignal_chunk(block_index=0, seg_index=k, stream_index=0)
    for k in range(file.segment_count(0))
]
numpy.savez(sys.argv[2], *parts)
"""


def of_neo(path: Path, folder: Path, options: str = "") -> list[NDArray[np.int16]]:
    """Return the segments as neo reads them; in a process of its own, as it leaves files open."""
    out = folder / "neo.npz"
    subprocess.run(
        [sys.executable, "-c", NEO.replace("OPTIONS", options), str(path), str(out)],
        check=True,
        capture_output=True,
    )
    with np.load(out) as data:
        return [data[name] for name in data]


@pytest.mark.parametrize("name", FILES)
def test_real_files_are_as_neo_reads_them(name: str, tmp_path: Path):
    path = sentinel_settings.load().data / "bci" / "blackrock_nsx" / f"{name}.ns3"
    if not path.exists():
        pytest.skip(f"no {path}: set SENTINEL_DATA")
    recording = read(path)

    theirs = of_neo(path, tmp_path)
    assert recording.fs == 2000.0
    assert len(theirs) == len(recording.segments)
    for segment, samples in zip(recording.segments, theirs, strict=True):
        # neo leaves the last row of a file of specification 2.1 out
        assert 0 <= len(segment.samples) - len(samples) <= (name == "test_NEURALSG_raw")
        assert np.array_equal(segment.samples[: len(samples)], samples)


@pytest.mark.parametrize("version", [(2, 3), (3, 0)])
def test_what_is_written_neo_and_we_read_alike(tmp_path, version):
    path = tmp_path / "made.ns5"
    samples = np.random.default_rng(0).integers(-32_000, 32_000, (1000, 5), dtype=np.int16)
    with NsxWriter(path, 30_000.0, 0.25, [f"e{k}" for k in range(5)], version) as writer:
        writer.write(samples[:300])
        writer.write(samples[300:600])
        writer.write(samples[600:], start=100_000)

    recording = read(path)

    assert [segment.start for segment in recording.segments] == [0, 100_000]
    ours = [segment.samples for segment in recording.segments]
    assert all(map(np.array_equal, ours, [samples[:600], samples[600:]]))
    assert all(map(np.array_equal, of_neo(path, tmp_path), ours))
    assert recording.labels == ("e0", "e1", "e2", "e3", "e4")
    assert np.allclose(recording.uv_per_bit, 0.25)
    assert recording.fs == 30_000.0


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    version=st.sampled_from([(2, 3), (3, 0)]),
    fs=st.sampled_from([30_000.0, 10_000.0, 2000.0, 1000.0, 500.0]),
    late=st.sampled_from([None, 1, 40]),
    steps=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 500)), min_size=1, max_size=5),
)
def test_what_is_written_comes_back_at_every_rate_and_past_a_wrap(
    tmp_path, version, fs, late, steps
):
    # 39.8 hours after the start, shortly before 32 bits of the clock are full
    first = 0 if late is None else (1 << 32) // round(30_000 / fs) - late
    path, at, made = tmp_path / "made.ns2", first, list[tuple[int, int]]()
    with NsxWriter(path, fs, 0.25, ["a"], version) as writer:
        for length, pause in steps:
            writer.write(np.full((length, 1), len(made), np.int16), start=at)
            made.append((at, length))
            at += length + pause

    recording = read(path)

    found = [(s.start, len(s.samples)) for s in recording.segments]
    whole: list[tuple[int, int]] = []
    for start, length in made:  # what goes on is one packet
        if whole and sum(whole[-1]) == start:
            start, length = whole[-1][0], whole.pop()[1] + length
        whole.append((start, length))
    assert found == whole
    assert recording.fs == fs


def packets(path: Path, *rows: tuple[int, int, bytes]) -> None:
    """Write packets as they are given: time, stated length, bytes."""
    with NsxWriter(path, 30_000.0, 0.25, ["a"]):
        pass
    with path.open("ab") as file:
        for time, count, data in rows:
            file.write(struct.pack("<BII", 1, time, count) + data)


def test_a_reset_of_the_clock_parts_samples(tmp_path):
    packets(tmp_path / "a.ns5", (900, 2, b"\2\0" * 2), (5, 3, b"\3\0" * 3), (8, 1, b"\4\0"))

    found = read(tmp_path / "a.ns5").segments

    assert [(s.start, s.cause) for s in found] == [
        (900, ""), (902 + AFTER_RESET, "reset"), (905 + AFTER_RESET, "")
    ]  # fmt: skip


def test_empty_packets_are_pauses_and_an_unwritten_length_is_a_crash(tmp_path):
    packets(tmp_path / "a.ns5", (0, 0, b""), (50, 2, b"\2\0" * 2), (90, 0, b"\7\0" * 4 + b"\1"))

    recording = read(tmp_path / "a.ns5")

    assert [(s.start, len(s.samples), s.cause) for s in recording.segments] == [
        (50, 2, ""), (90, 4, "gap")
    ]  # fmt: skip
    assert "is unwritten: 4 rows taken" in recording.notes[0]
    assert "1 bytes at the end" in recording.notes[1]


def test_a_packet_that_ends_beyond_the_file_is_read_to_there(tmp_path):
    packets(tmp_path / "a.ns5", (0, 9, b"\2\0" * 2))

    recording = read(tmp_path / "a.ns5")

    assert len(recording.segments[0].samples) == 2
    assert "states 9 rows, 2 are there" in recording.notes[0]


def ptp(path: Path, times: list[int]) -> None:
    """Write packets of one sample each, as with a PTP clock."""
    with NsxWriter(path, 30_000.0, 0.25, ["a", "b"], (3, 0)):
        pass
    data = bytearray(path.read_bytes())
    data[290:294] = (1_000_000_000).to_bytes(4, "little")
    for number, time in enumerate(times):
        data += struct.pack("<BQIhh", 1, time, 1, number, -number)
    path.write_bytes(data)


def test_a_ptp_clock_parts_where_it_jumps_and_is_as_neo_reads_it(tmp_path):
    path, zero = tmp_path / "a.ns5", 1_700_000_000_000_000_000
    count = [0, 1, 2, 3, 9, 10, 11]
    ptp(path, [zero + round(n * 1e9 / 30_000) for n in count])

    recording = read(path)

    first = 1_700_000_000 * 30_000
    assert [(s.start, len(s.samples), s.cause) for s in recording.segments] == [
        (first, 4, ""), (first + 9, 3, "gap")
    ]  # fmt: skip
    (theirs,) = of_neo(path, tmp_path, "gap_tolerance_ms=0.01")[:1]
    assert np.array_equal(recording.segments[0].samples, theirs)


def test_blocks_never_cross_a_gap(tmp_path):
    path = tmp_path / "made.ns5"
    with NsxWriter(path, 30_000.0, 0.25, ["a"]) as writer:
        writer.write(np.zeros((70, 1), np.int16))
        writer.write(np.ones((50, 1), np.int16), start=500)

    found = [(start, len(block)) for start, block in read(path).blocks(40)]

    assert found == [(0, 40), (40, 30), (500, 40), (540, 10)]


def test_a_rate_that_the_format_cannot_state_is_refused(tmp_path):
    with pytest.raises(FormatError, match="expected a rate that divides"):
        NsxWriter(tmp_path / "made.ns5", 19_531.0, 0.25, ["a"])


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 2000), noise=st.binary(max_size=6), at=st.integers(0, 1200))
def test_damaged_files_are_read_in_part_or_refused_with_a_reason(tmp_path, cut, noise, at):
    path = tmp_path / "made.ns5"
    with NsxWriter(path, 30_000.0, 0.25, ["a", "b"]) as writer:
        writer.write(np.ones((150, 2), np.int16))
    data = path.read_bytes()
    path.write_bytes((data[:at] + noise + data[at + len(noise) :])[:cut])

    with suppress(FormatError):
        recording = read(path)
        assert sum(len(segment.samples) for segment in recording.segments) <= 500
