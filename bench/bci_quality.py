"""How well spikes are found, beside SpikeInterface's detectors, on recordings of its own making.

Three scenes of 32 electrodes: a dense probe (20 µm) and a Utah array (400 µm) in white noise,
and the Utah array in spike-shaped noise, which is ours: a dozen trains of small spikes on each
electrode. Thresholds of all methods are fixed on two seeds, then scored on five others:
``python -m bench.bci_quality``. Score: detections within 0.4 ms and 75 µm, one to one, after
the first 20 s, in which our prototype and theirs are learnt. Units below 2 σ need not be
found; their spikes count as false where they are (``f1``), or neither way (``_faint_apart``).
Without the package ``spikeinterface``, which is no dependency, there is nothing to compare.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bci.engine import Engine
from bci.probe import Probe
from bci.score import Score, score
from bci.settings import EngineSettings
from bench._with.context import Context
from bench.measure import Row

FS: Final = 30_000.0
SECONDS: Final = 50.0
LEARN_S: Final = 20.0
CHANNELS: Final = 32
NOISE_UV: Final = 40.0
UV_PER_BIT: Final = 0.25
TUNING: Final = (101, 102)
HELD_OUT: Final = (1, 2, 3, 4, 5)
SCENES: Final = ("dense", "utah", "utah_hash")
#: Units whose mean spike is below this many σ on every channel need not be found.
FAINT: Final = 2.0
#: Bands of SNR in which recall is told.
BANDS: Final = ((2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, np.inf))
#: Channels a spike-shaped noise has trains on, their rate, Hz, and largest amplitude, µV.
TRAINS, TRAIN_HZ, TRAIN_UV = 12, 20.0, 70.0
SWEEPS: Final = {
    "ours": (5.0, 5.5, 6.0, 6.5, 7.0),
    "si_matched_filtering": (5.0, 6.0, 7.0, 8.0),
    "si_locally_exclusive": (4.5,),
}

#: Sample and channel of detections.
Detections = tuple[NDArray[np.int64], NDArray[np.int64]]


class Scene(NamedTuple):
    """A recording and what is in it."""

    recording: Any
    samples: NDArray[np.int16]
    places: NDArray[np.float64]
    spike: NDArray[np.int64]
    spot: NDArray[np.float64]
    snr: NDArray[np.float64]
    faint: NDArray[np.int64]
    faint_spot: NDArray[np.float64]


def run(context: Context) -> Iterator[Row]:
    """Yield the mean F1 of every method in every scene, and recall by SNR of ours."""
    try:
        import spikeinterface  # noqa: F401
    except ImportError:
        context.report("no spikeinterface here: pip install spikeinterface, to compare with it")
        return
    for name in SCENES:
        yield _scene_row(name, context.report)


def _scene_row(name: str, report: Callable[[str], None]) -> Row:
    """Tune on some seeds, score on the others."""
    fixed = {}
    tuning = [scene(name, seed) for seed in TUNING]
    for method, sweep in SWEEPS.items():
        f1 = [
            float(np.mean([_f1(each, METHODS[method](each, at)) for each in tuning]))
            for at in sweep
        ]
        fixed[method] = sweep[int(np.argmax(f1))]
        report(f"{name} {method}: {dict(zip(sweep, np.round(f1, 3).tolist(), strict=True))}")
    found: dict[str, list[float]] = {method: [] for method in SWEEPS}
    apart: dict[str, list[float]] = {method: [] for method in SWEEPS}
    recall: dict[str, list[list[float]]] = {method: [] for method in SWEEPS}
    for seed in HELD_OUT:
        each = scene(name, seed)
        for method, at in fixed.items():
            detections = METHODS[method](each, at)
            found[method].append(_f1(each, detections))
            apart[method].append(_f1_apart(each, detections))
            recall[method].append(_recall(each, detections))
        report(f"{name} seed {seed}: { {m: round(v[-1], 3) for m, v in found.items()} }")
    means = {method: float(np.mean(values)) for method, values in found.items()}
    row: Row = {"name": f"bci_quality_{name}"}
    for method, value in means.items():
        row[method] = round(value, 3)
        row[f"{method}_threshold"] = fixed[method]
        row[f"{method}_faint_apart"] = round(float(np.mean(apart[method])), 3)
    row["above_matched_filtering"] = round(means["ours"] - means["si_matched_filtering"], 3)
    row["above_locally_exclusive"] = round(means["ours"] - means["si_locally_exclusive"], 3)
    for method, by_band in recall.items():
        for (low, high), share in zip(BANDS, np.nanmean(by_band, axis=0), strict=True):
            row[f"{method}_recall_snr_{low:.0f}_to_{high:.0f}"] = round(float(share), 3)
    return row


def scene(name: str, seed: int) -> Scene:
    """Make a recording with SpikeInterface."""
    import probeinterface
    import spikeinterface.core as core

    warnings.filterwarnings("ignore")
    if name == "dense":
        probe = probeinterface.generate_multi_columns_probe(
            num_columns=2, num_contact_per_column=16, xpitch=20, ypitch=20
        )
        units, near = 20, {"margin_um": 10.0, "minimum_z": 5.0, "maximum_z": 35.0}
    else:
        probe = probeinterface.generate_multi_columns_probe(
            num_columns=4, num_contact_per_column=8, xpitch=400, ypitch=400
        )
        units, near = 32, {"margin_um": 10.0, "minimum_z": 5.0, "maximum_z": 35.0}
    probe.set_device_channel_indices(np.arange(CHANNELS))
    places = probe.contact_positions.astype(np.float64)
    draw = np.random.default_rng([seed, 77])
    spots = None
    options: dict[str, Any] = {}
    if name != "dense":
        angle, away = draw.uniform(0, 2 * np.pi, units), draw.uniform(0, 30, units)
        aside = np.column_stack([np.cos(angle), np.sin(angle)]) * away[:, None]
        under = places[np.arange(units) % CHANNELS] + aside
        spots = np.column_stack([under, draw.uniform(5, 35, units)])
        options["templates"] = core.generate_templates(places, spots, FS, 1.0, 3.0, seed=seed)
    recording, sorting = core.generate_ground_truth_recording(
        durations=[SECONDS], sampling_frequency=FS, num_channels=CHANNELS, num_units=units,
        probe=probe, ms_before=1.0, ms_after=3.0, seed=seed,
        generate_sorting_kwargs={"firing_rates": 8.0, "refractory_period_ms": 4.0},
        noise_kwargs={"noise_levels": NOISE_UV, "strategy": "on_the_fly"},
        generate_unit_locations_kwargs={**near, "minimum_distance": 15}, **options,
    )  # fmt: skip
    volts = recording.get_traces().astype(np.float32)
    if name.endswith("hash"):
        _add_trains(volts, draw)
    samples = np.clip(np.round(volts / UV_PER_BIT), -32768, 32767).astype(np.int16)
    return _known(core, recording, sorting, samples, places, spots)


def _known(
    core: Any,
    recording: Any,
    sorting: Any,
    samples: NDArray[np.int16],
    places: NDArray[np.float64],
    spots: NDArray[np.float64] | None,
) -> Scene:
    """Return the scene without the units that nobody can see."""
    if spots is None:
        spots = sorting.get_property("gt_unit_locations")
    again = core.NumpyRecording(samples.astype(np.float32) * UV_PER_BIT, FS)
    again.set_probe(recording.get_probe(), in_place=True)
    vector = sorting.to_spike_vector()
    spike, unit = vector["sample_index"].astype(np.int64), vector["unit_index"]
    volts = samples.astype(np.float32) * UV_PER_BIT
    snr = np.zeros(len(spots))
    for number in range(len(spots)):
        at = spike[unit == number]
        at = at[(at > 30) & (at < len(volts) - 30)][:300]
        mean = np.mean([volts[a - 10 : a + 20] for a in at], axis=0)
        snr[number] = -mean.min() / NOISE_UV
    late = spike >= LEARN_S * FS
    counted, faint = late & (snr[unit] >= FAINT), late & (snr[unit] < FAINT)
    return Scene(
        again, samples, places, spike[counted], spots[unit[counted], :2], snr[unit[counted]],
        spike[faint], spots[unit[faint], :2],
    )  # fmt: skip


def _add_trains(volts: NDArray[np.float32], draw: np.random.Generator) -> None:
    """Add background spikes that are too small to be told apart."""
    time = np.arange(-15, 45) / FS * 1000
    count, width = round(TRAINS * TRAIN_HZ * SECONDS), len(time)
    for channel in range(CHANNELS):
        shapes = [
            0.3 * np.exp(-0.5 * ((time - draw.uniform(0.35, 0.6)) / 0.25) ** 2)
            - np.exp(-0.5 * (time / draw.uniform(0.08, 0.16)) ** 2)
            for _ in range(TRAINS)
        ]
        sizes = draw.uniform(2, TRAIN_UV, TRAINS)
        for k, at in enumerate(draw.integers(0, len(volts) - width, count)):
            which = k % TRAINS
            volts[at : at + width, channel] += sizes[which] * shapes[which]


def ours(each: Scene, threshold: float) -> Detections:
    """Detect with the engine, as it streams, in blocks of 5 ms."""
    engine = Engine(FS, UV_PER_BIT, Probe(each.places), EngineSettings(matched_threshold=threshold))
    parts = [
        engine.process(each.samples[at : at + 150], at).spikes
        for at in range(0, len(each.samples), 150)
    ]
    parts.append(engine.finish().spikes)
    sample = np.concatenate([part.sample for part in parts])
    return sample, np.concatenate([part.channel for part in parts]).astype(np.int64)


def theirs(method: str) -> Callable[[Scene, float], Detections]:
    """Return a detector of SpikeInterface, after its band-pass."""

    def detect(each: Scene, threshold: float) -> Detections:
        from spikeinterface.preprocessing import bandpass_filter
        from spikeinterface.sortingcomponents.peak_detection import detect_peaks
        from spikeinterface.sortingcomponents.tools import (
            get_prototype_and_waveforms_from_recording,
        )

        filtered = bandpass_filter(each.recording, freq_min=300.0, freq_max=6000.0)
        options: dict[str, Any] = {"detect_threshold": threshold}
        jobs = {"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False}
        if method == "matched_filtering":
            prototype, _, _ = get_prototype_and_waveforms_from_recording(
                filtered, n_peaks=5000, ms_before=0.5, ms_after=1.0, seed=0, job_kwargs=jobs
            )
            options |= {"prototype": prototype, "ms_before": 0.5}
        else:
            options |= {"peak_sign": "neg", "exclude_sweep_ms": 0.4, "radius_um": 75.0}
        peaks = detect_peaks(filtered, method=method, method_kwargs=options, job_kwargs=jobs)
        order = np.argsort(peaks["sample_index"], kind="stable")
        return (
            peaks["sample_index"][order].astype(np.int64),
            peaks["channel_index"][order].astype(np.int64),
        )

    return detect


METHODS: Final[dict[str, Callable[[Scene, float], Detections]]] = {
    "ours": ours,
    "si_matched_filtering": theirs("matched_filtering"),
    "si_locally_exclusive": theirs("locally_exclusive"),
}


def _f1(each: Scene, found: Detections) -> float:
    return _score(each, found).f1


def _f1_apart(each: Scene, found: Detections) -> float:
    """Return F1 where detections of faint units count neither way."""
    sample, channel = found
    late = sample >= LEARN_S * FS
    sample, places = sample[late], each.places[channel[late]]
    result = score(each.spike, each.spot, sample, places, FS)
    rest = np.ones(len(sample), bool)
    rest[result.matched[result.matched >= 0]] = False
    faint = score(each.faint, each.faint_spot, sample[rest], places[rest], FS).found
    return 2 * result.found / (2 * result.found + result.missed + result.false - faint)


def _score(each: Scene, found: Detections) -> Score:
    sample, channel = found
    late = sample >= LEARN_S * FS
    return score(each.spike, each.spot, sample[late], each.places[channel[late]], FS)


def _recall(each: Scene, found: Detections) -> list[float]:
    """Return the recall of units in each of `BANDS`; NaN where there is none."""
    hit = _score(each, found).matched >= 0
    bands = [hit[(each.snr >= low) & (each.snr < high)] for low, high in BANDS]
    return [float(band.mean()) if len(band) else float("nan") for band in bands]


if __name__ == "__main__":
    import sys

    wanted = sys.argv[1:] or list(SCENES)
    for name in wanted:
        print(_scene_row(name, print), flush=True)
