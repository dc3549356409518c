"""Formats in which the signal has a name, and folders: MAT, NWB, raw, BIDS, GigaScience."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from bci import formats
from bci.formats import FormatError
from bci.formats.nsx_write import NsxWriter

h5py = pytest.importorskip("h5py")
SAMPLES = np.random.default_rng(3).integers(-900, 900, (3000, 4), dtype=np.int16)


# --- MATLAB


def modern(path: Path, variables: dict[str, Any]) -> None:
    """Write a file as MATLAB 7.3 does: a header of 512 bytes, arrays transposed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            file[name.replace(".", "/")] = np.atleast_2d(value).T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


@pytest.mark.parametrize("write", [savemat, modern])
@pytest.mark.parametrize(
    ("variables", "var", "fs"),
    [
        ({"data": SAMPLES, "sr": 24_000.0}, "", 0.0),
        ({"data": SAMPLES.T, "fs": 24_000.0}, "", 0.0),
        ({"wide": SAMPLES, "Fs": 24_000, "small": [1.0, 2.0]}, "", 0.0),
        ({"a": SAMPLES, "b": SAMPLES * 2, "sr": 24_000.0}, "a", 0.0),
        ({"a": SAMPLES}, "a", 24_000.0),
        ({"data": SAMPLES, "samplingInterval": 1 / 24}, "", 0.0),
    ],
)
def test_matlab_files_old_and_new(tmp_path, write, variables, var, fs):
    path = tmp_path / "a.mat"
    write(path, variables)

    recording = formats.open(path, var, fs)

    assert recording.fs == pytest.approx(24_000.0)
    assert np.array_equal(recording.segments[0].samples, SAMPLES)
    assert (recording.uv_per_bit == 1.0).all()


def test_a_simulation_of_wave_clus_in_small_numbers_keeps_them(tmp_path):
    path = tmp_path / "C_Easy1_made.mat"
    signal = SAMPLES[:, :1].T / 1000.0 + 0.0001
    times = np.empty((1, 1), object)
    times[0, 0] = np.array([[10.0, 20.0]])
    savemat(path, {"data": signal, "samplingInterval": 1 / 24, "spike_times": times})

    recording = formats.open(path)

    found = recording.segments[0].samples * recording.uv_per_bit
    assert np.abs(found.T - signal).max() <= np.abs(signal).max() / 65_000


def test_fields_of_structs_are_named_with_dots(tmp_path):
    savemat(tmp_path / "a.mat", {"rec": {"data": SAMPLES, "fs": 20_000.0}})
    modern(tmp_path / "b.mat", {"rec.data": SAMPLES, "rec.fs": 20_000.0})
    for name in ("a.mat", "b.mat"):
        recording = formats.open(tmp_path / name, "rec.data")
        assert recording.fs == 20_000.0
        assert recording.labels == ("data1", "data2", "data3", "data4")


@pytest.mark.parametrize(
    ("variables", "var", "reason"),
    [
        ({"a": SAMPLES, "b": SAMPLES, "sr": 1.0}, "", r"found: a 3000x4, b 3000x4.*--var"),
        ({"a": SAMPLES}, "a", "expected the rate.*--fs"),
        ({"a": SAMPLES, "sr": 1.0}, "c", "expected numbers in a variable c"),
        ({"data": SAMPLES, "sr": [1.0, 2.0]}, "", "expected one rate"),
        ({"data": SAMPLES * 1j, "sr": 1.0}, "", "expected one variable"),
    ],
)
def test_what_is_not_clear_is_asked_for(tmp_path, variables, var, reason):
    savemat(tmp_path / "a.mat", variables)
    with pytest.raises(FormatError, match=reason):
        formats.open(tmp_path / "a.mat", var)


# --- NWB


