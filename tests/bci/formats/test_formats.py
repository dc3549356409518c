"""What holds for every reader: real files, damaged files, and which reader takes which."""

from __future__ import annotations

import subprocess
import sys
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from bci import formats
from bci.formats import FormatError, Recording, Segment, optional
from bci.formats.nev_write import NevWriter
from bci.formats.nsx_write import NsxWriter
from bci.formats.recording import placed
from bci.formats.scaling import to_int16

#: Files of real recordings that hold no signal, and why.
REFUSED = {"neuralynx/Events.mat": "expected one variable with a signal"}
NEO = """
import sys, numpy, pathlib
from neo.rawio import NeuralynxRawIO
path = pathlib.Path(sys.argv[1])
file = NeuralynxRawIO(dirname=str(path.parent), include_filenames=[path.name], gap_tolerance_ms=0.1)
file.parse_header()
parts = [
    file.get_analogsignal_chunk(block_index=0, seg_index=k, stream_index=0)
    for k in range(file.segment_count(0))
]
gain = file.header["signal_channels"]["gain"]
numpy.savez(sys.argv[2], gain, *parts)
"""


def check(recording: Recording) -> None:
    """Check what every recording owes whoever reads it."""
    assert recording.fs > 0
    assert len(recording.labels) == len(recording.uv_per_bit)
    assert np.isfinite(recording.uv_per_bit).all()
    end = None
    for segment in recording.segments:
        assert segment.samples.dtype == np.int16
        assert segment.samples.shape[1] == len(recording.labels)
        assert len(segment.samples)
        assert end is None or segment.start >= end
        assert (segment.cause == "") == (end is None or segment.start == end)
        end = segment.start + len(segment.samples)
    if recording.spikes is not None:
        assert (np.diff(recording.spikes.sample) >= 0).all()
        assert recording.spikes.channel.max(initial=-1) < len(recording.labels)
    if recording.marks is not None:
        assert (np.diff(recording.marks.sample) >= 0).all()


def test_every_real_file_is_read_or_refused_with_a_reason(data):
    folder = data / "bci"
    known = set(formats.suffixes())
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in known]
    assert paths
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if reason := REFUSED.get(name):
            with pytest.raises(FormatError, match=reason):
                formats.open(path)
            continue
        recording = formats.open(path)
        check(recording)
        assert recording.segments or recording.spikes or recording.marks, name


def of_neo(path: Path, folder: Path) -> tuple[NDArray[np.float64], list[NDArray[np.int16]]]:
    """Return gain and segments as neo reads them; by default it parts at a jitter of 1 µs."""
    out = folder / "neo.npz"
    subprocess.run(
        [sys.executable, "-c", NEO, str(path), str(out)], check=True, capture_output=True
    )
    with np.load(out) as found:
        gain, *parts = [found[name] for name in found]
    return gain, parts


@pytest.mark.parametrize("name", ["LAHC1", "LAHC1_3_gaps", "LAHCu1"])
def test_neuralynx_is_as_neo_reads_it_and_as_its_own_export_has_it(data, tmp_path, name):
    path = data / "bci" / "neuralynx" / f"{name}.ncs"
    recording = formats.open(path)

    gain, parts = of_neo(path, tmp_path)
    assert recording.uv_per_bit == pytest.approx(gain)
    assert len(parts) == len(recording.segments)
    ours = [segment.samples for segment in recording.segments]
    assert all(map(np.array_equal, ours, parts))

    twin = formats.open(path.with_suffix(".mat"))
    assert all(map(np.array_equal, ours, [segment.samples for segment in twin.segments]))
    assert [s.start for s in twin.segments] == [s.start for s in recording.segments]
    assert twin.uv_per_bit == pytest.approx(recording.uv_per_bit)
    exported = loadmat(path.with_suffix(".mat"))["Samples"]
    assert np.array_equal(ours[0][:512, 0], exported[:, 0])


