"""Blackrock NSx: what neo reads, we read; what we write, neo reads; broken files say so."""

from __future__ import annotations

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
from sentinel import settings as sentinel_settings

FILES = ("Test_anonymized", "test_BRSMPGRP_raw", "test_NEURALCD_raw", "test_NEURALSG_raw")


NEO = """
import sys, numpy
from neo.rawio import BlackrockRawIO
file = BlackrockRawIO(filename=sys.argv[1])
file.parse_header()
parts = [
    file.get_analogsignal_chunk(block_index=0, seg_index=k, stream_index=0)
    for k in range(file.segment_count(0))
]
numpy.savez(sys.argv[2], *parts)
"""


def of_neo(path: Path, folder: Path) -> list[NDArray[np.int16]]:
    """Return the segments as neo reads them; in a process of its own, as it leaves files open."""
    out = folder / "neo.npz"
    subprocess.run(
        [sys.executable, "-c", NEO, str(path), str(out)], check=True, capture_output=True
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