def nwb(path: Path, timestamps: np.ndarray | None = None, **options: Any) -> None:
    """Write what pynwb writes for a series of four electrodes, as far as it is read."""
    with h5py.File(path, "w") as file:
        series = file.create_group("acquisition/raw")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        data = series.create_dataset("data", data=options.pop("data", SAMPLES), **options)
        data.attrs["conversion"], data.attrs["unit"] = 2.5e-7, "volts"
        if timestamps is None:
            start = series.create_dataset("starting_time", data=2.0)
            start.attrs["rate"], start.attrs["unit"] = 30_000.0, "seconds"
        else:
            series["timestamps"] = timestamps
        series["electrodes"] = [3, 2, 1, 0]
        table = file.create_group("general/extracellular_ephys/electrodes")
        table["id"] = np.arange(4)
        table["channel_name"] = [b"A", b"B", b"C", b"D"]
        table["rel_x"], table["rel_y"] = np.arange(4.0) * 20, np.zeros(4)
        other = file.create_group("acquisition/lick")
        other.attrs["neurodata_type"] = "TimeSeries"
        other["data"] = np.arange(30.0)
        other.create_dataset("starting_time", data=0.0).attrs["rate"] = 10.0


def test_nwb_names_places_and_scales(tmp_path):
    nwb(tmp_path / "a.nwb")

    recording = formats.open(tmp_path / "a.nwb")

    assert recording.fs == 30_000.0
    assert recording.labels == ("D", "C", "B", "A")
    assert recording.positions[:, 0].tolist() == [60, 40, 20, 0]
    assert recording.uv_per_bit == pytest.approx(np.full(4, 0.25))
    (segment,) = recording.segments
    assert segment.start == 60_000
    assert np.array_equal(segment.samples, SAMPLES)
    assert isinstance(segment.samples.base, np.memmap) or isinstance(segment.samples, np.memmap)
    assert formats.open(tmp_path / "a.nwb", "lick").fs == 10.0


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"data": SAMPLES.astype("f8")}])
def test_nwb_of_other_types(tmp_path, options):
    nwb(tmp_path / "a.nwb", **options)
    found = formats.open(tmp_path / "a.nwb")
    assert np.array_equal(found.segments[0].samples, SAMPLES)


def test_nwb_is_parted_where_time_stamps_jump(tmp_path):
    time = np.arange(3000) / 30_000.0
    time[1000:] += 0.5
    nwb(tmp_path / "a.nwb", time)

    recording = formats.open(tmp_path / "a.nwb")

    starts = [(s.start, len(s.samples), s.cause) for s in recording.segments]
    assert starts == [(0, 1000, ""), (16_000, 2000, "gap")]


def test_nwb_with_several_series_asks_for_one(tmp_path):
    nwb(tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb", "a") as file:
        file.copy("acquisition/raw", "acquisition/second")
    with pytest.raises(FormatError, match=r"found 2 of: .*acquisition/raw 3000x4.*--var"):
        formats.open(tmp_path / "a.nwb")
    assert len(formats.open(tmp_path / "a.nwb", "second").labels) == 4
    with pytest.raises(FormatError, match="expected one series none"):
        formats.open(tmp_path / "a.nwb", "none")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.floats(0, 1), put=st.binary(max_size=8), cut=st.floats(0, 1))
@pytest.mark.parametrize("kind", ["a.nwb", "b.mat"])
def test_damaged_hdf5_is_read_in_part_or_refused(tmp_path_factory, kind, at, put, cut):
    folder = tmp_path_factory.getbasetemp() / "hdf5"
    if not folder.exists():
        folder.mkdir()
        nwb(folder / "a.nwb", data=SAMPLES[:50])
        modern(folder / "b.mat", {"data": SAMPLES[:600], "sr": 1000.0})
    content = (folder / kind).read_bytes()
    place = int(at * len(content))
    damaged = content[:place] + put + content[place + len(put) :]
    for number, data in enumerate((damaged, content[: int(cut * len(content))])):
        path = folder / f"damaged{number}{Path(kind).suffix}"
        path.write_bytes(data)
        with suppress(FormatError):
            formats.open(path)


# --- raw