def test_a_session_of_neuralynx_is_one_recording_parted_where_any_channel_is(data, tmp_path):
    for name in ("LAHC1_3_gaps", "LAHC3", "LAHCu1"):
        real = data / "bci" / "neuralynx" / f"{name}.ncs"
        (tmp_path / real.name).write_bytes(real.read_bytes())

    with pytest.raises(FormatError, match=r"2 rates in.*LAHCu1 \(32000 Hz\).*--var"):
        formats.open(tmp_path)
    recording = formats.open(tmp_path, "2000")

    check(recording)
    assert [segment.samples.shape for segment in recording.segments] == [
        (5020, 2), (3065, 2), (2537, 2), (939, 2)
    ]  # fmt: skip
    alone = formats.open(tmp_path / "LAHC3.ncs").segments[0]
    for segment in recording.segments:
        first = segment.start - alone.start
        assert np.array_equal(
            segment.samples[:, 1], alone.samples[first : first + len(segment.samples), 0]
        )


def test_xdf_is_as_pyxdf_reads_it(data):
    pyxdf = pytest.importorskip("pyxdf")
    path = data / "bci" / "lsl_xdf" / "clock_resets.xdf"
    recording = formats.open(path)
    streams, _ = pyxdf.load_xdf(str(path), verbose=False)
    theirs = next(s for s in streams if s["info"]["name"] == ["BioSemi"])

    ours = np.concatenate([segment.samples for segment in recording.segments])
    found = ours * recording.uv_per_bit
    assert np.abs(found - theirs["time_series"]).max() <= 0.51 * recording.uv_per_bit.max()
    # pyxdf sees a reset of the clock here
    lengths = [last - first + 1 for first, last in theirs["info"]["segments"]]
    assert [len(segment.samples) for segment in recording.segments] == lengths
    assert recording.segments[1].cause == "gap"
    assert recording.marks.kind[0] == "marker"
    with pytest.raises(FormatError, match=r"expected one stream 'nothing'.*BioSemi"):
        formats.open(path, "nothing")


def seeds(folder: Path) -> list[Path]:
    """Make a small file of every kind that can be made here."""
    samples = np.random.default_rng(0).integers(-900, 900, (1100, 1), dtype=np.int16)
    with NsxWriter(folder / "a.ns5", 30_000.0, 0.25, ["a"], (3, 0)) as writer:
        writer.write(samples[:40])
        writer.write(samples[40:60], start=90)
    with NevWriter(folder / "a.nev", 30_000, 0.25, ["a"], 10) as spikes:
        spikes.spikes([5, 90], [0, 0], [0, 1], samples[:20].reshape(2, 10))
        spikes.comment(95, "on")
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(19_531)
        file.writeframes(samples[:50].tobytes())
    savemat(folder / "a.mat", {"data": samples * 0.5, "sr": 24_000.0}, do_compression=True)
    header = (
        b"######## Neuralynx Data File Header\r\n-SamplingFrequency 2000\r\n-ADBitVolts 1e-7\r\n"
    )
    record = np.zeros(2, "<u8,<u4,<u4,<u4,(512,)<i2")
    record["f0"], record["f2"], record["f3"] = [0, 256_000], 2000, 512
    (folder / "a.ncs").write_bytes(header.ljust(16_384, b"\0") + record.tobytes())
    (folder / "a.xdf").write_bytes(xdf())
    return sorted(folder.glob("a.*"))


def xdf() -> bytes:
    """Return the smallest file with a stream of three samples."""
    info = (
        b"<?xml version='1.0'?><info><name>x</name><type>EEG</type><channel_count>1</channel_count>"
        b"<nominal_srate>10</nominal_srate><channel_format>int16</channel_format></info>"
    )
    values = b"\x01\x03" + b"".join(
        b"\x08" + np.float64(1 + k / 10).tobytes() + np.int16(k).tobytes() for k in range(3)
    )
    stream = (1).to_bytes(4, "little")
    end = b"<?xml version='1.0'?><info><first_timestamp>1</first_timestamp></info>"
    chunks = [
        (1, b"<?xml version='1.0'?><info><version>1.0</version></info>"),
        (2, stream + info),
        (3, stream + values),
        (6, stream + end),
    ]
    return b"XDF:" + b"".join(
        b"\x04" + (2 + len(body)).to_bytes(4, "little") + tag.to_bytes(2, "little") + body
        for tag, body in chunks
    )