def test_raw_samples_need_a_description(tmp_path):
    SAMPLES.tofile(tmp_path / "a.raw")
    with pytest.raises(FormatError, match=r"expected info\.json or a\.json beside it"):
        formats.open(tmp_path / "a.raw")
    info = {"sample_rate": 15_000.0, "shape": [-1, 4], "dtype": "int16", "uv_per_bit": 0.5}
    (tmp_path / "info.json").write_text(json.dumps(info))
    recording = formats.open(tmp_path / "a.raw")
    assert np.array_equal(recording.segments[0].samples, SAMPLES)
    assert (recording.fs, recording.uv_per_bit[0]) == (15_000.0, 0.5)
    (tmp_path / "a.json").write_text(json.dumps(info | {"dtype": "object"}))
    with pytest.raises(FormatError, match="expected sample_rate above 0"):
        formats.open(tmp_path / "a.raw")


# --- folders


def bids(folder: Path, *, rate: float = 30_000.0) -> Path:
    """Make a data set as OpenNeuro has them."""
    place = folder / "sub-01" / "ses-a" / "ieeg"
    place.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "made", "BIDSVersion": "1.10.0"}')
    (folder / "participants.tsv").write_text("participant_id\nsub-01\n")
    stem = "sub-01_ses-a_task-rest_run-1"
    with NsxWriter(place / f"{stem}_ieeg.ns5", 30_000.0, 0.25, list("abcd")) as writer:
        writer.write(SAMPLES)
    (folder / "task-rest_ieeg.json").write_text(json.dumps({"SamplingFrequency": rate}))
    rows = [f"G{n}\tSEEG\tuV\t30000\t{'bad' if n == 2 else 'good'}" for n in range(1, 5)]
    head = "name\ttype\tunits\tsampling_frequency\tstatus"
    (place / f"{stem}_channels.tsv").write_text("\n".join([head, *rows]) + "\n")
    places = [f"G{n}\t{n}\t0.5\t0" for n in range(1, 5)]
    (place / "sub-01_ses-a_electrodes.tsv").write_text("\n".join(["name\tx\ty\tz", *places]))
    (place / "sub-01_ses-a_coordsystem.json").write_text('{"iEEGCoordinateUnits": "mm"}')
    return place / f"{stem}_ieeg.ns5"


def test_a_bids_folder_brings_names_and_places(tmp_path):
    bids(tmp_path)

    recording = formats.open(tmp_path)

    assert recording.labels == ("G1", "G2", "G3", "G4")
    assert recording.positions.tolist() == [[1000, 500], [2000, 500], [3000, 500], [4000, 500]]
    assert recording.notes == ("bad channels: G2",)
    assert np.array_equal(recording.segments[0].samples, SAMPLES)


def test_a_bids_folder_that_contradicts_its_file_is_refused(tmp_path):
    bids(tmp_path, rate=1000.0)
    with pytest.raises(FormatError, match="its sidecar says 1000 Hz"):
        formats.open(tmp_path)


def test_of_several_runs_one_is_named(tmp_path):
    path = bids(tmp_path)
    path.with_name(path.name.replace("run-1", "run-2")).write_bytes(path.read_bytes())
    with pytest.raises(FormatError, match=r"found 2 of: sub-01/ses-a/ieeg/.*run-1.*--var"):
        formats.open(tmp_path)
    assert len(formats.open(tmp_path, "run-2").labels) == 4


def test_a_folder_of_gigascience_holds_recordings_anywhere(tmp_path):
    (tmp_path / "readme_100001.txt").write_text("Supporting data for a made recording.\n")
    (tmp_path / "data" / "day1").mkdir(parents=True)
    with NsxWriter(tmp_path / "data" / "day1" / "a.ns5", 30_000.0, 0.25, list("abcd")) as writer:
        writer.write(SAMPLES)
    assert np.array_equal(formats.open(tmp_path).segments[0].samples, SAMPLES)
    with pytest.raises(FormatError, match="expected one recording with day2 in its path, found 0"):
        formats.open(tmp_path, "day2")


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(FormatError, match="none in a format that is read"):
        formats.open(tmp_path)