class Small(dict[str, bytes]):
    """Small files by name; hypothesis shows them when a test fails."""

    def __repr__(self) -> str:
        return ", ".join(self)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Small:
    """Return a small file of every kind, by its name."""
    found = Small((path.name, path.read_bytes()) for path in seeds(tmp_path_factory.mktemp("s")))
    assert len(found) == 6
    return found


def test_the_seeds_are_read(small, tmp_path):
    for name, content in small.items():
        (tmp_path / name).write_bytes(content)
        check(formats.open(tmp_path / name))


relaxed = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KINDS = ("a.mat", "a.ncs", "a.nev", "a.ns5", "a.wav", "a.xdf")


def read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(FormatError):
        check(formats.open(path))


@pytest.mark.parametrize("name", KINDS)
@relaxed
@given(
    cut=st.floats(0, 1),
    at=st.floats(0, 1),
    near=st.booleans(),
    put=st.binary(max_size=8),
    skip=st.integers(0, 12),
)
def test_damaged_files_are_read_in_part_or_refused(small, tmp_path, name, cut, at, near, put, skip):
    content = small[name]
    reach = min(len(content), 600) if near else len(content)
    place = int(at * reach)
    damaged = content[:place] + put + content[place + skip :]
    read_or_refuse(tmp_path / name, damaged)
    read_or_refuse(tmp_path / name, content[: int(cut * reach)])


@pytest.mark.parametrize("name", KINDS)
@relaxed
@given(content=st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(small, tmp_path, name, content):
    read_or_refuse(tmp_path / name, content)
    read_or_refuse(tmp_path / name, small[name][:8] + content)


def test_a_folder_with_a_suffix_and_a_missing_file_are_no_crash(tmp_path):
    (tmp_path / "x.ns5").mkdir()
    with pytest.raises(FormatError, match="expected one recording, found 0"):
        formats.open(tmp_path / "x.ns5")
    with pytest.raises(FormatError, match="expected a readable file"):
        formats.open(tmp_path / "missing.ns5")


def test_a_missing_library_says_what_to_install(tmp_path):
    with pytest.raises(FormatError, match=r"no_such_package to read x, found none.*\[bci\]"):
        optional.library("no_such_package", "to read x")


def test_rows_without_numbers_part_the_samples():
    values = np.arange(10.0).reshape(5, 2) / 4
    values[2, 1] = np.nan

    found = to_int16(values)

    assert [(first, len(rows)) for first, rows in found.parts] == [(0, 2), (3, 2)]
    assert "1 rows hold values that are no number" in found.notes[0]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_rounding_is_within_half_a_step(values):
    column = np.array(values, np.float32).reshape(-1, 1)

    found = to_int16(column)

    rows = found.parts[0][1] * found.uv_per_bit
    assert np.abs(rows - column).max() <= 0.5001 * np.abs(column).max() / 32_767 + 1e-9


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 50)), min_size=1, max_size=12),
    st.sampled_from([0, 4096]),
)
def test_samples_are_never_joined_unless_the_count_goes_on(parts, wrap):
    made = [(count, np.zeros((length, 1), np.int16)) for count, length in parts]

    found: tuple[Segment, ...] = placed(made, wrap)

    assert [len(segment.samples) for segment in found] == [length for _, length in parts]
    expected = found[0].start + len(found[0].samples)
    before = parts[0][0] + parts[0][1]
    for segment, (count, length) in zip(found[1:], parts[1:], strict=True):
        assert segment.start >= expected
        goes_on = count == before or (wrap and count == before - wrap)
        if segment.start == expected:
            assert goes_on or (wrap and (count - before) % wrap == 0)
            assert segment.cause == ""
        before, expected = count + length, segment.start + length
